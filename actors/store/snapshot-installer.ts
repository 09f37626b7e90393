// Takes a leader's snapshot in: writes its records under fresh data ids that no replica names, then
// makes them the region's in one synced batch, restarts the log behind them, and only then says so.
// It stands between the stream and engine and journal; a local record in that batch plays the part of
// a manifest (`recover.ts` ends what a crash has interrupted), so nothing is kept in files beside it.

import type { WriteOperation } from "../../storage/engine.ts";
import { DamagedError } from "../../storage/errors.ts";
import { decodeRecord } from "../../storage/keyspace/record-codec.ts";
import {
  checkedValue,
  parseMetaKey,
  physicalKey,
  spaces,
  ttlKey,
  withChecksum,
} from "../../storage/keys.ts";
import {
  encodeApplied,
  encodePendingClear,
  installedKey,
  pendingClearKey,
  type PendingClear,
  type RegionMeta,
} from "../../storage/local-records.ts";
import type { BulkReader } from "../../transport/transport.ts";
import { regionMetaOperation, stateOperation, type AppliedState } from "./apply.ts";
import { KeyFilter } from "./key-filter.ts";
import type { RegionPorts } from "./region-ports.ts";
import type { TimerId } from "../system/clock.ts";
import {
  cannotGoOn,
  ChunkDecoder,
  decodeSnapshotHeader,
  keptForMs,
  SnapshotError,
  type SnapshotHeader,
  type SnapshotRecord,
} from "./snapshot-format.ts";
import type { EngineWriter } from "./writer.ts";

/** What installing needs of its replica. */
export interface SnapshotTarget {
  readonly regionId: number;
  readonly ended: boolean;
  readonly applied: AppliedState;
  readonly appliedIndex: number;
  /** Entries up to here have been handed to the engine. */
  readonly submittedIndex: number;
  /** The leader of that term shows itself. */
  heard(leader: number, term: number): void;
  /** True when this replica is open and follows that leader in that term, durably. */
  follows(leader: number, term: number): boolean;
  /** Nothing more is handed to the engine until `installed`. */
  holdApplying(): void;
  /** The snapshot lies in the engine durably; the core is to make the log agree with it. */
  installed(applied: AppliedState, header: SnapshotHeader): void;
}

type InstallerPorts = Pick<RegionPorts, "handles" | "log" | "dataIds" | "clock" | "onGarbage">;

/** The stream broke; nothing is wrong with what it has brought. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

interface Running {
  readonly install: Install;
  readonly reader: BulkReader;
  readonly ended: Promise<void>;
}

export class SnapshotInstaller {
  readonly #ports: InstallerPorts;
  readonly #target: SnapshotTarget;
  #running: Running | undefined;
  /** What waits for another stream. */
  #kept: Install | undefined;
  #timer: TimerId;

  constructor(ports: InstallerPorts, target: SnapshotTarget) {
    this.#ports = ports;
    this.#target = target;
  }

  /** Takes the stream to its end, by `accept` or `abort`. Never rejects. */
  async receive(header: Buffer, reader: BulkReader): Promise<void> {
    try {
      const decoded = decodeSnapshotHeader(header);
      // A chunk that comes late renews no promise; the stream's beginning is as good as an append.
      this.#target.heard(decoded.from, decoded.term);
      for (let running = this.#running; running !== undefined; running = this.#running) {
        if (!running.install.isOf(decoded))
          throw new SnapshotError("another snapshot is being installed");
        // Its sender has given the former stream up, which this end may not have noticed yet.
        running.reader.abort("the snapshot goes on in another stream");
        await running.ended;
      }
      const reason = refusal(this.#target, decoded);
      if (reason !== undefined) throw new SnapshotError(reason);
      const install = this.#installOf(decoded);
      const run = this.#run(install, reader);
      this.#running = { install, reader, ended: run.catch(() => undefined) };
      await run;
      reader.accept();
    } catch (error) {
      reader.abort(error instanceof Error ? error.message : String(error));
    }
  }

  /** The replica ends: nothing waits any more. */
  end(): void {
    this.#takeKept()?.end();
  }

  #installOf(header: SnapshotHeader): Install {
    const kept = this.#takeKept();
    if (kept?.goesOnWith(header) === true) return kept;
    kept?.end();
    if (header.firstChunk > 0) throw new SnapshotError(cannotGoOn);
    const { writer } = this.#ports.handles.opened();
    return new Install(this.#ports, this.#target, writer, header);
  }

  async #run(install: Install, reader: BulkReader): Promise<void> {
    let isKept = false;
    try {
      await install.run(reader);
    } catch (error) {
      isKept = error instanceof Interrupted && !this.#target.ended;
      throw error;
    } finally {
      this.#running = undefined;
      if (isKept) this.#keep(install);
      else install.end();
    }
  }

  #keep(install: Install): void {
    this.#kept = install;
    this.#timer = this.#ports.clock.setTimeout(() => this.end(), keptForMs);
  }

  #takeKept(): Install | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) this.#ports.clock.clearTimeout(this.#timer);
    return kept;
  }
}

