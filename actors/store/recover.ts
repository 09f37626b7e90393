// Brings a replica back to its durable past: reads its records from the engine, then redoes the log
// from the last synced marker to where the engine says it was, because RocksDB may have lost a batch
// in between and kept a later one (`safety.md` 2). Redo is harmless: effects are blind and absolute.

import { decodeRegionState } from "../../storage/region-state.ts";
import { DamagedError } from "../../storage/errors.ts";
import type { Journal, LogEntry } from "../../storage/journal/types.ts";
import type { HardState } from "../../storage/journal/types.ts";
import { ttlRange } from "../../storage/key-ranges.ts";
import {
  checkedValue,
  parsePhysicalTtlKey,
  physicalKey,
  regionStateKey,
} from "../../storage/keys.ts";
import {
  appliedKey,
  decodeApplied,
  decodePendingClear,
  decodeRegionMeta,
  installedKey,
  markerKey,
  pendingClearKey,
  regionMetaKey,
  type AppliedPosition,
} from "../../storage/local-records.ts";
import type { WriteOperation } from "../../storage/engine.ts";
import type { RegionState } from "../../storage/keyspace/effects.ts";
import { applyEntries, controlDataIdOfRegion, dataIdOfRegion, type AppliedState } from "./apply.ts";
import { KeyFilter } from "./key-filter.ts";
import type { RegionPorts } from "./region-ports.ts";

const redoBytes = 1024 * 1024;
const databases = 16;
const slotCount = 256;

/** Where a replica stands when it may take part. */
export interface RecoveredRegion {
  readonly applied: AppliedState;
  readonly hardState: HardState;
  /** The synced marker: where the log as the core sees it begins. */
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly appliedIndex: number;
  /** The log's entries behind `prevIndex`, oldest first. */
  readonly entries: readonly RecoveredEntry[];
}

/** What the core knows of an entry. */
interface RecoveredEntry {
  readonly term: number;
  /** Of its payload. */
  readonly bytes: number;
  /** The payload itself when it changes the membership. */
  readonly membership?: Buffer;
}

const recoveredEntry = ({ term, kind, payload }: LogEntry): RecoveredEntry => ({
  term,
  bytes: payload.length,
  ...(kind === 2 ? { membership: payload } : {}),
});

/** Counters of a region that holds nothing. */
export function emptyCounters(): RegionState {
  return {
    nextOid: 1,
    counts: Array.from({ length: databases }, () => 0),
    slots: Array.from({ length: databases }, (_, db) => db),
    maxNowMs: 0,
  };
}

/** Rejects with DamagedError when log and data contradict each other. */
export async function recoverRegion(
  regionId: number,
  ports: RegionPorts,
): Promise<RecoveredRegion> {
  const { engine, writer, journal } = ports.handles.opened();
  const [storedMeta] = await engine.getMany([regionMetaKey(regionId)]);
  if (storedMeta === undefined) throw damaged(regionId, "has no meta record");
  const firstMeta = decodeRegionMeta(storedMeta);
  await quiet(journal, regionId, firstMeta.replicaId, ports);
  await writer.written();
  const positions = await readPositions(regionId, ports);
  const applied: AppliedState = {
    meta: positions.meta,
    counters: positions.counters,
    nextExpiryMs: 0,
    uncleared: new Set(),
    keys: KeyFilter.ofAny(),
  };
  if (positions.installed !== undefined) {
    await finishInstall(regionId, positions.meta.replicaId, positions, ports);
  }
  const log = journal.logOf(regionId);
  const lastIndex = log?.lastIndex ?? 0;
  if (lastIndex < positions.applied.index) {
    throw damaged(regionId, `applied ${positions.applied.index} but its log ends at ${lastIndex}`);
  }
  // The log is only cut below a marker, which is durable before the cut.
  const cutAt = log?.prevIndex ?? 0;
  if (cutAt > positions.marker.index) {
    throw damaged(
      regionId,
      `is known up to ${positions.marker.index} but its log begins behind ${cutAt}`,
    );
  }
  writer.recovered(regionId, positions.marker.index, positions.marker.term);
  const entries = await redo(
    regionId,
    positions.marker.index,
    positions.applied.index,
    applied,
    ports,
  );
  applied.nextExpiryMs = await firstExpiry(applied, ports);
  // Not by looking: the binding's iterators do not verify the checksums of blocks, and a key that a
  // damaged one does not show, or shows with a bit turned, would be taken for absent.
  if (applied.counters.counts.every((count) => count === 0)) applied.keys = new KeyFilter();
  for (const entry of await entriesBehind(journal, regionId, positions.applied.index, lastIndex)) {
    entries.push(entry);
  }
  // Last, so that the sweeper has little time to clear one unheard.
  applied.uncleared = await unclearedSlots(applied, ports);
  return {
    applied,
    hardState: log?.hardState ?? { term: 0, vote: 0 },
    prevIndex: positions.marker.index,
    prevTerm: positions.marker.term,
    appliedIndex: positions.applied.index,
    entries,
  };
}

/** Waits until everything a former incarnation queued is durable. */
function quiet(
  journal: Journal,
  regionId: number,
  replicaId: number,
  ports: RegionPorts,
): Promise<void> {
  if (journal.logOf(regionId) === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    ports.log.send({ type: "log.append", write: { regionId, replicaId }, onDurable: resolve });
  });
}

