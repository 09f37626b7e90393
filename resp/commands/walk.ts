// KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHALL, FLUSHDB: commands over the whole key space. Here they
// are only parsed; the gateway walks the regions, and asks each one by the plain commands at the end.

import { optionWord, parseNumber } from "../arguments.ts";
import type { Command, KeyspaceCommand, KeyspaceWalk } from "../command.ts";
import { invalidCursor, notInteger, syntaxError } from "../errors.ts";
import type { ErrorReply } from "../reply.ts";
import { argument } from "./string.ts";

type Parse = KeyspaceCommand["parse"];

const defaultCount = 10;
/** Cursors are 48 bits; every larger one lies behind the last key. */
const largestCursor = 2 ** 48 - 1;

const uint64Range = 2n ** 64n;

/** As strtoul reads it, and nothing behind it: nothing is 0, and a minus counts down from 2^64. */
function parseCursor(bytes: Buffer): number | undefined {
  const text = bytes.toString("latin1");
  if (text === "") return 0;
  const [, sign, digits = ""] = /^([+-]?)(\d{1,64})$/.exec(text) ?? [];
  const value = digits === "" ? uint64Range : BigInt(digits);
  if (value >= uint64Range) return undefined;
  return Math.min(Number(sign === "-" ? BigInt.asUintN(64, -value) : value), largestCursor);
}

const scan: Parse = (args) => {
  const cursor = parseCursor(argument(args, 1));
  if (cursor === undefined) return invalidCursor;
  let count = defaultCount;
  let pattern: Buffer | undefined;
  let type: string | undefined;
  for (let i = 2; i < args.length; i += 2) {
    const word = optionWord(args[i]);
    const value = args[i + 1];
    if (value === undefined) return syntaxError;
    if (word === "COUNT") {
      const parsed = parseNumber(value);
      if (parsed === undefined) return notInteger;
      if (parsed < 1) return syntaxError;
      count = parsed;
    } else if (word === "MATCH") {
      pattern = value;
    } else if (word === "TYPE") {
      type = value.toString("latin1").toLowerCase();
    } else {
      return syntaxError;
    }
  }
  return {
    walk: "scan",
    cursor,
    count,
    ...(pattern === undefined ? {} : { pattern }),
    ...(type === undefined ? {} : { type }),
  };
};

/** ASYNC and SYNC are the same here: a flush is one entry, the clearing happens behind it. */
function flush(walk: "flushall" | "flushdb"): Parse {
  return (args): KeyspaceWalk | ErrorReply => {
    const word = optionWord(args[1]);
    const plain = args.length === 1 || (args.length === 2 && (word === "ASYNC" || word === "SYNC"));
    return plain ? { walk } : syntaxError;
  };
}

/** Commands over the whole key space. */
export const walkCommands: readonly Command[] = [
  {
    name: "keys",
    arity: 2,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow", "@dangerous"],
    summary: "Find all keys matching the given pattern",
    since: "1.0.0",
    group: "generic",
    complexity:
      "O(N) with N being the number of keys in the database, under the assumption that the key " +
      "names in the database and the given pattern have limited length.",
    runs: "keyspace",
    parse: (args) => ({ walk: "keys", pattern: argument(args, 1) }),
  },
  {
    name: "scan",
    arity: -2,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Incrementally iterate the keys space",
    since: "2.8.0",
    group: "generic",
    complexity: "O(1) for every call",
    runs: "keyspace",
    parse: scan,
  },
  {
    name: "randomkey",
    arity: 1,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Return a random key from the keyspace",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    runs: "keyspace",
    parse: () => ({ walk: "randomkey" }),
  },
  {
    name: "dbsize",
    arity: 1,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Return the number of keys in the selected database",
    since: "1.0.0",
    group: "server",
    complexity: "O(1)",
    runs: "keyspace",
    parse: () => ({ walk: "dbsize" }),
  },
  {
    name: "flushall",
    arity: -1,
    flags: ["write"],
    categories: ["@keyspace", "@write", "@slow", "@dangerous"],
    summary: "Remove all keys from all databases",
    since: "1.0.0",
    group: "server",
    complexity: "O(N) where N is the total number of keys in all databases",
    runs: "keyspace",
    parse: flush("flushall"),
  },
  {
    name: "flushdb",
    arity: -1,
    flags: ["write"],
    categories: ["@keyspace", "@write", "@slow", "@dangerous"],
    summary: "Remove all keys from the current database",
    since: "1.0.0",
    group: "server",
    complexity: "O(N) where N is the number of keys in the selected database",
    runs: "keyspace",
    parse: flush("flushdb"),
  },
];
