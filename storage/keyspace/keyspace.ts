// The key space of one region as one batch of commands sees it: the real `KeyspaceView`, over what
// the region has in memory (`RecordSource`) and what the batch wrote before. It sits between the
// commands, which are pure over it, and the region, which replicates its effects; it never waits,
// never touches the engine, and applies nothing.
//
// How a region uses it, once per batch:
//   const keyspace = new Keyspace(source, positions, state, nowMs)
//   for each command:
//     keyspace.begin()                           a savepoint
//     reply = command.execute(keyspace.view(db), args)
//       throws Miss -> keyspace.rollback(), fetch keyspace.missing, run it again
//   append { nowMs, effects: keyspace.effects, state: keyspace.changedState() }; keyspace.visit(...)
// A reply waits for that entry when the command has effects, or `hidExpired` (`safety.md` 26).
//
// An entry has at most 512 KiB. When `commandBytes` is more after a command ran:
//   1. staged = keyspace.stage()  takes the command back; its fresh oids stay used
//   2. replicate staged.fragments(maxBytes), each with `changedState()` of this batch (nextOid!),
//      while the command's keys stay latched
//   3. in a later batch: keyspace.begin(staged); run the command; keyspace.finishStaged()
//      now only metas remain: chunks equal to the staged ones are no effects. If it came out
//      differently (something expired meanwhile), the differences are effects, and unused oids drops.
//   When `commandFixedBytes` itself is too much in 1 (many middle-sized values, MSET), set
//   `keyspace.spill = true` before running it again, and stage that run: values over 256 bytes go
//   to chunks. Still too much: refuse with `tooManyWrites` of resp/errors.ts.
//   A staged write that will never run again: propose staged.drops().
// Chunks and staged bytes may be views of larger buffers: copy before caching one for long.

import { keyBucket, metaKey, ttlKey } from "../keys.ts";
import { Batch } from "./batch.ts";
import { DatabaseView } from "./database-view.ts";
import type { Effect, RegionState } from "./effects.ts";
import { encodeRecord } from "./record-codec.ts";
import type { InlineString, KeyRecord } from "./records.ts";
import type { StagedWrite } from "./staging.ts";
import { maxInlineBytes } from "./strings.ts";
import type { ChunkStore } from "./strings.ts";
import { Miss } from "./view.ts";
import type { KeyspaceView } from "./view.ts";

/** What the region has in memory: overlay of uncommitted effects over the record cache. */
export interface RecordSource {
  /** `name` = `key` as latin1 text. Null = known to be absent, undefined = not in memory. */
  peek(slot: number, name: string, key: Buffer): KeyRecord | null | undefined;
  peekChunk(position: number, oid: number, chunkNo: number): Buffer | null | undefined;
  /**
   * Whether nothing of an earlier use is left under this slot (0..255), so a flush may take it. A
   * slot that an appended but not yet applied flush has left is not clean.
   */
  slotIsClean(slot: number): boolean;
  /** In [0, 1). */
  random(): number;
}

/** What a command needed and memory did not have. */
export type Missing =
  | { readonly type: "record"; readonly slot: number; readonly name: string; readonly key: Buffer }
  | {
      readonly type: "chunk";
      readonly position: number;
      readonly oid: number;
      readonly chunkNo: number;
    };

/** Where keys live; `createPositions` makes one. */
export interface KeyPositions {
  positionOf(key: Buffer): number;
}

/** In spill mode, longer values than this go to chunks. */
const spillBytes = 256;
const slotCount = 256;
/** A command that only reads removes about this many bytes of expired keys; further ones it only hides. */
const readRemovalBytes = 128 * 1024;
const emptyValue = Buffer.alloc(0);
const miss = new Miss("not in memory");

function withBytesOf(record: InlineString, value: Buffer): InlineString {
  const bytes = value.subarray(value.length - record.bytes.length);
  return { type: "string", expireAtMs: record.expireAtMs, raw: record.raw, bytes };
}

