// Whatever step of an install a crash interrupts, the replica comes back with the old state or the new
// one, whole, with a log that fits it; what the install had written is cleared. Stepping stops after
// every single step of the world, with and without power loss.

import { describe, expect, it } from "vitest";
import {
  decodeSnapshotHeader,
  encodeSnapshotHeader,
} from "../../../actors/store/snapshot-format.ts";
import { seededRandom } from "../../simulation/disk.ts";
import { DamagedError } from "../../../storage/errors.ts";
import {
  allocatorKey,
  decodeAllocator,
  encodeApplied,
  installedKey,
} from "../../../storage/local-records.ts";
import { keyRange, spaceRange } from "../../../storage/key-ranges.ts";
import { dataIdOf, spaces } from "../../../storage/keys.ts";
import { regionId } from "./replica-node.ts";
import { entry, Follower, fromChunk, record, type Recorded } from "./snapshot-follower.ts";

/** The content of a replica and whether its log fits; then it goes on with the leader's next entry. */
async function check(follower: Follower, recorded: Recorded, old: readonly string[], tail: number) {
  const { world, node } = follower;
  const { index, term, leaderTerm } = recorded;
  const { raft } = node;
  const isNew = raft.appliedIndex >= index;
  if (isNew) {
    expect(raft.appliedIndex).toBe(index);
    expect(raft.log.termAt(index)).toBe(term);
    expect(raft.log.lastIndex).toBe(index);
    expect(node.journal.logOf(regionId)).toMatchObject({ lastIndex: index, lastTerm: term });
    follower.append(leaderTerm, index, term, [entry(index + 1, leaderTerm, "next")], index + 1);
    await world.until(() => node.raft.appliedIndex === index + 1, "the next entry");
    await world.settle();
    expect(follower.acks).toContain(index + 1);
    const after = await node.content();
    expect(after.length).toBe(recorded.content.length + 1);
    expect(after).toEqual(expect.arrayContaining([...recorded.content]));
  } else {
    // What was not durable in the engine is in the log; that it is committed says the leader.
    follower.append(leaderTerm, 4, 1, [], 4);
    await world.until(() => raft.appliedIndex === 4, "the old entries once more");
    await world.settle();
    expect(await node.content()).toEqual(old);
    expect(raft.log.lastIndex).toBe(4 + tail);
  }
  await world.settle();
  expect(await node.garbage()).toEqual([]);
  return isNew;
}

describe("a crash while a snapshot is installed", () => {
  it.each([
    ["with a short log", 0, false],
    ["with an uncommitted tail longer than the snapshot", 200, false],
    ["when its stream breaks and another one goes on", 0, true],
  ])(
    "leaves the old state or the new one, %s",
    async (_what, tail, breaks) => {
      const recorded = await record();
      const outcomes = { old: 0, new: 0 };
      for (const seed of [0, 1, 2, 3, 4, 5]) {
        let left = 15;
        for (let steps = 0; left > 0; steps++) {
          const follower = new Follower(seed);
          const { world, node } = follower;
          await follower.prepare(recorded, tail);
          const old = await node.content();
          const begun = { ...recorded, chunks: recorded.chunks.slice(0, 2) };
          let pipe = breaks ? follower.begin(begun) : follower.stream(recorded);
          for (let step = 0; step < steps; step++) {
            // Somebody wakes the sweeper all the time.
            node.sweeper.wake();
            await world.step();
            if (!pipe.isDrained || !breaks) continue;
            pipe.fail("the wire broke");
            pipe = follower.stream(fromChunk(recorded, 1));
          }
          expect(pipe.failure).toBe(undefined);
          if (pipe.accepted) left--;
          const isPromised = pipe.accepted || follower.acks.includes(recorded.index);
          node.crash(seed === 0 ? undefined : seededRandom(seed * 1000 + steps));
          await node.start();
          const used = await node.stored(spaceRange(spaces.pendingClear));
          const [allocator] = await node.stored(keyRange(allocatorKey()));
          const { nextDataId } = decodeAllocator(allocator!.value);
          for (const { key } of used) expect(dataIdOf(key)).toBeLessThan(nextDataId);
          await world.settle();
          const isNew = await check(follower, recorded, old, tail);
          if (isPromised) expect(isNew).toBe(true);
          outcomes[isNew ? "new" : "old"]++;
          if (steps > 5000) throw new Error("the install never ends");
        }
      }
      expect(outcomes.old).toBeGreaterThan(60);
      expect(outcomes.new).toBeGreaterThan(6 * 15 + 20);
    },
    120_000,
  );

  it.each([
    ["no install", undefined],
    ["an older install", 5],
  ])("is damage when the log ends before the data and %s says why", async (_what, older) => {
    const recorded = await record();
    const follower = new Follower(5);
    const { world, node } = follower;
    await follower.prepare(recorded, 0);
    // The journal stands still: the flip lands, the reset does not.
    node.journal.flush = () => undefined;
    follower.stream(recorded);
    await world.until(() => node.raft.appliedIndex === recorded.index, "the flip");
    const { engine } = node.handles.opened();
    const key = installedKey(regionId);
    const gone = engine.write(
      [
        older === undefined
          ? { type: "del", key }
          : { type: "put", key, value: encodeApplied(older, 1) },
      ],
      { sync: true },
    );
    let isGone = false;
    void gone.then(() => (isGone = true));
    await world.until(() => isGone, "the record is gone");
    node.crash();
    const started = await node.start().catch((error: unknown) => error);
    expect(started instanceof DamagedError).toBe(true);
  });
});

