// What a region's files are given and what its actor handles: the store's parts, the ways to its
// neighbours, and the events. It has no behaviour; `region.ts` puts it to use.

import type { Positions } from "../../storage/position.ts";
import type { RaftEvent } from "../raft/protocol.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn } from "../system/turn.ts";
import type { RecordCache } from "./cache.ts";
import type { DataIds } from "./data-ids.ts";
import type { EngineEvent } from "./engine.ts";
import type { EvaluatorCounters } from "./evaluator-host.ts";
import type { StoreHandles } from "./handles.ts";
import type { LogEvent } from "./log.ts";
import type { RegionEvent, RegionFailed, RegionFetched, RegionWalked } from "./protocol.ts";
import type { Region } from "./region.ts";
import type { RegionLink } from "./region-link.ts";

/** What every region of a store is given. */
export interface RegionPorts {
  readonly handles: StoreHandles;
  /** The engine and log actors, looked up when the replica starts. */
  readonly engine: { send(event: EngineEvent): void };
  readonly log: { send(event: LogEvent): void };
  readonly cache: RecordCache;
  readonly dataIds: DataIds;
  readonly positions: Positions;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly random: () => number;
  readonly counters: EvaluatorCounters;
  /** The way to replicas on other nodes; undefined on a node that is alone. */
  readonly link: RegionLink | undefined;
  /** The replica has become able, or stopped being able, to serve commands. */
  readonly onServing: (region: Region, serving: boolean) => void;
  /** Its role, term or known leader changed. */
  readonly onRole: (region: Region) => void;
  /** A flush or drop left something for the sweeper. */
  readonly onGarbage: () => void;
  /** Damage or a broken disk: the process must end. */
  readonly onFatal: (error: Error) => void;
  /** A command threw: a bug to report; the client has its answer. */
  readonly onBug: (error: unknown, command: string) => void;
}

/** Everything a region's actor handles. */
export type ReplicaEvent = RaftEvent | RegionEvent | RegionFetched | RegionWalked | RegionFailed;

/** Reaches a replica's own actor. */
export type SendToReplica = (event: ReplicaEvent) => void;

/** True for what a region's host handles itself; the rest is the chart's. */
export const isReplicaEvent = (event: { readonly type: string }): event is ReplicaEvent =>
  event.type.startsWith("region.") || event.type.startsWith("raft.");
