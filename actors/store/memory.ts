// What a leader has in memory of its region: the overlay of what is evaluated but not yet applied,
// over the store's cache of what is applied. Commands read through it (`RecordSource`); it also
// knows which log index a reply depends on because of what was read.

import type { RegionState } from "../../storage/keyspace/effects.ts";
import type { Keyspace, RecordSource } from "../../storage/keyspace/keyspace.ts";
import type { KeyRecord } from "../../storage/keyspace/records.ts";
import type { AppliedState } from "./apply.ts";
import type { CachedRecord, RecordCache, RecordTable } from "./cache.ts";
import { chunkName, recordName, type Fetch, type Found, type MissingRecord } from "./fetch.ts";
import { KeyFilter } from "./key-filter.ts";
import { Overlay } from "./overlay.ts";

/** Applied entries of the list of pending ones are given back when this many have gathered. */
const forgottenMax = 4096;

export class RegionMemory implements RecordSource {
  /** What the command being run was brought from the engine. */
  found: Found | undefined;
  /** Highest log index that something read since the last reset came from. */
  readIndex = 0;
  readonly #cache: RecordCache;
  readonly #random: () => number;
  /** By slot; a flush replaces them. */
  #tables: Array<RecordTable | undefined> = [];
  /** Entries of the tables that are not applied, in order of the index that made them so. */
  #pending: CachedRecord[] = [];
  #pendingIndexes: number[] = [];
  #pendingHead = 0;
  readonly #chunks = new Overlay<Buffer | null>();
  /** Which fetch may cache a record; a write of it or any flush voids that (`safety.md` 22). */
  readonly #tickets = new Map<string, Fetch>();
  /** Slots that the applied state has left and the sweeper has not cleared. */
  #uncleared: ReadonlySet<number> = new Set();
  #keys = KeyFilter.ofAny();
  /** Slots that an entry at this index leaves once it is applied. */
  readonly #leftSlots = new Map<number, number>();
  #appliedIndex = 0;
  /** A flush of everything at this index hides all below it. */
  #flushIndex = 0;

  constructor(cache: RecordCache, random: () => number) {
    this.#cache = cache;
    this.#random = random;
  }

  random(): number {
    return this.#random();
  }

  /** Starts from the applied state alone. */
  reset(appliedIndex: number): void {
    // What an earlier incarnation cached may have been overtaken by what it never saw applied.
    this.#forgetRecords();
    this.#leftSlots.clear();
    this.#flushIndex = 0;
    this.#appliedIndex = appliedIndex;
  }

  /** Nobody evaluates here any more: the cache has the room. */
  forget(): void {
    this.#forgetRecords();
  }

  #forgetRecords(): void {
    for (const table of this.#tables) table?.drop();
    this.#tables = [];
    this.#pending = [];
    this.#pendingIndexes = [];
    this.#pendingHead = 0;
    this.#chunks.clear();
    this.#tickets.clear();
  }

  /** The applied state as it is now, before what it no longer needs of this memory is let go. */
  standOn({ uncleared, keys }: AppliedState): void {
    this.#uncleared = uncleared;
    this.#keys = keys;
  }

  slotIsClean(slot: number): boolean {
    return !this.#uncleared.has(slot) && !this.#leftSlots.has(slot);
  }

  /** The sweeper has cleared it: nothing cached of its former use may be found again. */
  slotCleared(slot: number): void {
    this.#tickets.clear();
    this.#tables[slot]?.drop();
    this.#tables[slot] = undefined;
  }

  peek(slot: number, name: string): KeyRecord | null | undefined {
    const entry = this.#tables[slot]?.get(name);
    if (entry !== undefined) {
      if (entry.index > this.readIndex) this.readIndex = entry.index;
      return entry.record;
    }
    if (this.#flushIndex > this.#appliedIndex) {
      if (this.#flushIndex > this.readIndex) this.readIndex = this.#flushIndex;
      return null;
    }
    if (!this.#keys.mayHold(slot, name)) return null;
    return this.found?.get(recordName(slot, name)) as KeyRecord | null | undefined;
  }

  peekChunk(_position: number, oid: number, chunkNo: number): Buffer | null | undefined {
    const key = chunkName(oid, chunkNo);
    const newer = this.#chunks.get(key);
    if (newer !== undefined) {
      if (newer.index > this.readIndex) this.readIndex = newer.index;
      return newer.value;
    }
    return this.found?.get(key) as Buffer | null | undefined;
  }

  /** Takes over what the entry at `index` will make of the region. */
  appended(keyspace: Keyspace, index: number): void {
    for (const effect of keyspace.effects) {
      if (effect.type !== "flushAll") continue;
      this.#forgetRecords();
      this.#flushIndex = index;
      break;
    }
    for (const slot of keyspace.leftSlots) {
      this.#leftSlots.set(slot, index);
      this.#tickets.clear();
    }
    keyspace.visit(
      (slot, name, record) => {
        this.#pending.push(this.#table(slot).set(name, record, index));
        this.#pendingIndexes.push(index);
        if (this.#tickets.size > 0) this.#tickets.delete(recordName(slot, name));
      },
      (oid, chunkNo, bytes) => this.#chunks.set(chunkName(oid, chunkNo), bytes, index),
    );
  }

  /** The engine holds everything up to `index`: what came with it may now be let go. */
  applied(index: number): void {
    this.#appliedIndex = index;
    const indexes = this.#pendingIndexes;
    let head = this.#pendingHead;
    for (; head < indexes.length && (indexes[head] ?? 0) <= index; head++) {
      const entry = this.#pending[head];
      // A later write of the key has put it behind.
      if (entry !== undefined && entry.index <= index) entry.index = 0;
    }
    this.#pendingHead = head;
    if (head === indexes.length) {
      this.#pending.length = 0;
      indexes.length = 0;
      this.#pendingHead = 0;
    } else if (head > forgottenMax) {
      this.#pending.splice(0, head);
      indexes.splice(0, head);
      this.#pendingHead = 0;
    }
    this.#chunks.applied(index, () => {});
    for (const [slot, left] of this.#leftSlots) if (left <= index) this.#leftSlots.delete(slot);
  }

  /**
   * A record is being read from the engine; of several such reads the last may cache it. None may
   * while something is on its way there that the read does not see.
   */
  fetching({ slot, name }: MissingRecord, fetch: Fetch): void {
    const isBehind = this.#flushIndex > this.#appliedIndex || this.#leftSlots.size > 0;
    const entry = this.#tables[slot]?.get(name);
    if (isBehind || (entry !== undefined && entry.index > 0)) return;
    this.#tickets.set(recordName(slot, name), fetch);
  }

  /**
   * It has arrived; it is cached unless something has written the key since. Under the name that was
   * asked for: V8 compares a part of another string (a slice of the ticket's) by a slow call.
   */
  fetched(of: MissingRecord, fetch: Fetch, record: KeyRecord | null, isKept: boolean): void {
    const ticket = recordName(of.slot, of.name);
    if (this.#tickets.get(ticket) !== fetch) return;
    this.#tickets.delete(ticket);
    if (isKept) this.#table(of.slot).set(of.name, record, 0);
  }

  #table(slot: number): RecordTable {
    return (this.#tables[slot] ??= this.#cache.table());
  }
}

/** Counters of a region nobody has written to; a copy for the evaluator to go on from. */
export function copyCounters(state: RegionState): RegionState {
  return { ...state, counts: [...state.counts], slots: [...state.slots] };
}
