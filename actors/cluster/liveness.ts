// Which nodes of the cluster are there. It stands between the heartbeats, which say that a node was
// alive when it sent, and the listeners, who want to know of changes. Silence is measured by the
// monotonic clock, and never judged before this node has read what waits in its own sockets.

import type { Clock, TimerId } from "../system/clock.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import { nodeDownMs, type NodeInfo, type NodeListener, type Nodes } from "./protocol.ts";
import type { NodeStatus } from "./protocol.ts";

/** A timer this late means that this process stood still, not the others. */
const stallMs = 200;
/** How long it then reads what has piled up before it judges anybody. */
const catchUpMs = 250;

interface Peer {
  info: NodeInfo;
  isUp: boolean;
  sinceMs: number;
  heardAtMs: number;
  wallOffsetMs: number;
  /** Process starts up to this one have said goodbye. */
  goneEpoch: number;
}

/** What liveness is given. */
export interface LivenessPorts {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly self: () => NodeInfo;
}

export class Liveness implements Nodes, TurnTask {
  readonly #ports: LivenessPorts;
  readonly #startedMs: number;
  readonly #peers = new Map<string, Peer>();
  readonly #listeners: NodeListener[] = [];
  #timer: TimerId;
  #isRunning = false;

  constructor(ports: LivenessPorts) {
    this.#ports = ports;
    this.#startedMs = ports.clock.monotonicMs();
  }

  start(): void {
    this.#isRunning = true;
    this.#arm();
  }

  stop(): void {
    this.#isRunning = false;
    if (this.#timer !== undefined) this.#ports.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  listen(listener: NodeListener): void {
    this.#listeners.push(listener);
  }

  upSinceMs(nodeId: string): number | undefined {
    if (nodeId === this.#ports.self().nodeId) return this.#startedMs;
    const peer = this.#peers.get(nodeId);
    return peer?.isUp === true ? peer.sinceMs : undefined;
  }

  info(nodeId: string): NodeInfo | undefined {
    const self = this.#ports.self();
    return nodeId === self.nodeId ? self : this.#peers.get(nodeId)?.info;
  }

  others(): readonly NodeStatus[] {
    return [...this.#peers.values()]
      .map(({ info, isUp, sinceMs, wallOffsetMs }) => ({ info, isUp, sinceMs, wallOffsetMs }))
      .toSorted((a, b) => (a.info.nodeId < b.info.nodeId ? -1 : 1));
  }

  /**
   * A heartbeat of a node came, newer than any before of its process. False: it is from a process
   * that is over, and nothing in it counts.
   */
  heard(info: NodeInfo, wallMs: number): boolean {
    const { clock } = this.#ports;
    const nowMs = clock.monotonicMs();
    const known = this.#peers.get(info.nodeId);
    const lastEpoch = known?.info.epoch ?? 0;
    if (info.epoch < lastEpoch || info.epoch <= (known?.goneEpoch ?? -1)) return false;
    const peer = known ?? newPeer(info);
    this.#peers.set(info.nodeId, peer);
    peer.info = info;
    peer.heardAtMs = nowMs;
    peer.wallOffsetMs = wallMs - nowMs;
    const hasRestarted = known !== undefined && info.epoch > lastEpoch;
    if (hasRestarted) for (const each of this.#listeners) each.nodeRestarted(info);
    if (hasRestarted || !peer.isUp) {
      peer.isUp = true;
      peer.sinceMs = nowMs;
      for (const each of this.#listeners) each.nodeUp(info);
      this.#arm();
    }
    return true;
  }

  /** The node said that this process start of it ends. */
  left(nodeId: string, epoch: number): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || epoch < peer.info.epoch) return;
    peer.goneEpoch = Math.max(peer.goneEpoch, epoch);
    this.#down(peer, this.#ports.clock.monotonicMs());
  }

  /** Judges, in a turn of its own: timers fire before the sockets are read. */
  run(): void {
    if (!this.#isRunning) return;
    const nowMs = this.#ports.clock.monotonicMs();
    for (const peer of this.#peers.values()) {
      if (nowMs - peer.heardAtMs >= nodeDownMs) this.#down(peer, nowMs);
    }
    this.#arm();
  }

  #down(peer: Peer, nowMs: number): void {
    if (!peer.isUp) return;
    peer.isUp = false;
    peer.sinceMs = nowMs;
    for (const each of this.#listeners) each.nodeDown(peer.info);
  }

  /** One timer, for the node that has been silent longest. */
  #arm(): void {
    if (!this.#isRunning || this.#timer !== undefined) return;
    let firstMs = Infinity;
    for (const { isUp, heardAtMs } of this.#peers.values()) {
      if (isUp) firstMs = Math.min(firstMs, heardAtMs + nodeDownMs);
    }
    if (firstMs === Infinity) return;
    const { clock } = this.#ports;
    const delayMs = Math.max(0, firstMs - clock.monotonicMs());
    this.#timer = clock.setTimeout(() => this.#fired(firstMs), delayMs);
  }

  #fired(dueMs: number): void {
    const { clock, turn } = this.#ports;
    this.#timer = undefined;
    if (clock.monotonicMs() - dueMs <= stallMs) {
      turn.defer("evaluate", this);
      return;
    }
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      turn.defer("evaluate", this);
    }, catchUpMs);
  }
}

function newPeer(info: NodeInfo): Peer {
  return { info, isUp: false, sinceMs: 0, heardAtMs: 0, wallOffsetMs: 0, goneEpoch: -1 };
}
