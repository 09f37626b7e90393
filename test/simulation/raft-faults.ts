// What goes wrong in a random history of `raft-world.ts`: messages lost, doubled, late, cut off one way or
// both; slow disks; crashes that lose unfinished writes; pauses; and what people ask of a group
// meanwhile. Every rate is drawn anew for each history, so that some are calm and some are not.

import { membershipRefusal } from "../../actors/raft/reconfiguration.ts";
import type { Membership } from "../../actors/raft/protocol.ts";
import type { RaftNode } from "./raft-node.ts";
import type { RaftWorld } from "./raft-world.ts";

/** Times a fault or a wish comes, per simulated second. */
interface Rates {
  crash: number;
  pause: number;
  cut: number;
  isolate: number;
  usurp: number;
  transfer: number;
  membership: number;
  compact: number;
  propose: number;
  readonly read: number;
}

export class RaftFaults {
  readonly #world: RaftWorld;
  /** Directed pairs that nothing passes, as from * 64 + to. */
  readonly #closed = new Set<number>();
  readonly #rates: Rates;
  #isOn = true;
  #loss: number;
  #doubles: number;
  #late: number;
  #delayMs: number;
  #persistMs: number;
  #slowDisk: number;
  lostReads: number;
  brokenStreams: number;
  readonly applyMs: number;

