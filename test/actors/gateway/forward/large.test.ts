// Large replies that wait to be fetched: what they cost while they wait, what is too large, and that a
// node which does not collect them is sent no more. The worlds are those of forwarding.

import * as fc from "fast-check";
import { expect, test } from "vitest";

import { answerOf } from "../../../../actors/gateway/forward/answers.ts";
import {
  kinds,
  outcomes,
  readStart,
  streamStates,
  writeCommandsHead,
  writeLarge,
  writeStart,
} from "../../../../actors/gateway/forward/messages.ts";
import { readReply, writeReply } from "../../../../actors/gateway/forward/reply-codec.ts";
import { WholeWriter } from "../../../../actors/gateway/forward/whole.ts";
import { WireReader, WireWriter } from "../../../../actors/gateway/forward/wire.ts";
import { BulkPiecesReply } from "../../../../resp/reply.ts";
import { add, read } from "./group.ts";
import { led, text } from "./led.ts";
import { World } from "./world.ts";

const mebibyte = 1024 * 1024;

test("a whole has the bytes that were written, wherever it is cut", () => {
  const long = fc.integer({ min: 0, max: 5000 }).map((length) => Buffer.alloc(length, length));
  const replies = fc.array(
    fc.oneof(
      long,
      fc.integer(),
      fc.array(long, { maxLength: 3 }).map((pieces) => new BulkPiecesReply(pieces)),
    ),
  );
  const wholeWriter = new WholeWriter();
  const writer = new WireWriter();
  fc.assert(
    fc.property(replies, fc.nat(), fc.nat(), (items, one, other) => {
      writeReply(wholeWriter, items);
      writeReply(writer, items);
      const whole = wholeWriter.whole();
      const bytes = writer.take();
      expect(whole.length).toBe(bytes.length);
      const [from, to] = [one % bytes.length, other % (bytes.length + 1)].toSorted((a, b) => a - b);
      const cut = Buffer.concat(whole.slices(from!, to!));
      expect(cut.equals(bytes.subarray(from, to))).toBe(true);
    }),
  );
});

