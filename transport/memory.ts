// The transport inside one process: a hub that carries the same bytes between endpoints that NATS
// would, through the same codec, with a scheduler and a filter of its owner's so that a simulation
// decides when, whether and how often a message arrives. A stand-in for a server, not a queue: what
// nobody subscribes to is gone.

import type { Timers } from "./bulk.ts";
import { frameOverheadBytes } from "./codec.ts";
import { Endpoint } from "./endpoint.ts";
import type { OnProblem } from "./problem.ts";
import type { Transport } from "./transport.ts";
import type { Wire } from "./wire.ts";

/** A message between two nodes, for the filter. */
export interface InFlight {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly bytes: Buffer;
}

export interface MemoryHubOptions {
  /** Runs each arrival; `setImmediate` unless given. */
  readonly deliver?: (run: () => void) => void;
  /** Lets a message arrive as often and as late as it calls `arrive`; without it, once. */
  readonly filter?: (message: InFlight, arrive: () => void) => void;
  readonly timers?: Timers;
  readonly random?: () => number;
  readonly maxFrameBytes?: number;
}

export interface MemoryOptions {
  readonly cluster: string;
  readonly nodeId: string;
  /** Runs its argument at the end of the turn; `setImmediate` unless given. */
  readonly schedule?: (run: () => void) => void;
  readonly onProblem?: OnProblem;
  readonly streamWindowBytes?: number;
  readonly streamSilenceMs?: number;
  readonly outboundCapBytes?: number;
}

const defaultFrameBytes = 1024 * 1024;

const systemTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};

const atTurnsEnd = (run: () => void): void => {
  setImmediate(run);
};

/** The server of this process. Nodes come and go; a node id may be attached twice, as with NATS. */
export class MemoryHub {
  readonly #options: MemoryHubOptions;
  readonly #wires = new Set<MemoryWire>();

  constructor(options: MemoryHubOptions = {}) {
    this.#options = options;
  }

  open(options: MemoryOptions): Transport {
    return new Endpoint({
      cluster: options.cluster,
      nodeId: options.nodeId,
      messages: this.wire(options.nodeId),
      bulk: this.wire(options.nodeId),
      schedule: options.schedule ?? atTurnsEnd,
      timers: this.#options.timers ?? systemTimers,
      random: this.#options.random ?? Math.random,
      streams: {
        windowBytes: options.streamWindowBytes ?? 2 * this.maxFrameBytes,
        silenceMs: options.streamSilenceMs ?? 5_000,
      },
      outboundCapBytes: options.outboundCapBytes ?? Number.POSITIVE_INFINITY,
      onProblem: options.onProblem ?? (() => {}),
    });
  }

  /** A bare connection, for what an endpoint would not say. */
  wire(nodeId: string): Wire {
    const wire = new MemoryWire(this, nodeId);
    this.#wires.add(wire);
    return wire;
  }

  get maxFrameBytes(): number {
    const bytes = this.#options.maxFrameBytes ?? defaultFrameBytes;
    return Math.max(bytes, 640 * 1024 + frameOverheadBytes);
  }

  /** Cuts all connections of a node, or lets it back. */
  setConnected(nodeId: string, connected: boolean): void {
    for (const wire of this.#wires) if (wire.nodeId === nodeId) wire.setConnected(connected);
  }

  route(sender: MemoryWire, subject: string, bytes: Buffer): void {
    const { filter, deliver = atTurnsEnd } = this.#options;
    for (const wire of this.#wires) {
      if (wire === sender || !wire.hears(subject)) continue;
      const arrive = (): void => deliver(() => wire.arrived(subject, bytes));
      if (filter === undefined) arrive();
      else filter({ from: sender.nodeId, to: wire.nodeId, subject, bytes }, arrive);
    }
  }

  detach(wire: MemoryWire): void {
    this.#wires.delete(wire);
  }
}

class MemoryWire implements Wire {
  readonly nodeId: string;
  readonly pendingBytes = 0;
  readonly #hub: MemoryHub;
  readonly #subscriptions = new Map<string, (frame: Buffer) => void>();
  #listener: ((connected: boolean) => void) | undefined;
  #connected = true;
  #reconnects = 0;

  constructor(hub: MemoryHub, nodeId: string) {
    this.#hub = hub;
    this.nodeId = nodeId;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get maxFrameBytes(): number {
    return this.#hub.maxFrameBytes;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  publish(subject: string, frame: Buffer): boolean {
    if (!this.#connected) return false;
    this.#hub.route(this, subject, frame);
    return true;
  }

  subscribe(subject: string, receive: (frame: Buffer) => void): void {
    this.#subscriptions.set(subject, receive);
  }

  onConnection(listener: (connected: boolean) => void): void {
    this.#listener = listener;
  }

  close(): Promise<void> {
    this.#hub.detach(this);
    this.#connected = false;
    return Promise.resolve();
  }

  hears(subject: string): boolean {
    return this.#subscriptions.has(subject);
  }

  /** What was in flight when the connection broke is lost. */
  arrived(subject: string, frame: Buffer): void {
    if (this.#connected) this.#subscriptions.get(subject)?.(frame);
  }

  setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    if (connected) this.#reconnects++;
    this.#listener?.(connected);
  }
}
