// The state machine below Raft: turns committed entries into engine operations. Blind and absolute:
// every replica does the same, and doing an entry again changes nothing (redo at open rests on it).

import { EntryReader, operations as codes } from "../../storage/codec.ts";
import type { WriteOperation } from "../../storage/engine.ts";
import type { LogEntry } from "../../storage/journal/types.ts";
import type { RegionState } from "../../storage/keyspace/effects.ts";
import { physicalKey, regionStateKey, spaces, withChecksum } from "../../storage/keys.ts";
import {
  deadOidKey,
  encodePendingClear,
  encodeRegionMeta,
  pendingClearKey,
  regionMetaKey,
  type RegionMeta,
} from "../../storage/local-records.ts";
import { encodeRegionState } from "../../storage/region-state.ts";
import { decodeMembership } from "../raft/membership.ts";
import type { DataIds } from "./data-ids.ts";
import { KeyFilter } from "./key-filter.ts";

/** What a replica holds between entries, as of its applied index. */
export interface AppliedState {
  meta: RegionMeta;
  counters: RegionState;
  /** No key in the engine expires before this instant, Unix ms; Infinity = none does. */
  nextExpiryMs: number;
  /** Slots of the current dataId that a flush left and the sweeper has not cleared. */
  uncleared: Set<number>;
  /** Keys that the engine may hold, those on their way to it included. */
  keys: KeyFilter;
}

/** What applying a run of entries amounts to. */
export interface AppliedRun {
  /**
   * How many of the entries it covers. Fewer than given when the next one moves a database to a slot
   * that this store has not cleared yet: the leader's own had been, but what would be written there
   * here would be cleared with what is left of its former use.
   */
  readonly count: number;
  readonly operations: WriteOperation[];
  /** Present when counters or maxNow changed. */
  readonly state: WriteOperation | undefined;
  /** A flush must not be redone: its batch is a synced marker. */
  readonly sync: boolean;
  /** A flush or drop left something for the sweeper. */
  readonly hasGarbage: boolean;
  /** Earliest expiry among the keys it put; counts once the engine holds them. */
  readonly nextExpiryMs: number;
}

/** dataId of META, SUB and TTL of a region. One extent until regions split. */
export function dataIdOfRegion(meta: RegionMeta): number {
  const extent = meta.extents[0];
  if (extent === undefined) throw new Error(`region ${meta.regionId} has no extent`);
  return extent.dataId;
}

/** dataId of the region's own records, which a flush leaves alone. */
export function controlDataIdOfRegion(meta: RegionMeta): number {
  const extent = meta.extents[0];
  if (extent === undefined) throw new Error(`region ${meta.regionId} has no extent`);
  return extent.controlDataId;
}

/** Applies entries in order to `applied` and returns what to write for them. */
export function applyEntries(
  entries: readonly LogEntry[],
  applied: AppliedState,
  dataIds: DataIds,
): AppliedRun {
  const run = new Run(applied, dataIds);
  let count = 0;
  for (const { kind, index, payload } of entries) {
    if (kind === 1 && movesTo(applied.uncleared, payload)) break;
    if (kind === 1) run.apply(payload);
    else if (kind === 2) run.changeMembership(payload, index);
    count++;
  }
  return { count, ...run.finish() };
}

/** Whether an entry has a database live in one of these slots. */
function movesTo(slots: ReadonlySet<number>, payload: Buffer): boolean {
  if (slots.size === 0) return false;
  const reader = new EntryReader(payload);
  for (let code = reader.next(); code !== codes.end; code = reader.next()) {
    if (code === codes.flushAll) return false;
    if (code === codes.flushDb && slots.has(reader.slot)) return true;
  }
  return false;
}

class Run {
  readonly #applied: AppliedState;
  readonly #dataIds: DataIds;
  readonly #operations: WriteOperation[] = [];
  #stateChanged = false;
  #sync = false;
  #hasGarbage = false;
  #nextExpiryMs = Infinity;

  constructor(applied: AppliedState, dataIds: DataIds) {
    this.#applied = applied;
    this.#dataIds = dataIds;
  }