test("a large reply is kept without a copy of its values", () => {
  const value = Buffer.allocUnsafeSlow(mebibyte);
  for (const reply of [value, [value, 1, value], new BulkPiecesReply([value, value])]) {
    const answer = answerOf(reply, false);
    if (answer.outcome !== "large") throw new Error("kept as a small one");
    const own = answer.whole.slices(0, Infinity).filter(({ buffer }) => buffer !== value.buffer);
    expect(own.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(32);
  }
});

test("a reply that nobody could fetch is an error, and holds up nothing behind it", () => {
  const world = led();
  const piece = Buffer.alloc(4 * mebibyte);
  const huge = Array.from({ length: 257 }, () => piece);
  world.groups[0]!.values.set("a", huge);
  const session = world.session("n3");
  const slots = [session.ask(read, "a", "1"), session.ask(add, "a", "2")];
  world.calm(100);
  expect(slots.map(({ reply }) => text(reply))).toEqual(["ERR the reply is longer than 1 GiB", 1]);
  // A write was executed all the same.
  expect(answerOf(huge, true)).toMatchObject({
    outcome: "reply",
    reply: { message: "UNKNOWN outcome: the reply is longer than 1 GiB" },
  });
});

test("a command that nobody could fetch is answered before it is waited for", () => {
  const world = led();
  const writer = new WireWriter();
  const stream = { epoch: 1, number: 99, regionId: 1 };
  writeStart(writer, kinds.commands, stream);
  const { term } = world.groups[0]!;
  writeCommandsHead(writer, { regionEpoch: 1, term, watermark: 1, firstSeq: 1, probes: false });
  writeLarge(writer, 1024 * mebibyte + 1);
  world.node("n1").deliver("n3", writer.take());
  world.endTurn();
  const reader = new WireReader(world.letters[0]!.body);
  expect(readStart(reader)).toEqual({ kind: kinds.answers, stream });
  expect([reader.u8(), reader.varint()]).toEqual([streamStates.open, 2]);
  expect([reader.varint(), reader.u8()]).toEqual([1, outcomes.reply]);
  expect(text(readReply(reader))).toBe("ERR the command is longer than 1 GiB");
});

test("a node that does not collect its answers is served no more until it does", () => {
  const world = led();
  const [group] = world.groups;
  const replica = group!.replicas.get("n1")!;
  const session = world.session("n3");
  const send = (first: number, count: number): void => {
    for (let i = first; i < first + count; i++) session.ask(read, "a", `r${i}`);
    world.endTurn();
    world.deliverAll();
  };
  group!.values.set("a", Buffer.alloc(2 * mebibyte, 1));
  send(0, 40);
  replica.commit(Infinity);
  world.endTurn();
  // What is to be fetched is not heard of.
  world.letters.length = 0;
  send(40, 10);
  expect(replica.pending).toEqual([]);
  const other = world.session("n2").ask(add, "a", "other");
  world.endTurn();
  world.deliverAll();
  expect(replica.pending.length).toBe(1);
  // It asks again after 300 ms; from then on nothing waits for a clock.
  world.calm(450);
  expect(other.reply).toBe(1);
  expect(session.slots.every(({ reply }) => (reply as Buffer).length === 2 * mebibyte)).toBe(true);
  expect(group!.log.filter((id) => id !== "other")).toEqual(session.slots.map((_, i) => `r${i}`));
  world.calm(100);
  expect(world.clock.armed).toBe(0);
});

test("commands that wait for answers to be collected are not given up meanwhile", () => {
  const world = led();
  const [group, second] = world.groups;
  world.elect(second!, "n1");
  world.spread(second!);
  const session = world.session("n3");
  group!.values.set("a", Buffer.alloc(2 * mebibyte, 1));
  for (let i = 0; i < 40; i++) session.ask(read, "a", `r${i}`);
  world.endTurn();
  world.deliverAll();
  group!.replicas.get("n1")!.commit(Infinity);
  const write = session.ask(add, "b", "write");
  let held: World["letters"] = [];
  for (let i = 0; i < 70; i++) {
    world.clock.advance(100);
    world.endTurn();
    world.letters.unshift(...held);
    held = [];
    // A slow line: one piece in a hundred milliseconds.
    for (let pieces = 0; world.letters.length > 0;) {
      if (world.letters[0]!.body[1] !== kinds.piece || pieces++ < 1) world.deliverFirst();
      else held.push(world.letters.shift()!);
    }
    world.endTurn();
    second!.replicas.get("n1")!.commit(Infinity);
  }
  expect(text(write.reply)).toBeUndefined();
  world.letters.unshift(...held);
  world.calm(500);
  expect(write.reply).toBe(1);
});

test("a large write that waits for its turn is not given up while others are fetched", () => {
  const world = new World(1);
  for (const group of world.groups) world.elect(group, "n1");
  for (const group of world.groups) world.spread(group);
  const slots = [
    world.session("n3").ask(add, "a", Buffer.alloc(40 * mebibyte)),
    world.session("n3").ask(add, "b", Buffer.alloc(30 * mebibyte)),
  ];
  // Two pieces in a hundred milliseconds: the first takes eight seconds.
  let held: World["letters"] = [];
  for (let i = 0; i < 160; i++) {
    world.clock.advance(100);
    world.endTurn();
    world.letters.unshift(...held);
    held = [];
    for (let pieces = 0; world.letters.length > 0;) {
      if (world.letters[0]!.body[1] !== kinds.piece || pieces++ < 2) world.deliverFirst();
      else held.push(world.letters.shift()!);
      world.endTurn();
    }
    for (const group of world.groups) group.replicas.get("n1")!.commit(Infinity);
    world.endTurn();
  }
  expect(slots.map(({ reply }) => text(reply))).toEqual([1, 1]);
});

test("a large write whose sender is silent is not held to be waiting", () => {
  const world = led();
  const slot = world.session("n3").ask(add, "a", Buffer.alloc(mebibyte));
  for (let i = 0; i < 80; i++) {
    world.clock.advance(100);
    world.endTurn();
    while (world.letters.length > 0) {
      if (world.letters[0]!.body[1] === kinds.fetch) world.letters.shift();
      else world.deliverFirst();
      world.endTurn();
    }
  }
  expect(text(slot.reply)).toBe("UNKNOWN outcome: no answer from node n1");
});

test("a read that was lost with several nodes is not sent to the next", () => {
  const world = led();
  const [group] = world.groups;
  const slot = world.session("n3").ask(read, "a", "poison");
  for (const [node, next] of [
    ["n1", "n2"],
    ["n2", "n1"],
    ["n1", "n2"],
  ] as const) {
    expect(slot.reply).toBeUndefined();
    world.endTurn();
    world.deliverAll();
    expect(group!.replicas.get(node)!.pending.length).toBe(1);
    world.node("n3").router.nodeDown({ nodeId: node } as never);
    world.elect(group!, next);
    world.spread(group!);
    world.node("n3").router.nodeUp({ nodeId: next } as never);
  }
  expect(text(slot.reply)).toBe("CLUSTERDOWN node n1 is down");
});