  constructor(world: RaftWorld) {
    this.#world = world;
    const up = (most: number): number => {
      const share = world.random();
      return share < 0.3 ? 0 : most * share * share;
    };
    this.#loss = up(0.3);
    this.#doubles = up(0.3);
    this.#late = up(0.1);
    this.#delayMs = 1 + up(60);
    this.#persistMs = 0.5 + up(20);
    this.#slowDisk = up(0.1);
    this.lostReads = up(0.2);
    this.brokenStreams = up(0.5);
    this.applyMs = 1 + up(100);
    this.#rates = {
      crash: up(1.5),
      pause: up(0.7),
      cut: up(2),
      isolate: up(0.5),
      usurp: up(0.6),
      transfer: up(1),
      membership: up(3),
      compact: up(1),
      propose: 5 + up(60),
      read: 5,
    };
    if (world.chance(0.5)) this.#duel();
  }

  /** A history about nothing but who leads: little is lost, so that leases are held and asked for. */
  #duel(): void {
    const world = this.#world;
    this.#loss = this.#doubles = this.lostReads = this.brokenStreams = 0;
    this.#late = world.chance(0.5) ? 0.2 : 0;
    this.#delayMs = 3;
    this.#slowDisk = world.chance(0.5) ? 0.3 : 0;
    const { crash, pause, cut, isolate, membership, compact } = this.#rates;
    const less = { crash, pause, cut, isolate, membership, compact };
    for (const name of Object.keys(less) as Array<keyof typeof less>) this.#rates[name] *= 0.1;
    this.#rates.usurp = 0.3 + 0.2 * world.random();
    // Some are about hand-overs whose orders come late, when others lead.
    const isHandedOver = world.chance(0.3);
    this.#rates.transfer = isHandedOver ? 2 : 0.1;
    if (isHandedOver) this.#late = 0.3;
    // Whoever has lost sight of the leader is elected only if it has missed nothing.
    this.#rates.propose = 0.4;
  }

  begin(): void {
    for (const [name, rate] of Object.entries(this.#rates)) {
      if (rate > 0) this.#repeat(rate, () => this.#happen(name as keyof Rates));
    }
  }

  #repeat(rate: number, run: () => void): void {
    const world = this.#world;
    world.after((-Math.log(1 - world.random()) * 1000) / rate, () => {
      if (!this.#isOn) return;
      run();
      this.#repeat(rate, run);
    });
  }

  /** Everything works again, for good. */
  heal(): void {
    this.#isOn = false;
    this.#closed.clear();
    this.#loss = this.#doubles = this.#late = this.#slowDisk = 0;
    this.lostReads = this.brokenStreams = 0;
    this.#delayMs = this.#persistMs = 2;
    for (const node of this.#world.nodes) {
      node.pausedUntil = 0;
      if (node.state === undefined) this.#world.start(node);
    }
  }

  /** Loses this share of all messages from now on. */
  lose(share: number): void {
    this.#loss = share;
  }

  persistMs(): number {
    const world = this.#world;
    if (world.chance(this.#slowDisk)) return world.random() * 400;
    return this.#persistMs * world.random();
  }

  isOpen(from: number, to: number): boolean {
    return !this.#closed.has(from * 64 + to);
  }

  /** Brings it there, perhaps, and perhaps twice. */
  deliver(from: number, to: number, arrive: () => void): void {
    const world = this.#world;
    const times = world.chance(this.#doubles) ? 2 : 1;
    for (let i = 0; i < times; i++) {
      if (world.chance(this.#loss) || !this.isOpen(from, to)) continue;
      const lateMs = world.chance(this.#late) ? world.random() * 3000 : 0;
      world.after(lateMs + this.#delayMs * world.random(), () => {
        if (this.isOpen(from, to)) arrive();
      });
    }
  }

  #happen(what: keyof Rates): void {
    const world = this.#world;
    const node = world.nodes[world.pick(world.nodes.length)]!;
    const leader = world.leaders()[0];
    switch (what) {
      case "crash":
        this.#crash(world.chance(0.3) && leader !== undefined ? leader : node);
        break;
      case "pause":
        // Often longer than a lease.
        node.pausedUntil = world.nowMs + world.random() * 3000;
        break;
      case "cut":
        this.#cut(world.chance(0.5) && leader !== undefined ? leader : node);
        break;
      case "isolate":
        this.#isolate(world.chance(0.6) && leader !== undefined ? leader : node);
        break;
      case "usurp":
        if (leader !== undefined) this.#usurp(leader);
        break;
      case "transfer":
        if (leader !== undefined) this.#transfer(leader);
        break;
      case "membership":
        if (leader !== undefined) this.#changeMembership(leader);
        break;
      case "compact":
        this.#compact(node);
        break;
      case "propose":
        for (const each of world.leaders()) world.propose(each, 1 + world.pick(4));
        break;
      case "read":
        for (const each of world.leaders()) world.read(each);
        break;
      default:
        what satisfies never;
    }
  }

  #crash(node: RaftNode, mostMs?: number): void {
    const world = this.#world;
    if (node.state === undefined) return;
    world.counts.crashes++;
    node.crash(world.pick(node.writing.length + 1));
    const downMs = mostMs ?? (world.chance(0.6) ? 50 : 3000);
    world.after(world.random() * downMs, () => {
      if (node.state === undefined) world.start(node);
    });
  }

  /** One pair, one way or both. */
  #cut({ id }: RaftNode): void {
    const world = this.#world;
    const other = world.nodes[world.pick(world.nodes.length)]!.id;
    const pairs = [id * 64 + other];
    if (world.chance(0.6)) pairs.push(other * 64 + id);
    this.#close(pairs, 300 + world.random() * 4000);
  }

  #isolate({ id }: RaftNode): void {
    const others = this.#world.nodes.map((node) => node.id).filter((other) => other !== id);
    const pairs = others.flatMap((other) => [id * 64 + other, other * 64 + id]);
    this.#close(pairs, 300 + this.#world.random() * 4000);
  }

  /**
   * What a lease has to stand: a voter that has lost sight of the leader long enough asks for its place,
   * and the others lose sight of it just now, perhaps restart, while the lease still runs.
   */
  #usurp(leader: RaftNode): void {
    const world = this.#world;
    const voters = leader.state?.membership.voters ?? [];
    const others = world.nodes.filter((node) => node !== leader && voters.includes(node.id));
    const usurper = others[world.pick(others.length)];
    if (usurper === undefined) return;
    const both = (id: number): number[] => [id * 64 + leader.id, leader.id * 64 + id];
    // The last thing it hears of the leader, which the others may acknowledge late.
    world.propose(leader);
    world.after(30, () => {
      if (this.#isOn) this.#close(both(usurper.id), 4000);
    });
    const isRestart = world.chance(0.5);
    world.after(1500 + world.random() * 1000, () => {
      if (!this.#isOn) return;
      if (world.chance(0.3)) this.#transfer(leader);
      // About as long as a promise: then some poll is granted just before the leader is heard again.
      const hiddenMs = world.chance(0.5) ? 1500 : 1300 + world.random() * 700;
      // What the others have answered may still arrive.
      const isOneWay = world.chance(0.5);
      for (const { id } of others) {
        if (id === usurper.id) continue;
        this.#close(isOneWay ? [leader.id * 64 + id] : both(id), hiddenMs);
      }
      for (const node of isRestart ? others : []) if (node !== usurper) this.#crash(node, 1);
    });
  }

  #close(pairs: readonly number[], durationMs: number): void {
    for (const pair of pairs) this.#closed.add(pair);
    this.#world.after(durationMs, () => {
      for (const pair of pairs) this.#closed.delete(pair);
    });
  }

  #transfer(leader: RaftNode): void {
    const world = this.#world;
    const to = 1 + world.pick(world.nodes.length);
    world.counts.transfers++;
    world.step(leader, { type: "raft.transfer", to, nowMs: leader.localMs(world.nowMs) });
  }

  #changeMembership(leader: RaftNode): void {
    const world = this.#world;
    const { state } = leader;
    if (state === undefined) return;
    const membership = moved(state.membership, 1 + world.pick(world.nodes.length));
    const ids = [...membership.voters, ...membership.learners];
    const change = { membership, peers: ids.map((id) => ({ replicaId: id, nodeId: `n${id}` })) };
    const nowMs = leader.localMs(world.nowMs);
    if (membershipRefusal(state, change, nowMs) !== undefined) return;
    world.step(leader, { type: "raft.changeMembership", ...change, nowMs });
  }

  /** The log goes as far as the engine has it for certain. */
  #compact(node: RaftNode): void {
    const world = this.#world;
    const { state, disk } = node;
    if (state === undefined || node.isInstalling || node.pausedUntil > world.nowMs) return;
    const index = Math.floor(disk.applied.index - world.random() * 20);
    if (index <= disk.prevIndex || disk.termAt(index) === undefined) return;
    disk.compact(index);
    node.log = node.log.slice(Math.max(0, index - node.logFrom));
    node.logFrom = Math.max(node.logFrom, index);
    world.step(node, { type: "raft.compacted", index });
  }
}

/** One step up for a stranger or a learner, one step down for a voter. */
function moved({ voters, learners }: Membership, id: number): Membership {
  const without = (ids: readonly number[]): number[] => ids.filter((each) => each !== id);
  const sorted = (ids: readonly number[]): number[] => [...ids, id].toSorted((a, b) => a - b);
  if (voters.includes(id)) {
    return { voters: without(voters), learners: id % 2 === 0 ? sorted(learners) : learners };
  }
  if (learners.includes(id)) return { voters: sorted(voters), learners: without(learners) };
  return { voters, learners: sorted(learners) };
}
