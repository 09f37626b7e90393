// Parts of strings: STRLEN, APPEND, GETRANGE, SETRANGE. They touch only the bytes they need, so
// that a long string costs what the part costs.

import { maxStringBytes } from "../../storage/keyspace/strings.ts";
import { parseNumber } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { notInteger, offsetOutOfRange, stringTooLong } from "../errors.ts";
import { BulkPiecesReply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

const emptyString = Buffer.alloc(0);

const strlen: Execute = (view, args) => {
  const record = view.find(argument(args, 1));
  return record === undefined ? 0 : view.stringLength(record);
};

const append: Execute = (view, args) => {
  const key = argument(args, 1);
  const bytes = argument(args, 2);
  const record = view.find(key);
  if (record === undefined) {
    view.setString(key, bytes, { expireAtMs: 0 });
    return bytes.length;
  }
  const length = view.stringLength(record);
  if (length + bytes.length > maxStringBytes) return stringTooLong;
  view.patchString(key, record, length, bytes);
  return length + bytes.length;
};

/** Start and end as Redis counts them: negative from the end, both inclusive. */
const getrange: Execute = (view, args) => {
  let start = parseNumber(argument(args, 2));
  let end = parseNumber(argument(args, 3));
  if (start === undefined || end === undefined) return notInteger;
  const key = argument(args, 1);
  const record = view.find(key);
  if (record === undefined) return emptyString;
  const length = view.stringLength(record);
  if (start < 0 && end < 0 && start > end) return emptyString;
  if (start < 0) start = Math.max(0, length + start);
  if (end < 0) end = Math.max(0, length + end);
  if (end >= length) end = length - 1;
  if (start > end || length === 0) return emptyString;
  if ("bytes" in record) return view.readString(key, record, start, end + 1);
  return new BulkPiecesReply(view.readPieces(key, record, start, end + 1));
};

const setrange: Execute = (view, args) => {
  const key = argument(args, 1);
  const bytes = argument(args, 3);
  const offset = parseNumber(argument(args, 2));
  if (offset === undefined) return notInteger;
  if (offset < 0) return offsetOutOfRange;
  const record = view.find(key);
  const length = record === undefined ? 0 : view.stringLength(record);
  if (bytes.length === 0) return length;
  if (offset + bytes.length > maxStringBytes) return stringTooLong;
  view.patchString(key, record, offset, bytes);
  return Math.max(length, offset + bytes.length);
};

/** Commands on parts of strings. */
export const stringEditCommands: readonly Command[] = [
  {
    name: "strlen",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@read", "@string", "@fast"],
    summary: "Get the length of the value stored in a key",
    since: "2.2.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: strlen,
  },
  {
    name: "append",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Append a value to a key",
    since: "2.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: append,
  },
  {
    name: "getrange",
    arity: 4,
    flags: ["readonly"],
    categories: ["@read", "@string", "@slow"],
    summary: "Get a substring of the string stored at a key",
    since: "2.4.0",
    group: "string",
    complexity: "O(N)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getrange,
  },
  {
    name: "substr",
    arity: 4,
    flags: ["readonly"],
    categories: ["@read", "@string", "@slow"],
    summary: "Get a substring of the string stored at a key",
    since: "1.0.0",
    group: "string",
    complexity: "O(N)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getrange,
  },
  {
    name: "setrange",
    arity: 4,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Overwrite part of a string at key starting at the specified offset",
    since: "2.2.0",
    group: "string",
    complexity: "O(1), not counting the time taken to copy the new string in place",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: setrange,
  },
];
