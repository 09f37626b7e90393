// A command's window on one logical database: `KeyspaceView` for strings, over the batch of a
// `Keyspace`. It turns "set", "patch", "expire" into records and chunks and leaves effects, counts
// and misses to the keyspace.

import type { Batch } from "./batch.ts";
import type { Keyspace } from "./keyspace.ts";
import type { ChunkedString, InlineString, KeyRecord } from "./records.ts";
import { chunkedSource, inlineSource, patchChunks, readChunks, writeChunks } from "./strings.ts";
import type { KeyspaceView } from "./view.ts";

/** A longer patch of a long string is written under a new oid, so that it can be staged. */
const maxPatchInPlaceBytes = 128 * 1024;
/** … and so is the next patch of a command that has patched about this much in place. */
const maxPatchesInPlaceBytes = 256 * 1024;
const emptyValue = Buffer.alloc(0);

export class DatabaseView implements KeyspaceView {
  readonly db: number;
  readonly #keyspace: Keyspace;
  readonly #batch: Batch;

  constructor(keyspace: Keyspace, batch: Batch, db: number) {
    this.#keyspace = keyspace;
    this.#batch = batch;
    this.db = db;
  }

  get nowMs(): number {
    return this.#keyspace.nowMs;
  }

  select(db: number): KeyspaceView {
    return this.#keyspace.view(db);
  }

  find(key: Buffer): KeyRecord | undefined {
    return this.#keyspace.find(this.db, key);
  }

  stringLength(record: KeyRecord): number {
    return "bytes" in record ? record.bytes.length : record.length;
  }

  readString(key: Buffer, record: KeyRecord, start: number, end: number): Buffer {
    if ("bytes" in record) {
      const whole = start === 0 && end === record.bytes.length;
      return whole ? record.bytes : record.bytes.subarray(start, end);
    }
    const pieces = this.readPieces(key, record, start, end);
    return pieces.length === 1 ? (pieces[0] ?? emptyValue) : Buffer.concat(pieces);
  }

  readPieces(key: Buffer, record: KeyRecord, start: number, end: number): Buffer[] {
    if ("bytes" in record) return [record.bytes.subarray(start, end)];
    const position = this.#keyspace.positionOf(key);
    return readChunks(this.#keyspace, position, record.oid, start, end);
  }

  setString(key: Buffer, value: Buffer, options: { expireAtMs: number; raw?: boolean }): void {
    const before = this.find(key);
    const raw = options.raw ?? false;
    const { expireAtMs } = options;
    if (value.length <= this.#keyspace.inlineLimit) {
      const record: InlineString = { type: "string", expireAtMs, raw, bytes: value };
      this.#keyspace.replace(this.db, key, before, record);
      return;
    }
    const position = this.#keyspace.positionOf(key);
    const oid = this.#batch.allocate(position);
    writeChunks(this.#keyspace, position, oid, value);
    const record = { type: "string", expireAtMs, raw, oid, length: value.length } as const;
    this.#keyspace.replace(this.db, key, before, record);
  }

  patchString(key: Buffer, record: KeyRecord | undefined, offset: number, bytes: Buffer): void {
    const oldLength = record === undefined ? 0 : this.stringLength(record);
    const length = Math.max(oldLength, offset + bytes.length);
    const expireAtMs = record?.expireAtMs ?? 0;
    if (record !== undefined && "oid" in record) {
      this.#patchChunked(key, record, offset, bytes, length);
      return;
    }
    if (length <= this.#keyspace.inlineLimit) {
      const whole = Buffer.alloc(length);
      record?.bytes.copy(whole);
      bytes.copy(whole, offset);
      const patched: InlineString = { type: "string", expireAtMs, raw: true, bytes: whole };
      this.#keyspace.replace(this.db, key, record, patched);
      return;
    }
    const position = this.#keyspace.positionOf(key);
    const oid = this.#batch.allocate(position);
    const source = inlineSource(record);
    patchChunks(this.#keyspace, position, oid, source, offset, bytes, true);
    const patched = { type: "string", expireAtMs, raw: true, oid, length } as const;
    this.#keyspace.replace(this.db, key, record, patched);
  }

  #patchChunked(
    key: Buffer,
    record: ChunkedString,
    offset: number,
    bytes: Buffer,
    length: number,
  ): void {
    const keyspace = this.#keyspace;
    const position = keyspace.positionOf(key);
    const anew = !this.#batch.isFresh(record.oid) && this.#isTooMuchInPlace(bytes.length);
    const oid = anew ? this.#batch.allocate(position) : record.oid;
    const source = chunkedSource(keyspace, position, record);
    if (bytes.length > 0) patchChunks(keyspace, position, oid, source, offset, bytes, anew);
    if (anew || length !== record.length || !record.raw) {
      keyspace.replace(this.db, key, record, { ...record, raw: true, oid, length });
    }
  }

  #isTooMuchInPlace(bytes: number): boolean {
    if (bytes > maxPatchInPlaceBytes) return true;
    return this.#batch.patchedBytes + bytes > maxPatchesInPlaceBytes;
  }

  setExpiry(key: Buffer, record: KeyRecord, expireAtMs: number): void {
    if (record.expireAtMs === expireAtMs) return;
    this.#keyspace.replace(this.db, key, record, { ...record, expireAtMs });
  }

  remove(key: Buffer): boolean {
    const record = this.find(key);
    if (record === undefined) return false;
    this.#keyspace.drop(this.db, key, record);
    return true;
  }

  size(): number {
    return this.#batch.state.counts[this.db] ?? 0;
  }

  flushDb(): boolean {
    const { counts } = this.#batch.state;
    if ((counts[this.db] ?? 0) === 0) return true;
    // With nothing else in the region the whole of it goes, and no slot has to be cleared by keys.
    if (counts.every((count, db) => count === 0 || db === this.db)) {
      this.#batch.flushAll();
      return true;
    }
    const slot = this.#keyspace.freeSlot();
    if (slot === undefined) return false;
    this.#batch.flushDb(this.db, slot);
    return true;
  }

  flushAll(): void {
    if (this.#batch.state.counts.some((count) => count > 0)) this.#batch.flushAll();
  }

  random(): number {
    return this.#keyspace.source.random();
  }
}
