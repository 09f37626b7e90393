// The store as the rest of the node sees it: one object that outlives restarts of the store's
// actors, with the directory the gateway routes by and the numbers that INFO and /metrics show.

import type { RegionLine } from "../../resp/server.ts";
import type { EngineOpener } from "../../storage/engine.ts";
import type { Positions } from "../../storage/position.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Heartbeats, NodeInfo, NodeListener, Nodes, NodeStatus } from "../cluster/protocol.ts";
import type { RegionFigures } from "../observe/counters.ts";
import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import type { Clock } from "../system/clock.ts";
import type { ScheduleTurn, Turn } from "../system/turn.ts";
import { RecordCache } from "./cache.ts";
import { DataIds } from "./data-ids.ts";
import { RegionDirectory, type DirectoryEntry } from "./directory.ts";
import type { EvaluatorCounters } from "./evaluator-host.ts";
import { StoreHandles } from "./handles.ts";
import { StoreLink } from "./link.ts";
import type { JournalOpener } from "./log.ts";
import type { Places } from "./protocol.ts";
import type { ReadMode } from "./protocol.ts";
import type { RegionServer } from "./region-server.ts";
import { storeSpec } from "./supervisor.ts";
import { TrustedClock } from "./trusted-clock.ts";
import { noGather, type ApplyGather } from "./writer.ts";

/** What a store needs of the nodes beside its own. */
export interface StoreNeighbours {
  readonly transport: Transport;
  readonly heartbeats: Heartbeats;
  readonly nodes: Nodes;
  readonly readMode: ReadMode;
  /** This node as the others hear of it. */
  readonly self: () => NodeInfo;
  /** The founders, once the cluster is formed: the replicas of the bootstrap are theirs. */
  readonly members: () => readonly string[];
  readonly replicas: () => number;
}

/** What a store is made of. */
export interface StoreOptions {
  readonly nodeId: string;
  readonly positions: Positions;
  readonly hashTags: boolean;
  readonly pureActors: boolean;
  readonly recordCacheBytes: number;
  /** How long committed entries may gather before they go to the engine; default not at all. */
  readonly applyGather?: ApplyGather;
  /** How long evaluators gather while commands are under way (`group-commit.ts`); default 0. */
  readonly waveMs?: number;
  readonly engine: EngineOpener;
  readonly journal: JournalOpener;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly random: () => number;
  readonly schedule: ScheduleTurn;
  /** Undefined on a node that is alone. */
  readonly neighbours?: StoreNeighbours;
  readonly supervision: Pick<SupervisorInput, "now" | "onExit" | "onRestart">;
  readonly log: { error(message: string, fields: Readonly<Record<string, unknown>>): void };
  readonly onFatal: (error: unknown) => void;
}

