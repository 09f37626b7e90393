// Single commands that change more than one log entry holds: what they acknowledge is there whole, in
// memory and in the engine, however often they touch one chunk; and each of them ends.

import { describe, expect, it } from "vitest";
import { spaces } from "../../../storage/keys.ts";
import { chunkBytes } from "../../../storage/keyspace/strings.ts";
import { plain, StoreWorld } from "../../simulation/store-world.ts";

const start = (seed: number): Promise<StoreWorld> =>
  new StoreWorld({
    seed,
    regions: 1,
    cacheBytes: 1_000_000,
    journalFileBytes: 4 * 1024 * 1024,
  }).start();

const words = (list: readonly string[]): Buffer[] => list.map((word) => Buffer.from(word));

/** BITOP over strings that expire after these ms, 0 = never; it returns when it is being staged. */
const withSources = async (seed: number, ttls: readonly number[]) => {
  const world = await start(seed);
  world.store.setActiveExpire(false);
  for (const [i, ttl] of ttls.entries()) {
    await world.ask([Buffer.from("SET"), Buffer.from(`s${i}`), Buffer.alloc(600_000, 1 << i)]);
    if (ttl > 0) await world.ask(`PEXPIRE s${i} ${ttl}`);
  }
  await world.settle(10);
  const sent = world.send(`BITOP OR to ${ttls.map((_, i) => `s${i}`).join(" ")}`);
  await world.until(() => world.regions[0]!.region!.evaluator.waitsForApply, "it is staged");
  return { world, sent };
};

const leavesNothing = async (world: StoreWorld): Promise<void> => {
  await world.settle(1000);
  expect(await world.ask("EXISTS big")).toBe(0);
  expect(await world.stored(spaces.staging)).toEqual([]);
  expect(await world.stored(spaces.deadOid)).toEqual([]);
  expect(await world.stored(spaces.sub)).toEqual([]);
};

/** The last bytes of this many chunks, as bit offsets. */
const chunkEnds = (chunks: number, bytesEach: number): number[] =>
  Array.from({ length: chunks * bytesEach }, (_, i) => {
    const chunk = Math.floor(i / bytesEach);
    return (chunk * chunkBytes + chunkBytes - 1 - (i % bytesEach)) * 8;
  });

describe("a BITFIELD that makes a long string", () => {
  it("loses no field, whichever chunk it puts more than once", async () => {
    for (const [chunks, bytesEach] of [
      [20, 1],
      [100, 1],
      [20, 2],
      [100, 2],
      [300, 1],
    ] as const) {
      const world = await start(1);
      const offsets = chunkEnds(chunks, bytesEach);
      const set = offsets.flatMap((at) => ["SET", "u8", String(at), "7"]);
      const get = offsets.flatMap((at) => ["GET", "u8", String(at)]);
      const before = await world.ask(words(["BITFIELD", "fresh", ...set]));
      expect(before).toEqual(offsets.map(() => 0));
      const wanted = offsets.map(() => 7);
      expect(await world.ask(words(["BITFIELD_RO", "fresh", ...get]))).toEqual(wanted);
      await world.settle();
      expect(await world.ask(words(["BITFIELD_RO", "fresh", ...get]))).toEqual(wanted);
      expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
    }
  });
});

describe("a BITFIELD on a long string", () => {
  it("ends, however many chunks it touches, and leaves the rest of the string", async () => {
    for (const chunks of [50, 60, 70, 100, 140]) {
      const world = await start(2);
      await world.ask([Buffer.from("SET"), Buffer.from("big"), Buffer.alloc(600_000, "x")]);
      const offsets = chunkEnds(chunks, 1);
      const set = offsets.flatMap((at) => ["SET", "u8", String(at), "7"]);
      expect(await world.ask(words(["BITFIELD", "big", ...set]))).toEqual(offsets.map(() => 120));
      const wanted = Buffer.alloc(600_000, "x");
      for (const at of offsets) wanted[at / 8] = 7;
      expect((await world.ask("GET big")) === wanted.toString("latin1")).toBe(true);
      await world.settle();
      expect((await world.ask("GET big")) === wanted.toString("latin1")).toBe(true);
      expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
      expect(await world.stored(spaces.staging)).toEqual([]);
      await world.settle(1000);
      expect((await world.stored(spaces.sub)).length).toBe(Math.ceil(600_000 / chunkBytes));
    }
  });
});

