// Clears what flushes and drops left behind, in the background: whole dataIds after a flush of
// everything, the keys of one slot after a flush of one database, the chunks of dropped objects.
// Nothing that it deletes can be read any more; a record stands until the deletion is done.

import type { EngineIterator, WriteOperation } from "../../storage/engine.ts";
import { decodeRecord } from "../../storage/keyspace/record-codec.ts";
import { dataIdRange, spaceRange, subRange } from "../../storage/key-ranges.ts";
import {
  checkedPhysicalValue,
  parsePhysicalMetaKey,
  physicalKey,
  spaces,
  ttlKey,
} from "../../storage/keys.ts";
import { deadOidKey, decodePendingClear, parseDeadOidKey } from "../../storage/local-records.ts";
import type { StoreHandles } from "./handles.ts";

/** Keys looked at before others get a turn. */
const sliceKeys = 256;
/** Everything that a data id can stand before. */
const replicatedSpaces = [
  spaces.meta,
  spaces.sub,
  spaces.ttl,
  spaces.txn,
  spaces.region,
  spaces.placement,
  spaces.staging,
];

export class Sweeper {
  readonly #handles: StoreHandles;
  readonly #onFailure: (error: Error) => void;
  /** Hears which slot of which dataId may be used again. */
  readonly #onSlotFree: (dataId: number, slot: number) => void;
  #running = false;
  #again = false;
  #stopped = false;

  constructor(
    handles: StoreHandles,
    onSlotFree: (dataId: number, slot: number) => void,
    onFailure: (error: Error) => void,
  ) {
    this.#handles = handles;
    this.#onSlotFree = onSlotFree;
    this.#onFailure = onFailure;
  }

  /** Something may be there to clear. */
  wake(): void {
    this.#again = true;
    if (this.#running || this.#stopped) return;
    this.#running = true;
    this.#sweep().then(
      () => {
        this.#running = false;
        if (this.#again) this.wake();
      },
      (error: unknown) => {
        this.#running = false;
        // An engine that closed meanwhile took the sweeper with it.
        if (!this.#stopped) this.#onFailure(error as Error);
      },
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  async #sweep(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      await this.#sweepClears();
      await this.#sweepDeadObjects();
    }
  }

  /** All that waits together: one scan finds the keys of every slot that was left. */
  async #sweepClears(): Promise<void> {
    const { engine } = this.#handles.opened();
    const iterator = engine.iterate(spaceRange(spaces.pendingClear));
    const arriving = this.#handles.snapshots.arriving();
    const records: WriteOperation[] = [];
    const slots = new Map<number, Set<number>>();
    for await (const { key, value } of pairs(iterator, () => this.#stopped)) {
      const { dataId, slot } = decodePendingClear(value);
      if (arriving.has(dataId)) continue;
      records.push({ type: "del", key });
      if (slot !== undefined) {
        slots.set(dataId, (slots.get(dataId) ?? new Set()).add(slot));
        continue;
      }
      for (const space of replicatedSpaces) await engine.clear(dataIdRange(space, dataId));
    }
    for (const [dataId, left] of slots) await this.#clearSlots(dataId, left);
    if (this.#stopped) return;
    // Synced: were the deletions lost and this kept, a slot used again would show old keys.
    await this.#write(records, true);
    for (const [dataId, left] of slots) for (const slot of left) this.#onSlotFree(dataId, slot);
  }

  async #clearSlots(dataId: number, slots: ReadonlySet<number>): Promise<void> {
    const { engine } = this.#handles.opened();
    const iterator = engine.iterate(dataIdRange(spaces.meta, dataId));
    let operations: WriteOperation[] = [];
    for await (const { key, value } of pairs(iterator, () => this.#stopped)) {
      const meta = parsePhysicalMetaKey(key);
      if (!slots.has(meta.slot)) continue;
      const record = decodeRecord(checkedPhysicalValue(key, value));
      operations.push({ type: "del", key });
      if (record.expireAtMs > 0) {
        const { position, bucket, slot } = meta;
        const due = ttlKey(record.expireAtMs, position, bucket, slot, meta.key);
        operations.push({ type: "del", key: physicalKey(due, dataId) });
      }
      if ("oid" in record) {
        const dead = deadOidKey({ dataId, position: meta.position, oid: record.oid });
        operations.push({ type: "put", key: dead, value: Buffer.alloc(0) });
        this.#again = true;
      }
      if (operations.length < sliceKeys) continue;
      await this.#write(operations);
      operations = [];
    }
    await this.#write(operations);
  }

  async #sweepDeadObjects(): Promise<void> {
    const { engine } = this.#handles.opened();
    const iterator = engine.iterate({ ...spaceRange(spaces.deadOid), keysOnly: true });
    for await (const { key } of pairs(iterator, () => this.#stopped)) {
      const { dataId, position, oid } = parseDeadOidKey(key);
      await engine.clear(subRange(dataId, position, oid));
      await this.#write([{ type: "del", key }]);
    }
  }

  #write(operations: readonly WriteOperation[], sync = false): Promise<void> {
    if (operations.length === 0) return Promise.resolve();
    const { writer } = this.#handles.opened();
    return new Promise((resolve) => {
      writer.submit({ regionId: 0, operations, sync, onDone: resolve });
    });
  }
}

/** The pairs of an iterator in slices; ends the iterator in every case. */
async function* pairs(iterator: EngineIterator, isStopped: () => boolean) {
  try {
    for (;;) {
      const slice = await iterator.next(sliceKeys);
      if (slice.length === 0) return;
      for (const pair of slice) {
        if (isStopped()) return;
        yield pair;
      }
    }
  } finally {
    await iterator.end();
  }
}
