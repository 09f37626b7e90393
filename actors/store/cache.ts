// The records a store has in memory: what is applied, as far as the bound allows, and what a leader has
// evaluated and not yet applied, which is never let go. One table per use of a slot of a region, so
// that a flush forgets a table instead of looking for keys. What a record means is not its business.

import type { KeyRecord } from "../../storage/keyspace/records.ts";

/** Rough cost of an entry beside its bytes: map slot, entry, record and buffer objects. */
const entryOverheadBytes = 320;

/** A record in memory; one object per key for as long as it is known. */
export class CachedRecord {
  /** Null = the key is known to be absent. */
  record: KeyRecord | null;
  /** The log index that carries it while that is not applied; 0 = the engine holds the same. */
  index: number;
  /** Read since the hand last came by. */
  isUsed = false;

  constructor(record: KeyRecord | null, index: number) {
    this.record = record;
    this.index = index;
  }
}

function sizeOf(name: string, record: KeyRecord | null): number {
  const bytes = record !== null && "bytes" in record ? record.bytes.length : 0;
  return entryOverheadBytes + name.length + bytes;
}

/** Records of one slot, by the key as Latin-1 text. */
export class RecordTable {
  readonly #cache: RecordCache;
  readonly #entries = new Map<string, CachedRecord>();
  /** Of the entries, as accounted. */
  bytes = 0;

  constructor(cache: RecordCache) {
    this.#cache = cache;
  }

  /** Undefined when nothing is known of the key. */
  get(name: string): CachedRecord | undefined {
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.isUsed = true;
    return entry;
  }

  /** Keeps the record as it is: its bytes must be its own, not a view of a socket's chunk. */
  set(name: string, record: KeyRecord | null, index: number): CachedRecord {
    const found = this.#entries.get(name);
    if (found !== undefined) {
      const bytes = sizeOf(name, record) - sizeOf(name, found.record);
      found.record = record;
      found.index = index;
      // Last: making room must find the entry in use.
      this.#cache.grow(this, bytes);
      return found;
    }
    const entry = new CachedRecord(record, index);
    this.#entries.set(name, entry);
    this.#cache.grow(this, sizeOf(name, record));
    return entry;
  }

  /** Forgets everything, entries that are not applied as well. */
  drop(): void {
    this.#cache.dropped(this);
    this.#entries.clear();
    this.bytes = 0;
  }

  /**
   * The hand of the clock passes over `count` entries, oldest first: one that was read since it last
   * came gets another round, one that is not applied stays. Returns the bytes given up.
   */
  sweep(count: number): number {
    let freed = 0;
    let passed = 0;
    for (const [name, entry] of this.#entries) {
      if (passed++ === count) break;
      this.#entries.delete(name);
      if (entry.index > 0 || entry.isUsed) {
        entry.isUsed = false;
        this.#entries.set(name, entry);
      } else {
        freed += sizeOf(name, entry.record);
      }
    }
    return freed;
  }
}

/** Entries the hand passes in one table before it goes on to the next. */
const sweepEntries = 16;

/** The tables of a store under one bound. */
export class RecordCache {
  readonly #maxBytes: number;
  #tables: RecordTable[] = [];
  #hand = 0;
  #bytes = 0;

  /** `maxBytes` bounds keys, values and bookkeeping together, roughly; what is not applied comes on top. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes accounted for now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A new table, empty: what was cached in any other is not found in it. */
  table(): RecordTable {
    const table = new RecordTable(this);
    this.#tables.push(table);
    return table;
  }

  /** A table's own: it has so many bytes more. */
  grow(table: RecordTable, bytes: number): void {
    table.bytes += bytes;
    this.#bytes += bytes;
    if (this.#bytes > this.#maxBytes) this.#makeRoom();
  }

  /** A table's own: it is empty and out of use. */
  dropped(table: RecordTable): void {
    this.#bytes -= table.bytes;
    this.#tables = this.#tables.filter((other) => other !== table);
  }

  /** A bounded walk: when everything is in use or not applied, the bound is exceeded for a while. */
  #makeRoom(): void {
    const tables = this.#tables.length;
    for (let turn = 0; turn <= tables && this.#bytes > this.#maxBytes; turn++) {
      this.#hand = (this.#hand + 1) % tables;
      const table = this.#tables[this.#hand];
      if (table === undefined || table.bytes === 0) continue;
      const freed = table.sweep(sweepEntries);
      table.bytes -= freed;
      this.#bytes -= freed;
    }
  }
}
