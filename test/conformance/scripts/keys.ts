// The generic key family as tables of command lines: deleting, naming, moving, looking and scanning.
// Times to live stand in `expiry.ts`.

import { script, type Script } from "../run.ts";

export const KEYS: readonly Script[] = [
  script(
    "DEL, UNLINK, EXISTS, TOUCH, TYPE",
    String.raw`
    MSET {c}a 1 {c}b 2 {c}d 3
    EXISTS {c}a {c}b {c}none
    EXISTS {c}a {c}a {c}a
    TOUCH {c}a {c}b {c}none {c}a
    TYPE {c}a
    TYPE {c}none
    DEL {c}a {c}none {c}a
    UNLINK {c}b {c}b
    DEL {c}none
    UNLINK {c}none
    EXISTS {c}a
    DBSIZE
    `,
  ),
  script(
    "RENAME and RENAMENX",
    String.raw`
    RENAME {c}none {c}x
    RENAMENX {c}none {c}x
    RENAME {c}none {c}none
    SET {c}a 1 EX 1000
    RENAME {c}a {c}b
    TTL {c}b
    GET {c}a
    RENAME {c}b {c}b
    RENAMENX {c}b {c}b
    SET {c}d 2
    RENAMENX {c}b {c}d
    GET {c}d
    RENAMENX {c}b {c}e
    TTL {c}e
    SET {c}f x EX 5
    RENAME {c}d {c}f
    TTL {c}f
    GET {c}f
    KEYS *
    `,
  ),
  script(
    "COPY",
    String.raw`
    SET {c}a 1 EX 1000
    COPY {c}a {c}b
    TTL {c}b
    COPY {c}a {c}b
    SET {c}a 2
    COPY {c}a {c}b REPLACE
    TTL {c}b
    GET {c}b
    COPY {c}a {c}a
    COPY {c}a {c}a REPLACE
    COPY {c}none {c}x
    COPY {c}none {c}b REPLACE
    GET {c}b
    COPY {c}a {c}a DB 1
    COPY {c}a {c}a DB 1
    COPY {c}a {c}a DB 1 REPLACE
    COPY {c}a {c}a db 0
    COPY {c}a {c}z replace DB 3
    COPY {c}a {c}b DB 16
    COPY {c}a {c}b DB -1
    COPY {c}a {c}b DB x
    COPY {c}a {c}b DB
    COPY {c}a {c}b FOO
    COPY {c}a {c}b REPLACE REPLACE
    COPY {c}a {c}b DB 1 DB 2
    SELECT 1
    GET {c}a
    SELECT 2
    GET {c}b
    SELECT 3
    GET {c}z
    DBSIZE
    `,
  ),
  script(
    "MOVE and databases",
    String.raw`
    SET a 1 EX 1000
    MOVE a 1
    EXISTS a
    SELECT 1
    TTL a
    MOVE a 1
    MOVE a 16
    MOVE a -1
    MOVE a x
    MOVE none 2
    MOVE a 0
    SELECT 0
    GET a
    SELECT 5
    SET a five
    MOVE a 0
    GET a
    SELECT 15
    SET z last
    KEYS *
    DBSIZE
    SELECT 0
    KEYS *
    FLUSHDB
    DBSIZE
    SELECT 15
    DBSIZE
    FLUSHALL
    DBSIZE
    SELECT 5
    EXISTS a
    `,
  ),
  script(
    "OBJECT",
    String.raw`
    SET a 1
    SET b hello
    OBJECT ENCODING a
    OBJECT encoding b
    OBJECT ENCODING none
    OBJECT REFCOUNT a
    OBJECT REFCOUNT b
    OBJECT REFCOUNT none
    OBJECT IDLETIME a
    OBJECT IDLETIME none
    OBJECT FREQ a
    OBJECT FREQ none
    OBJECT HELP
    OBJECT FOO a
    OBJECT FOO
    OBJECT ENCODING
    OBJECT ENCODING a b
    OBJECT
    OBJECT HELP x
    `,
  ),
  script(
    "KEYS patterns",
    String.raw`
    MSET one 1 two 2 three 3 four 4 foobar 5 "a*b" 6 "a?b" 7 "[x]" 8 "a\\b" 9 hello 10 hallo 11 hxllo 12
    KEYS *
    KEYS t*
    KEYS *o*
    KEYS ????
    KEYS h?llo
    KEYS h[ae]llo
    KEYS h[^e]llo
    KEYS h[a-e]llo
    KEYS h[e-a]llo
    KEYS h[^a-b]llo
    KEYS "a\\*b"
    KEYS "a\\?b"
    KEYS "\\[x\\]"
    KEYS "a\\\\b"
    KEYS "h[a"
    KEYS "[x"
    KEYS "\\"
    KEYS "*\\"
    KEYS ""
    KEYS nothing
    KEYS one
    KEYS **o**
    KEYS ***
    KEYS "[]"
    KEYS "[^]"
    KEYS "h[\\a]llo"
    KEYS "h[a-]llo"
    KEYS "h[-a]llo"
    KEYS T*
    KEYS {*
    SET "{tag}1" x
    SET "{tag}2" x
    KEYS "{tag}*"
    KEYS "{tag}1"
    `,
  ),
  script(
    "SCAN",
    String.raw`
    SCAN 0
    MSET {c}a 1 {c}b 2 {d}a 3 {d}b 4 e 5 f 6 g 7 h 8 i 9 j 10 k 11 l 12 m 13
    SCAN 0
    SCAN 0 COUNT 1
    SCAN 0 COUNT 1000
    SCAN 0 MATCH {c}*
    SCAN 0 match *a COUNT 2
    SCAN 0 TYPE string
    SCAN 0 TYPE STRING
    SCAN 0 TYPE list
    SCAN 0 TYPE foo
    SCAN 0 COUNT 3 MATCH ? TYPE string
    SCAN 0 MATCH a MATCH e
    SCAN 0 COUNT 0
    SCAN 0 COUNT -1
    SCAN 0 COUNT x
    SCAN 0 COUNT
    SCAN 0 MATCH
    SCAN 0 TYPE
    SCAN 0 FOO
    SCAN 0 FOO bar
    SCAN x
    SCAN -1 FOO
    SCAN ""
    SCAN 1.5
    SCAN 0x
    SCAN 99999999999999999999999
    SCAN " 0"
    SET gone 1 PX 10
    ~60
    SCAN 0
    SELECT 3
    SCAN 0
    `,
  ),
  script(
    "RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL",
    String.raw`
    RANDOMKEY
    DBSIZE
    SET a 1
    RANDOMKEY
    DBSIZE
    SET b 2
    DBSIZE
    SELECT 1
    RANDOMKEY
    DBSIZE
    SET c 3
    FLUSHDB
    DBSIZE
    SELECT 0
    DBSIZE
    FLUSHDB ASYNC
    DBSIZE
    SET a 1
    FLUSHALL SYNC
    RANDOMKEY
    SET a 1
    FLUSHALL async
    GET a
    FLUSHALL FOO
    FLUSHDB FOO
    FLUSHALL ASYNC SYNC
    FLUSHDB SYNC SYNC
    WAIT 0 0
    WAIT 0 100
    WAIT 1 10
    WAIT x 0
    WAIT 0 x
    WAIT 0 -1
    WAIT -1 0
    `,
  ),
];
