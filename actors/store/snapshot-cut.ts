// One instant of a region's applied state, as its engine holds it: the position, the counters and the
// records, all seen through iterators that were opened together while no batch was in flight. It
// stands between the engine and the sender, and knows nothing of nodes or streams.

import type { Engine, EngineIterator, KeyRange } from "../../storage/engine.ts";
import { dataIdRange, keyRange, positionRange } from "../../storage/key-ranges.ts";
import type { RegionState } from "../../storage/keyspace/effects.ts";
import {
  checkedPhysicalValue,
  checkedValue,
  logicalKey,
  physicalKey,
  regionStateKey,
  spaces,
} from "../../storage/keys.ts";
import {
  appliedKey,
  decodeApplied,
  decodePendingClear,
  decodeRegionMeta,
  parseDeadOidKey,
  pendingClearKey,
  regionMetaKey,
  type AppliedPosition,
  type Extent,
  type RegionMeta,
} from "../../storage/local-records.ts";
import { decodeRegionState } from "../../storage/region-state.ts";
import { emptyCounters } from "./recover.ts";
import type { SnapshotRecord } from "./snapshot-format.ts";
import type { EngineWriter } from "./writer.ts";

/** Pairs read at once. */
const slicePairs = 64;
/** Flushes that may come between a look at the region's data id and the cut. */
const triesMax = 5;
const slotCount = 256;
/** Where position and oid stand in physical keys of SUB and of dropped objects alike. */
const oidStart = 1 + 4;
const oidEnd = oidStart + 4 + 6;

export interface SnapshotCut {
  readonly meta: RegionMeta;
  readonly applied: AppliedPosition;
  readonly counters: RegionState;
  readonly unclearedSlots: readonly number[];
  /**
   * Every record of the region, TTL index excluded, in slices, each verified. May be called once.
   * Rejects with DamagedError when one fails its checksum.
   */
  records(): AsyncGenerator<SnapshotRecord[]>;
  /** Lets the view go; must be called, also after an error. */
  end(): Promise<void>;
}

/**
 * Takes the cut of what the engine holds of a region. Undefined when there is nothing to send, or
 * when the region is flushed all the time. `meta` is where the replica believes its data to be.
 */
export async function takeCut(
  engine: Engine,
  writer: EngineWriter,
  meta: RegionMeta,
): Promise<SnapshotCut | undefined> {
  let extent = onlyExtent(meta);
  for (let tries = 0; tries < triesMax; tries++) {
    const view = await openView(engine, writer, meta.regionId, extent);
    let cut: SnapshotCut | undefined;
    try {
      const stored = decodeRegionMeta((await view.one("meta")) ?? Buffer.alloc(0));
      const found = onlyExtent(stored);
      // The engine is a flush behind the replica, or one ahead of the last look.
      const isElsewhere =
        found.dataId !== extent.dataId || found.controlDataId !== extent.controlDataId;
      extent = found;
      if (isElsewhere) continue;
      cut = await cutOf(view, stored);
      return cut;
    } finally {
      if (cut === undefined) await view.end();
    }
  }
  return undefined;
}

async function cutOf(view: View, meta: RegionMeta): Promise<SnapshotCut | undefined> {
  const applied = await view.one("applied");
  if (applied === undefined) return undefined;
  const counters = await view.one("counters");
  const logical = regionStateKey(meta.regionId);
  return {
    meta,
    applied: decodeApplied(applied),
    counters:
      counters === undefined ? emptyCounters() : decodeRegionState(checkedValue(logical, counters)),
    unclearedSlots: await view.slots(),
    records: () => view.records(),
    end: () => view.end(),
  };
}

function onlyExtent(meta: RegionMeta): Extent {
  const [extent] = meta.extents;
  if (extent === undefined) throw new Error(`region ${meta.regionId} has no extent`);
  return extent;
}

function openView(
  engine: Engine,
  writer: EngineWriter,
  regionId: number,
  extent: Extent,
): Promise<View> {
  return new Promise((resolve, reject) => {
    writer.betweenBatches(() => {
      try {
        resolve(new View(engine, regionId, extent));
      } catch (error) {
        reject(error as Error);
      }
    });
  });
}

