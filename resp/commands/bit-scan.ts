// BITCOUNT, BITPOS and BITOP: commands over ranges of bits. They read chunk by chunk without
// joining; ranges and their odd cases are those of Redis 7.2's bitops.c, which looks at the key before
// it reads a range: of an absent key every range is good.

import { optionWord, parseNumber } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { bitArgument, bitNotSingle, notInteger, syntaxError } from "../errors.ts";
import type { ErrorReply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

const onesIn = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let rest = byte; rest > 0; rest >>= 1) ones += rest & 1;
  return ones;
});

interface Range {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
  readonly inBits: boolean;
}

/** The unit at this argument: undefined when it is none. */
function parseUnit(bytes: Buffer | undefined): "BYTE" | "BIT" | undefined {
  const word = bytes === undefined ? "BYTE" : optionWord(bytes);
  return word === "BYTE" || word === "BIT" ? word : undefined;
}

/** The range in bits, [from, to), clamped to the string; undefined = empty. */
function bitsOf(range: Range, lengthBytes: number): { from: number; to: number } | undefined {
  let { start, end } = range;
  const total = range.inBits ? lengthBytes * 8 : lengthBytes;
  if (start < 0) start = Math.max(0, total + start);
  if (end < 0) end = Math.max(0, total + end);
  end = Math.min(end, total - 1);
  if (start > end) return undefined;
  const unit = range.inBits ? 1 : 8;
  return { from: start * unit, to: (end + 1) * unit };
}

const isError = (value: Range | ErrorReply | undefined): value is ErrorReply =>
  value !== undefined && "message" in value;

/** BITCOUNT's range; undefined = nothing to count, decided before the unit is read. */
function parseCountRange(args: readonly Buffer[]): Range | ErrorReply | undefined {
  if (args.length === 2) return { start: 0, end: -1, inBits: false };
  if (args.length === 3 || args.length > 5) return syntaxError;
  const start = parseNumber(argument(args, 2));
  const end = parseNumber(argument(args, 3));
  if (start === undefined || end === undefined) return notInteger;
  if (start < 0 && end < 0 && start > end) return undefined;
  const unit = parseUnit(args[4]);
  return unit === undefined ? syntaxError : { start, end, inBits: unit === "BIT" };
}

const bitcount: Execute = (view, args) => {
  const key = argument(args, 1);
  const record = view.find(key);
  if (record === undefined) return 0;
  const range = parseCountRange(args);
  if (isError(range)) return range;
  const bits = range && bitsOf(range, view.stringLength(record));
  if (bits === undefined) return 0;
  const first = Math.floor(bits.from / 8);
  const end = Math.ceil(bits.to / 8);
  const pieces = view.readPieces(key, record, first, end);
  let ones = 0;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i += 1) ones += onesIn[piece[i] ?? 0] ?? 0;
  }
  const head = pieces[0]?.[0] ?? 0;
  const tail = pieces.at(-1)?.at(-1) ?? 0;
  ones -= onesIn[head & ~(0xff >> (bits.from % 8)) & 0xff] ?? 0;
  if (bits.to % 8 !== 0) ones -= onesIn[tail & (0xff >> (bits.to % 8))] ?? 0;
  return ones;
};

/** BITPOS's range, where the unit is read before the end. */
function parsePositionRange(args: readonly Buffer[]): Range | ErrorReply {
  if (args.length > 6) return syntaxError;
  const start = args[3] === undefined ? 0 : parseNumber(args[3]);
  if (start === undefined) return notInteger;
  const unit = parseUnit(args[5]);
  if (unit === undefined) return syntaxError;
  const end = args[4] === undefined ? -1 : parseNumber(args[4]);
  return end === undefined ? notInteger : { start, end, inBits: unit === "BIT" };
}

