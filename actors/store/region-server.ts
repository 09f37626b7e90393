// The work behind Store.Server: knows which replicas belong on this store, creates what is missing,
// starts an actor for each, and ties raft time, markers, leadership and region 0's records to them.
// The chart around it is `server.ts`; placing regions is the Placement Driver's work.

import type { WriteOperation } from "../../storage/engine.ts";
import { DamagedError } from "../../storage/errors.ts";
import { spaceRange } from "../../storage/key-ranges.ts";
import { spaces } from "../../storage/keys.ts";
import {
  allocatorKey,
  decodeAllocator,
  decodeRegionMeta,
  type RegionMeta,
} from "../../storage/local-records.ts";
import type { Positions } from "../../storage/position.ts";
import type { NodeInfo } from "../cluster/protocol.ts";
import type { ChildSpec } from "../system/children.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import type { ScheduleTurn } from "../system/turn.ts";
import { regionMetaOperation } from "./apply.ts";
import type { DirectoryRegion, RegionDirectory } from "./directory.ts";
import { Leadership, type PeerNodes } from "./leadership.ts";
import { Markers } from "./markers.ts";
import { PlacementRecords } from "./placement-records.ts";
import { regionActor } from "./protocol.ts";
import { RaftTime } from "./raft-time.ts";
import { Region } from "./region.ts";
import type { RegionPorts, SendToReplica } from "./region-ports.ts";
import { regionLogic } from "./region-actor.ts";
import { initialMap, type MappedRegion, type RegionMap } from "./region-map.ts";
import { Sweeper } from "./sweeper.ts";

/** How often region 0's leader looks whether the record of stores is still true. */
const registerMs = 1000;

/** What the server knows of the nodes of a cluster. */
export interface ServerNodes extends PeerNodes {
  /** Every node seen since the start, this one among them. */
  seen(): readonly NodeInfo[];
}

/** What the server is given; `region` is what it hands on to every replica. */
export interface RegionServerPorts {
  readonly nodeId: string;
  readonly positions: Positions;
  readonly hashTags: boolean;
  readonly pureActors: boolean;
  readonly directory: RegionDirectory;
  readonly clock: Clock;
  readonly random: () => number;
  /** Runs it after the next poll for input: what waits in the sockets is heard first. */
  readonly schedule: ScheduleTurn;
  /** The nodes of the bootstrap; this one among them, unless it joined later. */
  readonly members: () => readonly string[];
  /** Voters of each region at bootstrap. */
  readonly replicas: () => number;
  /** Undefined on a node that is alone. */
  readonly nodes: ServerNodes | undefined;
  readonly region: Omit<RegionPorts, "engine" | "log" | "onServing" | "onRole" | "onGarbage">;
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
  readonly #time: RaftTime;
  readonly #markers: Markers;
  readonly #leadership: Leadership | undefined;
  readonly #records: PlacementRecords;
  readonly #regions = new Map<number, Region>();
  #map: RegionMap | undefined;
  #whenSettled: (() => void) | undefined;
  #registering: TimerId;
  #stopped = false;

