// Pure Raft cores on simulated ground: time, network and disks on which everything can go wrong, and
// `raft-rules.ts` asked after every step. What goes wrong is `raft-faults.ts`, what is demanded in the
// end `raft-history.ts`. No actors and no bytes: that is the larger simulation's business.

import { isServing, step } from "../../actors/raft/core.ts";
import { follows } from "../../actors/raft/election.ts";
import { canPropose } from "../../actors/raft/leading.ts";
import type { RaftEffect, RaftEvent, RaftMessage, Role } from "../../actors/raft/protocol.ts";
import { minElectionTimeoutMs } from "../../actors/raft/protocol.ts";
import type { RaftState } from "../../actors/raft/state.ts";
import { seededRandom } from "./disk.ts";
import { RaftFaults } from "./raft-faults.ts";
import { RaftNode, type Persist } from "./raft-node.ts";
import { Broken, RaftRules, snapshotOf } from "./raft-rules.ts";

interface Happening {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

const tickMs = 100;
const heartbeatMs = 500;

export class RaftWorld {
  readonly random: () => number;
  readonly nodes: RaftNode[];
  readonly rules: RaftRules;
  readonly faults: RaftFaults;
  readonly counts = { steps: 0, snapshots: 0, memberships: 0, transfers: 0, crashes: 0, sent: 0 };
  nowMs = 0;
  #sequence = 0;
  #content = 0;
  readonly #heap: Happening[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const voterCount = [3, 3, 3, 5, 4, 1][this.pick(6)] ?? 3;
    const voters = Array.from({ length: voterCount }, (_, i) => i + 1);
    this.nodes = Array.from({ length: voterCount + 2 }, (_, i) => new RaftNode(i + 1, voters));
    this.rules = new RaftRules(this.nodes);
    this.faults = new RaftFaults(this);
    for (const node of this.nodes) {
      node.rate = 1 + (this.random() - 0.5) * 0.02;
      this.start(node);
    }
  }

  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  after(delayMs: number, run: () => void): void {
    const happening = { atMs: this.nowMs + delayMs, sequence: this.#sequence++, run };
    const heap = this.#heap;
    let at = heap.push(happening) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up]!;
      if (!isBefore(happening, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = happening;
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down++;
      if (!isBefore(heap[down]!, last)) break;
      heap[at] = heap[down]!;
      at = down;
    }
    heap[at] = last;
    return top;
  }

  /** Lets time go by. */
  runFor(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while ((this.#heap[0]?.atMs ?? Infinity) <= endMs) {
      const next = this.#pop()!;
      this.nowMs = next.atMs;
      next.run();
      this.rules.reads(this.nowMs);
    }
    this.nowMs = endMs;
  }

  /** Runs when the node's process is still the same; while it is paused, when it goes on. */
  onNode(node: RaftNode, delayMs: number, run: () => void): void {
    const { life } = node;
    const attempt = (): void => {
      if (node.life !== life || node.state === undefined) return;
      if (node.pausedUntil > this.nowMs) this.after(node.pausedUntil - this.nowMs, attempt);
      else run();
    };
    this.after(delayMs, attempt);
  }

  start(node: RaftNode): void {
    node.offset = this.random() * 1e6;
    node.start(node.localMs(this.nowMs));
    let timeoutMs = this.timeout();
    let role = "";
    const tick = (): void => {
      if (node.state?.role !== role) timeoutMs = this.timeout();
      role = node.state?.role ?? "";
      const nowMs = node.localMs(this.nowMs);
      this.step(node, { type: "raft.tick", nowMs, electionTimeoutMs: timeoutMs });
      this.onNode(node, tickMs, tick);
    };
    const beat = (): void => {
      this.#heartbeat(node);
      this.onNode(node, heartbeatMs, beat);
    };
    this.onNode(node, this.random() * tickMs, tick);
    this.onNode(node, this.random() * heartbeatMs, beat);
  }

  timeout(): number {
    return minElectionTimeoutMs + this.random() * 500;
  }

  /** One step of a core with everything that follows from it; the rules are asked at its end. */
  step(node: RaftNode, event: RaftEvent): void {
    const { state } = node;
    if (state === undefined) return;
    this.counts.steps++;
    const before = snapshotOf(state);
    let effects: RaftEffect[];
    try {
      effects = step(state, event);
    } catch (error) {
      throw new Broken("assertion", error instanceof Error ? error.message : String(error));
    }
    let { role } = before;
    for (const effect of effects) {
      if (effect.type === "role") role = effect.role;
      this.#perform(node, effect, role);
    }
    this.rules.afterStep(node, before);
    if (event.type === "raft.persisted") this.#applySoon(node);
    else if (event.type === "raft.evidence") this.rules.confirmedReads(node);
  }

  #perform(node: RaftNode, effect: RaftEffect, role: Role): void {
    switch (effect.type) {
      case "persist":
        this.rules.append(node, effect);
        node.remember(effect);
        this.#persist(node, effect);
        break;
      case "send":
        this.#send(node, effect.message);
        break;
      case "sendEntries":
        this.#sendEntries(node, effect);
        break;
      case "sendSnapshot":
        this.#sendSnapshot(node, effect.to, effect.term);
        break;
      case "commit":
        this.rules.commit(node, role === "leader", effect.from, effect.to);
        this.#applySoon(node);
        break;
      case "truncate":
        this.rules.truncate(node, role, effect.from);
        node.truncate(effect.from);
        break;
      case "membership":
        this.counts.memberships++;
        break;
      case "role":
        if (effect.role === "leader") this.rules.lead(node, effect.term);
        break;
      default:
        effect satisfies never;
    }
  }

  #persist(node: RaftNode, persist: Persist): void {
    node.writing.push({ persist, token: persist.token });
    if (!node.isLanding) this.#land(node);
  }

