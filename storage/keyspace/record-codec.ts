// The bytes of a meta value: what a key holds, as it stands in the log and, with a checksum
// behind it, in the engine. Sits between records and the key layout of `../keys.ts`; chunks of
// long strings are plain bytes and need no codec. It never looks at the clock: expiry is only kept.

import { DamagedError } from "../errors.ts";
import type { KeyRecord } from "./records.ts";

/** Low four bits of the first byte; the top two are the format version, 0. */
const stringType = 1;

const flags = { hasExpire: 1, inline: 2, chunked: 4, rawString: 16 } as const;
const knownFlags = flags.hasExpire | flags.inline | flags.chunked | flags.rawString;

const headBytes = 2;
const u48Bytes = 6;

/**
 * type, flags, [expireAtMs u48], then the bytes (inline) or oid u48 and length u48 (chunked).
 * The result owns its bytes.
 */
export function encodeRecord(record: KeyRecord): Buffer {
  const expiring = record.expireAtMs !== 0;
  const start = expiring ? headBytes + u48Bytes : headBytes;
  const common = (expiring ? flags.hasExpire : 0) | (record.raw ? flags.rawString : 0);
  let value: Buffer;
  if ("bytes" in record) {
    value = Buffer.allocUnsafe(start + record.bytes.length);
    value[1] = common | flags.inline;
    value.set(record.bytes, start);
  } else {
    value = Buffer.allocUnsafe(start + 2 * u48Bytes);
    value[1] = common | flags.chunked;
    value.writeUIntBE(record.oid, start, u48Bytes);
    value.writeUIntBE(record.length, start + u48Bytes, u48Bytes);
  }
  value[0] = stringType;
  if (expiring) value.writeUIntBE(record.expireAtMs, headBytes, u48Bytes);
  return value;
}

/** The inverse of `encodeRecord`; inline bytes are a view of `value`. Throws DamagedError. */
export function decodeRecord(value: Buffer): KeyRecord {
  const bits = value[1];
  if (value[0] !== stringType || bits === undefined || (bits & ~knownFlags) !== 0) {
    throw damaged(value);
  }
  const start = (bits & flags.hasExpire) === 0 ? headBytes : headBytes + u48Bytes;
  const form = bits & (flags.inline | flags.chunked);
  const fits =
    form === flags.inline
      ? value.length >= start
      : form === flags.chunked && value.length === start + 2 * u48Bytes;
  if (!fits) throw damaged(value);
  const expireAtMs = start === headBytes ? 0 : value.readUIntBE(headBytes, u48Bytes);
  const raw = (bits & flags.rawString) !== 0;
  if (form === flags.inline) {
    return { type: "string", expireAtMs, raw, bytes: value.subarray(start) };
  }
  return {
    type: "string",
    expireAtMs,
    raw,
    oid: value.readUIntBE(start, u48Bytes),
    length: value.readUIntBE(start + u48Bytes, u48Bytes),
  };
}

function damaged(value: Buffer): DamagedError {
  return new DamagedError(
    "a meta value is not one this version can read",
    `value ${value.toString("hex", 0, 16)}, ${value.length} bytes`,
  );
}
