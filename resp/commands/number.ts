// Strings as numbers: INCR, DECR and INCRBYFLOAT. Integers are int64 with Redis' overflow rules;
// floats go through `long-double.ts` so that the digits are Redis' own.

import type { KeyspaceView } from "../../storage/keyspace/view.ts";
import { parseInt64 } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import {
  decrementOverflow,
  incrementOverflow,
  nanOrInfinity,
  notFloat,
  notInteger,
} from "../errors.ts";
import { addLongDoubles, formatLongDouble, parseLongDouble } from "../long-double.ts";
import { BigIntegerReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);
const longestInt64 = 20;
const longestFloat = 5 * 1024;

function increment(view: KeyspaceView, key: Buffer, delta: number | bigint): Reply {
  const record = view.find(key);
  let before: number | bigint | undefined = 0;
  if (record !== undefined) {
    const length = view.stringLength(record);
    if (length > longestInt64) return notInteger;
    before = parseInt64(view.readString(key, record, 0, length));
    if (before === undefined) return notInteger;
  }
  const after = sum(before, delta);
  if (after === undefined) return incrementOverflow;
  const expireAtMs = record?.expireAtMs ?? 0;
  view.setString(key, Buffer.from(String(after), "latin1"), { expireAtMs });
  return typeof after === "bigint" ? new BigIntegerReply(after) : after;
}

/** Exact; a number where both were (at most 15 digits each). Undefined = beyond int64. */
function sum(a: number | bigint, b: number | bigint): number | bigint | undefined {
  if (typeof a === "number" && typeof b === "number") return a + b;
  const exact = BigInt(a) + BigInt(b);
  return exact > maxInt64 || exact < minInt64 ? undefined : exact;
}

const incr: Execute = (view, args) => increment(view, argument(args, 1), 1);
const decr: Execute = (view, args) => increment(view, argument(args, 1), -1);

const incrby: Execute = (view, args) => {
  const delta = parseInt64(argument(args, 2));
  return delta === undefined ? notInteger : increment(view, argument(args, 1), delta);
};

const decrby: Execute = (view, args) => {
  const delta = parseInt64(argument(args, 2));
  if (delta === undefined) return notInteger;
  // Its negation is no int64.
  if (delta === minInt64) return decrementOverflow;
  return increment(view, argument(args, 1), -delta);
};

const incrbyfloat: Execute = (view, args) => {
  const key = argument(args, 1);
  const record = view.find(key);
  let text = "0";
  if (record !== undefined) {
    const length = view.stringLength(record);
    if (length > longestFloat) return notFloat;
    text = view.readString(key, record, 0, length).toString("latin1");
  }
  const before = parseLongDouble(text);
  const delta = parseLongDouble(argument(args, 2).toString("latin1"));
  if (before === undefined || delta === undefined) return notFloat;
  const after = addLongDoubles(before, delta);
  if (after === undefined) return nanOrInfinity;
  const value = Buffer.from(formatLongDouble(after), "latin1");
  view.setString(key, value, { expireAtMs: record?.expireAtMs ?? 0 });
  return value;
};

/** INCR and its relatives. */
export const numberCommands: readonly Command[] = [
  {
    name: "incr",
    arity: 2,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Increment the integer value of a key by one",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: incr,
  },
  {
    name: "decr",
    arity: 2,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Decrement the integer value of a key by one",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: decr,
  },
  {
    name: "incrby",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Increment the integer value of a key by the given amount",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: incrby,
  },
  {
    name: "decrby",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Decrement the integer value of a key by the given number",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: decrby,
  },
  {
    name: "incrbyfloat",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Increment the float value of a key by the given amount",
    since: "2.6.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: incrbyfloat,
  },
];
