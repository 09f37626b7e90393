// What the gateway asks of its neighbours and what its own actors say to each other: the ports to
// the store and the clock, the limits, and the events of listener and connections. It stands
// between `node`, which fills the ports, and the files of this room; nothing here has behaviour.

import type { ErrorReply, Reply } from "../../resp/reply.ts";
import type { ClusterNode, RegionLine } from "../../resp/server.ts";
import type { Transport } from "../../transport/transport.ts";
import type { RegionRequest, RegionRoute, RegionWalk } from "../store/protocol.ts";

/** Which keys a walk keeps: data, so that it can travel. */
export interface KeyFilter {
  /** A glob. */
  readonly pattern: Buffer | undefined;
  /** Lower case. */
  readonly type: string | undefined;
}

/** What the gateway sends to a region. */
export type Errand = (RegionRequest | (RegionWalk & { readonly filter: KeyFilter })) & Journey;

/** What makes a request one that can be refused and then goes another way, in its order. */
export interface Journey {
  /** Hears a refusal in place of the client; undefined = a refusal is the answer. Set by the route. */
  route: ErrandRoute | undefined;
  /** Its place among all that its route was given; it keeps it however often it is sent. */
  ticket: number;
  /** Monotonic ms. */
  readonly arrivedAtMs: number;
  /** What it counts for while it is on its way; as a message it takes hardly more. */
  readonly bytes: number;
  /** How often it was on its way to a node that did not answer. */
  losses: number;
  /** Whether it may change data. */
  readonly isWrite: boolean;
  /** Answers for good, whatever it is. A walk's answer is `[next or null, keys]`. */
  finish(reply: Reply): void;
  /**
   * The highest ticket among what its session has sent by this route and that was, or may have been,
   * executed; 0 = none. Infinity when nobody can tell any more.
   */
  lastExecuted(route: ErrandRoute): number;
}

/** The way to one region, as far as an errand knows it. */
export interface ErrandRoute {
  readonly regionId: number;
  /** It has certainly not been executed: the route decides how it goes on. */
  takeBack(errand: Errand, refusal: ErrorReply): void;
}

/** Where a region's mail goes. */
export interface RegionRef {
  send(errand: Errand): void;
}

/** A region and the way to it; `ref` is undefined while there is none. */
export interface Route extends RegionRoute {
  readonly ref: RegionRef | undefined;
}

/** What a node of several gives its gateway so that it reaches the leaders on the others. */
export interface ForwardingOptions {
  readonly transport: Transport;
  /** Of this process (`NodeInfo.epoch`): no two processes of a node share one. */
  readonly epoch: number;
  /** Answers that a node may leave uncollected before its commands have to wait; 64 MiB when absent. */
  readonly keptBytesMax?: number;
  /** A body that cannot be read. */
  readonly onGarbled: (from: string, error: unknown) => void;
}

/** The way from a key to its region. Called for every command: both look-ups must be cheap. */
export interface Routes {
  /** Position (u32) of a key; pure, fixed at bootstrap. */
  positionOf(key: Buffer): number;
  /** The region that owns a position; undefined while the store does not run. */
  regionOf(position: number): Route | undefined;
  /** Every region in order of position, covering all of 0..2^32-1; empty while the store does not run. */
  all(): readonly Route[];
}

/** Counters only the store knows; all since the process started. */
export interface StoreCounters {
  readonly keyspaceHits: number;
  readonly keyspaceMisses: number;
  readonly expiredKeys: number;
}

/** What the node tells session commands about its store. */
export interface StoreView {
  counters(): StoreCounters;
  regions(): readonly RegionLine[];
  /** Every node of the cluster, this one first. */
  nodes(): readonly ClusterNode[];
  /** Unix seconds of the last synced marker. */
  lastSaveSeconds(): number;
  /** DEBUG SET-ACTIVE-EXPIRE. */
  setActiveExpire(on: boolean): void;
  /** SHUTDOWN: starts the drain of the node. */
  shutdown(): void;
}

/** The time as the gateway needs it. */
export interface GatewayClock {
  /** Wall clock, Unix ms; may carry a fraction. */
  wallMs(): number;
  /** Never runs backwards, ms with a fraction. */
  monotonicMs(): number;
  /** Runs once after `delayMs`; the returned function cancels. */
  later(delayMs: number, run: () => void): () => void;
}

/** Where the listener binds, and how long a drain may take. */
export interface ListenOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/** Bounds that are not CONFIG parameters. Sizes in bytes. */
export interface GatewayLimits {
  /** Commands of one connection handled in one turn; the rest waits for the next turn. */
  readonly commandsPerTurnMax: number;
  /** Commands of one connection without a written reply; above it the socket is not read. */
  readonly commandsInFlightMax: number;
  /** Bytes of arguments of such commands. */
  readonly bytesInFlightMax: number;
  /** Replies waiting in the socket above which no more are encoded and no command is taken. */
  readonly outputSoftBytes: number;
  /** Replies held for a reader that does not read above which it is closed. */
  readonly outputHardBytes: number;
  /** Keys one SCAN or KEYS step examines in one region before others get a turn. */
  readonly walkKeysPerStepMax: number;
}

export const defaultLimits: GatewayLimits = {
  commandsPerTurnMax: 512,
  commandsInFlightMax: 1024,
  bytesInFlightMax: 64 * 1024 * 1024,
  outputSoftBytes: 4 * 1024 * 1024,
  outputHardBytes: 256 * 1024 * 1024,
  walkKeysPerStepMax: 10_000,
};

/** What the listener hears. */
export type ListenerEvent =
  | { readonly type: "listener.bound"; readonly host: string; readonly port: number }
  | { readonly type: "listener.refused"; readonly error: Error }
  /** From the supervisor: stop accepting, let replies go out, end. */
  | { readonly type: "shutdown" }
  | { readonly type: "listener.drained" };

/** What a connection actor hears; bytes and replies go around the mailbox. */
export type ConnectionEvent =
  | { readonly type: "connection.closed" }
  | { readonly type: "connection.failed"; readonly error: unknown }
  | { readonly type: "connection.kill" }
  | { readonly type: "shutdown" };
