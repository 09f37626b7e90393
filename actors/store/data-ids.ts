// Hands out this store's dataIds: the number behind the space byte that gives every replica, and
// every flush of one, an empty key space of its own. Never reused; local, never replicated.

import type { WriteOperation } from "../../storage/engine.ts";
import { allocatorKey, encodeAllocator } from "../../storage/local-records.ts";

export class DataIds {
  #next: number;

  /** `next` is what the store's allocator record said at open, 1 for a new store. */
  constructor(next: number) {
    this.#next = next;
  }

  /** Continues behind what an engine that was opened again had recorded. */
  restore(next: number): void {
    this.#next = Math.max(this.#next, next);
  }

  /** A fresh dataId (u32, from 1). The caller writes `record()` in the batch that first uses it. */
  take(): number {
    const taken = this.#next++;
    if (taken > 0xffffffff) throw new Error("this store has used up its data ids");
    return taken;
  }

  /** The allocator record as it has to stand now. */
  record(): WriteOperation {
    return { type: "put", key: allocatorKey(), value: encodeAllocator({ nextDataId: this.#next }) };
  }
}
