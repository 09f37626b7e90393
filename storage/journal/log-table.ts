// All logs of a store by region, and the tombstones: what the stream of records means. The journal
// applies records as it queues them, recovery as it finds them, so both agree by construction.

import { DamagedError } from "../errors.ts";
import { RECORD, type RecordCursor } from "./record.ts";
import { RegionLog } from "./region-log.ts";
import type { RecoveredLog } from "./types.ts";

export class LogTable {
  logs = new Map<number, RegionLog>();
  /** regionId -> highest replicaId that is gone for good. */
  tombstones = new Map<number, number>();

  /**
   * The log that a record of this replica belongs to, made when new; undefined when the replica is
   * gone (`safety.md` 12).
   */
  logFor(regionId: number, replicaId: number): RegionLog | undefined {
    const log = this.logs.get(regionId);
    if (log !== undefined && log.replicaId === replicaId) return log;
    if (replicaId <= (this.tombstones.get(regionId) ?? -1)) return undefined;
    if (log !== undefined && log.replicaId > replicaId) return undefined;
    const fresh = new RegionLog(regionId, replicaId);
    this.logs.set(regionId, fresh);
    return fresh;
  }

  /** The log of a live replica, made when new; writing for a dead one is a bug of the caller. */
  writableLog(regionId: number, replicaId: number): RegionLog {
    const known = this.logs.get(regionId);
    if (known !== undefined && known.replicaId === replicaId) return known;
    const log = known === undefined ? this.logFor(regionId, replicaId) : undefined;
    if (log !== undefined) return log;
    throw new RangeError(`replica ${replicaId} of region ${regionId} is not alive`);
  }

  /** All logs in regionId order. */
  describe(): RecoveredLog[] {
    return [...this.logs.values()]
      .map((log) => log.describe())
      .toSorted((x, y) => x.regionId - y.regionId);
  }

  bury(regionId: number, replicaId: number): void {
    if (replicaId > (this.tombstones.get(regionId) ?? -1)) {
      this.tombstones.set(regionId, replicaId);
    }
    const log = this.logs.get(regionId);
    if (log !== undefined && log.replicaId <= replicaId) this.logs.delete(regionId);
  }

  /**
   * Applies a recovered record that lies at `address`. False when it contradicts what came before
   * it. `tolerant`: a checkpoint of the same group already contains the record's effect, so entries
   * that no longer fit were removed again later in the group.
   */
  apply(record: RecordCursor, address: number, tolerant: boolean): boolean {
    if (record.type === RECORD.mark || record.type === RECORD.checkpoint) return true;
    if (record.type === RECORD.tombstone) {
      this.bury(record.regionId, record.replicaId);
      return true;
    }
    const log = this.logFor(record.regionId, record.replicaId);
    if (log === undefined) return true;
    switch (record.type) {
      case RECORD.entry:
        if (!log.accepts(record.a)) return tolerant;
        log.put(record.a, address, record.length, record.b);
        return true;
      case RECORD.hardState:
        log.term = record.a;
        log.vote = record.b;
        return true;
      case RECORD.reset:
        log.reset(record.a, record.b);
        return true;
      case RECORD.compact:
        log.compact(record.a, record.b);
        return true;
      default:
        return false;
    }
  }

  /** Throws DamagedError when a log promises an entry that no file holds. */
  refuseGaps(): void {
    for (const log of this.logs.values()) {
      const missing = log.firstMissing();
      if (missing === 0) continue;
      const where = `raft/region_${log.regionId}/wal:0`;
      throw new DamagedError(`entry ${missing} of region ${log.regionId} is missing`, where);
    }
  }

  /** Lowest journal address of a live entry; `end` when none lies in the journal. */
  oldestAddress(end: number): number {
    let oldest = end;
    for (const log of this.logs.values()) {
      const index = log.firstIndexFrom(1);
      if (index <= log.lastIndex) oldest = Math.min(oldest, log.addressAt(index));
    }
    return oldest;
  }
}
