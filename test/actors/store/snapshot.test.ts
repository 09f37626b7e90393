// A replica that needs what the log no longer holds gets the whole region, exactly as of one index,
// whatever is written, broken or lost meanwhile.

import { describe, expect, it } from "vitest";
import { ChunkDecoder, decodeSnapshotHeader } from "../../../actors/store/snapshot-format.ts";
import { EntryReader, operations } from "../../../storage/codec.ts";
import { DamagedError } from "../../../storage/errors.ts";
import { keyRange, spaceRange } from "../../../storage/key-ranges.ts";
import { chunkKey, spaces, stagingKey } from "../../../storage/keys.ts";
import { pendingClearKey } from "../../../storage/local-records.ts";
import { regionId, type ReplicaNode } from "./replica-node.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const voters = [1, 2, 3];
const farMs = 1_900_000_000_000;

/** Nodes 1 and 2 run and 1 leads; node 3 has never been there. */
async function pair(seed: number): Promise<{ world: SnapshotWorld; leader: ReplicaNode }> {
  const world = new SnapshotWorld(seed);
  await world.add(1, voters).start();
  await world.add(2, voters).start();
  await world.until(
    () => [...world.nodes.values()].some(({ region }) => region!.serving),
    "a leader",
  );
  const leader = [...world.nodes.values()].find(({ region }) => region!.serving)!;
  return { world, leader };
}

const value = (bytes: number, text: string): string => text.repeat(Math.ceil(bytes / text.length));

/** Something of everything: databases, expiries, long strings, flushes, overwritten objects. */
async function fill(leader: ReplicaNode): Promise<void> {
  for (let db = 0; db < 16; db++) await leader.ask(`SET in${db} ${db}`, db);
  for (let i = 0; i < 40; i++) await leader.ask(`SET key${i} ${value(3000, `v${i}.`)}`);
  for (let i = 0; i < 10; i++) await leader.ask(`SET brief${i} x PXAT ${farMs + i}`, 3);
  await leader.ask(`SET long ${value(50_000, "long")}`);
  await leader.ask(`SET long ${value(60_000, "longer")}`);
  await leader.ask(`SET gone ${value(50_000, "gone")} PXAT ${farMs}`, 2);
  await leader.ask("DEL gone", 2);
  await leader.ask(`SET huge ${value(700_000, "huge")}`, 1);
  await leader.ask(`SET flushed ${value(40_000, "f")} PXAT ${farMs}`, 5);
  await leader.ask("FLUSHDB", 5);
  await leader.ask("SET after flush", 5);
}

async function joins(world: SnapshotWorld): Promise<ReplicaNode> {
  const late = await world.add(3, voters).start();
  const leader = [...world.nodes.values()].find(({ region }) => region!.role === "leader")!;
  await world.until(
    () => late.raft.appliedIndex >= leader.raft.commitIndex && leader.raft.commitIndex > 0,
    "the late one has caught up",
  );
  await world.settle();
  return late;
}

