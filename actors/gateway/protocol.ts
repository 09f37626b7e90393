// What the gateway asks of its neighbours and what its own actors say to each other: the ports to
// the store and the clock, the limits, and the events of listener and connections. It stands
// between `node`, which fills the ports, and the files of this room; nothing here has behaviour.

import type { RegionEvent, RegionRoute } from "../store/protocol.ts";
import type { RegionLine } from "../../resp/server.ts";

/** Where a region's mail goes; structurally an XState actor reference. */
export interface RegionRef {
  send(event: RegionEvent): void;
}

/** A region and the actor that serves it; `ref` is undefined while that actor is down. */
export interface Route extends RegionRoute {
  readonly ref: RegionRef | undefined;
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
