// The store as the rest of the node sees it: one object that outlives restarts of the store's
// actors, with the directory the gateway routes by and the numbers that INFO and /metrics show.

import type { RegionLine } from "../../resp/server.ts";
import type { EngineOpener } from "../../storage/engine.ts";
import type { Positions } from "../../storage/position.ts";
import type { RegionFigures } from "../observe/counters.ts";
import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn } from "../system/turn.ts";
import { RecordCache } from "./cache.ts";
import { DataIds } from "./data-ids.ts";
import { RegionDirectory, type DirectoryEntry } from "./directory.ts";
import type { EvaluatorCounters } from "./evaluator-host.ts";
import { StoreHandles } from "./handles.ts";
import type { JournalOpener } from "./log.ts";
import type { RegionServer } from "./region-server.ts";
import { storeSpec } from "./supervisor.ts";

/** What a store is made of. */
export interface StoreOptions {
  readonly nodeId: string;
  readonly positions: Positions;
  readonly hashTags: boolean;
  readonly pureActors: boolean;
  readonly recordCacheBytes: number;
  /** How long applied entries may gather before they go to the engine; default 0. */
  readonly applyDelayMs?: number;
  readonly engine: EngineOpener;
  readonly journal: JournalOpener;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly random: () => number;
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
  readonly directory = new RegionDirectory();
  readonly handles = new StoreHandles();
  readonly cache: RecordCache;
  /** The gateway's way from keys to regions. */
  readonly routes: {
    positionOf(key: Buffer): number;
    regionOf(position: number): DirectoryEntry | undefined;
    all(): readonly DirectoryEntry[];
  };
  readonly #options: StoreOptions;
  #server: RegionServer | undefined;
  #activeExpire = true;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.cache = new RecordCache(options.recordCacheBytes);
    this.routes = {
      positionOf: (key) => options.positions.positionOf(key),
      regionOf: (position) => this.directory.regionOf(position),
      all: () => this.directory.all(),
    };
  }

  /** The store's tree for the node's supervisor. */
  spec(): ChildSpec {
    const { clock, turn, random, nodeId, positions, hashTags, pureActors } = this.#options;
    const { handles, directory, cache, counters } = this;
    const { applyDelayMs = 0 } = this.#options;
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
      onFatal,
      onBug: (error: unknown, command: string) =>
        this.#options.log.error("a command failed by a bug", { command, error }),
    };
    return storeSpec({
      engine: { opener: this.#options.engine, handles, turn, clock, applyDelayMs, onFatal },
      log: { opener: this.#options.journal, handles, turn, onFatal },
      server: {
        nodeId,
        positions,
        hashTags,
        pureActors,
        directory,
        clock,
        random,
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

  /** Every region has a serving replica here. */
  isServing(): boolean {
    const entries = this.directory.all();
    return entries.length > 0 && entries.every((entry) => entry.region?.serving === true);
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
    const { nodeId } = this.#options;
    return this.directory.all().map(({ regionId, fromPosition, toPosition, epoch, region }) => ({
      region: regionId,
      fromPosition,
      toPosition,
      leader: region?.role === "leader" ? nodeId : "",
      peers: [nodeId],
      epoch,
      term: region?.term ?? 0,
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
