// The writes of one batch of commands: effects in order, and the records and chunks they leave, so
// that later commands of the batch see them. Sits under `keyspace.ts`; it knows how to take back
// what a command did since its mark, because a command that misses memory runs again.

import { chunkKey } from "../keys.ts";
import type { Effect, RegionState } from "./effects.ts";
import type { KeyRecord } from "./records.ts";
import { StagedWrite, effectOverheadBytes, sameBytes } from "./staging.ts";
import type { StagedString } from "./staging.ts";

/** A value of the batch and the place of the put that made it in `effects`, -1 = none. */
interface Written<T> {
  readonly value: T;
  readonly at: number;
}

type WrittenMap<K, T> = Map<K, Written<T>>;

/** How to take one local change back. */
interface Undo<K, T> {
  readonly map: WrittenMap<K, T>;
  readonly key: K;
  readonly before: Written<T> | undefined;
}

function revertAll<K, T>(undos: Undo<K, T>[]): void {
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    if (undo.before === undefined) undo.map.delete(undo.key);
    else undo.map.set(undo.key, undo.before);
  }
}

export class Batch {
  effects: Effect[] = [];
  /** Bytes of all effects, and of those since the mark: everything, and what cannot be staged. */
  effectBytes = 0;
  commandBytes = 0;
  commandFixedBytes = 0;
  /** Of these, chunks of strings that others see: patched in place since the mark. */
  patchedBytes = 0;
  /** Whether a reply of the command since the mark depends on an expired key being hidden. */
  hidExpired = false;
  stateChanged = false;
  readonly state: RegionState;

  #records: Array<WrittenMap<string, KeyRecord | null> | undefined> = [];
  #chunks = new Map<number, WrittenMap<number, Buffer | null>>();
  /** Slots whose earlier content a flush of this batch hides. */
  #emptied = new Set<number>();
  #allEmptied = false;
  /** Slots a flush of this batch left: what they held is not cleared yet, whatever the store says. */
  readonly #left = new Set<number>();
  #undoRecords: Undo<string, KeyRecord | null>[] = [];
  #undoChunks: Undo<number, Buffer | null>[] = [];
  #undoRare: (() => void)[] = [];
  #mark = { effects: 0, bytes: 0, nextOid: 0, stateChanged: false, counts: [] as number[] };
  /** Strings the command since the mark allocated, with the chunks it put into them. */
  #fresh = new Map<number, StagedString>();
  #staged: StagedWrite | undefined;
  #stagedUsed = new Set<number>();

  constructor(state: RegionState) {
    this.state = { ...state, counts: [...state.counts], slots: [...state.slots] };
  }

