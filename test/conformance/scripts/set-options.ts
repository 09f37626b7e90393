// SET and GETEX with every combination of their options, on a missing key, a plain one and one with
// a time to live, followed by what the key looks like then. Also SETEX, PSETEX and SETNX.

import type { Command } from "../client.ts";
import { script, type Script } from "../run.ts";

const FAR_SECONDS = "33177117420";
const FAR_MS = "33177117420000";

const KEY_STATES: ReadonlyArray<readonly [string, Command]> = [
  ["missing key", ["DEL", "a"]],
  ["plain key", ["SET", "a", "old"]],
  ["key with a ttl", ["SET", "a", "old", "EX", "5000"]],
];

const CONDITIONS: readonly Command[] = [[], ["NX"], ["XX"]];
const WITH_GET: readonly Command[] = [[], ["GET"]];
const EXPIRIES: readonly Command[] = [
  [],
  ["KEEPTTL"],
  ["EX", "100"],
  ["PX", "100000"],
  ["EXAT", FAR_SECONDS],
  ["PXAT", FAR_MS],
];

/** Every pair of options that Redis may refuse, and every one alone or malformed. */
const OPTIONS: readonly Command[] = [...CONDITIONS.slice(1), ["GET"], ...EXPIRIES.slice(1)];

function look(key: string): Command[] {
  return [
    ["GET", key],
    ["PTTL", key],
  ];
}

const combinations: readonly Script[] = KEY_STATES.map(([state, before]) => ({
  title: `SET on a ${state}`,
  steps: CONDITIONS.flatMap((condition) =>
    WITH_GET.flatMap((get) =>
      EXPIRIES.flatMap((expiry) => [
        before,
        ["SET", "a", "new", ...condition, ...get, ...expiry],
        ...look("a"),
      ]),
    ),
  ),
}));

const pairs: Script = {
  title: "SET with two options",
  steps: OPTIONS.flatMap((one) =>
    OPTIONS.flatMap((two) => [
      ["SET", "a", "v", ...one, ...two],
      ["PTTL", "a"],
    ]),
  ),
};

const BAD_TIMES = [
  "0",
  "-1",
  "abc",
  "",
  "1.5",
  " 1",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775808",
  "9223372036854775",
  "9223372036854776",
  "92233720368547758",
];

const badTimes: Script = {
  title: "expiries that are out of range or no numbers",
  steps: BAD_TIMES.flatMap((time) => [
    ...["EX", "PX", "EXAT", "PXAT"].flatMap((unit) => [
      ["SET", "a", "v"],
      ["SET", "a", "w", unit, time],
      ["GETEX", "a", unit, time],
      ["GETEX", "missing", unit, time],
      ["EXISTS", "a"],
    ]),
    ["SETEX", "a", time, "v"],
    ["PSETEX", "a", time, "v"],
    ["EXISTS", "a"],
    ["DEL", "a"],
  ]),
};

const getexExpiries: readonly Command[] = [...EXPIRIES.slice(2), ["PERSIST"]];

const getex: readonly Script[] = KEY_STATES.map(([state, before]) => ({
  title: `GETEX on a ${state}`,
  steps: [
    before,
    ["GETEX", "a"],
    ...look("a"),
    ...getexExpiries.flatMap((one) => [
      before,
      ["GETEX", "a", ...one],
      ...look("a"),
      ...getexExpiries.map((two) => ["GETEX", "a", ...one, ...two]),
    ]),
  ],
}));

export const SET_OPTIONS: readonly Script[] = [
  ...combinations,
  pairs,
  badTimes,
  ...getex,
  script(
    "SET and GETEX: words and order",
    String.raw`
    SET a 1 nx ex 100
    SET a 2 Xx kEePtTl GeT
    TTL a
    SET a 3 EX
    SET a 3 PX
    SET a 3 EXAT
    SET a 3 PXAT
    SET a 3 FOO
    SET a 3 EX 10 FOO
    SET a 3 10 EX
    SET a 3 NX NX
    SET a 3 GET GET
    SET a 3 XX XX
    SET a 3 NX XX
    SET a 3 NX GET
    SET fresh 3 NX GET
    GET fresh
    SET a 3 PERSIST
    SET a 3 EX NX
    SET a 3 ""
    GETEX a EX
    GETEX a PX
    GETEX a FOO
    GETEX a KEEPTTL
    GETEX a NX
    GETEX a GET
    GETEX a persist
    GETEX a PERSIST PERSIST
    GETEX a EXAT 1
    GETEX a
    SET b 1
    GETEX b PXAT 1
    EXISTS b
    SET b 1 EXAT 1
    EXISTS b
    SET b 1 PXAT 1
    GET b
    SET b old
    SET b new EXAT 1 GET
    EXISTS b
    `,
  ),
  script(
    "SETEX, PSETEX, SETNX",
    String.raw`
    SETEX a 100 v
    TTL a
    PSETEX a 100000 w
    PTTL a
    GET a
    SETEX a 0 v
    SETEX a -5 v
    PSETEX a 0 v
    PSETEX a -5 v
    SETEX a x v
    GET a
    SETNX a x
    SETNX b x
    SET a plain
    TTL a
    `,
  ),
  script(
    "keys go when their time has come",
    String.raw`
    SET a v PX 20
    PSETEX b 20 v
    SET c v
    PEXPIRE c 20
    SET d v
    GETEX d PX 20
    SET e v PX 20
    PERSIST e
    SET {c}f v PX 20
    COPY {c}f {c}g
    RENAME {c}f {c}h
    MSET {c}i 1 {c}j 2
    PEXPIRE {c}i 20
    ~120
    GET a
    EXISTS b
    TTL c
    TYPE d
    GET e
    STRLEN a
    DEL a
    INCR b
    APPEND c x
    SETNX d x
    SET a x XX
    SET a x NX GET
    MGET {c}f {c}g {c}h {c}i {c}j
    PERSIST {c}i
    EXPIRE {c}i 10
    RENAME {c}i {c}k
    COPY {c}h {c}k
    OBJECT ENCODING {c}g
    TOUCH {c}g
    KEYS *
    DBSIZE
    `,
  ),
];
