// Random histories of forwarding: whatever network, leaders and processes do, every command is
// answered in bounded time, executed at most once, never when the answer says it was not, always when
// it says it was, and in the order of its session.

import { expect, test } from "vitest";

import { ErrorReply } from "../../../../resp/reply.ts";
import type { Slot } from "../../../../actors/gateway/slot.ts";
import { add, read, World } from "./world.ts";
import type { Session, TestNode } from "./world.ts";

interface Asked {
  readonly id: string;
  readonly slot: Slot;
  readonly isWrite: boolean;
  readonly node: TestNode;
}

class History {
  readonly world: World;
  readonly asked: Asked[] = [];
  sessions: Session[] = [];
  readonly #kinds: { readonly restarts: boolean };

  constructor(seed: number, kinds: { readonly restarts: boolean }) {
    this.world = new World(seed);
    this.#kinds = kinds;
    for (const id of this.world.ids) {
      this.sessions.push(this.world.session(id), this.world.session(id));
    }
    for (const group of this.world.groups) {
      this.world.elect(group, "n1");
      this.world.spread(group);
    }
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.world.random() * items.length)]!;
  }

  ask(): void {
    const session = this.#pick(this.sessions);
    const count = 1 + Math.floor(this.world.random() * 4);
    for (let i = 0; i < count; i++) {
      const isWrite = this.world.random() < 0.6;
      const id = `${session.id}:${session.slots.length}`;
      const key = this.world.random() < 0.5 ? "a" : "b";
      const slot = session.ask(isWrite ? add : read, key, id);
      this.asked.push({ id, slot, isWrite, node: session.node });
    }
  }

  /** One thing happens. */
  step(): void {
    const { world } = this;
    const luck = world.random();
    if (luck < 0.25) this.ask();
    else if (luck < 0.6) for (let i = 0; i < 3; i++) world.deliverOne(0.1, 0.1);
    else if (luck < 0.75) {
      const group = this.#pick(world.groups);
      world
        .node(this.#pick(world.ids))
        .replicas[group.regionId - 1]?.commit(1 + world.random() * 5);
    } else if (luck < 0.93) world.clock.advance(world.random() * 60);
    else this.#upset();
    if (world.random() < 0.6) world.endTurn();
  }

  #upset(): void {
    const { world } = this;
    const luck = world.random();
    const group = this.#pick(world.groups);
    const node = world.node(this.#pick(world.ids));
    if (luck < 0.25) world.elect(group, node.id);
    else if (luck < 0.6) {
      const replica = group.replicas.get(node.id)!;
      if (replica.term < group.term || replica.leaderNode === undefined) {
        replica.hear(group.term, group.leader);
      }
    } else if (luck < 0.7) {
      const replica = group.replicas.get(node.id)!;
      if (!replica.isLeader) replica.hear(replica.term, undefined);
    } else if (luck < 0.8) node.connect(!node.connected);
    else if (luck < 0.85) node.router.nodeDown({ nodeId: this.#pick(world.ids) } as never);
    else if (luck < 0.92) node.router.nodeUp({ nodeId: this.#pick(world.ids) } as never);
    else if (luck < 0.94 && this.#kinds.restarts) this.#restart(node.id);
  }

  #restart(id: string): void {
    this.world.restart(id);
    this.sessions = this.sessions.filter(({ node }) => node.id !== id);
    this.sessions.push(this.world.session(id), this.world.session(id));
  }

  /** Everything works again; all must come to an end. */
  heal(): void {
    const { world } = this;
    world.endTurn();
    for (const group of world.groups) {
      world.elect(group, "n2");
      world.spread(group);
    }
    for (const node of world.nodes.values()) {
      node.connect(true);
      for (const nodeId of world.ids) node.router.nodeUp({ nodeId } as never);
    }
    world.calm(12_000);
  }

  check(): void {
    const { world } = this;
    const executions = new Map<string, number[]>();
    world.groups.forEach(({ log }) =>
      log.forEach((id, at) => executions.set(id, [...(executions.get(id) ?? []), at])),
    );
    const lastOf = new Map<string, number>();
    for (const { id, slot, isWrite, node } of this.asked) {
      const times = executions.get(id) ?? [];
      if (isWrite) expect(times.length, `${id} was executed once at most`).toBeLessThan(2);
      // The process that asked is gone, and its client with it.
      if (world.node(node.id) !== node) continue;
      const { reply } = slot;
      expect(reply, `${id} is answered`).toBeDefined();
      const error = reply instanceof ErrorReply ? reply.message : "";
      if (error === "") expect(times.length, `${id} was executed`).toBeGreaterThan(0);
      else if (isWrite && error.startsWith("CLUSTERDOWN"))
        expect(times, `${id}: ${error}`).toEqual([]);
      else if (isWrite) expect(error).toMatch(/^UNKNOWN outcome: /);
      else expect(error).toMatch(/^CLUSTERDOWN /);
      const at = times.at(-1);
      if (at === undefined || (error !== "" && !isWrite)) continue;
      const line = `${slot.sessionId}/${String(slot.args[1])}`;
      expect(at, `${id} is in order`).toBeGreaterThan(lastOf.get(line) ?? -1);
      lastOf.set(line, at);
    }
  }
}

function run(seed: number, restarts: boolean): History {
  const history = new History(seed, { restarts });
  for (let i = 0; i < 1500; i++) history.step();
  history.heal();
  return history;
}

const seeds = Array.from({ length: 40 }, (_, seed) => seed + 1);

test.each(seeds)("commands are executed once and in order (seed %i)", (seed) => {
  run(seed, false).check();
});

test.each(seeds)("also when processes end and start again (seed %i)", (seed) => {
  run(seed + 1000, true).check();
});

test("the histories meet every kind of answer", () => {
  const met = { done: 0, unknown: 0, down: 0 };
  for (const seed of seeds.slice(0, 10)) {
    for (const { slot } of run(seed, true).asked) {
      if (!(slot.reply instanceof ErrorReply)) met.done += 1;
      else if (slot.reply.message.startsWith("UNKNOWN")) met.unknown += 1;
      else met.down += 1;
    }
  }
  expect(met.done).toBeGreaterThan(1000);
  expect(met.unknown).toBeGreaterThan(50);
  expect(met.down).toBeGreaterThan(50);
});