describe("a command with more effects than any entry can name", () => {
  it("is refused and leaves nothing", async () => {
    const world = await start(3);
    const keys = Array.from({ length: 20_000 }, (_, i) => `key${i}`);
    const sent = world.send(words(["MSET", ...keys.flatMap((key) => [key, "1"])]));
    await world.until(() => sent.reply !== undefined, "a reply");
    expect(plain(sent.reply!)).toMatch(/^-ERR command changes too much/);
    expect(await world.askWhole(world.regions[0]!, "dbsize")).toBe(0);
  });
});

describe("a staged command whose sources expire on the way", () => {
  it("is staged again as it comes out then", async () => {
    const { world, sent } = await withSources(4, [10_000, 0]);
    world.clock.advance(20_000);
    await world.until(() => sent.reply !== undefined, "a reply");
    expect(sent.reply).toBe(600_000);
    const wanted = Buffer.alloc(600_000, 2).toString("latin1");
    expect((await world.ask("GET to")) === wanted).toBe(true);
    await world.settle(1000);
    expect((await world.ask("GET to")) === wanted).toBe(true);
    expect(await world.stored(spaces.staging)).toEqual([]);
    // "to" and the source that is left.
    expect((await world.stored(spaces.sub)).length).toBe(2 * Math.ceil(600_000 / chunkBytes));
  });

  it("is refused when it never fits, and leaves nothing", async () => {
    const { world, sent } = await withSources(5, [10_000, 20_000, 30_000, 40_000, 0]);
    for (let wait = 0; wait < 4; wait++) {
      world.clock.advance(10_100);
      const { lastIndex } = world.regions[0]!.region!;
      await world.until(() => {
        const { evaluator, lastIndex: index } = world.regions[0]!.region!;
        return sent.reply !== undefined || (index > lastIndex + 2 && evaluator.waitsForApply);
      }, "it is staged again");
    }
    await world.until(() => sent.reply !== undefined, "a reply");
    expect(plain(sent.reply!)).toMatch(/^-ERR command changes too much/);
    expect(await world.ask("EXISTS to")).toBe(0);
    await world.settle(1000);
    expect(await world.stored(spaces.staging)).toEqual([]);
    expect(await world.ask("STRLEN s4")).toBe(600_000);
  });
});

describe("a staged command that does not come to its end", () => {
  it("leaves nothing when the disk is full by then", async () => {
    const world = await start(6);
    const sent = world.send([Buffer.from("SET"), Buffer.from("big"), Buffer.alloc(900_000, "x")]);
    await world.until(() => world.regions[0]!.region!.evaluator.waitsForApply, "it is staged");
    let isFull = true;
    Object.defineProperty(world.journal, "full", { get: () => isFull });
    await world.until(() => sent.reply !== undefined, "a reply");
    expect(plain(sent.reply!)).toMatch(/^-CLUSTERDOWN the disk is full/);
    isFull = false;
    await leavesNothing(world);
  });

  it("leaves nothing when it has a bug", async () => {
    const world = await start(7);
    const sent = world.send(`SETRANGE big 0 ${"x".repeat(900_000)}`);
    await world.until(() => world.regions[0]!.region!.evaluator.waitsForApply, "it is staged");
    const { memory } = world.regions[0]!.region!.evaluator;
    const peek = memory.peek.bind(memory);
    memory.peek = () => {
      throw new Error("a bug");
    };
    await world.stepMany(200);
    expect(plain(sent.reply!)).toMatch(/^-ERR internal error/);
    expect(world.failures.length).toBeGreaterThan(0);
    world.failures.length = 0;
    memory.peek = peek;
    await leavesNothing(world);
  });
});