  /** Starts a command: `rollback` comes back to here. `staged` = what its first run had to stage. */
  mark(staged: StagedWrite | undefined): void {
    const { state } = this;
    this.#mark.effects = this.effects.length;
    this.#mark.bytes = this.effectBytes;
    this.#mark.nextOid = state.nextOid;
    this.#mark.stateChanged = this.stateChanged;
    for (let db = 0; db < state.counts.length; db += 1) {
      this.#mark.counts[db] = state.counts[db] ?? 0;
    }
    // Setting a length costs more than looking at it, and most commands leave nothing.
    if (this.#undoRecords.length > 0) this.#undoRecords = [];
    if (this.#undoChunks.length > 0) this.#undoChunks = [];
    if (this.#undoRare.length > 0) this.#undoRare = [];
    if (this.#fresh.size > 0) this.#fresh = new Map();
    this.#staged = staged;
    if (this.#stagedUsed.size > 0) this.#stagedUsed = new Set();
    this.commandBytes = 0;
    this.commandFixedBytes = 0;
    this.patchedBytes = 0;
    this.hidExpired = false;
  }

  rollback(): void {
    const mark = this.#mark;
    revertAll(this.#undoRecords);
    revertAll(this.#undoChunks);
    while (this.#undoRare.length > 0) this.#undoRare.pop()?.();
    this.effects.length = mark.effects;
    this.effectBytes = mark.bytes;
    this.state.nextOid = mark.nextOid;
    this.stateChanged = mark.stateChanged;
    for (let db = 0; db < mark.counts.length; db += 1) {
      this.state.counts[db] = mark.counts[db] ?? 0;
    }
    this.mark(undefined);
  }

  /** Undefined = this batch says nothing about it. */
  record(slot: number, name: string): KeyRecord | null | undefined {
    const written = this.#records[slot]?.get(name);
    if (written !== undefined) return written.value;
    return this.#allEmptied || this.#emptied.has(slot) ? null : undefined;
  }

  /** Undefined = this batch says nothing about it. */
  chunk(oid: number, chunkNo: number): Buffer | null | undefined {
    const chunks = this.#chunks.get(oid);
    const written = chunks?.get(chunkNo);
    if (written !== undefined) return written.value;
    return this.#fresh.has(oid) ? null : undefined;
  }

  get leftSlots(): ReadonlySet<number> {
    return this.#left;
  }

  /** Visits the records and chunks this batch leaves (null = removed), for the region's overlay. */
  visit(
    onRecord: (slot: number, name: string, record: KeyRecord | null) => void,
    onChunk: (oid: number, chunkNo: number, bytes: Buffer | null) => void,
  ): void {
    for (let slot = 0; slot < this.#records.length; slot += 1) {
      for (const [name, { value }] of this.#records[slot] ?? []) onRecord(slot, name, value);
    }
    for (const [oid, chunks] of this.#chunks) {
      for (const [chunkNo, { value }] of chunks) onChunk(oid, chunkNo, value);
    }
  }

  putRecord(slot: number, name: string, record: KeyRecord, key: Buffer, value: Buffer): void {
    const map = (this.#records[slot] ??= new Map());
    const before = map.get(name);
    const bytes = this.effectBytes;
    const at = this.#put(before?.at ?? -1, key, value);
    this.commandFixedBytes += this.effectBytes - bytes;
    this.#undoRecords.push({ map, key: name, before });
    map.set(name, { value: record, at });
  }

  removeRecord(slot: number, name: string, key: Buffer): void {
    const map = (this.#records[slot] ??= new Map());
    this.#undoRecords.push({ map, key: name, before: map.get(name) });
    map.set(name, { value: null, at: -1 });
    this.del(key);
  }

  putChunk(position: number, oid: number, chunkNo: number, bytes: Buffer): void {
    let map = this.#chunks.get(oid);
    if (map === undefined) {
      map = new Map();
      this.#chunks.set(oid, map);
    }
    const before = map.get(chunkNo);
    this.#undoChunks.push({ map, key: chunkNo, before });
    if (this.#stagedUsed.has(oid)) {
      // Only what the command leaves in the end tells whether it is what was staged: `finishStaged`.
      map.set(chunkNo, { value: bytes, at: -1 });
      return;
    }
    const key = chunkKey(position, oid, chunkNo);
    const bytesBefore = this.effectBytes;
    map.set(chunkNo, { value: bytes, at: this.#put(before?.at ?? -1, key, bytes) });
    const fresh = this.#fresh.get(oid);
    if (fresh !== undefined) fresh.chunks.set(chunkNo, { key, bytes });
    else {
      this.patchedBytes += this.effectBytes - bytesBefore;
      this.commandFixedBytes += this.effectBytes - bytesBefore;
    }
  }

  /** Whether the command since the mark allocated it: its chunks can be staged. */
  isFresh(oid: number): boolean {
    return this.#fresh.has(oid);
  }

  /** A put of a key that has no local form: the TTL index. */
  putPlain(key: Buffer, value: Buffer): void {
    this.#put(-1, key, value);
    this.commandFixedBytes += key.length + value.length + effectOverheadBytes;
  }

  del(key: Buffer): void {
    this.effects.push({ type: "del", key });
    this.#grow(key.length + effectOverheadBytes);
    this.commandFixedBytes += key.length + effectOverheadBytes;
  }

  drop(position: number, oid: number): void {
    this.effects.push({ type: "drop", position, oid });
    this.#grow(effectOverheadBytes);
    this.commandFixedBytes += effectOverheadBytes;
  }

  /** A fresh object id for a string at `position`, one that was staged for it if there is any. */
  allocate(position: number): number {
    const staged = this.#staged?.strings.find(
      (string) => string.position === position && !this.#stagedUsed.has(string.oid),
    );
    const oid = staged?.oid ?? this.state.nextOid;
    if (staged === undefined) {
      this.state.nextOid += 1;
      this.stateChanged = true;
    } else {
      this.#stagedUsed.add(oid);
    }
    this.#fresh.set(oid, { position, oid, chunks: new Map() });
    return oid;
  }

  addCount(db: number, delta: 1 | -1): void {
    this.state.counts[db] = (this.state.counts[db] ?? 0) + delta;
    this.stateChanged = true;
  }

  flushDb(db: number, slot: number): void {
    const { state } = this;
    const oldSlot = state.slots[db] ?? db;
    const wasEmptied = this.#emptied.has(slot);
    const records = this.#records[slot];
    this.#undoRare.push(() => {
      state.slots[db] = oldSlot;
      this.#left.delete(oldSlot);
      this.#records[slot] = records;
      if (!wasEmptied) this.#emptied.delete(slot);
    });
    this.#left.add(oldSlot);
    state.slots[db] = slot;
    state.counts[db] = 0;
    this.stateChanged = true;
    this.#records[slot] = undefined;
    this.#emptied.add(slot);
    this.effects.push({ type: "flushDb", db, slot });
    this.#grow(effectOverheadBytes);
  }

  flushAll(): void {
    const { state } = this;
    const records = this.#records;
    const before = this.#allEmptied;
    this.#undoRare.push(() => {
      this.#records = records;
      this.#allEmptied = before;
    });
    state.counts.fill(0);
    this.stateChanged = true;
    this.#records = [];
    this.#allEmptied = true;
    this.effects.push({ type: "flushAll" });
    this.#grow(effectOverheadBytes);
  }

  /** Takes the command back and hands out the chunks of its fresh strings; their oids stay used. */
  stage(): StagedWrite {
    const strings = [...this.#fresh.values()];
    const { nextOid } = this.state;
    this.rollback();
    this.state.nextOid = nextOid;
    this.stateChanged = true;
    return new StagedWrite(strings);
  }

  /**
   * After the second run: effects for what differs from what was staged. Not earlier: the run may put
   * a chunk more than once, and what it put first must not become an effect of its own.
   */
  finishStaged(): void {
    for (const string of this.#staged?.strings ?? []) {
      if (this.#stagedUsed.has(string.oid)) this.#correctStaged(string);
      else this.drop(string.position, string.oid);
    }
  }

  #correctStaged({ position, oid, chunks }: StagedString): void {
    const map: WrittenMap<number, Buffer | null> = this.#chunks.get(oid) ?? new Map();
    this.#chunks.set(oid, map);
    for (const [chunkNo, before] of map) {
      const { value } = before;
      const already = chunks.get(chunkNo);
      if (value === null || (already !== undefined && sameBytes(already.bytes, value))) continue;
      this.#undoChunks.push({ map, key: chunkNo, before });
      map.set(chunkNo, { value, at: this.#put(-1, chunkKey(position, oid, chunkNo), value) });
    }
    for (const [chunkNo, { key }] of chunks) {
      if (map.has(chunkNo)) continue;
      this.#undoChunks.push({ map, key: chunkNo, before: undefined });
      map.set(chunkNo, { value: null, at: -1 });
      this.del(key);
    }
  }

  /** Adds a put, or replaces the one this same command made before at `at`. */
  #put(at: number, key: Buffer, value: Buffer): number {
    const before = at >= this.#mark.effects ? this.effects[at] : undefined;
    if (before?.type === "put") {
      this.effects[at] = { type: "put", key, value };
      this.#grow(value.length - before.value.length);
      return at;
    }
    this.effects.push({ type: "put", key, value });
    this.#grow(key.length + value.length + effectOverheadBytes);
    return this.effects.length - 1;
  }

  #grow(bytes: number): void {
    this.effectBytes += bytes;
    this.commandBytes += bytes;
  }
}