  /** One write at a time, in order; the report may come later than the write. */
  #land(node: RaftNode): void {
    node.isLanding = node.writing.length > 0;
    if (!node.isLanding) return;
    this.onNode(node, this.faults.persistMs(), () => {
      const landed = node.writing.splice(0, 1 + this.pick(node.writing.length));
      for (const { persist } of landed) node.disk.land(persist);
      const reportMs = this.chance(0.3) ? this.random() * 3 : 0;
      this.onNode(node, reportMs, () => {
        for (const { token } of landed) {
          this.step(node, { type: "raft.persisted", token, nowMs: node.localMs(this.nowMs) });
        }
        this.#land(node);
      });
    });
  }

  #applySoon(node: RaftNode): void {
    if (node.isApplying || node.isInstalling) return;
    node.isApplying = true;
    this.onNode(node, this.random() * this.faults.applyMs, () => {
      node.isApplying = false;
      if (!node.isInstalling) this.apply(node);
    });
  }

  apply(node: RaftNode): void {
    const state = node.state as RaftState;
    const to = Math.min(state.commitIndex, state.durableIndex);
    if (to <= node.applied.index) return;
    while (node.applied.index < to) {
      const entry = node.entryAt(node.applied.index + 1);
      if (entry === undefined) throw new Broken("journal", `${node.id} lacks what it applies`);
      node.apply(entry);
      this.rules.applied(node, entry);
    }
    if (this.chance(0.7)) node.disk.applied = node.applied;
    this.step(node, { type: "raft.applied", index: to, nowMs: node.localMs(this.nowMs) });
  }

  #send(node: RaftNode, message: RaftMessage): void {
    this.rules.send(node, message);
    this.counts.sent++;
    const to = this.nodes[message.to - 1];
    if (to === undefined) return;
    this.faults.deliver(node.id, to.id, () => {
      const nowMs = to.localMs(this.nowMs);
      // It may lie in the mailbox for a moment.
      const waitMs = this.chance(0.1) ? this.random() * 20 : 0;
      this.onNode(to, waitMs, () => this.step(to, { type: "raft.message", nowMs, message }));
    });
  }

  #sendEntries(node: RaftNode, effect: Extract<RaftEffect, { type: "sendEntries" }>): void {
    if (this.chance(this.faults.lostReads)) return;
    const readMs = this.chance(0.1) ? this.random() * 20 : 0;
    const { to, term, prevIndex, prevTerm, commitIndex, first, last, roleEpoch } = effect;
    const send = (): void => {
      const entries = node.range(first, last);
      if (entries === undefined || node.state?.roleEpoch !== roleEpoch) return;
      const sentAtMs = node.localMs(this.nowMs);
      const head = { type: "append.request" as const, from: node.id, to, term };
      this.#send(node, { ...head, prevIndex, prevTerm, commitIndex, entries, sentAtMs });
    };
    if (readMs === 0) send();
    else this.onNode(node, readMs, send);
  }

  #sendSnapshot(node: RaftNode, to: number, term: number): void {
    const peer = this.nodes[to - 1];
    const { applied } = node;
    const isWhole =
      peer !== undefined && applied.index > 0 && !this.chance(this.faults.brokenStreams);
    const tell = (index: number): void => {
      const nowMs = node.localMs(this.nowMs);
      this.step(node, { type: "raft.snapshotSent", to, index, ok: index > 0, nowMs });
    };
    const streamMs = 5 + this.random() * 200;
    if (!isWhole || !this.faults.isOpen(node.id, to)) {
      this.onNode(node, streamMs, () => tell(0));
      return;
    }
    this.onNode(peer, streamMs, () => this.#install(peer, node.id, term, applied));
    this.onNode(node, streamMs + 50 + this.random() * 100, () => tell(applied.index));
  }

  /** The switch is one synced batch; it may be interrupted before it and before the log knows. */
  #install(node: RaftNode, leader: number, term: number, applied: RaftNode["applied"]): void {
    const state = node.state as RaftState;
    if (!follows(state, leader, term) || applied.index <= node.applied.index) return;
    if (node.isInstalling) return;
    node.isInstalling = true;
    this.onNode(node, this.random() * 20, () => {
      node.isInstalling = false;
      this.counts.snapshots++;
      node.disk.applied = applied;
      node.applied = applied;
      const { index, membership, peers, membershipIndex } = applied;
      const nowMs = node.localMs(this.nowMs);
      const position = { index, term: applied.term, membership, peers, membershipIndex };
      this.step(node, { type: "raft.installed", ...position, nowMs });
      this.#applySoon(node);
    });
  }

  /** To every other node, as the cluster room does it: who leads, and what that answers. */
  #heartbeat(node: RaftNode): void {
    const { life, state } = node;
    const round = ++node.round;
    const sentAtMs = node.localMs(this.nowMs);
    const led = state?.role === "leader" ? state.term : 0;
    for (const peer of this.nodes) {
      if (peer === node) continue;
      this.faults.deliver(node.id, peer.id, () =>
        this.onNode(peer, 0, () => this.#heard(peer, node, { life, led, round, sentAtMs })),
      );
    }
  }

  #heard(
    peer: RaftNode,
    from: RaftNode,
    beat: { life: number; led: number; round: number; sentAtMs: number },
  ): void {
    const { led: term, life } = beat;
    const nowMs = peer.localMs(this.nowMs);
    const known = peer.heardLives.get(from.id) ?? 0;
    if (life < known) return;
    peer.heardLives.set(from.id, life);
    if (known > 0 && life > known) {
      this.step(peer, { type: "raft.leaderLost", leader: from.id, nowMs });
    }
    if (term === 0) return;
    this.step(peer, { type: "raft.heard", nowMs, leader: from.id, term });
    if (peer.state === undefined || !follows(peer.state, from.id, term)) return;
    const { round, sentAtMs } = beat;
    this.faults.deliver(peer.id, from.id, () =>
      this.onNode(from, 0, () => {
        if (from.life !== life) return;
        const promise = { round, sentAtMs, promiseMs: minElectionTimeoutMs };
        const at = from.localMs(this.nowMs);
        this.step(from, { type: "raft.evidence", nowMs: at, from: peer.id, term, ...promise });
      }),
    );
  }

  leaders(): RaftNode[] {
    return this.nodes.filter(
      ({ state, pausedUntil }) => state?.role === "leader" && pausedUntil <= this.nowMs,
    );
  }

  propose(node: RaftNode, count = 1): void {
    const { state } = node;
    if (state === undefined || !canPropose(state) || !isServing(state)) return;
    const payloads = Array.from({ length: count }, () => {
      const payload = Buffer.alloc(4);
      payload.writeUInt32BE(++this.#content);
      return payload;
    });
    this.step(node, { type: "raft.propose", nowMs: node.localMs(this.nowMs), payloads });
  }

  read(node: RaftNode): void {
    if (node.state === undefined) return;
    node.reads.push({ round: node.round + 1, floor: this.rules.maxCommitted });
    this.#heartbeat(node);
  }
}

const isBefore = (a: Happening, b: Happening): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
