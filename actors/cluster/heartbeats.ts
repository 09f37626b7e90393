// The heartbeats between this node and every other one (`safety.md` 15, 16): when they leave, what
// they acknowledge, and which of those that come are believed. It stands between the transport,
// which loses, doubles and reorders, and the store, whose cargo they carry and never understand.

import type { Transport } from "../../transport/transport.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import type { Liveness } from "./liveness.ts";
import { heartbeatMs, type HeartbeatCargo, type Heartbeats } from "./protocol.ts";
import type { Member, NodeInfo } from "./protocol.ts";
import type { Roster } from "./roster.ts";
import { encodeGoodbye, encodeHeartbeat, type Goodbye, type Heartbeat } from "./wire.ts";

/** What the exchange is given. */
export interface HeartbeatPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly roster: Roster;
  readonly liveness: Liveness;
  readonly self: () => NodeInfo;
  /** Random number of this process (`Introduction.process`). */
  readonly process: number;
  /** Undefined until the cluster is formed. */
  readonly clusterId: () => string | undefined;
  /** A node of this cluster whose id belongs to another disk. */
  readonly onStranger: (member: Member) => void;
  /** A node of another cluster of this name. */
  readonly onForeign: (nodeId: string, clusterId: string) => void;
}

/** The newest heartbeat received of a node. */
interface Received {
  readonly epoch: number;
  readonly process: number;
  readonly round: number;
  readonly sentAtMs: number;
}

const nothingReceived: Received = { epoch: 0, process: 0, round: 0, sentAtMs: 0 };
const noCargo = Buffer.alloc(0);

export class HeartbeatExchange implements Heartbeats, TurnTask {
  /** Counters since the start. */
  readonly counters = { sent: 0, received: 0, dropped: 0 };
  readonly #ports: HeartbeatPorts;
  readonly #received = new Map<string, Received>();
  /** Who gets one at the end of this turn, and whether it is to be answered. */
  readonly #pending = new Map<string, boolean>();
  #isDeferred = false;
  #cargo: HeartbeatCargo | undefined;
  #round = 0;
  #timer: TimerId;
  #isRunning = false;

  constructor(ports: HeartbeatPorts) {
    this.#ports = ports;
  }

