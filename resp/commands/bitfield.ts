// BITFIELD and BITFIELD_RO: integers of any width at any bit offset, with overflow rules. All
// sub-commands are parsed before the first one runs, so an error changes nothing (bitops.c).

import type { KeyspaceView } from "../../storage/keyspace/view.ts";
import { optionWord, parseInt64, parseNumber } from "../arguments.ts";
import { parseBitOffset, parseReadOffset } from "./bit.ts";
import type { Command, RegionCommand } from "../command.ts";
import {
  bitfieldOverflow,
  bitfieldReadOnly,
  bitfieldType,
  bitOffset,
  notInteger,
  syntaxError,
} from "../errors.ts";
import { BigIntegerReply, ErrorReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];
type Overflow = "WRAP" | "SAT" | "FAIL";

const maxInt64 = 2n ** 63n - 1n;

interface Field {
  readonly signed: boolean;
  readonly bits: number;
}

interface Operation extends Field {
  readonly kind: "GET" | "SET" | "INCRBY";
  readonly offset: number;
  readonly operand: bigint;
  readonly overflow: Overflow;
}

function parseField(bytes: Buffer): Field | undefined {
  const sign = bytes.toString("latin1", 0, 1);
  const bits = parseNumber(bytes.subarray(1));
  const widest = sign === "i" ? 64 : sign === "u" ? 63 : 0;
  if (bits === undefined || bits < 1 || bits > widest) return undefined;
  return { signed: sign === "i", bits };
}

/** "#n" counts in fields of this width; what is only read may lie behind the longest string. */
function parseOffset(bytes: Buffer, bits: number, reads: boolean): number | undefined {
  const parse = reads ? parseReadOffset : parseBitOffset;
  if (bytes[0] !== 35) return parse(bytes);
  const index = parseNumber(bytes.subarray(1));
  return index === undefined ? undefined : parse(Buffer.from(String(index * bits)));
}

const widths: Readonly<Record<string, number>> = { GET: 2, SET: 3, INCRBY: 3, OVERFLOW: 1 };

function parseOperations(args: readonly Buffer[]): Operation[] | ErrorReply {
  const operations: Operation[] = [];
  let overflow: Overflow = "WRAP";
  for (let i = 2; i < args.length;) {
    const kind = optionWord(args[i]);
    const width = widths[kind];
    if (width === undefined || args.length - i - 1 < width) return syntaxError;
    if (kind === "OVERFLOW") {
      const word = optionWord(args[i + 1]);
      if (word !== "WRAP" && word !== "SAT" && word !== "FAIL") return bitfieldOverflow;
      overflow = word;
    } else if (kind === "GET" || kind === "SET" || kind === "INCRBY") {
      const field = parseField(argument(args, i + 1));
      if (field === undefined) return bitfieldType;
      const offset = parseOffset(argument(args, i + 2), field.bits, kind === "GET");
      if (offset === undefined) return bitOffset;
      const operand = kind === "GET" ? 0 : parseInt64(argument(args, i + 3));
      if (operand === undefined) return notInteger;
      operations.push({ kind, ...field, offset, operand: BigInt(operand), overflow });
    }
    i += width + 1;
  }
  return operations;
}