/** Why this replica does not take such a snapshot now; undefined when it does. */
function refusal(target: SnapshotTarget, header: SnapshotHeader): string | undefined {
  if (target.ended) return "the replica has ended";
  if (!target.follows(header.from, header.term))
    return "not a follower of that leader in that term";
  const { regionId, replicaId } = target.applied.meta;
  if (header.regionId !== regionId || header.to !== replicaId) {
    return "the snapshot is for another replica";
  }
  const held = Math.max(target.appliedIndex, target.submittedIndex);
  if (header.index <= held) return `the replica has applied ${held} already`;
  const { extents } = target.applied.meta;
  const isSameRange =
    extents.length === header.extents.length &&
    extents.every(
      ({ fromPosition, toPosition }, i) =>
        header.extents[i]?.fromPosition === fromPosition &&
        header.extents[i]?.toPosition === toPosition,
    );
  return isSameRange ? undefined : "the snapshot is of another range";
}

/** One snapshot on its way in. */
class Install {
  readonly #ports: InstallerPorts;
  readonly #target: SnapshotTarget;
  readonly #writer: EngineWriter;
  readonly #header: SnapshotHeader;
  readonly #dataId: number;
  readonly #controlDataId: number;
  readonly #decoder: ChunkDecoder;
  #isReserved = false;
  #nextExpiryMs = Infinity;

