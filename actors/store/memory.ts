// What a leader has in memory of its region: the overlay of what is evaluated but not yet applied,
// over the store's cache of what is applied. Commands read through it (`RecordSource`); it also
// knows which log index a reply depends on because of what was read.

import type { RegionState } from "../../storage/keyspace/effects.ts";
import type { Keyspace, RecordSource } from "../../storage/keyspace/keyspace.ts";
import type { KeyRecord } from "../../storage/keyspace/records.ts";
import type { RecordCache } from "./cache.ts";
import { chunkName, recordName, type Fetch, type Found } from "./fetch.ts";
import { Overlay } from "./overlay.ts";

export class RegionMemory implements RecordSource {
  /** What the command being run was brought from the engine. */
  found: Found | undefined;
  /** Highest log index that something read since the last reset came from. */
  readIndex = 0;
  readonly #cache: RecordCache;
  readonly #random: () => number;
  readonly #records = new Overlay<KeyRecord | null>();
  readonly #chunks = new Overlay<Buffer>();
  /** Which fetch may cache a record; a write of it or any flush voids that (`safety.md` 22). */
  readonly #tickets = new Map<string, Fetch>();
  /** Slots that the applied state has left and the sweeper has not cleared. */
  uncleared: ReadonlySet<number> = new Set();
  /** Slots that an entry at this index leaves once it is applied. */
  readonly #leftSlots = new Map<number, number>();
  #prefixes: string[] = [];
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
    this.#records.clear();
    this.#chunks.clear();
    this.#tickets.clear();
    this.#leftSlots.clear();
    this.#flushIndex = 0;
    this.#appliedIndex = appliedIndex;
    // What an earlier incarnation cached may have been overtaken by what it never saw applied.
    this.#prefixes = [];
  }

  slotIsClean(slot: number): boolean {
    return !this.uncleared.has(slot) && !this.#leftSlots.has(slot);
  }

  /** The sweeper has cleared it: nothing cached of its former use may be found again. */
  slotCleared(slot: number): void {
    this.#tickets.clear();
    this.#prefixes[slot] = this.#cache.freshPrefix();
  }

  peek(slot: number, name: string): KeyRecord | null | undefined {
    const key = this.#prefix(slot) + name;
    if (this.#records.size > 0) {
      const newer = this.#records.get(key);
      if (newer !== undefined) {
        if (newer.index > this.readIndex) this.readIndex = newer.index;
        return newer.value;
      }
    }
    if (this.#flushIndex > this.#appliedIndex) {
      if (this.#flushIndex > this.readIndex) this.readIndex = this.#flushIndex;
      return null;
    }
    const brought = this.found?.get(recordName(slot, name));
    if (brought !== undefined) return brought as KeyRecord | null;
    return this.#cache.get(key);
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
      this.#records.clear();
      this.#chunks.clear();
      this.#tickets.clear();
      this.#prefixes = [];
      this.#flushIndex = index;
      break;
    }
    for (const slot of keyspace.leftSlots) {
      this.#leftSlots.set(slot, index);
      this.#tickets.clear();
    }
    keyspace.visit(
      (slot, name, record) => {
        this.#records.set(this.#prefix(slot) + name, record, index);
        if (this.#tickets.size > 0) this.#tickets.delete(recordName(slot, name));
      },
      (oid, chunkNo, bytes) => this.#chunks.set(chunkName(oid, chunkNo), bytes, index),
    );
  }

  /** The engine holds everything up to `index`: it leaves the overlay for the cache. */
  applied(index: number): void {
    this.#appliedIndex = index;
    this.#records.applied(index, (key, record) => this.#cache.set(key, record));
    this.#chunks.applied(index, () => {});
    for (const [slot, left] of this.#leftSlots) if (left <= index) this.#leftSlots.delete(slot);
  }

  /**
   * A record is being read from the engine; of several such reads the last may cache it. None may
   * while something is on its way there that the read does not see.
   */
  fetching(name: string, fetch: Fetch): void {
    const isBehind = this.#flushIndex > this.#appliedIndex || this.#leftSlots.size > 0;
    if (isBehind || this.#records.get(this.#keyOf(name)) !== undefined) return;
    this.#tickets.set(name, fetch);
  }

  /** It has arrived; it is cached unless something has written the key since. */
  fetched(name: string, fetch: Fetch, record: KeyRecord | null, isKept: boolean): void {
    if (this.#tickets.get(name) !== fetch) return;
    this.#tickets.delete(name);
    if (isKept) this.#cache.set(this.#keyOf(name), record);
  }

  /** The key in overlay and cache of what a fetch calls by slot and name. */
  #keyOf(name: string): string {
    return this.#prefix(name.charCodeAt(0)) + name.slice(1);
  }

  /** Keys here name one use of one slot of one dataId, so that no flush has to look for them. */
  #prefix(slot: number): string {
    return (this.#prefixes[slot] ??= this.#cache.freshPrefix());
  }
}

/** Counters of a region nobody has written to; a copy for the evaluator to go on from. */
export function copyCounters(state: RegionState): RegionState {
  return { ...state, counts: [...state.counts], slots: [...state.slots] };
}