const bitpos: Execute = (view, args) => {
  const bit = parseNumber(argument(args, 2));
  if (bit === undefined) return notInteger;
  if (bit !== 0 && bit !== 1) return bitArgument;
  const key = argument(args, 1);
  const record = view.find(key);
  if (record === undefined) return bit === 1 ? -1 : 0;
  const range = parsePositionRange(args);
  if (isError(range)) return range;
  const bits = bitsOf(range, view.stringLength(record));
  if (bits === undefined) return -1;
  const first = Math.floor(bits.from / 8);
  const pieces = view.readPieces(key, record, first, Math.ceil(bits.to / 8));
  const found = findBit(pieces, bit, bits.from - first * 8, bits.to - first * 8);
  if (found >= 0) return first * 8 + found;
  // Without an explicit end the string is followed by endless zeros.
  return bit === 0 && args.length < 5 ? bits.to : -1;
};

/** The first bit of this value in bits [from, to) of the pieces, -1 = none. */
function findBit(pieces: readonly Buffer[], bit: 0 | 1, from: number, to: number): number {
  const skip = bit === 1 ? 0 : 0xff;
  let base = 0;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i += 1) {
      const byte = piece[i] ?? 0;
      if (byte === skip) continue;
      for (let n = 0; n < 8; n += 1) {
        const at = (base + i) * 8 + n;
        if (at >= to) return -1;
        if (at >= from && (byte >> (7 - n)) % 2 === bit) return at;
      }
    }
    base += piece.length;
  }
  return -1;
}

const operations = ["AND", "OR", "XOR", "NOT"];

const bitop: Execute = (view, args) => {
  const operation = optionWord(args[1]);
  if (!operations.includes(operation)) return syntaxError;
  if (operation === "NOT" && args.length !== 4) return bitNotSingle;
  const target = argument(args, 2);
  const sources = args.slice(3).map((key) => {
    const record = view.find(key);
    if (record === undefined) return Buffer.alloc(0);
    return view.readString(key, record, 0, view.stringLength(record));
  });
  const length = sources.reduce((longest, source) => Math.max(longest, source.length), 0);
  if (length === 0) {
    view.remove(target);
    return 0;
  }
  const result = Buffer.alloc(length);
  result.set(sources[0] ?? result);
  if (operation === "NOT") {
    for (let i = 0; i < length; i += 1) result[i] = ~(result[i] ?? 0);
  }
  for (const source of sources.slice(1)) combine(operation, result, source);
  view.setString(target, result, { expireAtMs: 0, raw: true });
  return length;
};

/** Into `result`; a shorter source is zeros at its end. */
function combine(operation: string, result: Buffer, source: Buffer): void {
  const { length } = source;
  if (operation === "OR") {
    for (let i = 0; i < length; i += 1) result[i] = (result[i] ?? 0) | (source[i] ?? 0);
  } else if (operation === "XOR") {
    for (let i = 0; i < length; i += 1) result[i] = (result[i] ?? 0) ^ (source[i] ?? 0);
  } else {
    for (let i = 0; i < length; i += 1) result[i] = (result[i] ?? 0) & (source[i] ?? 0);
    result.fill(0, length);
  }
}

/** Commands over ranges of bits. */
export const bitScanCommands: readonly Command[] = [
  {
    name: "bitcount",
    arity: -2,
    flags: ["readonly"],
    categories: ["@read", "@bitmap", "@slow"],
    summary: "Count set bits in a string",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: bitcount,
  },
  {
    name: "bitpos",
    arity: -3,
    flags: ["readonly"],
    categories: ["@read", "@bitmap", "@slow"],
    summary: "Find first bit set or clear in a string",
    since: "2.8.7",
    group: "bitmap",
    complexity: "O(N)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: bitpos,
  },
  {
    name: "bitop",
    arity: -4,
    flags: ["write", "denyoom"],
    categories: ["@write", "@bitmap", "@slow"],
    summary: "Perform bitwise operations between strings",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N)",
    keys: { first: 2, last: -1, step: 1 },
    runs: "region",
    spread: "one",
    execute: bitop,
  },
];
