// The server family as tables of command lines: COMMAND, CONFIG, INFO, DEBUG, MEMORY, SLOWLOG and
// what clients ask when they connect.

import { script, type Script } from "../run.ts";

/** Commands that SpireDB has and Redis 7.0.15 knows; asked one by one so that a diff names one. */
export const COMMAND_NAMES =
  `append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx
psetex set setex setnx setrange strlen substr bitcount bitfield bitfield_ro bitop bitpos getbit setbit
copy del exists expire expireat expiretime keys move object persist pexpire pexpireat pexpiretime
pttl randomkey rename renamenx scan touch ttl type unlink wait auth client echo hello ping quit
reset select command config dbsize debug flushall flushdb info lastsave memory role shutdown slowlog time
function`.split(/\s+/);

export const SERVER: readonly Script[] = [
  { title: "COMMAND INFO", steps: COMMAND_NAMES.map((name) => ["COMMAND", "INFO", name]) },
  { title: "COMMAND DOCS", steps: COMMAND_NAMES.map((name) => ["COMMAND", "DOCS", name]) },
  script(
    "COMMAND",
    String.raw`
    COMMAND COUNT
    COMMAND COUNT x
    COMMAND INFO get nonexistent set
    COMMAND INFO GET
    COMMAND INFO client|list
    COMMAND INFO config|get
    COMMAND INFO object|encoding
    COMMAND INFO client|foo
    COMMAND DOCS nonexistent
    COMMAND LIST FILTERBY PATTERN getr*
    COMMAND LIST FILTERBY PATTERN nothing*
    COMMAND LIST FILTERBY MODULE foo
    COMMAND LIST FILTERBY FOO bar
    COMMAND LIST FILTERBY PATTERN
    COMMAND LIST FOO
    COMMAND LIST FILTERBY ACLCAT nosuchcategory
    COMMAND GETKEYS GET a
    COMMAND GETKEYS MSET a 1 b 2
    COMMAND GETKEYS MGET a b c
    COMMAND GETKEYS SET a 1 EX 10
    COMMAND GETKEYS BITOP AND d a b
    COMMAND GETKEYS RENAME a b
    COMMAND GETKEYS COPY a b
    COMMAND GETKEYS DEL a b
    COMMAND GETKEYS LCS a b
    COMMAND GETKEYS OBJECT ENCODING a
    COMMAND GETKEYS MEMORY USAGE a
    COMMAND GETKEYS NOSUCH a
    COMMAND GETKEYS
    COMMAND GETKEYS CLIENT LIST
    COMMAND GETKEYS CONFIG GET x
    COMMAND GETKEYS BITFIELD a GET u8 0
    COMMAND GETKEYSANDFLAGS GET a
    COMMAND GETKEYSANDFLAGS SET a 1
    COMMAND GETKEYSANDFLAGS DEL a b
    COMMAND GETKEYSANDFLAGS COPY a b
    COMMAND FOO
    COMMAND HELP
    `,
  ),
  script(
    "CONFIG",
    String.raw`
    CONFIG GET maxmemory
    CONFIG GET MAXMEMORY
    CONFIG GET save
    CONFIG GET appendonly
    CONFIG GET databases
    CONFIG GET timeout
    CONFIG GET maxclients
    CONFIG GET maxmemory-policy
    CONFIG GET proto-max-bulk-len
    CONFIG GET client-output-buffer-limit
    CONFIG GET slowlog-log-slower-than
    CONFIG GET slowlog-max-len
    CONFIG GET nosuchsetting
    CONFIG GET maxmemory appendonly
    CONFIG GET nosuchsetting maxmemory
    CONFIG GET maxmemory maxmemory
    CONFIG GET
    CONFIG SET nosuchsetting 1
    CONFIG SET
    CONFIG SET maxmemory
    CONFIG SET slowlog-max-len 100
    CONFIG SET slowlog-max-len x
    CONFIG SET slowlog-max-len 128
    CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128
    CONFIG SET slowlog-max-len 128 slowlog-max-len 128
    CONFIG SET slowlog-max-len 128 nosuchsetting 1
    CONFIG SET client-output-buffer-limit "normal 1mb 0 0"
    CONFIG SET client-output-buffer-limit "NORMAL 0 0 0 replica 1 2 3"
    CONFIG SET client-output-buffer-limit ""
    CONFIG SET client-output-buffer-limit "normal 1mb 0"
    CONFIG SET client-output-buffer-limit "foo 1mb 0 0"
    CONFIG SET client-output-buffer-limit "normal x 0 0"
    CONFIG SET client-output-buffer-limit "normal 1 0 -1"
    CONFIG SET databases 3
    CONFIG SET appendonly maybe
    CONFIG SET appendfsync x
    CONFIG SET maxmemory 10x
    CONFIG SET timeout 0
    CONFIG SET timeout -1
    CONFIG SET timeout x
    CONFIG RESETSTAT
    CONFIG RESETSTAT x
    CONFIG FOO
    CONFIG HELP
    CONFIG
    `,
  ),
  script(
    "INFO",
    String.raw`
    INFO server
    INFO clients
    INFO memory
    INFO persistence
    INFO stats
    INFO replication
    INFO cpu
    INFO keyspace
    SET a 1
    INFO keyspace
    INFO KEYSPACE
    INFO server clients
    INFO nosuchsection
    INFO
    INFO default
    INFO everything
    INFO all
    INFO commandstats
    INFO errorstats
    INFO latencystats
    INFO cluster
    INFO modules
    `,
  ),
  script(
    "TIME, LASTSAVE, ROLE, SLOWLOG, FUNCTION",
    String.raw`
    TIME
    TIME x
    LASTSAVE
    LASTSAVE x
    ROLE
    ROLE x
    SLOWLOG RESET
    SLOWLOG LEN
    SLOWLOG GET
    SLOWLOG GET 1
    SLOWLOG GET -1
    SLOWLOG GET -2
    SLOWLOG GET x
    SLOWLOG GET 1 2
    SLOWLOG FOO
    SLOWLOG HELP
    SLOWLOG
    FUNCTION LIST
    FUNCTION LIST LIBRARYNAME x
    FUNCTION LIST WITHCODE
    FUNCTION LIST FOO
    FUNCTION LIST LIBRARYNAME
    FUNCTION FLUSH
    FUNCTION FLUSH ASYNC
    FUNCTION FLUSH SYNC
    FUNCTION FLUSH FOO
    FUNCTION FOO
    FUNCTION HELP
    MODULE HELP
    MODULE LIST
    FUNCTION
    `,
  ),
  script(
    "DEBUG and MEMORY",
    String.raw`
    DEBUG SLEEP 0
    DEBUG SLEEP x
    DEBUG SET-ACTIVE-EXPIRE 0
    DEBUG SET-ACTIVE-EXPIRE 1
    SET a 1
    DEBUG OBJECT a
    DEBUG OBJECT none
    DEBUG FOO
    DEBUG FOO bar
    DEBUG
    MEMORY USAGE a
    MEMORY USAGE none
    MEMORY USAGE a SAMPLES 0
    MEMORY USAGE a SAMPLES 5
    MEMORY USAGE a SAMPLES -1
    MEMORY USAGE a SAMPLES x
    MEMORY USAGE a SAMPLES
    MEMORY USAGE a FOO 1
    MEMORY USAGE
    MEMORY FOO
    MEMORY HELP
    MEMORY
    SHUTDOWN FOO
    SHUTDOWN SAVE NOSAVE
    SHUTDOWN ABORT
    `,
  ),
];