export class Store {
  readonly counters: EvaluatorCounters = {
    commands: 0,
    entries: 0,
    keyspaceHits: 0,
    keyspaceMisses: 0,
    expiredKeys: 0,
    fetches: 0,
  };
  readonly directory: RegionDirectory;
  readonly handles = new StoreHandles();
  readonly cache: RecordCache;
  /** The gateway's way from keys to regions. */
  readonly places: Places;
  /** Hears of other nodes' ups and downs; undefined on a node that is alone. */
  readonly link: (StoreLink & NodeListener) | undefined;
  /** The time that expiry goes by; undefined on a node that is alone, whose own clock is the only one. */
  readonly #trusted: TrustedClock | undefined;
  readonly #options: StoreOptions;
  #server: RegionServer | undefined;
  #activeExpire = true;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.cache = new RecordCache(options.recordCacheBytes);
    const directory = new RegionDirectory(options.nodeId);
    this.directory = directory;
    this.places = {
      positionOf: (key) => options.positions.positionOf(key),
      regionOf: (position) => directory.regionOf(position),
      byId: (regionId) => directory.byId(regionId),
      all: () => directory.all(),
      onChange: (listener) => directory.onChange(listener),
    };
    this.link = this.#createLink();
    const { neighbours } = options;
    if (neighbours === undefined) return;
    const { nodes, members } = neighbours;
    // Who has no replica has no say: its clock expires nothing.
    const voters = (): NodeStatus[] =>
      nodes.others().filter(({ info }) => members().includes(info.nodeId));
    this.#trusted = new TrustedClock(options.clock, voters, () => members().length <= 1);
  }

  #createLink(): StoreLink | undefined {
    const { neighbours, clock, turn, log } = this.#options;
    if (neighbours === undefined) return undefined;
    return new StoreLink({
      ...neighbours,
      directory: this.directory,
      clock,
      turn,
      onGarbled: (from, error) => log.error("a message cannot be read", { from, error }),
    });
  }

  /** The store's tree for the node's supervisor. */
  spec(): ChildSpec {
    const { turn, random, nodeId, positions, hashTags, pureActors } = this.#options;
    const clock = this.#trusted ?? this.#options.clock;
    const { handles, directory, cache, counters } = this;
    const { applyGather = noGather, waveMs = 0 } = this.#options;
    const onFatal = (error: Error): void => this.#options.onFatal(error);
    const region = {
      handles,
      cache,
      dataIds: new DataIds(1),
      positions,
      turn,
      clock,
      random,
      counters,
      link: this.link,
      onFatal,
      onBug: (error: unknown, command: string) =>
        this.#options.log.error("a command failed by a bug", { command, error }),
    };
    return storeSpec({
      engine: { opener: this.#options.engine, handles, turn, clock, applyGather, onFatal },
      log: { opener: this.#options.journal, handles, turn, clock, waveMs, onFatal },
      server: {
        nodeId,
        positions,
        hashTags,
        pureActors,
        directory,
        clock,
        random,
        schedule: this.#options.schedule,
        ...this.#bootstrap(),
        region,
        onServer: (server) => {
          this.#server = server;
        },
      },
      expiry: { handles, directory, clock, isActive: () => this.#activeExpire },
      pureActors,
      supervision: this.#options.supervision,
    });
  }

  /** Who has replicas, and who else there is. */
  #bootstrap() {
    const { neighbours, nodeId } = this.#options;
    if (neighbours === undefined) {
      return { members: () => [nodeId], replicas: () => 1, nodes: undefined };
    }
    const { nodes, members, replicas, self } = neighbours;
    const seen = (): NodeInfo[] => [self(), ...nodes.others().map(({ info }) => info)];
    const upSinceMs = (id: string): number | undefined => nodes.upSinceMs(id);
    const mayLead = (): boolean => {
      this.#trusted?.check();
      return this.#trusted?.isTrusted !== false;
    };
    const couldLead = (id: string): boolean => this.#trusted?.trusts(id) !== false;
    return { members, replicas, nodes: { seen, upSinceMs, mayLead, couldLead } };
  }

  /** Every region is served, here or on another node. */
  isServing(): boolean {
    const entries = this.directory.all();
    return entries.length > 0 && entries.every((entry) => this.#isServed(entry));
  }

  #isServed({ isLeader, region, leaderNode }: DirectoryEntry): boolean {
    return isLeader ? region?.serving === true : leaderNode !== undefined;
  }

  /** Gives the leaderships of this node away, before it stops. */
  async handOver(): Promise<void> {
    await this.#server?.handOver();
  }

  /** The stores region 0 has on record; empty while it has no replica here. */
  async registeredStores(): Promise<readonly NodeInfo[]> {
    return (await this.#server?.stores()) ?? [];
  }

  /** Writes are refused for lack of space. */
  isFull(): boolean {
    return this.handles.journal?.full === true;
  }

  /** Unix seconds of the last synced marker; 0 before the first. */
  lastMarkerSeconds(): number {
    return this.#server?.lastMarkerSeconds ?? 0;
  }

  setActiveExpire(on: boolean): void {
    this.#activeExpire = on;
  }

  /** For SPIRE.REGIONS. */
  regionLines(): RegionLine[] {
    return this.directory.all().map((entry) => ({
      region: entry.regionId,
      fromPosition: entry.fromPosition,
      toPosition: entry.toPosition,
      leader: entry.leaderNode ?? "",
      peers: [...entry.peers],
      epoch: entry.epoch,
      term: entry.term,
    }));
  }

  /** For /metrics. */
  regionFigures(): RegionFigures[] {
    return this.directory.all().map(({ regionId, region }) => ({
      regionId,
      role: region?.role ?? "down",
      term: region?.term ?? 0,
      commitIndex: region?.commitIndex ?? 0,
      appliedIndex: region?.appliedIndex ?? 0,
      pending: region?.evaluator.pending ?? 0,
      proposals: region?.proposals ?? 0,
    }));
  }
}
