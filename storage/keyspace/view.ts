// What a command sees of its region: the contract between the commands (`resp/commands`) and the
// evaluator. A view is synchronous and pure: what is not in memory throws `Miss`, the batch fetches
// it and runs the command again, so a command must have no side effect but through the view.

import type { KeyRecord } from "./records.ts";

/** Thrown (one shared object, no stack) when a record or chunk is not in memory yet. */
export class Miss extends Error {
  override readonly name = "Miss";
}

/** A command's window on one logical database of one region, at one instant. */
export interface KeyspaceView {
  /** The instant of the whole batch: max(leader's wall clock, region's maxNow), Unix ms. */
  readonly nowMs: number;
  /** The logical database, 0..15. */
  readonly db: number;
  /** The same instant and effects, another logical database. */
  select(db: number): KeyspaceView;
  /** The record of a live key. An expired one reads as absent and its removal joins the effects. */
  find(key: Buffer): KeyRecord | undefined;
  /** Length of a string in bytes. */
  stringLength(record: KeyRecord): number;
  /** Bytes [start, end) of a string, `0 <= start <= end <= length`; may be a view: do not change it. */
  readString(key: Buffer, record: KeyRecord, start: number, end: number): Buffer;
  /** The same bytes as pieces in order, without joining them: for replies of whole long strings. */
  readPieces(key: Buffer, record: KeyRecord, start: number, end: number): Buffer[];
  /** Replaces whatever the key holds. `value` is not copied: do not change it afterwards. */
  setString(key: Buffer, value: Buffer, options: { expireAtMs: number; raw?: boolean }): void;
  /**
   * Overwrites bytes at `offset` of a string (absent key = empty string), padding with zeros;
   * keeps the expiry and marks the record raw. Touches only the chunks it needs.
   */
  patchString(key: Buffer, record: KeyRecord | undefined, offset: number, bytes: Buffer): void;
  /** Sets (Unix ms) or removes (0) the expiry of a live key. */
  setExpiry(key: Buffer, record: KeyRecord, expireAtMs: number): void;
  /** Removes a live key; false when there was none. */
  remove(key: Buffer): boolean;
  /** Keys of this database in this region, expired but not yet removed ones included (as Redis counts). */
  size(): number;
  /** Forgets every key of this database here; false while too many flushes are being cleared. */
  flushDb(): boolean;
  /** Forgets every key of all databases in this region. */
  flushAll(): void;
  /** A random number in [0, 1) from the injected source. */
  random(): number;
}