  constructor(ports: RegionServerPorts, neighbours: Neighbours) {
    this.#ports = ports;
    this.#neighbours = neighbours;
    const { handles } = ports.region;
    const replica = (regionId: number): Region | undefined => this.#regions.get(regionId);
    const failed = (error: unknown): void => neighbours.failed(error);
    this.#sweeper = new Sweeper(
      handles,
      (dataId, slot) => this.#slotCleared(dataId, slot),
      (error) => ports.region.onFatal(error),
    );
    this.#time = new RaftTime({
      ...ports,
      isAlone: ports.nodes === undefined,
      mayLead: () => ports.nodes?.mayLead() !== false,
      regions: () => this.#regions.values(),
      failed,
    });
    this.#markers = new Markers({ handles, clock: ports.clock, replica, failed });
    this.#records = new PlacementRecords({ handles, metadata: () => replica(0) });
    if (ports.nodes !== undefined) {
      const mapped = (): MappedRegion[] => this.#mapped();
      this.#leadership = new Leadership({ ...ports, nodes: ports.nodes, mapped, replica });
    }
    this.#regionPorts = {
      ...ports.region,
      engine: neighbours.engine,
      log: neighbours.log,
      onServing: (region, serving) => this.#onServing(region, serving),
      onRole: (region) => this.#onRole(region),
      onGarbage: () => this.#sweeper.wake(),
    };
  }

  /** Wall clock of the last synced marker, Unix seconds. */
  get lastMarkerSeconds(): number {
    return this.#markers.lastSeconds;
  }

  /** The stores of the cluster as region 0 records them; empty where it has no replica. */
  stores(): Promise<NodeInfo[]> {
    return this.#records.stores();
  }

  /**
   * Starts every replica of this store. Alone: resolves when all of them serve. Among others: when all
   * are open, because whether they find a majority is not this node's to say.
   */
  async start(): Promise<void> {
    const { engine, writer } = this.#ports.region.handles.opened();
    const [allocator] = await engine.getMany([allocatorKey()]);
    if (allocator !== undefined) {
      this.#ports.region.dataIds.restore(decodeAllocator(allocator).nextDataId);
    }
    const metas = await this.#localMetas();
    this.#refuseLostMetas(metas);
    this.#map = this.#initialMap();
    const here = this.#mapped().filter((region) => this.#replicaOf(region) !== 0);
    const missing = here.filter((region) => !metas.has(region.regionId));
    if (missing.length > 0) await this.#create(missing.map((region) => this.#newMeta(region)));
    const { metadata, regions } = this.#map;
    const placed = (region: MappedRegion): DirectoryRegion => ({
      ...region,
      replicaId: this.#replicaOf(region),
      peers: region.voters.map((voter) => voter.nodeId),
    });
    this.#ports.directory.setMap(placed(metadata), regions.map(placed));
    this.#startRegions(here.map((region) => region.regionId));
    await this.#allSettled();
    await writer.written();
    this.#markers.start();
    this.#sweeper.wake();
    this.#leadership?.start();
    this.#registerStores();
  }

  /** Gives every leadership away that somebody live can take. */
  async handOver(): Promise<void> {
    await this.#leadership?.handOver();
  }

  stop(): void {
    this.#stopped = true;
    this.#time.stop();
    this.#markers.stop();
    this.#leadership?.stop();
    this.#sweeper.stop();
    this.#ports.clock.clearTimeout(this.#registering);
  }

  #mapped(): MappedRegion[] {
    return this.#map === undefined ? [] : [this.#map.metadata, ...this.#map.regions];
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

  #initialMap(): RegionMap {
    const { members, positions, hashTags, replicas } = this.#ports;
    return initialMap(members(), positions.initialRegions(), hashTags, replicas());
  }

  /** The replica of a region on this node; 0 = none. */
  #replicaOf(region: MappedRegion): number {
    const { nodeId } = this.#ports;
    return region.voters.find((voter) => voter.nodeId === nodeId)?.replicaId ?? 0;
  }

  #newMeta(region: MappedRegion): RegionMeta {
    const { regionId, fromPosition, toPosition, voters } = region;
    const dataId = this.#ports.region.dataIds.take();
    const controlDataId = this.#ports.region.dataIds.take();
    return {
      regionId,
      replicaId: this.#replicaOf(region),
      extents: [{ fromPosition, toPosition, dataId, controlDataId }],
      epoch: { version: 1, confVersion: 1 },
      membership: { voters: voters.map((voter) => voter.replicaId), learners: [] },
      membershipIndex: 0,
      peers: voters,
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
    this.#time.wake();
  }

  #createRegion(regionId: number, send: SendToReplica): Region {
    const region = new Region(regionId, this.#regionPorts, send, (ended) =>
      this.#ports.directory.detach(ended),
    );
    this.#regions.set(regionId, region);
    this.#ports.directory.attach(region, { send });
    this.#time.wake();
    return region;
  }

  #onServing(region: Region, serving: boolean): void {
    if (!serving) this.#time.wake();
    else if (region.regionId === 0) this.#publishMap();
    this.#onRole(region);
  }

  #onRole(region: Region): void {
    this.#ports.directory.noteRole(region);
    if (this.#isSettled()) this.#whenSettled?.();
  }

  #isSettled(): boolean {
    const isAlone = this.#ports.nodes === undefined;
    for (const region of this.#regions.values()) {
      if (isAlone ? !region.serving : region.raft === undefined) return false;
    }
    return true;
  }

  #allSettled(): Promise<void> {
    if (this.#isSettled()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled = () => {
        this.#whenSettled = undefined;
        resolve();
      };
    });
  }

  #publishMap(): void {
    if (this.#map === undefined) return;
    this.#orFail(this.#records.publishMap(this.#map));
  }

  /** Now and then, on the node that leads region 0. */
  #registerStores(): void {
    const { nodes, clock } = this.#ports;
    if (nodes === undefined || this.#stopped) return;
    this.#registering = clock.setTimeout(() => {
      if (this.#regions.get(0)?.serving === true) {
        this.#orFail(this.#records.register(nodes.seen()));
      }
      this.#registerStores();
    }, registerMs);
  }

  #orFail(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#stopped) this.#neighbours.failed(error);
    });
  }
}