export class Keyspace implements ChunkStore {
  readonly nowMs: number;
  /** What the last command needed; cleared by `begin`. */
  missing: Missing[] = [];
  /** See the file's header; set by the region for each command. */
  spill = false;
  /** The command writes nothing of its own: then any number of expired keys fits its entry. */
  readsOnly = false;
  readonly source: RecordSource;
  readonly #positions: KeyPositions;
  readonly #batch: Batch;
  readonly #views: KeyspaceView[] = [];
  /** Keys that the command since `begin` looked for, found and not found. */
  hits = 0;
  misses = 0;
  /** The command since `begin` saw a record that this batch wrote. */
  readBatch = false;
  #nameOf: Buffer = emptyValue;
  #name = "";
  #peeked: KeyRecord | null | undefined;
  #peekedKey: Buffer | undefined;
  #peekedSlot = 0;

  /** `state` is copied. `nowMs` = max(wall clock, overlay's now, state.maxNowMs). */
  constructor(source: RecordSource, positions: KeyPositions, state: RegionState, nowMs: number) {
    this.source = source;
    this.#positions = positions;
    this.#batch = new Batch(state);
    this.nowMs = nowMs;
  }

  /** Effects of all commands so far, in order. */
  get effects(): readonly Effect[] {
    return this.#batch.effects;
  }

  /** Whether the batch will be an entry at all. */
  get isWriting(): boolean {
    return this.#batch.effects.length > 0 || this.#batch.stateChanged;
  }

  /** About the bytes those effects take in an entry. */
  get effectBytes(): number {
    return this.#batch.effectBytes;
  }

  /** The same for the command since `begin`, and what of it cannot be staged: all but fresh chunks. */
  get commandBytes(): number {
    return this.#batch.commandBytes;
  }

  get commandFixedBytes(): number {
    return this.#batch.commandFixedBytes;
  }

  /** The command since `begin` met an expired key: its reply waits for an entry with this `nowMs`. */
  get hidExpired(): boolean {
    return this.#batch.hidExpired;
  }

  /** Slots that flushes of this batch left: busy until they are cleared. */
  get leftSlots(): ReadonlySet<number> {
    return this.#batch.leftSlots;
  }

  /** The counters after the batch when they differ from before, a copy. */
  changedState(): RegionState | undefined {
    const { state, stateChanged } = this.#batch;
    if (!stateChanged) return undefined;
    const maxNowMs = Math.max(state.maxNowMs, this.nowMs);
    return { ...state, counts: [...state.counts], slots: [...state.slots], maxNowMs };
  }