describe("an install", () => {
  it("keeps the suffix of a log that goes on behind it", async () => {
    const recorded = await record();
    const { index, term, leaderTerm } = recorded;
    const follower = new Follower(6);
    const { world, node } = follower;
    await node.start();
    const entries = Array.from({ length: index + 3 }, (_, i) =>
      entry(i + 1, i + 1 === index + 3 ? leaderTerm : term, `e${i}`),
    );
    follower.append(leaderTerm, 0, 0, entries, 2);
    await world.until(() => node.raft.durableIndex === index + 3, "the log");
    const pipe = follower.stream(recorded);
    await world.until(() => pipe.accepted, "the snapshot");
    expect(node.raft.log.lastIndex).toBe(index + 3);
    expect(node.journal.logOf(regionId)!.lastIndex).toBe(index + 3);
    follower.append(leaderTerm, index + 3, leaderTerm, [], index + 3);
    await world.until(() => node.raft.appliedIndex === index + 3, "the suffix");
    await world.settle();
    expect((await node.content()).length).toBe(recorded.content.length + 3);
    node.crash(seededRandom(1));
    await node.start();
    expect(node.raft.appliedIndex).toBe(index + 3);
    await world.settle();
    expect((await node.content()).length).toBe(recorded.content.length + 3);
    expect(await node.garbage()).toEqual([]);
  });

  it("applies nothing over the new data that was committed before it", async () => {
    const recorded = await record();
    const { index, term, leaderTerm } = recorded;
    for (let seed = 0; seed < 40; seed++) {
      const follower = new Follower(seed);
      const { world, node } = follower;
      await node.start();
      const entries = Array.from({ length: index }, (_, i) => entry(i + 1, term, `e${i}`));
      follower.append(leaderTerm, 0, 0, entries, 1);
      await world.until(() => node.raft.appliedIndex === 1, "the log");
      const pipe = follower.stream(recorded);
      // Commits come in while it is being installed, so that applying races with it.
      for (let commit = 2; pipe.failure === undefined && !pipe.accepted; commit++) {
        await world.stepMany(1 + (seed % 5));
        const upTo = Math.min(commit, index - 1);
        follower.append(leaderTerm, upTo, term, [], upTo);
      }
      expect(pipe.failure).toBe(undefined);
      await world.settle();
      expect(node.raft.appliedIndex).toBe(index);
      expect(await node.content()).toEqual(recorded.content);
      expect(await node.garbage()).toEqual([]);
    }
  });

  it("is given up when the leader changes, and clears what it wrote", async () => {
    const recorded = await record();
    const follower = new Follower(8);
    const { world, node } = follower;
    await follower.prepare(recorded, 0);
    const old = await node.content();
    const pipe = follower.stream(recorded);
    await world.until(() => node.handles.engine!.writer.statistics.operations > 20, "records");
    expect(pipe.accepted).toBe(false);
    node.region!.inbox.heard(2, recorded.leaderTerm + 1);
    await world.settle();
    expect(pipe.failure).toContain("not a follower");
    expect(await node.content()).toEqual(old);
    expect(await node.garbage()).toEqual([]);
  });

  it("refuses the stream of another snapshot while one is under way", async () => {
    const recorded = await record();
    const follower = new Follower(9);
    await follower.prepare(recorded, 0);
    const first = follower.stream(recorded);
    const other = { ...decodeSnapshotHeader(recorded.header), snapshotId: 1 };
    const second = follower.stream({ ...recorded, header: encodeSnapshotHeader(other) });
    await follower.world.until(() => first.accepted, "the first");
    expect(second.failure).toContain("another snapshot");
  });

  it("does not take a stream for whole that has no end", async () => {
    const recorded = await record();
    const follower = new Follower(11);
    await follower.prepare(recorded, 0);
    const pipe = follower.stream({ ...recorded, chunks: recorded.chunks.slice(0, -1) });
    await follower.world.until(() => pipe.failure !== undefined, "the refusal");
    expect(pipe.failure).toContain("stops before its end");
    expect(follower.node.raft.appliedIndex).toBe(4);
  });

  it("keeps its data when the sweeper found the clears of ids that then became the region's", async () => {
    const recorded = await record();
    for (let seed = 0; seed < 60; seed++) {
      const follower = new Follower(seed);
      const { world, node } = follower;
      await follower.prepare(recorded, 0);
      const pipe = follower.stream(recorded);
      while (!pipe.accepted) {
        node.sweeper.wake();
        await world.step();
      }
      await world.settle();
      expect(await node.content(), `seed ${seed}`).toEqual(recorded.content);
      expect(await node.garbage()).toEqual([]);
    }
  });
});