describe("a snapshot", () => {
  it("brings everything: 16 databases, expiries, chunks, counters", async () => {
    for (const seed of [1, 2, 3]) {
      const { world, leader } = await pair(seed);
      await fill(leader);
      await leader.cut();
      await world.settle();
      const late = await joins(world);
      expect(world.streams.length).toBeGreaterThan(0);
      expect(world.streams.at(-1)!.pipe.accepted).toBe(true);
      expect(await late.content()).toEqual(await leader.content());
      expect(late.region!.applied.counters).toEqual(leader.region!.applied.counters);
      expect(late.region!.applied.nextExpiryMs).toBe(farMs);
      expect(late.raft.log.prevIndex).toBeGreaterThan(0);
      expect(await late.garbage()).toEqual([]);
    }
  });

  it("makes a replica that can lead and goes on from there", async () => {
    const { world, leader } = await pair(4);
    await fill(leader);
    await leader.cut();
    const late = await joins(world);
    await leader.ask("SET more 1");
    leader.region!.inbox.transferTo(late.nodeId);
    await world.until(() => late.region!.serving, "the late one leads");
    expect(await late.ask("GET long")).toBe(value(60_000, "longer"));
    expect(await late.ask("GET huge", 1)).toBe(value(700_000, "huge"));
    expect(await late.ask("PEXPIRETIME brief7", 3)).toBe(farMs + 7);
    expect(await late.ask("GET flushed", 5)).toBe(null);
    expect(await late.ask("DBSIZE", 5)).toBe(1);
    expect(await late.ask("GET more")).toBe("1");
    await late.ask(`SET long ${value(30_000, "third")}`);
    await world.settle();
    expect(await leader.content()).toEqual(await late.content());
  });

  it("is a cut, whatever is written while it is on its way", async () => {
    for (const seed of [5, 6, 7, 8]) {
      const { world, leader } = await pair(seed);
      for (let i = 0; i < 60; i++) await leader.ask(`SET pad${i} ${value(12_000, `p${i}`)}`);
      const whole = await leader.journal.read(regionId, 1, leader.raft.log.lastIndex, Infinity);
      expect(whole.length).toBeGreaterThan(60);
      await leader.cut();
      const chunks = world.recordChunks();
      let written = 0;
      const late = await world.add(3, voters).start();
      while (!world.streams.some(({ pipe }) => pipe.accepted)) {
        leader.send(`MSET pad${written % 60} ${written} a ${written} z ${written}`);
        written++;
        await world.stepMany(3);
      }
      expect(written).toBeGreaterThan(10);
      const { header } = world.streams.find(({ pipe }) => pipe.accepted)!;
      const { index, snapshotId } = decodeSnapshotHeader(header);
      const decoder = new ChunkDecoder(snapshotId);
      const sent = new Map<string, string>();
      for (const chunk of chunks) {
        for (const { key, stored } of decoder.take(chunk) ?? []) {
          sent.set(key.toString("hex"), stored.toString("hex"));
        }
      }
      await world.settle();
      const tail = await leader.journal.read(regionId, whole.length + 1, index, Infinity);
      const expected = new Map<string, string>();
      for (const { kind, payload } of [...whole, ...tail]) {
        if (kind !== 1) continue;
        const reader = new EntryReader(payload);
        for (let code = reader.next(); code !== operations.end; code = reader.next()) {
          const isRecord = reader.key[0] !== spaces.ttl;
          if (code === operations.put && isRecord) {
            expected.set(reader.key.toString("hex"), reader.stored.toString("hex"));
          } else if (code === operations.del) expected.delete(reader.key.toString("hex"));
        }
      }
      expect(sent).toEqual(expected);
      expect(await late.content()).toEqual(await leader.content());
    }
  });

  it("brings what a large write has sent ahead, which a new leader gives up", async () => {
    const { world, leader } = await pair(13);
    const effects = [
      { type: "put", key: stagingKey(77, 1000), value: Buffer.alloc(0) },
      { type: "put", key: chunkKey(77, 1000, 0), value: Buffer.from("ahead") },
    ] as const;
    leader.region!.handle({ type: "region.propose", effects, settle: () => undefined });
    await world.settle();
    await leader.cut();
    const late = await joins(world);
    expect(await late.stored(spaceRange(spaces.staging))).toHaveLength(1);
    expect(await late.content()).toEqual(await leader.content());
    leader.region!.inbox.transferTo(late.nodeId);
    await world.until(() => late.region!.serving, "the late one leads");
    await world.settle();
    expect(await late.content()).toEqual([]);
    expect(await late.garbage()).toEqual([]);
  });

  it("carries the slot of a flush that nobody has cleared yet, as such", async () => {
    const { world, leader } = await pair(9);
    leader.sweeper.stop();
    await fill(leader);
    await leader.cut();
    const late = await world.add(3, voters).start();
    late.sweeper.stop();
    await world.until(() => world.streams.some(({ pipe }) => pipe.accepted), "the snapshot");
    await world.settle();
    expect([...late.region!.applied.uncleared]).toEqual([5]);
    const { dataId } = late.region!.applied.meta.extents[0]!;
    expect(await late.stored(keyRange(pendingClearKey({ dataId, slot: 5 })))).toHaveLength(1);
    // The objects that were dropped did not come along.
    const content = await late.content();
    expect(content.length).toBeLessThan((await leader.content()).length);
    late.crash();
    await late.start();
    await world.settle();
    expect(late.region!.applied.uncleared.size).toBe(0);
    const flushed = Buffer.from("flushed").toString("hex");
    expect((await late.content()).filter((line) => line.includes(flushed))).toEqual([]);
    expect(await late.garbage()).toEqual([]);
    leader.region!.inbox.transferTo(late.nodeId);
    await world.until(() => late.region!.serving, "the late one leads");
    expect(await late.ask("GET flushed", 5)).toBe(null);
    expect(await late.ask("GET after", 5)).toBe("flush");
    expect(await late.ask("DBSIZE", 5)).toBe(1);
  });
});

describe("a flush", () => {
  it("waits at a replica that has not cleared the slot it moves to", async () => {
    const { world, leader } = await pair(15);
    const other = [...world.nodes.values()].find((node) => node !== leader)!;
    other.sweeper.stop();
    await leader.ask("SET keep 1", 1);
    await leader.ask("SET old 1");
    await leader.ask("FLUSHDB");
    await world.settle();
    const left = [...other.region!.applied.uncleared];
    expect(left).toHaveLength(1);
    await leader.ask("SET between 1");
    await leader.ask("FLUSHDB");
    await leader.ask("SET new 1");
    await world.settle();
    // The leader is back in the slot that the other one still has to clear.
    expect(leader.region!.applied.counters.slots[0]).toBe(left[0]);
    expect(other.raft.appliedIndex).toBeLessThan(leader.raft.appliedIndex);
    other.sweep();
    await world.settle();
    expect(other.raft.appliedIndex).toBe(leader.raft.appliedIndex);
    expect(await other.content()).toEqual(await leader.content());
    expect(await other.content()).toHaveLength(2);
  });
});