  /** The window on a logical database, 0..15; one object per database. */
  view(db: number): KeyspaceView {
    return (this.#views[db] ??= new DatabaseView(this, this.#batch, db));
  }

  begin(staged?: StagedWrite): void {
    if (this.missing.length > 0) this.missing = [];
    this.readBatch = false;
    this.hits = 0;
    this.misses = 0;
    this.#batch.mark(staged);
  }

  /** Takes back everything since `begin`; `missing` stays. Run `begin` before the next command. */
  rollback(): void {
    this.#batch.rollback();
  }

  stage(): StagedWrite {
    return this.#batch.stage();
  }

  finishStaged(): void {
    this.#batch.finishStaged();
  }

  /** What the region's overlay takes over when the entry is appended; null = removed. */
  visit(
    onRecord: (slot: number, name: string, record: KeyRecord | null) => void,
    onChunk: (oid: number, chunkNo: number, bytes: Buffer | null) => void,
  ): void {
    this.#batch.visit(onRecord, onChunk);
  }

  chunk(position: number, oid: number, chunkNo: number): Buffer | null | undefined {
    let chunk = this.#batch.chunk(oid, chunkNo);
    if (chunk === undefined) chunk = this.source.peekChunk(position, oid, chunkNo);
    else this.readBatch = true;
    if (chunk === undefined) this.missing.push({ type: "chunk", position, oid, chunkNo });
    return chunk;
  }

  putChunk(position: number, oid: number, chunkNo: number, bytes: Buffer): void {
    this.#batch.putChunk(position, oid, chunkNo, bytes);
  }

  expectAll(): void {
    if (this.missing.length > 0) throw miss;
  }

  positionOf(key: Buffer): number {
    return this.#positions.positionOf(key);
  }

  /** The key as latin1 text, kept for the next call with the same buffer. */
  nameOf(key: Buffer): string {
    if (key !== this.#nameOf) {
      this.#nameOf = key;
      this.#name = key.toString("latin1");
    }
    return this.#name;
  }

  slotOf(db: number): number {
    return this.#batch.state.slots[db] ?? db;
  }

  /** Whether the key's record is in memory. What it finds is kept for a `find` that follows. */
  knows(db: number, key: Buffer): boolean {
    const slot = this.slotOf(db);
    const name = this.nameOf(key);
    if (this.#batch.record(slot, name) !== undefined) return true;
    this.#peeked = this.source.peek(slot, name, key);
    this.#peekedKey = key;
    this.#peekedSlot = slot;
    return this.#peeked !== undefined;
  }

  /** The record of a key that this batch has not written; the look-up of `knows` is used once. */
  #peek(slot: number, name: string, key: Buffer): KeyRecord | null | undefined {
    if (key !== this.#peekedKey || slot !== this.#peekedSlot) {
      return this.source.peek(slot, name, key);
    }
    this.#peekedKey = emptyValue;
    return this.#peeked;
  }

  /**
   * The live record; the removal of an expired one joins the effects. Throws Miss. A read that hides
   * more than it removes has effects all the same, so that its reply waits for this `nowMs`.
   */
  find(db: number, key: Buffer): KeyRecord | undefined {
    const slot = this.slotOf(db);
    const name = this.nameOf(key);
    let record = this.#batch.record(slot, name);
    if (record === undefined) {
      record = this.#peek(slot, name, key);
      if (record === undefined) {
        this.missing.push({ type: "record", slot, name, key });
        throw miss;
      }
    } else {
      this.readBatch = true;
    }
    if (record === null) {
      this.misses++;
      return undefined;
    }
    if (record.expireAtMs !== 0 && record.expireAtMs <= this.nowMs) {
      this.#batch.hidExpired = true;
      if (this.#mayRemove) this.drop(db, key, record);
      this.misses++;
      return undefined;
    }
    this.hits++;
    return record;
  }

  get #mayRemove(): boolean {
    return !this.readsOnly || this.#batch.commandFixedBytes < readRemovalBytes;
  }

  /** Effects that remove a key which holds `record`. */
  drop(db: number, key: Buffer, record: KeyRecord): void {
    const batch = this.#batch;
    const slot = this.slotOf(db);
    const position = this.positionOf(key);
    const bucket = keyBucket(key);
    batch.removeRecord(slot, this.nameOf(key), metaKey(position, bucket, slot, key));
    if (record.expireAtMs !== 0) {
      batch.del(ttlKey(record.expireAtMs, position, bucket, slot, key));
    }
    if ("oid" in record) batch.drop(position, record.oid);
    batch.addCount(db, -1);
  }

  /** Effects that make a key hold `record` instead of `before`. */
  replace(db: number, key: Buffer, before: KeyRecord | undefined, record: KeyRecord): void {
    const batch = this.#batch;
    const slot = this.slotOf(db);
    const position = this.positionOf(key);
    const bucket = keyBucket(key);
    const value = encodeRecord(record);
    // The batch and later the cache keep the record: its bytes must not pin a socket's chunk.
    const kept = "bytes" in record ? withBytesOf(record, value) : record;
    batch.putRecord(slot, this.nameOf(key), kept, metaKey(position, bucket, slot, key), value);
    const beforeMs = before?.expireAtMs ?? 0;
    if (beforeMs !== record.expireAtMs) {
      if (beforeMs !== 0) batch.del(ttlKey(beforeMs, position, bucket, slot, key));
      if (record.expireAtMs !== 0) {
        batch.putPlain(ttlKey(record.expireAtMs, position, bucket, slot, key), emptyValue);
      }
    }
    if (before === undefined) batch.addCount(db, 1);
    else if ("oid" in before && !("oid" in record && record.oid === before.oid)) {
      batch.drop(position, before.oid);
    }
  }

  get inlineLimit(): number {
    return this.spill ? spillBytes : maxInlineBytes;
  }

  /** A slot for a flushed database, or undefined when all are in use or still being cleared. */
  freeSlot(): number | undefined {
    const used = new Set(this.#batch.state.slots);
    for (let slot = 0; slot < slotCount; slot += 1) {
      const free = !used.has(slot) && !this.#batch.leftSlots.has(slot);
      if (free && this.source.slotIsClean(slot)) return slot;
    }
    return undefined;
  }
}
