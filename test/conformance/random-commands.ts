// Generators of random commands over a few keys. Commands that need all keys in one region take them
// from a pool with one hash tag; the others also take keys that lie anywhere, so that a pipeline
// crosses regions. Most commands are well formed; options come in any order and
// case, and some numbers are none. Times to live are huge, past or absent, so that no reply depends
// on when it is asked.

import * as fc from "fast-check";
import type { Command } from "./client.ts";

type Words = fc.Arbitrary<Command>;

const TAGGED = ["{k}a", "{k}b", "{k}c", "{k}d", "{k}", "{k}\x00\xff"] as const;

const ANYWHERE = ["", "far1", "far2", "far3", "{x}y"] as const;

/** Any letter may be upper or lower case. */
const cased = (word: string) =>
  fc
    .array(fc.boolean(), { minLength: word.length, maxLength: word.length })
    .map((ups) =>
      Array.from(word, (c, i) => (ups[i] ? c.toUpperCase() : c.toLowerCase())).join(""),
    );

const one = (...texts: string[]): Words => fc.constantFrom(...texts).map((text) => [text]);

const word = (text: string): Words => cased(text).map((t) => [t]);

const words = (...texts: string[]): Words => fc.oneof(...texts.map(word));

const cat = (...parts: Words[]): Words => fc.tuple(...parts).map((all) => all.flat());

const maybe = (part: Words): Words => fc.oneof(fc.constant([]), part);

/** A key of the one region. */
const tagged: Words = fc.constantFrom(...TAGGED).map((name) => [name]);

/** Any key. */
const keyed: Words = fc.oneof(
  { weight: 3, arbitrary: tagged },
  { weight: 1, arbitrary: fc.constantFrom(...ANYWHERE).map((name) => [name]) },
);

const integer = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -20, max: 40 }).map(String) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "9223372036854775807",
      "-9223372036854775808",
      "9223372036854775808",
      "4294967295",
      "1000000000000",
      "-1",
      "0",
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom("", "x", "1.5", "1e3", " 1", "+1", "01", "0x1", "-0") },
);

const number: Words = integer.map((text) => [text]);

/** Offsets that keep values small; the large ones are refused by both. */
const offset: Words = fc
  .oneof(
    { weight: 8, arbitrary: fc.integer({ min: -2, max: 80 }).map(String) },
    { weight: 1, arbitrary: fc.constantFrom("4294967296", "9223372036854775807", "x", "", "1.5") },
  )
  .map((text) => [text]);

const float: Words = fc
  .oneof(
    fc.integer({ min: -1_000, max: 1_000 }).map((n) => String(n / 8)),
    fc.integer({ min: -1_000, max: 1_000 }).map((n) => String(n / 100)),
    fc.constantFrom("0", "1e3", "inf", "nan", "x", "", "1e-5", "-1e10", "3.0", " 1", "1e17"),
  )
  .map((text) => [text]);

const value: Words = fc
  .oneof(
    { weight: 3, arbitrary: integer },
    { weight: 3, arbitrary: fc.string({ maxLength: 12 }).map(latin1) },
    {
      weight: 2,
      arbitrary: fc
        .uint8Array({ maxLength: 20 })
        .map((bytes) => Buffer.from(bytes).toString("latin1")),
    },
    { weight: 1, arbitrary: fc.constantFrom("", "10.5", "a".repeat(50), "\r\n", "\x00") },
  )
  .map((text) => [text]);

function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

const FAR = { ex: "500000000", px: "500000000000", exat: "33177117420", pxat: "33177117420123" };

/** A unit with a time far away, in the past, out of range or malformed. */
const expiry: Words = fc
  .constantFrom("ex" as const, "px" as const, "exat" as const, "pxat" as const)
  .chain((unit) =>
    cat(
      word(unit),
      fc.oneof(
        { weight: 6, arbitrary: one(FAR[unit]) },
        { weight: 1, arbitrary: one("0", "-1", "x", "", "9223372036854775807", "1.5") },
      ),
    ),
  );

const shuffled = (...parts: Words[]): Words =>
  fc
    .tuple(fc.shuffledSubarray([...parts.keys()], { maxLength: 3 }), fc.tuple(...parts))
    .map(([order, all]) => order.flatMap((i) => all[i]!));

