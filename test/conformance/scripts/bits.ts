// The bit family as tables of command lines: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD.

import type { Command } from "../client.ts";
import { script, type Script } from "../run.ts";

const RANGES = ["0", "1", "2", "5", "7", "8", "17", "100", "-1", "-2", "-9", "-17", "-100"];

/** BITCOUNT and BITPOS over all ranges of a short value, by byte and by bit. */
const ranges: Script = {
  title: "BITCOUNT and BITPOS over all ranges",
  steps: [
    ["SET", "a", "\x00\xf0\x0f"],
    ...RANGES.flatMap((from) => [
      ["BITPOS", "a", "0", from],
      ["BITPOS", "a", "1", from],
      ...RANGES.flatMap((to) =>
        [[], ["BYTE"], ["bit"]].flatMap((unit): Command[] => [
          ["BITCOUNT", "a", from, to, ...unit],
          ["BITPOS", "a", "0", from, to, ...unit],
          ["BITPOS", "a", "1", from, to, ...unit],
        ]),
      ),
    ]),
  ],
};

const FIELD_TYPES = ["i1", "u1", "i5", "u8", "i8", "u16", "i33", "u62", "u63", "i63", "i64"];
const AMOUNTS = [
  "0",
  "1",
  "-1",
  "127",
  "-128",
  "256",
  "-9223372036854775700",
  "9223372036854775807",
  "-9223372036854775808",
];

/** All overflow modes on all widths, added to and set. */
const overflow: readonly Script[] = ["WRAP", "SAT", "FAIL"].map((mode) => ({
  title: `BITFIELD with OVERFLOW ${mode}`,
  steps: FIELD_TYPES.flatMap((type): Command[] => [
    ["DEL", "a"],
    ...AMOUNTS.flatMap((by): Command[] => [
      ["BITFIELD", "a", "OVERFLOW", mode, "INCRBY", type, "3", by, "GET", type, "3"],
      ["BITFIELD", "a", "OVERFLOW", mode, "SET", type, "#1", by, "GET", type, "#1"],
      ["BITFIELD", "a", "OVERFLOW", mode, "INCRBY", type, "#1", by, "INCRBY", type, "#1", by],
    ]),
    ["GET", "a"],
  ]),
}));

