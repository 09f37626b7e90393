// SETBIT and GETBIT: single bits, counted from the highest bit of the first byte. A string is as
// long as its highest bit ever set needs; only the byte's chunk is touched.

import { maxStringBytes } from "../../storage/keyspace/strings.ts";
import { parseNumber } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { bitOffset, bitValue } from "../errors.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

/** Bits of the longest string Redis can have by its default proto-max-bulk-len; reading may ask for any. */
const redisBits = 2 ** 32;

/** A bit offset that may be read; undefined when it is none. Behind the end of a string stand zeros. */
export function parseReadOffset(bytes: Buffer): number | undefined {
  const offset = parseNumber(bytes);
  return offset === undefined || offset < 0 || offset >= redisBits ? undefined : offset;
}

/** A bit offset that may be written: inside the longest string there is. */
export function parseBitOffset(bytes: Buffer): number | undefined {
  const offset = parseReadOffset(bytes);
  return offset === undefined || offset >= maxStringBytes * 8 ? undefined : offset;
}

const setbit: Execute = (view, args) => {
  const offset = parseBitOffset(argument(args, 2));
  if (offset === undefined) return bitOffset;
  const value = parseNumber(argument(args, 3));
  if (value !== 0 && value !== 1) return bitValue;
  const key = argument(args, 1);
  const record = view.find(key);
  const at = Math.floor(offset / 8);
  const mask = 128 >> (offset % 8);
  // Redis edits a copy even where no bit changes: the string is raw from then on.
  const inside = record !== undefined && at < view.stringLength(record);
  const byte = inside ? (view.readString(key, record, at, at + 1)[0] ?? 0) : 0;
  const before = (byte & mask) === 0 ? 0 : 1;
  if (!inside || before !== value || !record.raw) {
    view.patchString(key, record, at, Buffer.from([value === 1 ? byte | mask : byte & ~mask]));
  }
  return before;
};

const getbit: Execute = (view, args) => {
  const offset = parseReadOffset(argument(args, 2));
  if (offset === undefined) return bitOffset;
  const key = argument(args, 1);
  const record = view.find(key);
  const at = Math.floor(offset / 8);
  if (record === undefined || at >= view.stringLength(record)) return 0;
  const byte = view.readString(key, record, at, at + 1)[0] ?? 0;
  return (byte & (128 >> (offset % 8))) === 0 ? 0 : 1;
};

/** Single bits. */
export const bitCommands: readonly Command[] = [
  {
    name: "setbit",
    arity: 4,
    flags: ["write", "denyoom"],
    categories: ["@write", "@bitmap", "@slow"],
    summary: "Sets or clears the bit at offset in the string value stored at key",
    since: "2.2.0",
    group: "bitmap",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: setbit,
  },
  {
    name: "getbit",
    arity: 3,
    flags: ["readonly", "fast"],
    categories: ["@read", "@bitmap", "@fast"],
    summary: "Returns the bit value at offset in the string value stored at key",
    since: "2.2.0",
    group: "bitmap",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getbit,
  },
];