const setOptions = fc.oneof(
  { weight: 3, arbitrary: maybe(expiry) },
  {
    weight: 4,
    arbitrary: shuffled(words("nx", "xx"), word("get"), fc.oneof(expiry, word("keepttl"))),
  },
  { weight: 1, arbitrary: shuffled(word("nx"), word("xx"), expiry, word("keepttl"), word("foo")) },
);

const strings: Words[] = [
  cat(words("set"), keyed, value, setOptions),
  cat(words("set"), keyed, value),
  cat(words("get", "strlen", "getdel"), keyed),
  cat(word("getex"), keyed, maybe(fc.oneof(expiry, word("persist"), words("foo", "keepttl")))),
  cat(words("getset", "setnx", "append"), keyed, value),
  cat(words("setex"), keyed, one(FAR.ex, FAR.ex, "0", "-1", "x"), value),
  cat(words("psetex"), keyed, one(FAR.px, FAR.px, "0", "-1", "x"), value),
  cat(words("incr", "decr"), keyed),
  cat(words("incrby", "decrby"), keyed, number),
  cat(word("incrbyfloat"), keyed, float),
  cat(words("getrange", "substr"), keyed, number, number),
  cat(word("setrange"), keyed, offset, value),
  cat(word("mset"), keyed, value, maybe(cat(keyed, value)), maybe(cat(keyed, value))),
  cat(word("msetnx"), tagged, value, maybe(cat(tagged, value)), maybe(cat(tagged, value))),
  cat(words("mget"), keyed, maybe(keyed), maybe(keyed)),
  cat(
    word("lcs"),
    tagged,
    tagged,
    shuffled(words("len"), word("idx"), word("withmatchlen"), cat(word("minmatchlen"), number)),
  ),
];

const keys: Words[] = [
  cat(words("del", "unlink", "exists", "touch"), keyed, maybe(keyed), maybe(keyed)),
  cat(words("type", "persist", "ttl", "pttl", "expiretime", "pexpiretime"), keyed),
  cat(words("rename", "renamenx"), tagged, tagged),
  cat(
    word("copy"),
    tagged,
    tagged,
    maybe(cat(word("db"), one("0", "1", "16", "x"))),
    maybe(word("replace")),
  ),
  cat(word("move"), keyed, one("0", "1", "2", "16", "x")),
  cat(word("object"), word("encoding"), keyed),
  cat(word("select"), one("0", "0", "1", "1", "16", "x")),
  cat(word("keys"), one("*", "{k}*", "*a", "{k}[a-b]", "?k??", "{k}[^a]", "nothing", "{k}a")),
  cat(word("scan"), one("0"), maybe(cat(word("match"), one("*", "{k}[ab]"))), maybe(word("x"))),
  cat(words("dbsize")),
  // GT and LT only with fixed times: two relative ones may fall into the same millisecond, or not.
  ...(["expireat", "pexpireat"] as const).map((name) =>
    cat(
      word(name),
      keyed,
      one(name === "pexpireat" ? FAR.pxat : FAR.exat, "33277117420", "0", "-1", "x", "1"),
      maybe(words("nx", "xx", "gt", "lt", "foo")),
      maybe(words("xx", "lt")),
    ),
  ),
  ...(["expire", "pexpire"] as const).map((name) =>
    cat(
      word(name),
      keyed,
      one(name === "pexpire" ? FAR.px : FAR.ex, "700000000000", "0", "-1", "x", ""),
      maybe(words("nx", "xx", "foo")),
      maybe(word("xx")),
    ),
  ),
];

const fieldType: Words = one("u1", "i1", "u8", "i8", "u13", "i64", "u63", "i5", "u64", "x1");

const fieldOffset: Words = fc
  .tuple(fc.constantFrom("", "#"), fc.integer({ min: -1, max: 20 }))
  .map(([mark, n]) => [`${mark}${n}`]);

const field: Words = fc.oneof(
  cat(word("get"), fieldType, fieldOffset),
  cat(words("set", "incrby"), fieldType, fieldOffset, number),
  cat(word("overflow"), words("wrap", "sat", "fail", "fail", "sat")),
);

const range: Words = cat(number, number, maybe(words("byte", "bit", "bit")));