/** Iterators of one instant. */
class View {
  readonly #small: Readonly<Record<"meta" | "applied" | "counters", EngineIterator>>;
  readonly #slots: EngineIterator;
  readonly #dropped: EngineIterator;
  readonly #meta: EngineIterator;
  readonly #sub: EngineIterator;
  readonly #rest: readonly EngineIterator[];
  readonly #all: EngineIterator[] = [];

  /** Opens all of them in one synchronous step. */
  constructor(engine: Engine, regionId: number, extent: Extent) {
    const open = (range: KeyRange): EngineIterator => {
      const iterator = engine.iterate(range);
      this.#all.push(iterator);
      return iterator;
    };
    const { dataId, controlDataId, fromPosition, toPosition } = extent;
    const ofRange = (space: number): EngineIterator =>
      open(positionRange(space, dataId, fromPosition, toPosition));
    this.#small = {
      meta: open(keyRange(regionMetaKey(regionId))),
      applied: open(keyRange(appliedKey(regionId))),
      counters: open(keyRange(physicalKey(regionStateKey(regionId), controlDataId))),
    };
    this.#slots = open({
      gte: pendingClearKey({ dataId, slot: 0 }),
      lt: pendingClearKey({ dataId }),
    });
    this.#dropped = ofRange(spaces.deadOid);
    this.#meta = ofRange(spaces.meta);
    this.#sub = ofRange(spaces.sub);
    this.#rest = [ofRange(spaces.staging), open(dataIdRange(spaces.placement, dataId))];
  }

  async one(name: "meta" | "applied" | "counters"): Promise<Buffer | undefined> {
    const [pair] = await this.#small[name].next(1);
    return pair?.value;
  }

  async slots(): Promise<number[]> {
    const slots: number[] = [];
    for (const { value } of await this.#slots.next(slotCount)) {
      const { slot } = decodePendingClear(value);
      if (slot !== undefined) slots.push(slot);
    }
    return slots;
  }

  async *records(): AsyncGenerator<SnapshotRecord[]> {
    for await (const slice of slices(this.#meta)) yield slice.map(verified);
    for await (const slice of this.#liveChunks()) yield slice.map(verified);
    for (const iterator of this.#rest) {
      for await (const slice of slices(iterator)) yield slice.map(verified);
    }
  }

  /** SUB without the objects that are dropped and not cleared yet: both are in order of oid. */
  async *#liveChunks(): AsyncGenerator<Pair[]> {
    const dropped = new DroppedObjects(this.#dropped);
    for await (const slice of slices(this.#sub)) {
      const live: Pair[] = [];
      for (const pair of slice) {
        const object = pair.key.subarray(oidStart, oidEnd);
        if (!(await dropped.has(object))) live.push(pair);
      }
      if (live.length > 0) yield live;
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((iterator) => iterator.end()));
  }
}

type Pair = Awaited<ReturnType<EngineIterator["next"]>>[number];

async function* slices(iterator: EngineIterator): AsyncGenerator<Pair[]> {
  for (;;) {
    const slice = await iterator.next(slicePairs);
    if (slice.length === 0) return;
    yield slice;
  }
}

/** The dropped objects that still have chunks, asked about in ascending order. */
class DroppedObjects {
  readonly #iterator: EngineIterator;
  #slice: Buffer[] | undefined;
  #next = 0;

  constructor(iterator: EngineIterator) {
    this.#iterator = iterator;
  }

  async has(object: Buffer): Promise<boolean> {
    this.#slice ??= await this.#read();
    for (let dead = this.#slice[this.#next]; dead !== undefined; dead = this.#slice[this.#next]) {
      const order = Buffer.compare(dead, object);
      if (order >= 0) return order === 0;
      this.#next++;
      if (this.#next < this.#slice.length) continue;
      this.#slice = await this.#read();
      this.#next = 0;
    }
    return false;
  }

  async #read(): Promise<Buffer[]> {
    const pairs = await this.#iterator.next(slicePairs);
    return pairs.map(({ key }) => {
      parseDeadOidKey(key);
      return key.subarray(oidStart, oidEnd);
    });
  }
}

/** `safety.md` 9: what the disk has broken is found here, not on another node. */
function verified({ key, value }: Pair): SnapshotRecord {
  checkedPhysicalValue(key, value);
  return { key: logicalKey(key), stored: value };
}