  /** The first heartbeats want an answer: whoever is there is known within a round trip. */
  start(): void {
    this.#isRunning = true;
    this.poke(this.#others());
    this.#rest();
  }

  stop(): void {
    this.#isRunning = false;
    this.#pending.clear();
    if (this.#timer !== undefined) this.#ports.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  carry(cargo: HeartbeatCargo): void {
    this.#cargo = cargo;
  }

  nextRound(): number {
    return this.#round + 1;
  }

  poke(nodeIds: readonly string[]): void {
    for (const nodeId of nodeIds) this.#enqueue(nodeId, true);
  }

  /** To everybody: what this node now says of itself is new. */
  spread(): void {
    for (const nodeId of this.#others()) this.#enqueue(nodeId, false);
  }

  /** Tells everybody that this process ends, and is silent from here on. */
  goodbye(): void {
    const clusterId = this.#ports.clusterId();
    if (!this.#isRunning || clusterId === undefined) return;
    this.stop();
    const { incarnation, epoch } = this.#ports.self();
    const body = encodeGoodbye({ clusterId, incarnation, epoch, process: this.#ports.process });
    for (const nodeId of this.#others()) this.#ports.transport.send(nodeId, "cluster", body);
  }

  /** The end of the turn: everything of one instant has one round. */
  run(): void {
    this.#isDeferred = false;
    if (!this.#isRunning || this.#pending.size === 0) return;
    const pending = [...this.#pending];
    this.#pending.clear();
    this.#round++;
    for (const [nodeId, wantsAnswer] of pending) this.#send(nodeId, wantsAnswer);
  }

  received(from: string, heartbeat: Heartbeat): void {
    const { epoch, process, round, sentAtMs, wantsAnswer, ack, cargo, wallMs } = heartbeat;
    const { incarnation, respAddress, httpAddress } = heartbeat;
    const info = { nodeId: from, incarnation, epoch, respAddress, httpAddress };
    const isBelieved =
      this.#isRunning && this.#isOurs(from, heartbeat) && this.#isNew(from, heartbeat);
    if (!isBelieved || !this.#ports.liveness.heard(info, wallMs)) {
      this.counters.dropped++;
      return;
    }
    this.counters.received++;
    this.#received.set(from, { epoch, process, round, sentAtMs });
    if (wantsAnswer) this.#enqueue(from, false);
    if (cargo.length === 0) return;
    // What an earlier process of this node sent proves nothing about this one.
    const isMine = ack.epoch === this.#ports.self().epoch && ack.process === this.#ports.process;
    const ackRound = isMine && ack.round <= this.#round ? ack.round : 0;
    const ackSentAtMs = ackRound === 0 ? 0 : ack.sentAtMs;
    this.#cargo?.received(info, { round, ackRound, ackSentAtMs, cargo });
  }

  /** A node says goodbye. */
  left(from: string, { clusterId, incarnation, epoch, process }: Goodbye): void {
    if (clusterId !== this.#ports.clusterId()) return;
    if (this.#ports.roster.incarnation(from) !== incarnation) return;
    const last = this.#received.get(from);
    if (last?.epoch === epoch && last.process !== process) return;
    this.#ports.liveness.left(from, epoch);
  }

  #isOurs(from: string, { clusterId, incarnation }: Heartbeat): boolean {
    const { roster, self, onForeign, onStranger } = this.#ports;
    if (from === self().nodeId) return false;
    if (clusterId !== this.#ports.clusterId()) {
      onForeign(from, clusterId);
      return false;
    }
    if (roster.admit({ nodeId: from, incarnation })) return true;
    onStranger({ nodeId: from, incarnation });
    return false;
  }

  /** Whether it is newer than any before, and of no process that is over. */
  #isNew(from: string, { epoch, process, round, wantsAnswer }: Heartbeat): boolean {
    const last = this.#received.get(from);
    if (last === undefined || epoch > last.epoch) return true;
    // A former process, or one of two that share a copied data directory.
    if (epoch < last.epoch || process !== last.process) return false;
    // Overtaken or doubled: its cargo is old, but who asked still waits for an answer.
    if (round <= last.round && wantsAnswer) this.#enqueue(from, false);
    return round > last.round;
  }

  #enqueue(nodeId: string, wantsAnswer: boolean): void {
    const { self, roster, turn } = this.#ports;
    if (!this.#isRunning || nodeId === self().nodeId) return;
    if (roster.incarnation(nodeId) === undefined) return;
    this.#pending.set(nodeId, wantsAnswer || this.#pending.get(nodeId) === true);
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    turn.defer("journal", this);
  }

  #rest(): void {
    this.#timer = this.#ports.clock.setTimeout(() => {
      this.#round++;
      for (const nodeId of this.#others()) this.#send(nodeId, false);
      this.#rest();
    }, heartbeatMs);
  }

  #others(): string[] {
    const self = this.#ports.self().nodeId;
    return this.#ports.roster.nodeIds().filter((nodeId) => nodeId !== self);
  }

  #send(nodeId: string, wantsAnswer: boolean): void {
    const { transport, clock, self, process } = this.#ports;
    const clusterId = this.#ports.clusterId();
    if (clusterId === undefined) return;
    const { incarnation, epoch, respAddress, httpAddress } = self();
    // Read before the cargo is made: a lease counts from here, and too early is the safe side.
    const sentAtMs = clock.monotonicMs();
    const heartbeat: Heartbeat = {
      clusterId,
      incarnation,
      epoch,
      process,
      respAddress,
      httpAddress,
      round: this.#round,
      wantsAnswer,
      sentAtMs,
      wallMs: clock.wallMs(),
      ack: this.#received.get(nodeId) ?? nothingReceived,
      cargo: this.#cargo?.cargoFor(nodeId) ?? noCargo,
    };
    this.counters.sent++;
    transport.send(nodeId, "cluster", encodeHeartbeat(heartbeat));
  }
}