describe("a snapshot that fails", () => {
  it.each([
    ["is flipped in one bit", (chunk: Buffer) => ((chunk[chunk.length >> 1]! ^= 4), chunk)],
    ["comes twice", undefined],
    ["breaks off", () => undefined],
  ])("leaves what was there when a chunk %s", async (_how, tamper) => {
    const { world, leader } = await pair(10);
    await fill(leader);
    const late = await joins(world);
    const before = await late.content();
    late.crash();
    await leader.ask("SET unheard 1");
    await leader.cut();
    await world.settle();
    let broken = 0;
    let former: Buffer | undefined;
    world.onStream = ({ pipe }) => {
      pipe.tamper = (chunk, number) => {
        const again = former;
        former = Buffer.from(chunk);
        if (number !== 2) return chunk;
        broken++;
        return tamper === undefined ? again : tamper(chunk);
      };
    };
    await late.start();
    await world.until(() => broken >= 2, "two streams have failed");
    world.passes = () => false;
    await world.settle();
    // What a broken stream has brought waits for half a minute.
    world.clock.advance(30_000);
    await world.settle();
    expect(world.streams.every(({ pipe }) => !pipe.accepted || pipe.failure === undefined)).toBe(
      true,
    );
    expect(await late.content()).toEqual(before);
    expect(await late.garbage()).toEqual([]);
    world.passes = () => true;
    world.onStream = () => undefined;
    await world.until(() => late.raft.appliedIndex >= leader.raft.commitIndex, "caught up");
    await world.settle();
    expect(await late.content()).toEqual(await leader.content());
    expect(await late.garbage()).toEqual([]);
  });

  it("stops at the sender where its disk has broken a value", async () => {
    const { world, leader } = await pair(11);
    await fill(leader);
    await leader.cut();
    await world.settle();
    const [first] = await leader.stored(spaceRange(spaces.meta));
    const broken = Buffer.from(first!.value);
    broken[0]! ^= 1;
    const { writer } = leader.handles.opened();
    const put = { type: "put", key: first!.key, value: broken } as const;
    writer.submit({ regionId: 0, operations: [put], sync: false, onDone: () => undefined });
    await world.settle();
    const late = await world.add(3, voters).start();
    for (let i = 0; i < 5000 && leader.failures.length === 0; i++) await world.step();
    expect(leader.failures[0]).toBeInstanceOf(DamagedError);
    await world.stepMany(50);
    expect(world.streams.some(({ pipe }) => pipe.accepted)).toBe(false);
    expect(late.raft.appliedIndex).toBe(0);
  });

  it("is not gone on with by a leader that is none any more, or has ended", async () => {
    for (const end of ["deposed", "abandoned"]) {
      const { world, leader } = await pair(14);
      await fill(leader);
      await leader.cut();
      await world.settle();
      world.onStream = ({ pipe }) => {
        pipe.tamper = (chunk, number) => {
          if (number !== 1) return chunk;
          if (end === "abandoned") leader.region!.abandon("test");
          else leader.region!.inbox.heard(3, leader.raft.term + 5);
          return chunk;
        };
      };
      await world.add(3, voters).start();
      const isAborted = (): boolean =>
        world.streams.some(({ pipe }) => pipe.failure?.includes("not the leader"));
      await world.until(isAborted, `a stream of a leader that is ${end} is aborted`);
      await world.stepMany(20);
      expect(leader.handles.snapshots.beginSending()).toBeDefined();
      expect(leader.handles.snapshots.beginSending()).toBeDefined();
    }
  });

  it("is refused by who does not follow that leader in that term, or has it already", async () => {
    const { world, leader } = await pair(12);
    await fill(leader);
    await leader.cut();
    const late = await joins(world);
    const { header } = world.streams.find(({ pipe }) => pipe.accepted)!;
    world.open(leader.nodeId, late.nodeId, header);
    await world.settle();
    expect(world.streams.at(-1)!.pipe.failure).toContain("applied");
    const other = [...world.nodes.values()].find((node) => node !== leader && node !== late)!;
    world.open(leader.nodeId, other.nodeId, header);
    await world.settle();
    expect(world.streams.at(-1)!.pipe.failure).toContain("another replica");
    world.open(late.nodeId, leader.nodeId, header);
    await world.settle();
    expect(world.streams.at(-1)!.pipe.failure).toContain("not a follower");
  });
});
