// A handful of nodes with nothing but their cluster rooms, on one virtual clock: a network that loses,
// doubles and delays as told, disks whose writes take time, and processes that die between any two
// events. The rooms are the real ones, in their real supervisor.

import { createActor, type AnyActorRef } from "xstate";
import { Cluster, type ClusterOptions } from "../../../actors/cluster/cluster.ts";
import type {
  Formation,
  HeartbeatNews,
  MembershipRecord,
  MembershipStore,
  NodeInfo,
} from "../../../actors/cluster/protocol.ts";
import { liveActors } from "../../../actors/system/registry.ts";
import type { Clock } from "../../../actors/system/clock.ts";
import { supervisor } from "../../../actors/system/supervisor.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Transport, TransportStatistics } from "../../../transport/transport.ts";
import { HeapClock } from "../../simulation/clock.ts";

/** A message on its way, for the network's owner. */
export interface Flight {
  readonly from: string;
  readonly to: string;
  readonly isAnnouncement: boolean;
  readonly body: Buffer;
}

/** Delays of the copies that arrive, ms; none = lost. */
export type Fate = (flight: Flight) => readonly number[];

type Handler = (from: string, body: Buffer) => void;

/** What of a node survives its process. */
export interface Disk {
  readonly nodeId: string;
  readonly incarnation: string;
  epoch: number;
  record: MembershipRecord;
  /** Every record that was ever durable, in order. */
  readonly history: MembershipRecord[];
}

export function emptyDisk(nodeId: string, incarnation: string): Disk {
  const record = { pledge: undefined, formed: undefined };
  return { nodeId, incarnation, epoch: 0, record, history: [] };
}

class Endpoint implements Transport {
  readonly maxBodyBytes = 1024 * 1024;
  readonly nodeId: string;
  readonly #world: World;
  readonly #process: Process;
  readonly handlers = new Map<string, Handler>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  connected = true;
  /** The cluster it was bound to. */
  bound: string | undefined;

  constructor(world: World, process: Process) {
    this.#world = world;
    this.#process = process;
    this.nodeId = process.disk.nodeId;
  }

  send(to: string, mailbox: string, body: Uint8Array): void {
    for (const other of this.#world.processes) {
      if (other.disk.nodeId === to) this.#carry(other, mailbox, Buffer.from(body));
    }
  }

  announce(body: Uint8Array): void {
    for (const other of this.#world.processes) {
      if (other !== this.#process) this.#carry(other, "announce", Buffer.from(body));
    }
  }

  bind(clusterId: string): void {
    this.bound = clusterId;
  }

  receive(mailbox: string, handler: Handler): void {
    this.handlers.set(mailbox, handler);
  }

  receiveAnnouncements(handler: Handler): void {
    this.handlers.set("announce", handler);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setConnected(connected: boolean): void {
    this.connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }

  openStream(): never {
    throw new Error("the cluster room opens no streams");
  }

  receiveStreams(): void {
    throw new Error("the cluster room receives no streams");
  }

  statistics(): TransportStatistics {
    throw new Error("nobody asks here");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #carry(to: Process, mailbox: string, body: Buffer): void {
    if (!this.#process.isAlive || !this.connected) return;
    const isAnnouncement = mailbox === "announce";
    const flight = { from: this.nodeId, to: to.disk.nodeId, isAnnouncement, body };
    this.#world.flights.push(flight);
    for (const delayMs of this.#world.fate(flight)) {
      this.#world.clock.setTimeout(() => {
        if (!to.isAlive || !to.endpoint.connected) return;
        to.endpoint.handlers.get(mailbox)?.(this.nodeId, body);
      }, delayMs);
    }
  }
}

/** What a node's listener heard, for example "b up 1". */
export type Notes = string[];

/** A running process of a node. */
export class Process {
  readonly disk: Disk;
  readonly endpoint: Endpoint;
  readonly cluster: Cluster;
  readonly root: AnyActorRef;
  readonly notes: Notes = [];
  readonly lines: string[] = [];
  readonly news: { readonly from: NodeInfo; readonly news: HeartbeatNews }[] = [];
  readonly fatal: unknown[] = [];
  refusal: string | undefined;
  isAlive = true;
  /** The process stands still: no timer of it fires until then. */
  stalledUntilMs = 0;

