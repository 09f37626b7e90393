// The work behind Store.Server: boots region 0, reads or writes the region map there, starts a
// replica per region, wakes them until they lead, and takes the synced markers that let the log be
// cut. The chart around it is `server.ts`; placing regions is the Placement Driver's work.

import type { WriteOperation } from "../../storage/engine.ts";
import { DamagedError } from "../../storage/errors.ts";
import { spaceRange } from "../../storage/key-ranges.ts";
import { checkedValue, physicalKey, spaces } from "../../storage/keys.ts";
import {
  allocatorKey,
  decodeAllocator,
  decodeRegionMeta,
  type RegionMeta,
} from "../../storage/local-records.ts";
import type { Positions } from "../../storage/position.ts";
import type { ChildSpec } from "../system/children.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import { dataIdOfRegion, regionMetaOperation } from "./apply.ts";
import type { RegionDirectory } from "./directory.ts";
import { regionActor } from "./protocol.ts";
import { Region, type RegionPorts, type SendToReplica } from "./region.ts";
import {
  firstReplicaId,
  initialMap,
  mapEffects,
  mapPageKey,
  readMap,
  type MappedRegion,
  type RegionMap,
} from "./region-map.ts";
import { regionLogic } from "./region-actor.ts";
import { Sweeper } from "./sweeper.ts";

/** Raft time moves this often while some region has no leader. */
const tickMs = 100;
const housekeepingMs = 200;
/** A synced marker is taken when this much log has gathered, or this long after the last write. */
const markerBytes = 16 * 1024 * 1024;
const markerAfterMs = 60_000;

/** Region 0 holds metadata, which has no position. */
const everyPosition = { fromPosition: 0, toPosition: 0xffffffff };

/** What the server is given; `region` is what it hands on to every replica. */
export interface RegionServerPorts {
  readonly nodeId: string;
  readonly positions: Positions;
  readonly hashTags: boolean;
  readonly pureActors: boolean;
  readonly directory: RegionDirectory;
  readonly clock: Clock;
  readonly random: () => number;
  readonly region: Omit<RegionPorts, "engine" | "log" | "onServing" | "onGarbage">;
}

/** How the server reaches its neighbours in the tree. */
export interface Neighbours {
  readonly engine: RegionPorts["engine"];
  readonly log: RegionPorts["log"];
  startRegion(spec: ChildSpec): void;
  failed(error: unknown): void;
}

export class RegionServer {
  readonly #ports: RegionServerPorts;
  readonly #neighbours: Neighbours;
  readonly #regionPorts: RegionPorts;
  readonly #sweeper: Sweeper;
  readonly #regions = new Map<number, Region>();
  #whenServing: (() => void) | undefined;
  #tick: TimerId;
  #housekeeping: TimerId;
  #stopped = false;
  #markedBatches = 0;
  #markedAtMs = 0;
  #marking = false;
  /** Wall clock of the last synced marker, Unix seconds. */
  lastMarkerSeconds = 0;