  constructor(
    ports: InstallerPorts,
    target: SnapshotTarget,
    writer: EngineWriter,
    header: SnapshotHeader,
  ) {
    this.#ports = ports;
    this.#target = target;
    this.#writer = writer;
    this.#header = header;
    this.#dataId = ports.dataIds.take();
    this.#controlDataId = ports.dataIds.take();
    this.#decoder = new ChunkDecoder(header.snapshotId);
    ports.handles.snapshots.beginArriving(this.#fresh);
  }

  get #fresh(): number[] {
    return [this.#dataId, this.#controlDataId];
  }

  /** The same cut of the same leader. */
  isOf({ from, term, snapshotId }: SnapshotHeader): boolean {
    const own = this.#header;
    return from === own.from && term === own.term && snapshotId === own.snapshotId;
  }

  /** What such a stream brings follows on what is here. */
  goesOnWith(header: SnapshotHeader): boolean {
    return this.isOf(header) && this.#decoder.goOnAt(header.firstChunk);
  }

  /** Rejects with Interrupted when the stream broke: another one may go on with it. */
  async run(reader: BulkReader): Promise<void> {
    if (!this.#isReserved) await this.#reserve();
    this.#isReserved = true;
    await this.#takeRecords(reader);
    await this.#switch();
  }

  /** It has landed, or is given up. Every write was answered: what is garbage lies in the engine. */
  end(): void {
    this.#ports.handles.snapshots.endArriving(this.#fresh);
    this.#ports.onGarbage();
  }

  /** Durable before the first record: after a crash these ids are cleared and given to nobody. */
  #reserve(): Promise<void> {
    const clears = this.#fresh.map((dataId) => putClear({ dataId }));
    return this.#write([...clears, this.#ports.dataIds.record()], true);
  }

  async #takeRecords(reader: BulkReader): Promise<void> {
    const decoder = this.#decoder;
    for (;;) {
      const chunk = await nextOf(reader);
      if (chunk === undefined) break;
      const reason = refusal(this.#target, this.#header);
      if (reason !== undefined) throw new SnapshotError(reason);
      const operations: WriteOperation[] = [];
      for (const record of decoder.take(chunk) ?? []) this.#place(record, operations);
      // One write outstanding: the stream's credit comes back as fast as the engine takes it.
      if (operations.length > 0) await this.#write(operations, false);
    }
    decoder.finish();
    // The long sync happens here, before anything waits for the short one of the switch.
    await this.#write([this.#ports.dataIds.record()], true);
  }

  /** A record under the fresh data id; of a key that expires, its place in the index too. */
  #place({ key, stored }: SnapshotRecord, operations: WriteOperation[]): void {
    const value = checked(key, stored);
    operations.push({ type: "put", key: physicalKey(key, this.#dataId), value: stored });
    if (key[0] !== spaces.meta) return;
    const { expireAtMs } = decodeRecord(value);
    if (expireAtMs === 0) return;
    const { position, bucket, slot, key: name } = parseMetaKey(key);
    const due = ttlKey(expireAtMs, position, bucket, slot, name);
    operations.push({
      type: "put",
      key: physicalKey(due, this.#dataId),
      value: withChecksum(due, Buffer.alloc(0)),
    });
    if (expireAtMs < this.#nextExpiryMs) this.#nextExpiryMs = expireAtMs;
  }

  /**
   * Makes the records the region's. What was handed to the engine before is ordered before this
   * batch, under data ids that it gives up; nothing is handed over until it has landed.
   */
  async #switch(): Promise<void> {
    const target = this.#target;
    const header = this.#header;
    const reason = refusal(target, header);
    if (reason !== undefined) throw new SnapshotError(reason);
    target.holdApplying();
    const applied = this.#appliedState(target.applied.meta);
    const { regionId } = target;
    await new Promise<void>((resolve) => {
      this.#writer.submit({
        regionId,
        operations: this.#switchOperations(target.applied.meta, applied.meta),
        applied: { index: header.index, term: header.indexTerm },
        state: stateOperation(applied),
        sync: true,
        onDone: () => {
          // In the step in which the engine says so: nothing comes between it and the core. A replica
          // that has ended leaves it to the next incarnation, which finds the record of the install.
          if (!target.ended) target.installed(applied, header);
          resolve();
        },
      });
    });
    await this.#logIsDurable(applied.meta.replicaId);
    if (target.ended) throw new SnapshotError("the replica has ended");
    void this.#write([{ type: "del", key: installedKey(regionId) }], false);
  }

  /** Whatever the core made of its log by then. */
  #logIsDurable(replicaId: number): Promise<void> {
    const write = { regionId: this.#target.regionId, replicaId };
    return new Promise((resolve) => {
      this.#ports.log.send({ type: "log.append", write, onDurable: resolve });
    });
  }

  #appliedState(former: RegionMeta): AppliedState {
    const { membership, membershipIndex, peers, epoch, counters, unclearedSlots } = this.#header;
    const dataId = this.#dataId;
    const controlDataId = this.#controlDataId;
    const extents = former.extents.map((extent) => ({ ...extent, dataId, controlDataId }));
    return {
      meta: { ...former, extents, membership, membershipIndex, peers, epoch },
      counters,
      nextExpiryMs: this.#nextExpiryMs,
      uncleared: new Set(unclearedSlots),
      keys: KeyFilter.ofAny(),
    };
  }

  #switchOperations(former: RegionMeta, meta: RegionMeta): WriteOperation[] {
    const { index, indexTerm, unclearedSlots } = this.#header;
    const dataId = this.#dataId;
    const operations: WriteOperation[] = [
      regionMetaOperation(meta),
      { type: "put", key: installedKey(meta.regionId), value: encodeApplied(index, indexTerm) },
      { type: "del", key: pendingClearKey({ dataId }) },
      { type: "del", key: pendingClearKey({ dataId: this.#controlDataId }) },
    ];
    for (const extent of former.extents) {
      operations.push(putClear({ dataId: extent.dataId }));
      operations.push(putClear({ dataId: extent.controlDataId }));
    }
    for (const slot of unclearedSlots) operations.push(putClear({ dataId, slot }));
    return operations;
  }

  #write(operations: readonly WriteOperation[], sync: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#writer.submit({ regionId: this.#target.regionId, operations, sync, onDone: resolve });
    });
  }
}

async function nextOf(reader: BulkReader): Promise<Buffer | undefined> {
  try {
    return await reader.read();
  } catch (error) {
    throw new Interrupted(error instanceof Error ? error.message : String(error));
  }
}

function putClear(clear: PendingClear): WriteOperation {
  return { type: "put", key: pendingClearKey(clear), value: encodePendingClear(clear) };
}

/** Its value. One that does not fit was broken on its way, or by its sender; nothing here is. */
function checked(key: Buffer, stored: Buffer): Buffer {
  try {
    return checkedValue(key, stored);
  } catch (error) {
    if (error instanceof DamagedError) throw new SnapshotError(error.message);
    throw error;
  }
}
