// Reading arguments: integers, floats, option words, as strictly as Redis does (string2ll,
// getLongDoubleFromObject). Used by command bodies and by the gate; it knows no command.

import { dbOutOfRange, invalidExpire, notInt32, notInteger } from "./errors.ts";
import type { ErrorReply } from "./reply.ts";

/** Longest key; the gate answers `keyTooLong` above it. The engine wants small keys. */
export const maxKeyBytes = 64 * 1024;

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);
const longestInt64 = 20;
/** Decimal digits that always fit a safe integer. */
const safeDigits = 15;

/**
 * A decimal int64 as Redis accepts it: no spaces, no plus, no leading zero, no "-0". A number when
 * it has at most 15 digits, else a bigint; undefined = not one.
 */
export function parseInt64(bytes: Buffer): number | bigint | undefined {
  const { length } = bytes;
  if (length === 0 || length > longestInt64) return undefined;
  const negative = bytes[0] === 45;
  const start = negative ? 1 : 0;
  const first = bytes[start] ?? 0;
  if (first === 48) return length === 1 ? 0 : undefined;
  let value = 0;
  for (let i = start; i < length; i += 1) {
    const digit = (bytes[i] ?? 0) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  if (length === start) return undefined;
  if (length - start <= safeDigits) return negative ? -value : value;
  const exact = BigInt(bytes.toString("latin1"));
  return exact > maxInt64 || exact < minInt64 ? undefined : exact;
}

/** An int64 as a JS number, rounded beyond 2^53: for offsets and counts, whose limits are lower. */
export function parseNumber(bytes: Buffer): number | undefined {
  const value = parseInt64(bytes);
  return typeof value === "bigint" ? Number(value) : value;
}

/** How many logical databases there are. */
const databaseCount = 16;

/** The number of a logical database, or why it is none. */
export function parseDatabase(bytes: Buffer): number | ErrorReply {
  const db = parseNumber(bytes);
  if (db === undefined) return notInteger;
  if (db > 0x7fffffff || db < -0x80000000) return notInt32;
  return db < 0 || db >= databaseCount ? dbOutOfRange : db;
}

/** An option word in upper case; "" for what is too long to be one. */
export function optionWord(bytes: Buffer | undefined): string {
  if (bytes === undefined || bytes.length > 16) return "";
  return bytes.toString("latin1").toUpperCase();
}

/** How a command gives an expiry: in which unit, and from now or since 1970. */
export interface ExpiryUnit {
  readonly seconds: boolean;
  readonly relative: boolean;
}

export const expiryUnits: Readonly<Record<string, ExpiryUnit>> = {
  EX: { seconds: true, relative: true },
  PX: { seconds: false, relative: true },
  EXAT: { seconds: true, relative: false },
  PXAT: { seconds: false, relative: false },
};

/**
 * The Unix ms of an expiry argument. Not positive, or beyond int64 in ms: `invalid expire time`
 * naming `command`. What is later than 2^48 - 1 ms (the year 10889) is kept as that.
 */
export function parseExpiry(
  bytes: Buffer,
  unit: ExpiryUnit,
  nowMs: number,
  command: string,
): number | ErrorReply {
  const value = parseInt64(bytes);
  if (value === undefined) return notInteger;
  const at = expiryMs(value, unit, nowMs);
  return value > 0 && at !== undefined ? at : invalidExpire(command);
}

/** Largest expiry a meta can hold (u48). */
export const maxExpiryMs = 2 ** 48 - 1;

/** Absolute ms, at most `maxExpiryMs`; undefined when int64 arithmetic in ms would overflow. */
export function expiryMs(
  value: number | bigint,
  unit: ExpiryUnit,
  nowMs: number,
): number | undefined {
  let exact = BigInt(value) * (unit.seconds ? 1000n : 1n);
  if (exact > maxInt64 || exact < minInt64) return undefined;
  if (unit.relative) exact += BigInt(Math.floor(nowMs));
  if (exact > maxInt64) return undefined;
  return Math.min(Number(exact), maxExpiryMs);
}
