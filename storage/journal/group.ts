// A group: the records of one write between a header and a footer, padded to whole sectors so that
// a later write never touches acknowledged ones. Builds groups in one growing buffer and checks
// those that recovery finds; decides nothing about files.

import { crc32 } from "node:zlib";
import type { FileIdentity } from "./file-header.ts";
import { getInteger, putInteger, RECORD_HEAD_BYTES, sealRecord, viewOf } from "./record.ts";

export const SECTOR_BYTES = 512;
export const GROUP_HEAD_BYTES = 48;
const FOOT_BYTES = 12;
const MAGIC = 0x50524753;
/** Non-zero, so that an all-zero last sector is never a whole group. */
const END_MARK = 0x21444e45;
const FIRST_CAPACITY = 64 * 1024;
/** A buffer that one huge group blew up is given back. */
const KEEP_CAPACITY = 8 * 1024 * 1024;

/** Header of a group whose own CRC holds; positions relative to the buffer it was found in. */
export interface GroupHead {
  readonly at: number;
  /** Bytes from header to the end of the padding. */
  readonly length: number;
  readonly firstLsn: number;
  /** Everything known synced when the group was written (`safety.md` 5). */
  readonly durableLsn: number;
  readonly count: number;
  /** Where the records end. */
  readonly recordsEnd: number;
}

/** Collects the records of the next group. */
export class GroupBuffer {
  bytes = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  view = viewOf(this.bytes);
  length = GROUP_HEAD_BYTES;
  count = 0;

  /** Adds a record and returns its offset in the group. */
  add(
    type: number,
    kind: number,
    regionId: number,
    replicaId: number,
    a: number,
    b: number,
    payload: Buffer | undefined,
  ): number {
    const size = RECORD_HEAD_BYTES + (payload === undefined ? 0 : payload.length);
    const at = this.length;
    this.#reserve(size);
    if (payload !== undefined) this.bytes.set(payload, at + RECORD_HEAD_BYTES);
    sealRecord(this.bytes, this.view, at, size, type, kind, regionId, replicaId, a, b);
    this.length = at + size;
    this.count++;
    return at;
  }

  /** Adds a record that is bytes already. */
  addSealed(record: Buffer): number {
    const at = this.length;
    this.#reserve(record.length);
    this.bytes.set(record, at);
    this.length = at + record.length;
    this.count++;
    return at;
  }

  /** Length of the group when sealed now. */
  get sealedLength(): number {
    return Math.ceil((this.length + FOOT_BYTES) / SECTOR_BYTES) * SECTOR_BYTES;
  }

  /** Completes the group for a file; the bytes stay in use until `clear`. */
  seal(identity: FileIdentity, firstLsn: number, durableLsn: number): Buffer {
    const length = this.sealedLength;
    this.#reserve(length - this.length);
    const { view, bytes } = this;
    bytes.fill(0, this.length, length);
    view.setUint32(0, MAGIC, true);
    view.setUint32(8, identity.saltLow, true);
    view.setUint32(12, identity.saltHigh, true);
    view.setUint32(16, length, true);
    view.setUint32(20, this.count, true);
    putInteger(view, 24, firstLsn);
    putInteger(view, 32, durableLsn);
    view.setUint32(40, this.length, true);
    view.setUint32(44, 0, true);
    view.setUint32(4, crc32(bytes.subarray(8, GROUP_HEAD_BYTES)), true);
    const foot = length - FOOT_BYTES;
    view.setUint32(foot, crc32(bytes.subarray(0, foot)), true);
    view.setUint32(foot + 4, length, true);
    view.setUint32(foot + 8, END_MARK, true);
    return bytes.subarray(0, length);
  }

  clear(): void {
    this.length = GROUP_HEAD_BYTES;
    this.count = 0;
    if (this.bytes.length <= KEEP_CAPACITY) return;
    this.bytes = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
    this.view = viewOf(this.bytes);
  }

  #reserve(size: number): void {
    // Room for padding and footer is kept, so that sealing rarely grows the buffer.
    const need = this.length + size + SECTOR_BYTES;
    if (need <= this.bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(need, this.bytes.length * 2));
    this.bytes.copy(bytes, 0, 0, this.length);
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
}

/** The header at `at` when it was written for this file and its CRC holds. */
export function groupHeadAt(
  bytes: Buffer,
  view: DataView,
  at: number,
  identity: FileIdentity,
): GroupHead | undefined {
  if (at + SECTOR_BYTES > bytes.length || view.getUint32(at, true) !== MAGIC) return undefined;
  // A payload may imitate a group; the file's random salt is what it cannot know.
  if (view.getUint32(at + 8, true) !== identity.saltLow) return undefined;
  if (view.getUint32(at + 12, true) !== identity.saltHigh) return undefined;
  if (crc32(bytes.subarray(at + 8, at + GROUP_HEAD_BYTES)) !== view.getUint32(at + 4, true)) {
    return undefined;
  }
  return {
    at,
    length: view.getUint32(at + 16, true),
    count: view.getUint32(at + 20, true),
    firstLsn: getInteger(view, at + 24),
    durableLsn: getInteger(view, at + 32),
    recordsEnd: at + view.getUint32(at + 40, true),
  };
}

/** True when the whole group, footer included, is what was written. */
export function groupIntact(bytes: Buffer, view: DataView, head: GroupHead): boolean {
  const end = head.at + head.length;
  if (end > bytes.length || head.length < SECTOR_BYTES) return false;
  const foot = end - FOOT_BYTES;
  if (view.getUint32(foot + 8, true) !== END_MARK) return false;
  if (view.getUint32(foot + 4, true) !== head.length) return false;
  return crc32(bytes.subarray(head.at, foot)) === view.getUint32(foot, true);
}
