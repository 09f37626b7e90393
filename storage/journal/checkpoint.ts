// The checkpoint record's payload: hard state and span of every log, and the tombstones. The first
// group of every journal file ends with one, so older files can go; it holds no entries.

import { getInteger, putInteger, viewOf } from "./record.ts";
import type { RegionLog } from "./region-log.ts";

const REGION_BYTES = 60;
const TOMBSTONE_BYTES = 12;

/** One log as a checkpoint names it. */
export interface LogSpan {
  readonly regionId: number;
  readonly replicaId: number;
  readonly term: number;
  readonly vote: number;
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface Checkpoint {
  readonly logs: readonly LogSpan[];
  /** regionId -> highest replicaId that is gone for good. */
  readonly tombstones: ReadonlyMap<number, number>;
}

/** The state of all logs as bytes. */
export function encodeCheckpoint(
  logs: ReadonlyMap<number, RegionLog>,
  tombstones: ReadonlyMap<number, number>,
): Buffer {
  const size = 8 + logs.size * REGION_BYTES + tombstones.size * TOMBSTONE_BYTES;
  const bytes = Buffer.alloc(size);
  const view = viewOf(bytes);
  view.setUint32(0, logs.size, true);
  view.setUint32(4, tombstones.size, true);
  let at = 8;
  for (const log of logs.values()) {
    view.setUint32(at, log.regionId, true);
    putInteger(view, at + 4, log.replicaId);
    putInteger(view, at + 12, log.term);
    putInteger(view, at + 20, log.vote);
    putInteger(view, at + 28, log.prevIndex);
    putInteger(view, at + 36, log.prevTerm);
    putInteger(view, at + 44, log.lastIndex);
    putInteger(view, at + 52, log.lastTerm);
    at += REGION_BYTES;
  }
  for (const [regionId, replicaId] of tombstones) {
    view.setUint32(at, regionId, true);
    putInteger(view, at + 4, replicaId);
    at += TOMBSTONE_BYTES;
  }
  return bytes;
}

/** The inverse; undefined when the counts do not fit the bytes. */
export function decodeCheckpoint(bytes: Buffer): Checkpoint | undefined {
  if (bytes.length < 8) return undefined;
  const view = viewOf(bytes);
  const logCount = view.getUint32(0, true);
  const tombstoneCount = view.getUint32(4, true);
  if (bytes.length !== 8 + logCount * REGION_BYTES + tombstoneCount * TOMBSTONE_BYTES) {
    return undefined;
  }
  let at = 8;
  const logs: LogSpan[] = [];
  for (let i = 0; i < logCount; i++, at += REGION_BYTES) {
    logs.push({
      regionId: view.getUint32(at, true),
      replicaId: getInteger(view, at + 4),
      term: getInteger(view, at + 12),
      vote: getInteger(view, at + 20),
      prevIndex: getInteger(view, at + 28),
      prevTerm: getInteger(view, at + 36),
      lastIndex: getInteger(view, at + 44),
      lastTerm: getInteger(view, at + 52),
    });
  }
  const tombstones = new Map<number, number>();
  for (let i = 0; i < tombstoneCount; i++, at += TOMBSTONE_BYTES) {
    tombstones.set(view.getUint32(at, true), getInteger(view, at + 4));
  }
  return { logs, tombstones };
}
