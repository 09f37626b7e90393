// A snapshot whose stream breaks goes on with the next one: what has come is not sent again, and what
// arrives is still of one instant. Where that cannot be, it begins anew, and nothing is left behind.

import { describe, expect, it } from "vitest";
import {
  cannotGoOn,
  decodeSnapshotHeader,
  keptForMs,
  type SnapshotHeader,
} from "../../../actors/store/snapshot-format.ts";
import { Follower, fromChunk, record, type Recorded } from "./snapshot-follower.ts";
import type { ReplicaNode } from "./replica-node.ts";
import type { Pipe } from "./snapshot-pipe.ts";
import { SnapshotWorld, type Stream } from "./snapshot-world.ts";

/** A follower that has been brought the first chunks, and then the stream broke. */
async function interrupted(seed: number, chunks: number) {
  const recorded = await record();
  expect(recorded.chunks.length).toBeGreaterThan(chunks + 1);
  const follower = new Follower(seed);
  await follower.prepare(recorded, 0);
  const pipe = follower.begin({ ...recorded, chunks: recorded.chunks.slice(0, chunks) });
  const { writer } = follower.node.handles.opened();
  const written = (): number => writer.statistics.operations;
  await follower.world.until(() => pipe.isDrained, "the first chunks have come");
  pipe.fail("the wire broke");
  await follower.world.settle();
  return { follower, recorded, written };
}

async function outcome({ world }: Follower, pipe: Pipe): Promise<string | undefined> {
  await world.until(() => pipe.accepted || pipe.failure !== undefined, "the stream has ended");
  await world.settle();
  return pipe.failure;
}

async function expectInstalled({ node }: Follower, { index, content }: Recorded): Promise<void> {
  expect(node.raft.appliedIndex).toBe(index);
  expect(await node.content()).toEqual(content);
  expect(await node.garbage()).toEqual([]);
}

describe("a receiver", () => {
  it.each([0, 1, 2])(
    "goes on where it stands when a stream begins with chunk %d",
    async (first) => {
      const { follower, recorded, written } = await interrupted(1, 2);
      const before = written();
      expect(await outcome(follower, follower.stream(fromChunk(recorded, first)))).toBe(undefined);
      await expectInstalled(follower, recorded);
      // What it had is written once.
      const { follower: other, written: all } = await interrupted(1, 0);
      const none = all();
      expect(await outcome(other, other.stream(recorded))).toBe(undefined);
      expect(written() - before).toBeLessThan(all() - none - 20);
    },
  );

  it("breaks off and goes on as often as need be", async () => {
    const { follower, recorded } = await interrupted(2, 1);
    for (let first = 1; first < recorded.chunks.length; first++) {
      const part = fromChunk(recorded, first);
      const pipe = follower.begin({ ...part, chunks: part.chunks.slice(0, 1) });
      await follower.world.until(() => pipe.isDrained, "a chunk has come");
      pipe.fail("again");
      await follower.world.settle();
    }
    // Only the end of the stream is missing.
    const last = follower.stream(fromChunk(recorded, recorded.chunks.length));
    expect(await outcome(follower, last)).toBe(undefined);
    await expectInstalled(follower, recorded);
  });

  it("refuses what does not follow on what it has, and takes all of it then", async () => {
    const { follower, recorded } = await interrupted(3, 1);
    expect(await outcome(follower, follower.stream(fromChunk(recorded, 2)))).toBe(cannotGoOn);
    expect(await follower.node.garbage()).toEqual([]);
    expect(await outcome(follower, follower.stream(fromChunk(recorded, 1)))).toBe(cannotGoOn);
    expect(await outcome(follower, follower.stream(recorded))).toBe(undefined);
    await expectInstalled(follower, recorded);
  });

  it("keeps it for half a minute", async () => {
    const { follower, recorded } = await interrupted(4, 2);
    const { world, node } = follower;
    expect(await node.garbage()).not.toEqual([]);
    world.clock.advance(keptForMs);
    await world.settle();
    expect(await node.garbage()).toEqual([]);
    node.region!.inbox.heard(1, recorded.leaderTerm);
    expect(await outcome(follower, follower.stream(fromChunk(recorded, 2)))).toBe(cannotGoOn);
  });

  it("keeps nothing over a crash, or over the end of the replica", async () => {
    for (const end of ["crash", "abandon"]) {
      const { follower, recorded } = await interrupted(5, 2);
      const { world, node } = follower;
      if (end === "crash") {
        node.crash();
        await node.start();
        node.region!.inbox.heard(1, recorded.leaderTerm);
      } else {
        node.region!.abandon("test");
      }
      await world.settle();
      expect(await node.garbage()).toEqual([]);
      if (end === "abandon") continue;
      expect(await outcome(follower, follower.stream(fromChunk(recorded, 2)))).toBe(cannotGoOn);
      expect(await outcome(follower, follower.stream(recorded))).toBe(undefined);
      await expectInstalled(follower, recorded);
    }
  });

  it("leaves a stream that it takes for alive when its sender begins another", async () => {
    const recorded = await record();
    const follower = new Follower(6);
    await follower.prepare(recorded, 0);
    const first = follower.begin({ ...recorded, chunks: recorded.chunks.slice(0, 2) });
    await follower.world.until(() => first.isDrained, "the first chunks have come");
    const [second, third] = [follower.stream(recorded), follower.stream(fromChunk(recorded, 1))];
    expect(await outcome(follower, third)).toBe(undefined);
    expect(second.failure).toContain("another stream");
    expect(first.failure).toContain("another stream");
    await expectInstalled(follower, recorded);
  });

  it("keeps nothing of a stream that brought something broken", async () => {
    const { follower, recorded } = await interrupted(7, 1);
    const broken = recorded.chunks.map((chunk) => Buffer.from(chunk));
    broken[1]![40]! ^= 1;
    const wrong = follower.stream(fromChunk({ ...recorded, chunks: broken }, 1));
    expect(await outcome(follower, wrong)).toContain("checksum");
    expect(await follower.node.garbage()).toEqual([]);
    expect(await outcome(follower, follower.stream(fromChunk(recorded, 1)))).toBe(cannotGoOn);
  });

  it("gives it up for another snapshot, and does not go on in another term", async () => {
    const { follower, recorded } = await interrupted(8, 2);
    const other = fromChunk(recorded, 2, { snapshotId: 5 });
    expect(await outcome(follower, follower.stream(other))).toBe(cannotGoOn);
    expect(await follower.node.garbage()).toEqual([]);
    const again = await interrupted(9, 2);
    const { node } = again.follower;
    node.region!.inbox.heard(2, recorded.leaderTerm + 1);
    await again.follower.world.settle();
    const late = again.follower.stream(fromChunk(recorded, 2));
    expect(await outcome(again.follower, late)).toContain("not a follower");
  });
});

