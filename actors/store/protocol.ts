// What the store's actors say to each other and to the gateway: the request that carries one
// command through a region and comes back as a reply, and the events of engine, log and regions.

import type { Fetch } from "./fetch.ts";
import type { WalkResult, WalkRun } from "./walk.ts";
import type { RegionCommand } from "../../resp/command.ts";
import { ErrorReply, type Reply } from "../../resp/reply.ts";
import type { Effect } from "../../storage/keyspace/effects.ts";

/**
 * One command for one region. The request itself is the event and the reply slot: no promise and
 * no closure per command. A region answers exactly once by `request.settle(reply)`.
 */
export interface RegionRequest {
  readonly type: "region.request";
  readonly command: RegionCommand;
  /** args[0] is the command's name. Buffers may be views of a socket chunk. */
  readonly args: readonly Buffer[];
  /** Positions in `args` of its keys, all owned by this region at `epoch`. */
  readonly keyPositions: readonly number[];
  readonly db: number;
  /** Requests of one session and region are evaluated in order of arrival. */
  readonly sessionId: number;
  /** Answers; a second call is a bug and throws. Never called inside `send`'s caller turn after a throw. */
  settle(reply: Reply): void;
}

/** A step of a walk over the keys of one region (SCAN, KEYS, RANDOMKEY). */
export interface RegionWalk {
  readonly type: "region.walk";
  readonly db: number;
  /** A walk runs behind every earlier request of its session. */
  readonly sessionId: number;
  /** Start at this 48-bit cursor (position * 65536 + bucket), inside the region's range or below it. */
  readonly cursor: number;
  /** Stop after about this many keys examined; a bucket is never cut. Infinity = whole region. */
  readonly count: number;
  /** Keys the caller keeps: by glob and type. */
  readonly accepts: (key: Buffer, type: string) => boolean;
  /** `next` = cursor to go on from, undefined when the region is done. `error` when it did not happen. */
  settle(result: { keys: Buffer[]; next: number | undefined } | { error: string }): void;
}

/** Removes keys whose time is over (active expiry). What is not due any more is left alone. */
export interface RegionExpire {
  readonly type: "region.expire";
  /** What the index of expiries names, oldest first. */
  readonly due: ReadonlyArray<{ readonly slot: number; readonly key: Buffer }>;
  /** The removals are committed; with an error they are not, and the index still names the keys. */
  settle(error?: string): void;
}

/** Effects that do not come from a command: the region map of region 0. */
export interface RegionPropose {
  readonly type: "region.propose";
  readonly effects: readonly Effect[];
  /** `error` when they are not, or not certainly, committed. */
  settle(error?: string): void;
}

/** FLUSHALL, FLUSHDB and DBSIZE of one region are ordinary requests without keys. */
export type RegionEvent = RegionRequest | RegionWalk | RegionExpire | RegionPropose;

/** What a region sends itself when the engine has answered. */
export interface RegionFetched {
  readonly type: "region.fetched";
  /** The slice asked for, and its values in the same order. */
  readonly fetch: Fetch;
  readonly values: ReadonlyArray<Buffer | undefined>;
}

/** What a region sends itself when its work at the end of a turn threw: the actor fails of it. */
export interface RegionFailed {
  readonly type: "region.failed";
  readonly error: unknown;
}

/** What a region sends itself when a walk's iterator has ended. */
export interface RegionWalked {
  readonly type: "region.walked";
  readonly run: WalkRun;
  readonly found: WalkResult;
}

/** How far a read at the leader must be sure that it still is one (design decision 12). */
export type ReadMode =
  /** A lease, or a round of heartbeats when it has run out. */
  | "lease"
  /** Always a round of heartbeats. */
  | "quorum"
  /** Nothing: a deposed leader may answer with what was true a moment ago. */
  | "stale";

/** What the gateway needs of a region to route to it. */
export interface RegionRoute {
  readonly regionId: number;
  /** Range of positions, both inclusive. */
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly epoch: number;
}

/** A region as the store knows it at this moment; the object stays the same as long as the map does. */
export interface RegionPlace extends RegionRoute {
  /** The actor of the replica here; undefined while there is none or it is down. */
  readonly ref: { send(event: RegionEvent): void } | undefined;
  /** The replica here leads: it takes commands, and keeps them until it may serve. */
  readonly isLeader: boolean;
  /** The node that leads as far as known here, this one included; undefined = nobody is known to. */
  readonly leaderNode: string | undefined;
  /** The term it leads in; 0 when unknown. */
  readonly term: number;
  /** Nodes with a replica, the preferred leader first. */
  readonly peers: readonly string[];
  /** Terms up to this one may have been led here by an earlier process of this node; later ones not. */
  readonly recoveredTerm: number;
}

/** Every region and who serves it: the gateway's map. */
export interface Places {
  /** Position (u32) of a key; pure, fixed at bootstrap. */
  positionOf(key: Buffer): number;
  /** The region that owns a position; undefined while the store does not run. */
  regionOf(position: number): RegionPlace | undefined;
  byId(regionId: number): RegionPlace | undefined;
  /** In order of position, covering all of 0..2^32-1; empty while the store does not run. */
  all(): readonly RegionPlace[];
  /** One listener hears, inside the step that changes it, of another leader, term or actor of a region. */
  onChange(listener: (place: RegionPlace) => void): void;
}

/**
 * Reply texts of the outside contract (design section 6, Errors). What a region answers with
 * `CLUSTERDOWN` has certainly not been executed: whoever routes may try another replica.
 */
export const storeRestarting = "CLUSTERDOWN store restarting";
/** The leader's own refusal of a write: another replica, or the same a little later, says no other. */
export const diskFull = "CLUSTERDOWN the disk is full, writes are refused";
export const notLeader = "CLUSTERDOWN the region's leader is another node";
export const unknownOutcome = (reason: string): string => `UNKNOWN outcome: ${reason}`;

/** Names by which the store's actors find each other in the actor system. */
export const storeActors = {
  store: "store",
  engine: "store.engine",
  log: "store.log",
  replicas: "store.replicas",
  regions: "store.regions",
  server: "store.server",
  expiry: "store.expiry",
} as const;

/** The actor a region's replica lives in. */
export const regionActor = (regionId: number): string => `region.${regionId}`;

/** Answers an event with an error: it has certainly not been executed. */
export function refuse(event: RegionEvent, message: string): void {
  if (event.type === "region.request") event.settle(new ErrorReply(message));
  else if (event.type === "region.walk") event.settle({ error: message });
  else event.settle(message);
}
