// Whatever step of an install a crash interrupts, the replica comes back with the old state or the new
// one, whole, with a log that fits it; what the install had written is cleared. Stepping stops after
// every single step of the world, with and without power loss.

import { describe, expect, it } from "vitest";
import { decodeSnapshotHeader } from "../../../actors/store/snapshot-format.ts";
import { seededRandom } from "../../simulation/disk.ts";
import { encodeEntry } from "../../../storage/codec.ts";
import { DamagedError } from "../../../storage/errors.ts";
import type { LogEntry } from "../../../storage/journal/types.ts";
import {
  allocatorKey,
  decodeAllocator,
  encodeApplied,
  installedKey,
} from "../../../storage/local-records.ts";
import { keyRange, spaceRange } from "../../../storage/key-ranges.ts";
import { dataIdOf, spaces } from "../../../storage/keys.ts";
import { regionId, type ReplicaNode } from "./replica-node.ts";
import { Pipe } from "./snapshot-pipe.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const leaderId = 1;

interface Recorded {
  readonly header: Buffer;
  readonly chunks: readonly Buffer[];
  readonly index: number;
  readonly term: number;
  readonly leaderTerm: number;
  readonly content: readonly string[];
}

/** What a real leader streams for replica 3. */
async function record(): Promise<Recorded> {
  const voters = [1, 2, 3];
  const world = new SnapshotWorld(1);
  const leader = await world.add(1, voters).start();
  const other = await world.add(2, voters).start();
  await world.until(() => leader.region!.serving || other.region!.serving, "somebody leads");
  // There and back: its term is not the one of the entries that the followers of these tests have.
  if (leader.region!.serving) leader.region!.inbox.transferTo(other.nodeId);
  await world.until(() => other.region!.serving, "replica 2 leads");
  other.region!.inbox.transferTo(leader.nodeId);
  await world.until(() => leader.region!.serving, "replica 1 leads");
  for (let i = 0; i < 60; i++)
    await leader.ask(`SET key${i} ${"v".repeat(9000)} PX 9999999`, i % 16);
  await leader.ask(`SET long ${"long".repeat(20_000)}`);
  await leader.ask(`SET left ${"left".repeat(20_000)}`, 4);
  await leader.ask("FLUSHDB", 4);
  await leader.cut();
  await world.settle();
  const chunks: Buffer[] = [];
  world.onStream = ({ pipe }) => {
    chunks.length = 0;
    pipe.tamper = (chunk) => {
      chunks.push(Buffer.from(chunk));
      return chunk;
    };
  };
  await world.add(3, voters).start();
  await world.until(() => world.streams.at(-1)?.pipe.accepted === true, "the snapshot");
  const { header } = world.streams.at(-1)!;
  const { index, indexTerm, term } = decodeSnapshotHeader(header);
  await world.settle();
  const content = await leader.content();
  return { header, chunks, index, term: indexTerm, leaderTerm: term, content };
}

const entry = (index: number, term: number, text: string): LogEntry => ({
  index,
  term,
  kind: 1,
  payload: encodeEntry({
    nowMs: 1_700_000_000_000 + index,
    effects: [
      { type: "put", key: Buffer.from(`\u0010${text.padEnd(10, ".")}`), value: Buffer.from(text) },
    ],
  }),
});

/** A leader that consists of what the test says in its name. */
class Follower {
  readonly world: SnapshotWorld;
  readonly node: ReplicaNode;
  readonly acks: number[] = [];

  constructor(seed: number) {
    this.world = new SnapshotWorld(seed);
    this.node = this.world.add(3, [1, 2, 3]);
    this.world.passes = (_from, _to, message) => {
      if (message.type === "append.reply" && message.matched) this.acks.push(message.index);
      return false;
    };
  }

  append(
    term: number,
    prevIndex: number,
    prevTerm: number,
    entries: LogEntry[],
    commitIndex: number,
  ) {
    this.node.region!.inbox.received(
      "n1",
      {
        type: "append.request",
        from: leaderId,
        to: 3,
        term,
        prevIndex,
        prevTerm,
        commitIndex,
        entries,
        sentAtMs: this.world.clock.monotonicMs(),
      },
      this.world.clock.monotonicMs(),
    );
  }

  /** Sends the recorded stream; what becomes of it shows in the pipe. */
  stream({ header, chunks }: Recorded): Pipe {
    const pipe = new Pipe();
    this.node.region!.receiveSnapshot("n1", header, pipe.reader);
    const write = async (): Promise<void> => {
      for (const chunk of chunks) await pipe.writer.write(chunk);
      await pipe.writer.end();
    };
    write().catch(() => undefined);
    return pipe;
  }

  /** With a few entries of an older term applied and a tail that nobody else has. */
  async prepare({ index, leaderTerm }: Recorded, tail: number, seen = true): Promise<void> {
    const { world, node } = this;
    await node.start();
    const entries = Array.from({ length: 4 + tail }, (_, i) => entry(i + 1, 1, `old${i}`));
    this.append(1, 0, 0, entries, 4);
    await world.until(() => node.raft.appliedIndex === 4, "the old entries");
    if (!seen) return;
    node.region!.inbox.heard(leaderId, leaderTerm);
    await world.until(() => node.region!.inbox.heard(leaderId, leaderTerm), "the leader is known");
    expect(index).toBeGreaterThan(4);
  }
}

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
    ["a short log", 0],
    ["an uncommitted tail longer than the snapshot", 200],
  ])(
    "leaves the old state or the new one, with %s",
    async (_what, tail) => {
      const recorded = await record();
      const outcomes = { old: 0, new: 0 };
      for (const seed of [0, 1, 2, 3, 4, 5]) {
        let left = 15;
        for (let steps = 0; left > 0; steps++) {
          const follower = new Follower(seed);
          const { world, node } = follower;
          await follower.prepare(recorded, tail);
          const old = await node.content();
          const pipe = follower.stream(recorded);
          for (let step = 0; step < steps; step++) {
            // Somebody wakes the sweeper all the time.
            node.sweeper.wake();
            await world.step();
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

  it("refuses a second stream while one is under way", async () => {
    const recorded = await record();
    const follower = new Follower(9);
    await follower.prepare(recorded, 0);
    const first = follower.stream(recorded);
    const second = follower.stream(recorded);
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