/** Nodes 1 and 2 run, one leads a region of so many KiB, and node 3 has never been there. */
async function pair(seed: number, kibibytes: number) {
  const world = new SnapshotWorld(seed);
  const voters = [1, 2, 3];
  const both = [await world.add(1, voters).start(), await world.add(2, voters).start()];
  await world.until(() => both.some(({ region }) => region!.serving), "a leader");
  const leader = both.find(({ region }) => region!.serving)!;
  for (let i = 0; i * 100 < kibibytes; i++) {
    await leader.ask(`SET key${i} ${String(i).padStart(100 * 1024, "v")}`);
  }
  await leader.cut();
  await world.settle();
  const broken: Stream[] = [];
  /** Breaks streams at their nth chunk, so often. */
  const breakAt = (number: number, times: number): void => {
    world.onStream = (stream) => {
      stream.pipe.tamper = (chunk, at) => {
        if (at !== number || broken.length === times) return chunk;
        broken.push(stream);
        return undefined;
      };
    };
  };
  const late = world.add(3, voters);
  return { world, leader, late, broken, breakAt };
}

const headerOf = ({ header }: Stream): SnapshotHeader => decodeSnapshotHeader(header);

async function caughtUp(world: SnapshotWorld, leader: ReplicaNode, late: ReplicaNode) {
  await world.until(() => late.raft.appliedIndex >= leader.raft.commitIndex, "caught up");
  await world.settle();
  expect(await late.content()).toEqual(await leader.content());
  expect(await late.garbage()).toEqual([]);
}

describe("a sender", () => {
  it("goes on with the same cut, whatever was written meanwhile", async () => {
    const { world, leader, late, broken, breakAt } = await pair(11, 1500);
    breakAt(3, 3);
    await late.start();
    while (!world.streams.some(({ pipe }) => pipe.accepted)) {
      leader.send(`SET key3 ${world.streams.length}`);
      await world.stepMany(20);
    }
    expect(broken).toHaveLength(3);
    const moved = world.streams.filter(
      ({ pipe }) => pipe.accepted || broken.some((b) => b.pipe === pipe),
    );
    expect(new Set(moved.map((stream) => headerOf(stream).snapshotId)).size).toBe(1);
    expect(new Set(moved.map((stream) => headerOf(stream).index)).size).toBe(1);
    await caughtUp(world, leader, late);
  });

  it("does not send again what must have come", async () => {
    const { world, leader, late, broken, breakAt } = await pair(12, 9000);
    breakAt(30, 1);
    await late.start();
    await world.until(() => world.streams.some(({ pipe }) => pipe.accepted), "the snapshot");
    const [first] = broken;
    const last = world.streams.find(({ pipe }) => pipe.accepted)!;
    expect(headerOf(last).snapshotId).toBe(headerOf(first!).snapshotId);
    // Of 31 chunks of 200 KiB and more the last 4 MiB.
    expect(headerOf(last).firstChunk).toBeGreaterThan(8);
    await caughtUp(world, leader, late);
  });

  it("begins anew when the receiver has lost what it was brought", async () => {
    const { world, leader, late, broken, breakAt } = await pair(13, 9000);
    breakAt(30, 1);
    await late.start();
    await world.until(() => broken.length === 1, "the stream breaks");
    late.crash();
    await late.start();
    await world.until(() => world.streams.some(({ pipe }) => pipe.accepted), "the snapshot");
    const refused = world.streams.filter(({ pipe }) => pipe.failure === cannotGoOn);
    expect(refused).toHaveLength(1);
    const last = world.streams.find(({ pipe }) => pipe.accepted)!;
    expect(headerOf(last).firstChunk).toBe(0);
    expect(headerOf(last).snapshotId).not.toBe(headerOf(refused[0]!).snapshotId);
    await caughtUp(world, leader, late);
  });

  it("lets the cut go when nobody wants it for half a minute, or the replica ends", async () => {
    for (const end of ["time", "abandon"]) {
      const { world, leader, late, broken, breakAt } = await pair(14, 1500);
      const { engine } = leader.handles.opened();
      let open = 0;
      const iterate = engine.iterate.bind(engine);
      engine.iterate = (options) => {
        const iterator = iterate(options);
        open++;
        return { next: (count) => iterator.next(count), end: () => (open--, iterator.end()) };
      };
      breakAt(3, 1);
      await late.start();
      await world.until(() => broken.length === 1, "the stream breaks");
      late.crash();
      world.passes = () => false;
      await world.stepMany(20);
      expect(open).toBeGreaterThan(0);
      if (end === "time") world.clock.advance(keptForMs);
      else leader.region!.abandon("test");
      await world.stepMany(20);
      expect(open).toBe(0);
    }
  });
});
