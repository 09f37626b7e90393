// The bounded cache of decoded records, one per store, in front of RocksDB. It only ever holds what
// is applied: what is newer stands in a region's overlay and is looked at first.

import { LRUCache } from "lru-cache";
import type { KeyRecord } from "../../storage/keyspace/records.ts";

/** Rough cost of an entry beside its bytes: map slot, list node, record and buffer objects. */
const entryOverheadBytes = 320;

/** "This key does not exist" is worth caching too. */
const absent = Symbol("absent");

/** Records by cache key (data id, slot and key in one string; see `region.ts`). */
export class RecordCache {
  readonly #entries: LRUCache<string, KeyRecord | typeof absent>;
  #prefixes = 0;

  /** `maxBytes` bounds keys, values and bookkeeping together, roughly. */
  constructor(maxBytes: number) {
    this.#entries = new LRUCache({ maxSize: maxBytes, maxEntrySize: 64 * 1024 });
  }

  /** The record, null when the key is known to be absent, undefined when nothing is known. */
  get(key: string): KeyRecord | null | undefined {
    const found = this.#entries.get(key);
    return found === absent ? null : found;
  }

  /** Keeps the record as it is: its bytes must be its own, not a view of a socket's chunk. */
  set(key: string, record: KeyRecord | null): void {
    if (record === null) {
      this.#entries.set(key, absent, { size: entryOverheadBytes + key.length });
      return;
    }
    const size = entryOverheadBytes + key.length + ("bytes" in record ? record.bytes.length : 0);
    this.#entries.set(key, record, { size });
  }

  /** A prefix for cache keys that nobody has had: what was cached under another is not found. */
  freshPrefix(): string {
    // Latin-1 on purpose: one wider character would double the bytes of every key.
    return `${(++this.#prefixes).toString(36)}:`;
  }

  /** Bytes accounted for now. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}
