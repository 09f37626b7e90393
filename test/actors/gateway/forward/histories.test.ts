// Random histories of forwarding: whatever network, leaders and processes do, every command is
// answered in bounded time, executed at most once, never when the answer says it was not, always when
// it says it was, and in the order of its session.

import { expect, test } from "vitest";

import { ErrorReply } from "../../../../resp/reply.ts";
import type { Slot } from "../../../../actors/gateway/slot.ts";
import { add, adds, read } from "./group.ts";
import { World } from "./world.ts";
import type { Session, TestNode } from "./world.ts";

interface Asked {
  readonly id: string;
  readonly slot: Slot;
  readonly isWrite: boolean;
  /** The regions of its keys, counted from zero. */
  readonly regions: readonly number[];
  readonly node: TestNode;
}

interface Kinds {
  readonly restarts: boolean;
  readonly keptBytesMax?: number;
}

class History {
  readonly world: World;
  readonly asked: Asked[] = [];
  sessions: Session[] = [];
  /** Where a session's last command stands in a region's log. */
  readonly #lastOf = new Map<string, number>();
  readonly #kinds: Kinds;

  constructor(seed: number, kinds: Kinds) {
    this.world = new World(seed, kinds.keptBytesMax);
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
      const id = `${session.id}:${session.slots.length}`;
      this.asked.push({ id, node: session.node, ...this.#askOne(session, id) });
    }
  }

  #askOne(session: Session, id: string): Pick<Asked, "slot" | "isWrite" | "regions"> {
    const { world } = this;
    if (world.random() < 0.15) {
      const slot = session.askAll(adds, [1, 3], ["a", id, "b", id]);
      return { slot, isWrite: true, regions: [0, 1] };
    }
    const isWrite = world.random() < 0.6;
    const region = world.random() < 0.5 ? 0 : 1;
    const slot = session.ask(isWrite ? add : read, "ab"[region]!, id);
    return { slot, isWrite, regions: [region] };
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
    for (const asked of this.asked) {
      for (const region of asked.regions) {
        const times = timesIn(world, region, asked.id);
        if (asked.isWrite) expect(times.length, `${asked.id} once at most`).toBeLessThan(2);
      }
      // Else the process that asked is gone, and its client with it.
      if (world.node(asked.node.id) === asked.node) this.#checkAnswer(asked);
    }
  }

  #checkAnswer({ id, slot, isWrite, regions }: Asked): void {
    const { reply } = slot;
    expect(reply, `${id} is answered`).toBeDefined();
    const error = reply instanceof ErrorReply ? reply.message : "";
    if (error !== "" && isWrite) expect(error).toMatch(/^(CLUSTERDOWN|UNKNOWN outcome:) /);
    else if (error !== "") expect(error).toMatch(/^CLUSTERDOWN /);
    for (const region of regions) {
      const times = timesIn(this.world, region, id);
      if (error === "") expect(times.length, `${id} was executed`).toBeGreaterThan(0);
      else if (isWrite && error.startsWith("CLUSTERDOWN"))
        expect(times, `${id}: ${error}`).toEqual([]);
      const at = times.at(-1);
      if (at === undefined || (error !== "" && !isWrite)) continue;
      const line = `${slot.sessionId}/${region}`;
      expect(at, `${id} is in order`).toBeGreaterThan(this.#lastOf.get(line) ?? -1);
      this.#lastOf.set(line, at);
    }
  }
}

/** When a region executed a command, as places in its log. */
function timesIn(world: World, region: number, id: string): number[] {
  const times: number[] = [];
  world.groups[region]!.log.forEach((executed, at) => {
    if (executed === id) times.push(at);
  });
  return times;
}

function run(seed: number, kinds: Kinds): History {
  const history = new History(seed, kinds);
  for (let i = 0; i < 1500; i++) history.step();
  history.heal();
  return history;
}

const seeds = Array.from({ length: 40 }, (_, seed) => seed + 1);

test.each(seeds)("commands are executed once and in order (seed %i)", (seed) => {
  run(seed, { restarts: false }).check();
});

test.each(seeds)("also when processes end and start again (seed %i)", (seed) => {
  run(seed + 1000, { restarts: true }).check();
});

test.each(seeds)("also when answers have to be collected first (seed %i)", (seed) => {
  run(seed + 2000, { restarts: true, keptBytesMax: 60 }).check();
});

test("the histories meet every kind of answer", () => {
  const met = { done: 0, unknown: 0, down: 0 };
  for (const seed of seeds.slice(0, 10)) {
    for (const { slot } of run(seed, { restarts: true }).asked) {
      if (!(slot.reply instanceof ErrorReply)) met.done += 1;
      else if (slot.reply.message.startsWith("UNKNOWN")) met.unknown += 1;
      else met.down += 1;
    }
  }
  expect(met.done).toBeGreaterThan(1000);
  expect(met.unknown).toBeGreaterThan(50);
  expect(met.down).toBeGreaterThan(50);
});