  constructor(world: World, disk: Disk, formation: Formation, extra: Partial<ClusterOptions>) {
    this.disk = disk;
    disk.epoch++;
    this.endpoint = new Endpoint(world, this);
    const clock = this.#clock(world.clock);
    const note = (line: string) => (_: unknown, fields?: unknown) =>
      this.lines.push(`${line} ${String(_)} ${JSON.stringify(fields ?? {})}`);
    const supervision = { now: () => clock.monotonicMs() };
    this.cluster = new Cluster({
      nodeId: disk.nodeId,
      incarnation: disk.incarnation,
      epoch: disk.epoch,
      formation,
      bootstrap: { regionCount: 16, hashTags: true, replicas: 3 },
      membership: this.#membership(world, disk),
      transport: this.endpoint,
      clock,
      random: world.random,
      turn: new Turn(
        (run) => void clock.setTimeout(run, 0),
        (error) => this.fatal.push(error),
      ),
      log: { info: note("info"), warning: note("warning"), error: note("error") },
      supervision,
      onFatal: (error) => this.fatal.push(error),
      ...extra,
    });
    this.cluster.listen({
      nodeUp: ({ nodeId, epoch }) => this.notes.push(`${nodeId} up ${epoch}`),
      nodeDown: ({ nodeId, epoch }) => this.notes.push(`${nodeId} down ${epoch}`),
      nodeRestarted: ({ nodeId, epoch }) => this.notes.push(`${nodeId} restarted ${epoch}`),
    });
    this.cluster.whenFormed().catch((error: Error) => {
      this.refusal = error.message;
      this.isAlive = false;
    });
    const input = { ...supervision, children: [this.cluster.spec()] };
    this.root = createActor(supervisor, { input, clock, id: "node" });
    this.root.start();
  }

  /** Puts something into each heartbeat and keeps what comes. */
  carryCargo(): void {
    this.cluster.heartbeats.carry({
      cargoFor: (nodeId) => Buffer.from(`for ${nodeId}`),
      received: (from, news) => this.news.push({ from, news }),
    });
  }

  /** Ends without a word. What is being written may or may not be on disk. */
  crash(): void {
    this.isAlive = false;
  }

  state(id: string): unknown {
    return liveActors(this.root).find(({ ref }) => ref.id === id)?.state;
  }

  #membership(world: World, disk: Disk): MembershipStore {
    return {
      read: () => disk.record,
      write: (record) =>
        new Promise((resolve) => {
          const { durableMs, toldMs } = world.writes();
          world.clock.setTimeout(() => {
            if (!this.isAlive) return;
            disk.record = record;
            disk.history.push(record);
          }, durableMs);
          world.clock.setTimeout(() => {
            if (this.isAlive) resolve();
          }, durableMs + toldMs);
        }),
    };
  }

  /** The process's own clock: silent after its death, late while it stands still. */
  #clock(base: HeapClock): Clock {
    const later = (callback: () => void, delayMs: number): number =>
      base.setTimeout(() => {
        if (!this.isAlive) return;
        const stallMs = this.stalledUntilMs - base.monotonicMs();
        if (stallMs > 0) later(callback, stallMs);
        else callback();
      }, delayMs);
    return {
      monotonicMs: () => base.monotonicMs(),
      wallMs: () => base.wallMs(),
      setTimeout: later,
      clearTimeout: (id) => base.clearTimeout(id),
    };
  }
}

export class World {
  readonly clock = new HeapClock(1000);
  readonly flights: Flight[] = [];
  fate: Fate = () => [1];
  /** How long a membership write takes until it is durable, and until the process hears so, ms. */
  writes = (): { durableMs: number; toldMs: number } => ({ durableMs: 3, toldMs: 1 });
  readonly random: () => number;
  #processes: Process[] = [];

  constructor(seed = 1) {
    this.random = dice(seed);
  }

  get processes(): readonly Process[] {
    this.#processes = this.#processes.filter(({ isAlive }) => isAlive);
    return this.#processes;
  }

  start(disk: Disk, formation: Formation, extra: Partial<ClusterOptions> = {}): Process {
    const process = new Process(this, disk, formation, extra);
    this.#processes.push(process);
    return process;
  }

  /** Lets time pass; promises settle on the way. */
  async pass(ms: number, stepMs = 5): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    while (this.clock.monotonicMs() < endMs) {
      this.clock.runUntil(Math.min(endMs, this.clock.monotonicMs() + stepMs));
      await settled();
    }
  }
}

/** Past every microtask that is ready. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A seeded stream of numbers in [0, 1) (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