  apply(payload: Buffer): void {
    const reader = new EntryReader(payload);
    const { counters } = this.#applied;
    if (reader.nowMs > counters.maxNowMs) {
      counters.maxNowMs = reader.nowMs;
      this.#stateChanged = true;
    }
    let dataId = dataIdOfRegion(this.#applied.meta);
    for (let code = reader.next(); code !== codes.end; code = reader.next()) {
      switch (code) {
        case codes.put:
          this.#put(reader, dataId);
          break;
        case codes.del:
          this.#operations.push({ type: "del", key: reader.physicalKey(dataId) });
          break;
        case codes.drop:
          this.#drop(dataId, reader.position, reader.oid);
          break;
        case codes.flushAll:
          dataId = this.#flushAll();
          break;
        case codes.flushDb:
          this.#flushSlot(counters.slots[reader.db] ?? reader.db);
          counters.slots[reader.db] = reader.slot;
          this.#stateChanged = true;
          break;
        default:
          this.#setState(reader.state);
      }
    }
  }

  /** The log that says so may be cut below it: from here on the meta record does. */
  changeMembership(payload: Buffer, index: number): void {
    const { meta } = this.#applied;
    if (index <= meta.membershipIndex) return;
    const { version, confVersion } = meta.epoch;
    const epoch = { version, confVersion: confVersion + 1 };
    this.#applied.meta = { ...meta, ...decodeMembership(payload), membershipIndex: index, epoch };
    this.#operations.push(regionMetaOperation(this.#applied.meta));
    this.#sync = true;
  }

  finish(): Omit<AppliedRun, "count"> {
    return {
      operations: this.#operations,
      state: this.#stateChanged ? stateOperation(this.#applied) : undefined,
      sync: this.#sync,
      hasGarbage: this.#hasGarbage,
      nextExpiryMs: this.#nextExpiryMs,
    };
  }

  #put(reader: EntryReader, dataId: number): void {
    const key = reader.physicalKey(dataId);
    if (key[0] === spaces.ttl) {
      const expireAtMs = key.readUIntBE(5, 6);
      if (expireAtMs < this.#nextExpiryMs) this.#nextExpiryMs = expireAtMs;
    } else if (key[0] === spaces.meta) this.#applied.keys.add(key);
    this.#operations.push({ type: "put", key, value: reader.stored });
  }

  #drop(dataId: number, position: number, oid: number): void {
    const value = Buffer.alloc(0);
    this.#operations.push({ type: "put", key: deadOidKey({ dataId, position, oid }), value });
    this.#hasGarbage = true;
  }

  /** A new dataId hides everything at once; the sweeper clears the old one behind a record of it. */
  #flushAll(): number {
    const { meta } = this.#applied;
    const oldDataId = dataIdOfRegion(meta);
    const dataId = this.#dataIds.take();
    const extents = meta.extents.map((extent) => ({ ...extent, dataId }));
    this.#applied.meta = { ...meta, extents };
    this.#applied.uncleared = new Set();
    this.#applied.keys = new KeyFilter();
    this.#operations.push(this.#dataIds.record(), regionMetaOperation(this.#applied.meta));
    this.#pendingClear({ dataId: oldDataId });
    this.#sync = true;
    return dataId;
  }

  #flushSlot(slot: number): void {
    const { meta } = this.#applied;
    this.#pendingClear({ dataId: dataIdOfRegion(meta), slot });
    this.#applied.uncleared.add(slot);
    this.#sync = true;
  }

  #pendingClear(clear: { readonly dataId: number; readonly slot?: number }): void {
    this.#operations.push({
      type: "put",
      key: pendingClearKey(clear),
      value: encodePendingClear(clear),
    });
    this.#hasGarbage = true;
  }

  #setState(state: RegionState): void {
    const { counters } = this.#applied;
    counters.nextOid = Math.max(counters.nextOid, state.nextOid);
    counters.counts = state.counts;
    counters.slots = state.slots;
    counters.maxNowMs = Math.max(counters.maxNowMs, state.maxNowMs);
    this.#stateChanged = true;
  }
}

/** The region's meta record as an operation. */
export function regionMetaOperation(meta: RegionMeta): WriteOperation {
  return { type: "put", key: regionMetaKey(meta.regionId), value: encodeRegionMeta(meta) };
}

/** The region's counters as an operation. */
export function stateOperation(applied: AppliedState): WriteOperation {
  const logical = regionStateKey(applied.meta.regionId);
  const key = physicalKey(logical, controlDataIdOfRegion(applied.meta));
  return { type: "put", key, value: withChecksum(logical, encodeRegionState(applied.counters)) };
}