export const BITS: readonly Script[] = [
  ranges,
  ...overflow,
  script(
    "SETBIT and GETBIT",
    String.raw`
    SETBIT a 7 1
    GET a
    GETBIT a 7
    GETBIT a 6
    GETBIT a 100
    GETBIT missing 0
    SETBIT a 7 0
    GET a
    SETBIT a 100 0
    STRLEN a
    SETBIT a 0 2
    SETBIT a 0 -1
    SETBIT a 0 x
    SETBIT a 0 ""
    SETBIT a -1 1
    SETBIT a x 1
    SETBIT a 4294967296 1
    SETBIT a 9223372036854775808 1
    GETBIT a -1
    GETBIT a x
    GETBIT a 4294967295
    GETBIT a 4294967296
    SETBIT missing2 x 1
    EXISTS missing2
    SET n 123
    SETBIT n 1 0
    GET n
    SET same "   "
    SETBIT same 18 1
    OBJECT ENCODING same
    SET same "   "
    BITFIELD same SET u8 0 32
    OBJECT ENCODING same
    SET same "   "
    BITFIELD same OVERFLOW FAIL INCRBY u8 0 255
    OBJECT ENCODING same
    SET t x EX 1000
    SETBIT t 1 1
    TTL t
    SETBIT t 1.5 1
    `,
  ),
  script(
    "BITCOUNT forms",
    String.raw`
    SET a foobar
    BITCOUNT a
    BITCOUNT a 0 0
    BITCOUNT a 1 1
    BITCOUNT a 0
    BITCOUNT a 0 -1 FOO
    BITCOUNT a 0 -1 BIT EXTRA
    BITCOUNT a x 1
    BITCOUNT a 1 x
    BITCOUNT a 5 30 BIT
    BITCOUNT a 1 1 byte
    BITCOUNT missing
    BITCOUNT missing 0 -1
    BITCOUNT missing 0
    BITCOUNT missing x y FOO
    BITCOUNT a -1 -2 FOO
    BITCOUNT a x 1 2 3 4
    BITCOUNT a 0 x FOO
    BITCOUNT a 9223372036854775807 9223372036854775807 BIT
    BITCOUNT a -9223372036854775808 9223372036854775807 BIT
    BITCOUNT a -9223372036854775808 9223372036854775807
    SET n 123
    BITCOUNT n
    SET e ""
    BITCOUNT e
    BITCOUNT e 0 -1
    `,
  ),
  script(
    "BITPOS forms",
    String.raw`
    SET a "\xff\xf0\x00"
    BITPOS a 0
    BITPOS a 1
    BITPOS a 1 2
    BITPOS a 1 2 -1
    BITPOS a 0 0 1
    BITPOS a 2
    BITPOS a -1
    BITPOS a x
    BITPOS a 1 x
    BITPOS a 1 0 x
    BITPOS a 1 0 -1 FOO
    BITPOS a 1 0 BIT
    BITPOS a 1 0 -1 BIT EXTRA
    BITPOS missing 0
    BITPOS missing 1
    BITPOS missing 0 0 -1
    BITPOS missing 1 0 -1
    BITPOS missing 0 5
    BITPOS missing 1 x
    BITPOS missing 0 1 x FOO
    BITPOS missing 2
    BITPOS a 1 0 x FOO
    BITPOS a 1 x x FOO
    BITPOS a 1 x 0 BIT EXTRA
    SET b "\xff\xff"
    BITPOS b 0
    BITPOS b 0 0
    BITPOS b 0 0 -1
    BITPOS b 0 0 -1 BIT
    BITPOS b 0 1
    SET z "\x00\x00"
    BITPOS z 1
    BITPOS z 1 0 -1
    SET e ""
    BITPOS e 0
    BITPOS e 1
    BITPOS e 0 0 -1
    BITPOS b 0 5 2
    BITPOS b 1 9 12 BIT
    SET n 123
    BITPOS n 1
    `,
  ),
  script(
    "BITOP",
    String.raw`
    MSET {c}a abcdef {c}b foo {c}e "" {c}n 12345
    BITOP AND {c}d {c}a {c}b
    GET {c}d
    BITOP OR {c}d {c}a {c}b
    GET {c}d
    BITOP XOR {c}d {c}a {c}b
    GET {c}d
    BITOP NOT {c}d {c}a
    GET {c}d
    BITOP not {c}d {c}d
    GET {c}d
    BITOP AND {c}d {c}a {c}missing
    GET {c}d
    BITOP OR {c}d {c}a {c}missing {c}n
    GET {c}d
    BITOP XOR {c}d {c}a {c}a
    GET {c}d
    BITOP OR {c}d {c}b
    GET {c}d
    BITOP AND {c}d {c}missing
    EXISTS {c}d
    SET {c}d old EX 1000
    BITOP OR {c}d {c}a
    TTL {c}d
    BITOP OR {c}d {c}e
    EXISTS {c}d
    BITOP NOT {c}d {c}missing
    BITOP NOT {c}d {c}a {c}b
    BITOP NOT {c}d
    BITOP FOO {c}d {c}a
    BITOP AND {c}d
    BITOP AND {c}a {c}a {c}b {c}n
    GET {c}a
    BITOP XOR {c}x {c}a {c}b {c}n {c}e {c}missing {c}a {c}b
    GET {c}x
    `,
  ),
  script(
    "BITFIELD and BITFIELD_RO forms",
    String.raw`
    BITFIELD a
    EXISTS a
    BITFIELD a GET u8 0
    EXISTS a
    BITFIELD a SET u8 0 255 GET u4 4 INCRBY u4 0 1
    BITFIELD a SET i8 #1 -5 GET i8 #1 GET i8 8
    GET a
    BITFIELD a GET u64 0
    BITFIELD a GET i65 0
    BITFIELD a GET u0 0
    BITFIELD a GET i0 0
    BITFIELD a GET x8 0
    BITFIELD a GET u 0
    BITFIELD a GET 8 0
    BITFIELD a GET u8x 0
    BITFIELD a GET U8 0
    BITFIELD a GET u8 -1
    BITFIELD a GET u8 #-1
    BITFIELD a GET u8 x
    BITFIELD a GET u8 #
    BITFIELD a GET u8
    BITFIELD a SET u8 0
    BITFIELD a SET u8 0 x
    BITFIELD a SET u8 0 1.5
    BITFIELD a INCRBY u8 0
    BITFIELD a INCRBY u8 0 x
    BITFIELD a INCRBY u8 0 9223372036854775808
    BITFIELD a OVERFLOW
    BITFIELD a OVERFLOW FOO
    BITFIELD a OVERFLOW FAIL
    BITFIELD a overflow sat incrby u8 0 300 overflow wrap incrby u8 0 1
    BITFIELD a OVERFLOW FAIL SET u8 0 256 GET u8 0
    BITFIELD a FOO u8 0
    BITFIELD a GET u8 4294967295
    BITFIELD a GET u8 4294967289
    BITFIELD a GET u8 4294967288
    BITFIELD a GET u8 #536870912
    BITFIELD a SET u8 0 1 FOO
    GET a
    BITFIELD fresh SET u8 0 1 GET x9 0
    EXISTS fresh
    BITFIELD fresh OVERFLOW FAIL INCRBY u2 0 5
    EXISTS fresh
    STRLEN fresh
    BITFIELD fresh2 OVERFLOW FAIL INCRBY u2 100 5
    STRLEN fresh2
    BITFIELD_RO a GET u8 0
    BITFIELD_RO a GET u8 0 GET i8 8
    BITFIELD_RO a SET u8 0 1
    BITFIELD_RO a INCRBY u8 0 1
    BITFIELD_RO a OVERFLOW SAT GET u8 0
    BITFIELD_RO a OVERFLOW SAT
    BITFIELD_RO missing GET u8 0
    BITFIELD_RO a
    EXISTS missing
    SET t "ab" EX 1000
    BITFIELD t SET u8 0 99
    TTL t
    SET n 123
    BITFIELD n GET u8 0 SET u8 8 57
    GET n
    BITFIELD w SET i64 0 -9223372036854775808 GET i64 0 INCRBY i64 0 -1
    BITFIELD w SET u63 0 9223372036854775807 INCRBY u63 0 1
    `,
  ),
];