  constructor(ports: RegionServerPorts, neighbours: Neighbours) {
    this.#ports = ports;
    this.#neighbours = neighbours;
    this.#sweeper = new Sweeper(
      ports.region.handles,
      (dataId, slot) => this.#slotCleared(dataId, slot),
      (error) => ports.region.onFatal(error),
    );
    this.#regionPorts = {
      ...ports.region,
      engine: neighbours.engine,
      log: neighbours.log,
      onServing: (region, serving) => this.#onServing(region, serving),
      onGarbage: () => this.#sweeper.wake(),
    };
  }

  /** Starts every region; resolves when all of them serve. */
  async start(): Promise<void> {
    const { engine, writer } = this.#ports.region.handles.opened();
    const [allocator] = await engine.getMany([allocatorKey()]);
    if (allocator !== undefined) {
      this.#ports.region.dataIds.restore(decodeAllocator(allocator).nextDataId);
    }
    const metas = await this.#localMetas();
    this.#refuseLostMetas(metas);
    if (!metas.has(0)) await this.#create([this.#newMeta(0, firstReplicaId, everyPosition)]);
    this.#startRegions([0]);
    await this.#allServe();
    const map = await this.#regionMap();
    const missing = map.regions.filter((region) => !metas.has(region.regionId));
    const local = missing.map((region) =>
      this.#newMeta(region.regionId, replicaHere(region), region),
    );
    if (local.length > 0) await this.#create(local);
    this.#ports.directory.setMap(
      map.regions.map((region) => ({ ...region, replicaId: replicaHere(region) })),
    );
    this.#startRegions(map.regions.map((region) => region.regionId));
    await this.#allServe();
    await writer.idle();
    this.#housekeep();
    this.#sweeper.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#ports.clock.clearTimeout(this.#tick);
    this.#ports.clock.clearTimeout(this.#housekeeping);
    this.#sweeper.stop();
  }

  /** A replica's meta record is durable before its first log record: a log without one is a loss. */
  #refuseLostMetas(metas: ReadonlyMap<number, RegionMeta>): void {
    for (const { regionId } of this.#ports.region.handles.opened().journal.recovered) {
      if (metas.has(regionId)) continue;
      const what = `the log holds region ${regionId}, of which the data knows nothing`;
      throw new DamagedError(what, "RocksDB against the journal");
    }
  }

  async #localMetas(): Promise<Map<number, RegionMeta>> {
    const { engine } = this.#ports.region.handles.opened();
    const metas = new Map<number, RegionMeta>();
    const iterator = engine.iterate(spaceRange(spaces.regionMeta));
    try {
      for (let page = await iterator.next(256); page.length > 0; page = await iterator.next(256)) {
        for (const { value } of page) {
          const meta = decodeRegionMeta(value);
          metas.set(meta.regionId, meta);
        }
      }
    } finally {
      await iterator.end();
    }
    return metas;
  }

  #newMeta(
    regionId: number,
    replicaId: number,
    range: { readonly fromPosition: number; readonly toPosition: number },
  ): RegionMeta {
    const { fromPosition, toPosition } = range;
    const dataId = this.#ports.region.dataIds.take();
    const controlDataId = this.#ports.region.dataIds.take();
    return {
      regionId,
      replicaId,
      extents: [{ fromPosition, toPosition, dataId, controlDataId }],
      epoch: { version: 1, confVersion: 1 },
      membership: { voters: [replicaId] },
    };
  }

  /** Writes new replicas' meta records in one synced batch. */
  #create(metas: readonly RegionMeta[]): Promise<void> {
    const { writer } = this.#ports.region.handles.opened();
    const operations: WriteOperation[] = metas.map((meta) => regionMetaOperation(meta));
    operations.push(this.#ports.region.dataIds.record());
    return new Promise((resolve) => {
      writer.submit({ regionId: 0, operations, sync: true, onDone: resolve });
    });
  }

  #slotCleared(dataId: number, slot: number): void {
    for (const region of this.#regions.values()) region.slotCleared(dataId, slot);
  }

  #startRegions(regionIds: readonly number[]): void {
    for (const regionId of regionIds) {
      this.#neighbours.startRegion({
        id: regionActor(regionId),
        systemId: regionActor(regionId),
        logic: regionLogic(this.#ports.pureActors),
        input: (send: SendToReplica) => this.#createRegion(regionId, send),
        shutdownMs: 5000,
      });
    }
    this.#wakeRegions();
  }

  #createRegion(regionId: number, send: SendToReplica): Region {
    const region = new Region(regionId, this.#regionPorts, send, (ended) =>
      this.#ports.directory.detach(ended),
    );
    this.#regions.set(regionId, region);
    this.#ports.directory.attach(region, { send });
    this.#wakeRegions();
    return region;
  }

  #onServing(_region: Region, serving: boolean): void {
    if (!serving) this.#wakeRegions();
    else if (this.#everyRegionServes()) this.#whenServing?.();
  }

  #everyRegionServes(): boolean {
    for (const region of this.#regions.values()) if (!region.serving) return false;
    return true;
  }

  #allServe(): Promise<void> {
    if (this.#everyRegionServes()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenServing = () => {
        this.#whenServing = undefined;
        resolve();
      };
    });
  }

  /** Ticks every replica that does not lead, until all do: an idle store has no Raft timer at all. */
  #wakeRegions(): void {
    if (this.#tick !== undefined || this.#stopped) return;
    this.#tick = this.#ports.clock.setTimeout(() => {
      this.#tick = undefined;
      try {
        this.#tickRegions();
      } catch (error) {
        this.#neighbours.failed(error);
      }
    }, 1);
  }

  #tickRegions(): void {
    const nowMs = this.#ports.clock.monotonicMs();
    let waiting = false;
    for (const region of this.#regions.values()) {
      if (region.serving || region.ended) continue;
      waiting = true;
      const electionTimeoutMs = 1500 + this.#ports.random() * 500;
      if (region.role !== "leader") region.tick({ type: "raft.tick", nowMs, electionTimeoutMs });
    }
    if (!waiting || this.#stopped) return;
    this.#tick = this.#ports.clock.setTimeout(() => {
      this.#tick = undefined;
      this.#wakeRegions();
    }, tickMs);
  }

  /** The map region 0 holds; a new store writes its first one. */
  async #regionMap(): Promise<RegionMap> {
    const { nodeId, positions, hashTags } = this.#ports;
    const found = await readMap((page) => this.#readPage(page));
    if (found !== undefined) return found;
    const map = initialMap(nodeId, positions.initialRegions(), hashTags);
    // One page a proposal keeps every entry small, whatever the number of regions; the header
    // comes last, so that a half-written map reads as none and is written again.
    for (const effect of mapEffects(map).toReversed()) {
      await new Promise<void>((resolve, reject) => {
        this.#regions.get(0)?.handle({
          type: "region.propose",
          effects: [effect],
          settle: (error) => (error === undefined ? resolve() : reject(new Error(error))),
        });
      });
    }
    return map;
  }

  async #readPage(page: number): Promise<Buffer | undefined> {
    const region = this.#regions.get(0);
    if (region === undefined) return undefined;
    const { engine } = this.#ports.region.handles.opened();
    const logical = mapPageKey(page);
    const dataId = dataIdOfRegion(region.applied.meta);
    const [stored] = await engine.getMany([physicalKey(logical, dataId)]);
    return stored === undefined ? undefined : checkedValue(logical, stored);
  }

  #housekeep(): void {
    if (this.#stopped) return;
    this.#housekeeping = this.#ports.clock.setTimeout(() => {
      try {
        this.#considerMarker();
        this.#housekeep();
      } catch (error) {
        this.#neighbours.failed(error);
      }
    }, housekeepingMs);
  }

  #considerMarker(): void {
    const { writer, journal } = this.#ports.region.handles.opened();
    const isDirty = writer.statistics.batches !== this.#markedBatches;
    const isLong = this.#ports.clock.monotonicMs() - this.#markedAtMs >= markerAfterMs;
    if (this.#marking || !isDirty) return;
    if (journal.liveBytes() < markerBytes && !isLong) return;
    this.#marking = true;
    writer.marker((applied) => {
      this.#marking = false;
      this.#markedBatches = writer.statistics.batches;
      this.#markedAtMs = this.#ports.clock.monotonicMs();
      this.lastMarkerSeconds = Math.floor(this.#ports.clock.wallMs() / 1000);
      for (const [regionId, { index, term }] of applied) journal.compact(regionId, index, term);
    });
  }
}

/** The replica of a region on this store: the only one, until regions have more voters. */
function replicaHere(region: MappedRegion): number {
  const voter = region.voters[0];
  if (voter === undefined) throw new Error(`region ${region.regionId} has no voters`);
  return voter.replicaId;
}