/** The field as it stands; what lies behind the end is zeros. */
function read(view: KeyspaceView, key: Buffer, { offset, bits, signed }: Operation): bigint {
  const record = view.find(key);
  const first = Math.floor(offset / 8);
  const end = Math.ceil((offset + bits) / 8);
  const window = Buffer.alloc(end - first);
  if (record !== undefined) {
    const length = view.stringLength(record);
    if (first < length) view.readString(key, record, first, Math.min(end, length)).copy(window);
  }
  const value = BigInt(`0x${window.toString("hex")}`) >> BigInt(end * 8 - offset - bits);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

function write(view: KeyspaceView, key: Buffer, { offset, bits }: Operation, value: bigint): void {
  const record = view.find(key);
  if (record === undefined) return;
  const first = Math.floor(offset / 8);
  const end = Math.ceil((offset + bits) / 8);
  const before = view.readString(key, record, first, end);
  const shift = BigInt(end * 8 - offset - bits);
  const mask = ((1n << BigInt(bits)) - 1n) << shift;
  const kept = BigInt(`0x${before.toString("hex")}`) & ~mask;
  const after = kept | (BigInt.asUintN(bits, value) << shift);
  const bytes = Buffer.from(after.toString(16).padStart((end - first) * 2, "0"), "hex");
  if (!bytes.equals(before)) view.patchString(key, record, first, bytes);
}

/** What a value becomes in the field; undefined = OVERFLOW FAIL. */
function fit(value: bigint, operation: Operation): bigint | undefined {
  const { kind, signed, bits, overflow } = operation;
  const width = BigInt(bits);
  const max = signed ? (1n << (width - 1n)) - 1n : (1n << width) - 1n;
  const min = signed ? -max - 1n : 0n;
  if (value >= min && value <= max) return value;
  if (overflow === "FAIL") return undefined;
  if (overflow === "SAT") {
    // Redis takes the distance of a SET's operand to the largest value as an int64: when that
    // overflows, an operand close to the smallest int64 saturates upwards.
    const wrapped = kind === "SET" && max - value > maxInt64;
    return value > max || wrapped ? max : min;
  }
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

const integerReply = (value: bigint): Reply =>
  BigInt.asIntN(53, value) === value ? Number(value) : new BigIntegerReply(value);

function run(view: KeyspaceView, key: Buffer, operation: Operation): Reply {
  const before = read(view, key, operation);
  if (operation.kind === "GET") return integerReply(before);
  const { kind, operand, signed } = operation;
  // SET takes its operand for the field's own kind: a negative one is huge in an unsigned field.
  const wanted =
    kind === "INCRBY" ? before + operand : signed ? operand : BigInt.asUintN(64, operand);
  const after = fit(wanted, operation);
  if (after === undefined) return null;
  write(view, key, operation, after);
  return integerReply(kind === "SET" ? before : after);
}

const bitfield: Execute = (view, args) => {
  const operations = parseOperations(args);
  if (operations instanceof ErrorReply) return operations;
  const key = argument(args, 1);
  let needed = 0;
  for (const { kind, offset, bits } of operations) {
    if (kind !== "GET") needed = Math.max(needed, Math.ceil((offset + bits) / 8));
  }
  const record = view.find(key);
  const length = record === undefined ? 0 : view.stringLength(record);
  // The string grows for all writes at once, those that OVERFLOW FAIL refuses included.
  if (needed > length) {
    view.patchString(key, record, needed - 1, Buffer.alloc(1));
  } else if (needed > 0 && record !== undefined && !record.raw) {
    // Redis edits a copy even where no bit changes: the string is raw from then on.
    view.patchString(key, record, 0, view.readString(key, record, 0, 1));
  }
  return operations.map((operation) => run(view, key, operation));
};

const readOnlyBitfield: Execute = (view, args) => {
  const operations = parseOperations(args);
  if (operations instanceof ErrorReply) return operations;
  if (operations.some(({ kind }) => kind !== "GET")) return bitfieldReadOnly;
  return operations.map((operation) => run(view, argument(args, 1), operation));
};

/** BITFIELD and BITFIELD_RO. */
export const bitfieldCommands: readonly Command[] = [
  {
    name: "bitfield",
    arity: -2,
    flags: ["write", "denyoom"],
    categories: ["@write", "@bitmap", "@slow"],
    summary: "Perform arbitrary bitfield integer operations on strings",
    since: "3.2.0",
    group: "bitmap",
    complexity: "O(1) for each subcommand specified",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: bitfield,
  },
  {
    name: "bitfield_ro",
    arity: -2,
    flags: ["readonly", "fast"],
    categories: ["@read", "@bitmap", "@fast"],
    summary:
      "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
    since: "6.0.0",
    group: "bitmap",
    complexity: "O(1) for each subcommand specified",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: readOnlyBitfield,
  },
];