const bits: Words[] = [
  cat(word("setbit"), keyed, offset, one("0", "1", "1", "2")),
  cat(word("getbit"), keyed, offset),
  cat(word("bitcount"), keyed, maybe(range)),
  cat(word("bitpos"), keyed, one("0", "1"), maybe(fc.oneof(number, range))),
  cat(word("bitop"), words("and", "or", "xor"), tagged, tagged, maybe(tagged), maybe(tagged)),
  cat(word("bitop"), word("not"), tagged, tagged),
  cat(word("bitfield"), keyed, field, maybe(field), maybe(field), maybe(field)),
  cat(word("bitfield_ro"), keyed, field, maybe(cat(word("get"), fieldType, fieldOffset))),
];

/** Any command with any arguments: wrong numbers of them, mostly. */
const careless: Words = cat(
  words(
    "get",
    "set",
    "getex",
    "bitpos",
    "bitcount",
    "getrange",
    "expire",
    "getbit",
    "object",
    "setrange",
  ),
  maybe(tagged),
  maybe(value),
  maybe(number),
  maybe(words("nx", "get", "ex", "bit", "idx")),
);

const command: Words = fc.oneof(
  { weight: 40, arbitrary: fc.oneof(...strings) },
  { weight: 30, arbitrary: fc.oneof(...keys) },
  { weight: 25, arbitrary: fc.oneof(...bits) },
  { weight: 3, arbitrary: careless },
);

/** Command sequences; shrinking leaves out commands before it makes them simpler. */
export const sequences: fc.Arbitrary<Command[]> = fc.array(command, {
  minLength: 1,
  maxLength: 60,
  size: "max",
});

/** Where a stored string is cut: chunks of 4 KiB, and the 16 KiB up to which it is whole. */
const EDGES = [0, 4_096, 8_192, 16_384, 20_480, 65_536];

const farOffset: Words = fc.oneof(
  fc
    .tuple(fc.constantFrom(...EDGES), fc.integer({ min: -2, max: 2 }))
    .map(([edge, by]) => [String(Math.max(0, edge + by))]),
  fc.integer({ min: 0, max: 70_000 }).map((n) => [String(n)]),
);

const farBit: Words = farOffset.map(([byte]) => [String(Number(byte) * 8 + 5)]);

const longValue: Words = fc
  .tuple(farOffset, fc.constantFrom("x", "ab\x00", "\xff\x0f"))
  .map(([length, text]) => [text.repeat(Math.ceil(Number(length[0]) / text.length))]);

/** Commands on strings long enough to be stored in pieces. */
const longCommand: Words = fc.oneof(
  cat(words("set", "append"), tagged, longValue),
  cat(word("setrange"), tagged, farOffset, fc.oneof(value, longValue)),
  cat(words("get", "strlen", "getdel", "del", "getex", "type"), tagged),
  cat(word("getrange"), tagged, farOffset, farOffset),
  cat(word("object"), word("encoding"), tagged),
  cat(words("setbit"), tagged, farBit, one("0", "1", "1")),
  cat(word("getbit"), tagged, farBit),
  cat(word("bitcount"), tagged, maybe(cat(farOffset, farOffset, maybe(word("byte"))))),
  cat(word("bitcount"), tagged, farBit, farBit, word("bit")),
  cat(word("bitpos"), tagged, one("0", "1"), maybe(cat(farOffset, maybe(farOffset)))),
  cat(word("bitop"), words("and", "or", "xor"), tagged, tagged, maybe(tagged)),
  cat(word("bitop"), word("not"), tagged, tagged),
  cat(word("bitfield"), tagged, words("set", "incrby"), one("u16", "i64"), farBit, number),
  cat(words("rename", "renamenx"), tagged, tagged),
  cat(word("copy"), tagged, tagged, maybe(word("replace"))),
  cat(words("expire"), tagged, one(FAR.ex, "-1")),
  cat(words("set"), tagged, value, maybe(word("get"))),
  cat(word("getset"), tagged, fc.oneof(value, longValue)),
  cat(words("incr", "persist", "ttl"), tagged),
  cat(word("move"), tagged, one("0", "1")),
);

/** Shorter sequences of commands on long strings. */
export const longSequences: fc.Arbitrary<Command[]> = fc.array(longCommand, {
  minLength: 1,
  maxLength: 25,
  size: "max",
});

/** Asked after every sequence: all that is left, in both databases that the commands use. */
export const LOOK: readonly Command[] = ["0", "1"].flatMap((db) => [
  ["SELECT", db],
  ["KEYS", "*"],
  ["DBSIZE"],
  ...[...TAGGED, ...ANYWHERE].flatMap((name) => [
    ["GET", name],
    ["PEXPIRETIME", name],
  ]),
]);
