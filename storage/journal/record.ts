// The records of the journal as bytes: one fixed head for every kind, a payload for two of them.
// Sits under the group buffer, recovery and segments; knows nothing of files, groups or order.

import { crc32 } from "node:zlib";

/** Bytes before a record's payload. */
export const RECORD_HEAD_BYTES = 40;

/** What a record says; `a` and `b` of its head mean what stands in brackets. */
export const RECORD = {
  /** [index, term] and the payload. */
  entry: 1,
  /** [term, vote] */
  hardState: 2,
  /** [index, term] the log restarts behind. */
  reset: 3,
  /** [index, term] entries up to here are no longer kept. */
  compact: 4,
  /** The replica is gone for good. */
  tombstone: 5,
  /** Nothing but its group's durableLsn. */
  mark: 6,
  /** [last rolled file, LSN] and the whole state of the store's logs. */
  checkpoint: 7,
} as const;

/** Unsigned integer of up to 53 bits in 8 bytes, little-endian. */
export function putInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** The inverse of `putInteger`. */
export function getInteger(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}

/** A view over exactly the bytes of a buffer (pooled buffers start anywhere). */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Writes a record's head; the payload (`length - RECORD_HEAD_BYTES` bytes) already stands behind it,
 * because the CRC covers both.
 */
export function sealRecord(
  bytes: Buffer,
  view: DataView,
  at: number,
  length: number,
  type: number,
  kind: number,
  regionId: number,
  replicaId: number,
  a: number,
  b: number,
): void {
  view.setUint32(at + 4, length, true);
  view.setUint32(at + 8, type | (kind << 8), true);
  view.setUint32(at + 12, regionId, true);
  putInteger(view, at + 16, replicaId);
  putInteger(view, at + 24, a);
  putInteger(view, at + 32, b);
  view.setUint32(at, crc32(bytes.subarray(at + 4, at + length)), true);
}

/** Reads record heads in place; one object walks a whole file without allocating. */
export class RecordCursor {
  type = 0;
  kind = 0;
  regionId = 0;
  replicaId = 0;
  a = 0;
  b = 0;
  at = 0;
  length = 0;

  /** Loads the head at `at`; false when no whole record fits before `end`. Checks no CRC. */
  load(view: DataView, at: number, end: number): boolean {
    if (at + RECORD_HEAD_BYTES > end) return false;
    const length = view.getUint32(at + 4, true);
    if (length < RECORD_HEAD_BYTES || at + length > end) return false;
    const types = view.getUint32(at + 8, true);
    this.at = at;
    this.length = length;
    this.type = types & 0xff;
    this.kind = (types >>> 8) & 0xff;
    this.regionId = view.getUint32(at + 12, true);
    this.replicaId = getInteger(view, at + 16);
    this.a = getInteger(view, at + 24);
    this.b = getInteger(view, at + 32);
    return true;
  }

  /** True when the record's bytes are the ones that were written. */
  intact(bytes: Buffer, view: DataView): boolean {
    const sum = crc32(bytes.subarray(this.at + 4, this.at + this.length));
    return sum === view.getUint32(this.at, true);
  }
}
