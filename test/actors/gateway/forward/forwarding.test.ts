// Forwarding case by case: what a late message of another term, stream or process does, how long
// anything takes when nobody answers, and that large values, walks and refusals find their way.

import { expect, test } from "vitest";

import { WalkErrand } from "../../../../actors/gateway/errand.ts";
import type { WalkResult } from "../../../../actors/gateway/errand.ts";
import type { RegionRequest } from "../../../../actors/store/protocol.ts";
import { ErrorReply } from "../../../../resp/reply.ts";
import { add, adds, read } from "./group.ts";
import { led, text } from "./led.ts";

test.each([1, 2, 3, 4, 5, 6])(
  "a network that loses and doubles costs time only (seed %i)",
  (seed) => {
    const world = led(seed);
    const session = world.session("n3");
    for (let i = 0; i < 200; i++) {
      session.ask(add, "a", `x${i}`);
      if (i % 3 === 0) world.endTurn();
      if (i % 7 === 0) world.groups[0]!.replicas.get("n1")!.commit(2);
      for (let n = 0; n < 2; n++) world.deliverOne(0.3, 0.3);
      if (i % 10 === 0) world.clock.advance(5);
    }
    for (let i = 0; i < 200; i++) {
      world.clock.advance(10);
      world.endTurn();
      for (let n = 0; n < 5; n++) world.deliverOne(0.2, 0.2);
      world.endTurn();
      world.groups[0]!.replicas.get("n1")!.commit(Infinity);
      world.endTurn();
    }
    world.calm(2000);
    expect(session.slots.map(({ reply }) => text(reply))).toEqual(
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
  },
);

test("nothing is left behind when all is answered", () => {
  const world = led();
  const session = world.session("n3");
  session.ask(add, "a", "x1");
  world.calm(1000);
  expect(session.slots[0]!.reply).toBe(1);
  expect(world.clock.armed).toBe(0);
  expect(world.letters).toEqual([]);
});

test("a command that comes late is not executed in another term", () => {
  const world = led();
  const group = world.groups[0]!;
  const slot = world.session("n3").ask(add, "a", "late");
  world.endTurn();
  const [letter] = world.letters.splice(0);
  world.elect(group, "n2");
  world.spread(group);
  for (let ms = 0; ms < 600; ms += 100) {
    world.clock.advance(100);
    world.endTurn();
    world.letters.length = 0;
  }
  expect(text(slot.reply)).toBe("UNKNOWN outcome: the region's leader changed");
  world.elect(group, "n1");
  world.spread(group);
  world.letters.push(letter!);
  world.calm(1000);
  expect(group.log).toEqual([]);
});

test("what was refused before it was executed goes on to the next leader", () => {
  const world = led();
  const group = world.groups[0]!;
  const session = world.session("n3");
  session.ask(add, "a", "1");
  world.endTurn();
  world.deliverAll();
  world.groups[0]!.replicas.get("n1")!.commit(1);
  world.elect(group, "n2");
  world.spread(group);
  session.ask(add, "a", "2");
  world.calm(300);
  expect(session.slots.map(({ reply }) => reply)).toEqual([1, 2]);
  expect(group.log).toEqual(["1", "2"]);
});

test("nor behind what its gateway sent after giving it up", () => {
  const world = led();
  const session = world.session("n3");
  const first = session.ask(add, "a", "first");
  world.endTurn();
  const [letter] = world.letters.splice(0);
  for (let i = 0; i < 60; i++) {
    world.clock.advance(100);
    world.endTurn();
    world.letters.length = 0;
  }
  expect(text(first.reply)).toBe("UNKNOWN outcome: no answer from node n1");
  const second = session.ask(add, "a", "second");
  world.calm(500);
  world.letters.push(letter!);
  world.calm(500);
  expect(second.reply).toBe(1);
  expect(world.groups[0]!.log).toEqual(["second"]);
});

test("nor again when its process has been replaced", () => {
  const world = led();
  world.session("n3").ask(add, "a", "old");
  world.endTurn();
  const [letter] = world.letters;
  world.calm(500);
  expect(world.groups[0]!.log).toEqual(["old"]);
  world.restart("n3");
  world.spread(world.groups[0]!);
  world.node("n3").replicas[0]!.hear(world.groups[0]!.term, "n1");
  world.session("n3").ask(add, "a", "new");
  world.calm(500);
  world.letters.push(letter!);
  world.calm(500);
  expect(world.groups[0]!.log).toEqual(["old", "new"]);
});

test("without a connection everything is answered within seconds", () => {
  const world = led();
  const session = world.session("n3");
  const sent = [session.ask(add, "a", "w"), session.ask(read, "a", "r")];
  world.endTurn();
  world.node("n3").connect(false);
  world.letters.length = 0;
  const never = session.ask(add, "a", "never");
  for (let ms = 0; ms < 5600; ms += 100) {
    world.clock.advance(100);
    world.endTurn();
  }
  expect(text(sent[0]!.reply)).toBe("UNKNOWN outcome: no answer from node n1");
  // It may have been executed before: a read behind it has to be repeated, and there is nobody.
  expect(text(sent[1]!.reply)).toBe("CLUSTERDOWN no leader for region 1");
  expect(text(never.reply)).toBe("CLUSTERDOWN no leader for region 1");
  world.node("n3").connect(true);
  const after = session.ask(add, "a", "after");
  world.calm(500);
  expect(after.reply).toBe(1);
});

test("without a leader commands wait for one, and not for ever", () => {
  const world = led();
  const group = world.groups[0]!;
  for (const replica of group.replicas.values()) replica.hear(group.term + 1, undefined);
  const early = world.session("n3").ask(add, "a", "early");
  world.calm(4800);
  expect(early.reply).toBeUndefined();
  const late = world.session("n3").ask(add, "a", "late");
  world.calm(400);
  expect(text(early.reply)).toBe("CLUSTERDOWN no leader for region 1");
  group.term += 1;
  world.elect(group, "n1");
  world.spread(group);
  world.calm(300);
  expect(late.reply).toBe(1);
});

test("a node that is down is not waited for", () => {
  const world = led();
  const group = world.groups[0]!;
  const write = world.session("n3").ask(add, "a", "w");
  const get = world.session("n3").ask(read, "a", "r");
  world.endTurn();
  world.letters.length = 0;
  world.node("n3").router.nodeDown({ nodeId: "n1" } as never);
  expect(text(write.reply)).toBe("UNKNOWN outcome: node n1 is down");
  expect(get.reply).toBeUndefined();
  world.elect(group, "n2");
  world.spread(group);
  world.calm(300);
  expect(get.reply).toBe(0);
});

test("what a standing leader refuses for itself is the answer, and harms nobody else", () => {
  const world = led();
  const replica = world.groups[0]!.replicas.get("n1")!;
  const session = world.session("n3");
  const full = session.ask(add, "a", "w");
  const get = session.ask(read, "a", "r");
  world.endTurn();
  world.deliverAll();
  const message = "CLUSTERDOWN the disk is full, writes are refused";
  (replica.pending.shift() as RegionRequest).settle(new ErrorReply(message));
  world.calm(100);
  expect(text(full.reply)).toBe(message);
  expect(get.reply).toBe(0);
});

test("so is what the leader here refuses", () => {
  const world = led();
  const replica = world.groups[0]!.replicas.get("n1")!;
  const slot = world.session("n1").ask(add, "a", "w");
  const message = "CLUSTERDOWN the disk is full, writes are refused";
  (replica.pending.shift() as RegionRequest).settle(new ErrorReply(message));
  expect(text(slot.reply)).toBe(message);
});

test("sessions of different nodes do not meet", () => {
  const world = led();
  const replica = world.groups[0]!.replicas.get("n1")!;
  for (const node of world.ids) world.session(node).ask(add, "a", `of ${node}`);
  world.session("n2").ask(add, "a", "again");
  world.endTurn();
  world.deliverAll();
  const ids = replica.pending.map((event) => (event as RegionRequest).sessionId);
  expect(new Set(ids).size).toBe(4);
  expect(ids.filter((id) => id > 0)).toEqual([1]);
  expect(ids.every((id) => id > 0 || id < -(2 ** 30))).toBe(true);
});

test("a large value goes there and back while pieces are lost, and others are served", () => {
  const world = led(3);
  const long = world.commands.get("long")!;
  const value = Buffer.alloc(3 * 1024 * 1024 + 17, "0123456789abcdef");
  value[0] = 0x61;
  const big = world.session("n3").ask(long, value, "big");
  const other = world.session("n3").ask(add, "b", "other");
  for (let i = 0; i < 400 && big.reply === undefined; i++) {
    world.clock.advance(10);
    world.endTurn();
    for (let n = 0; n < 8; n++) world.deliverOne(0.1, 0.05);
    for (const { leader, replicas } of world.groups) replicas.get(leader!)!.commit(Infinity);
    world.endTurn();
  }
  expect(big.reply).toBeInstanceOf(Buffer);
  expect(value.equals(big.reply as Buffer)).toBe(true);
  expect(world.groups[0]!.log).toEqual(["big"]);
  expect(other.reply).toBe(1);
});

test("many empty arguments are long as well, whole or in parts", () => {
  const world = led();
  const session = world.session("n3");
  const empty = Array.from({ length: 700_000 }, () => Buffer.alloc(0));
  const one = session.askAll(add, [1], ["a", "one", ...empty]);
  const both = session.askAll(adds, [1, 3], ["a", "both", "b", "both", ...empty]);
  world.calm(300);
  expect([one.reply, both.reply]).toEqual([1, 3]);
});

test("so is the long name of a type in a walk", () => {
  const world = led();
  const results: WalkResult[] = [];
  const filter = { pattern: undefined, type: "\xe9".repeat(400_000) };
  const walk = { db: 0, sessionId: 9, count: Infinity, cursor: 5, filter };
  const done = (result: WalkResult): unknown => results.push(result);
  world
    .node("n3")
    .router.regionOf(1)!
    .ref!.send(new WalkErrand(walk, world.clock.nowMs, done));
  world.calm(300);
  expect(results).toEqual([{ keys: [], next: undefined }]);
});

test("only so much is under way to a node; the rest follows", () => {
  const world = led();
  const session = world.session("n3");
  const value = Buffer.alloc(1024 * 1024, "a");
  const slots = Array.from({ length: 80 }, (_, i) => session.ask(add, value, `v${i}`));
  world.endTurn();
  world.deliverAll();
  world.calm(3000);
  expect(slots.map(({ reply }) => reply)).toEqual(slots.map((_, i) => i + 1));
});

test("a walk keeps what its filter says, wherever it runs", () => {
  const world = led();
  const results: WalkResult[] = [];
  const walk = { db: 0, sessionId: 9, count: Infinity };
  const route = world.node("n3").router.regionOf(1)!;
  const ask = (cursor: number, pattern: string | undefined, type: string | undefined): void => {
    const filter = { pattern: pattern === undefined ? undefined : Buffer.from(pattern), type };
    const errand = new WalkErrand({ ...walk, cursor, filter }, world.clock.nowMs, (result) =>
      results.push(result),
    );
    route.ref!.send(errand);
    world.calm(50);
  };
  ask(0, "a*", undefined);
  ask(5, undefined, "string");
  ask(5, "*", "hash");
  expect(results).toEqual([
    { keys: [Buffer.from("a1")], next: 7 },
    { keys: [Buffer.from("a1"), Buffer.from("b2")], next: undefined },
    { keys: [], next: undefined },
  ]);
});