async function readPositions(regionId: number, ports: RegionPorts) {
  const { engine } = ports.handles.opened();
  const [storedMeta, storedApplied, storedMarker, storedInstalled] = await engine.getMany([
    regionMetaKey(regionId),
    appliedKey(regionId),
    markerKey(regionId),
    installedKey(regionId),
  ]);
  if (storedMeta === undefined) throw damaged(regionId, "has no meta record");
  const meta = decodeRegionMeta(storedMeta);
  const start = { index: 0, term: 0 };
  const applied = storedApplied === undefined ? start : decodeApplied(storedApplied);
  const marker = storedMarker === undefined ? start : decodeApplied(storedMarker);
  const installed = storedInstalled === undefined ? undefined : decodeApplied(storedInstalled);
  const logical = regionStateKey(regionId);
  const [storedState] = await engine.getMany([physicalKey(logical, controlDataIdOfRegion(meta))]);
  const counters =
    storedState === undefined
      ? emptyCounters()
      : decodeRegionState(checkedValue(logical, storedState));
  return { meta, applied, marker, installed, counters };
}

/**
 * A snapshot was installed, and the log may be the one from before it: then it is dropped and begins
 * again where the snapshot ends (`safety.md` 8). Once anything more was applied it has been; the
 * record then excuses nothing.
 */
async function finishInstall(
  regionId: number,
  replicaId: number,
  positions: { readonly applied: AppliedPosition; readonly installed: AppliedPosition | undefined },
  ports: RegionPorts,
): Promise<void> {
  const { journal, writer } = ports.handles.opened();
  const { applied, installed } = positions;
  const { index, term } = applied;
  const isLast = installed?.index === index && installed.term === term;
  if (isLast && (await termAt(journal, regionId, index)) !== term) {
    const write = { regionId, replicaId, reset: { index, term } };
    await new Promise<void>((resolve) => {
      ports.log.send({ type: "log.append", write, onDurable: resolve });
    });
  }
  const operations: WriteOperation[] = [{ type: "del", key: installedKey(regionId) }];
  await new Promise<void>((resolve) => {
    writer.submit({ regionId, operations, sync: false, onDone: resolve });
  });
}

/** Term of the entry at this index of the region's log; undefined when the log does not hold it. */
async function termAt(
  journal: Journal,
  regionId: number,
  index: number,
): Promise<number | undefined> {
  const log = journal.logOf(regionId);
  if (log === undefined || index < log.prevIndex || index > log.lastIndex) return undefined;
  if (index === log.prevIndex) return log.prevTerm;
  const [entry] = await journal.read(regionId, index, index, redoBytes);
  return entry?.term;
}

/** Applies (from, to] again, in slices, and waits until the engine has them; returns what it applied. */
async function redo(
  regionId: number,
  from: number,
  to: number,
  applied: AppliedState,
  ports: RegionPorts,
): Promise<RecoveredEntry[]> {
  const { journal, writer } = ports.handles.opened();
  const redone: RecoveredEntry[] = [];
  for (let next = from + 1; next <= to;) {
    const entries = await journal.read(regionId, next, to, redoBytes);
    const last = entries.at(-1);
    if (last === undefined) throw damaged(regionId, `its log lacks entry ${next}`);
    const { count, operations, state, sync } = applyEntries(entries, applied, ports.dataIds);
    // The batch of a flush is a marker: none is ever behind one.
    if (count < entries.length) throw damaged(regionId, "redoes a flush from before its marker");
    await new Promise<void>((resolve) => {
      writer.submit({
        regionId,
        operations,
        ...(state === undefined ? {} : { state }),
        applied: { index: last.index, term: last.term },
        sync,
        onDone: resolve,
      });
    });
    for (const entry of entries) redone.push(recoveredEntry(entry));
    next = last.index + 1;
  }
  return redone;
}

async function entriesBehind(
  journal: Journal,
  regionId: number,
  appliedIndex: number,
  lastIndex: number,
): Promise<RecoveredEntry[]> {
  const found: RecoveredEntry[] = [];
  for (let next = appliedIndex + 1; next <= lastIndex;) {
    const entries: LogEntry[] = await journal.read(regionId, next, lastIndex, redoBytes);
    if (entries.length === 0) throw damaged(regionId, `its log lacks entry ${next}`);
    for (const entry of entries) found.push(recoveredEntry(entry));
    next += entries.length;
  }
  return found;
}

/** The earliest expiry in the region's index, Infinity when nothing expires. */
async function firstExpiry(applied: AppliedState, ports: RegionPorts): Promise<number> {
  const { engine } = ports.handles.opened();
  const range = ttlRange(dataIdOfRegion(applied.meta), 2 ** 48 - 2);
  const iterator = engine.iterate({ ...range, limit: 1, keysOnly: true });
  try {
    const [first] = await iterator.next(1);
    return first === undefined ? Infinity : parsePhysicalTtlKey(first.key).expireAtMs;
  } finally {
    await iterator.end();
  }
}

/** The slots whose clearing still has a record: a flush must not take one of them. */
async function unclearedSlots(applied: AppliedState, ports: RegionPorts): Promise<Set<number>> {
  const { engine } = ports.handles.opened();
  const dataId = dataIdOfRegion(applied.meta);
  const slots = new Set<number>();
  const iterator = engine.iterate({
    gte: pendingClearKey({ dataId, slot: 0 }),
    lt: pendingClearKey({ dataId }),
  });
  try {
    for (const { value } of await iterator.next(slotCount)) {
      const { slot } = decodePendingClear(value);
      if (slot !== undefined) slots.add(slot);
    }
  } finally {
    await iterator.end();
  }
  return slots;
}

function damaged(regionId: number, what: string): DamagedError {
  return new DamagedError(`region ${regionId} ${what}`, "RocksDB against the journal");
}
