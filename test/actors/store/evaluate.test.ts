// What a region promises its clients while some commands wait for the engine, the journal or their
// turn: order, no lost update, no reply before its commit, large writes all at once or not at all,
// walks without gaps, flushes that stay flushed. Breaking the code turned these red; see the table.
//
//   mutant                                    seen by
//   reply before the commit                   wait for the commit …
//   a session passes its own waiting command  keep the order …
//   a flush passes waiting commands           hold a flush back …
//   stagings are not dropped at start         is there whole or not at all …
//   a spilled write does not spill again      spills what is too much …
//   a walk answers before its removals        hide an expired key …
//   slots are clean after a restart           do not take a slot …

import { describe, expect, it } from "vitest";
import { parsePhysicalMetaKey, spaces } from "../../../storage/keys.ts";
import { plain, StoreWorld, type Sent } from "../../simulation/store-world.ts";
import { coldStore } from "./cold-store.ts";

const start = (seed: number, cacheBytes = 1_000_000): Promise<StoreWorld> =>
  new StoreWorld({ seed, regions: 1, cacheBytes, journalFileBytes: 4 * 1024 * 1024 }).start();

const answered = (sent: readonly Sent[]): boolean[] => sent.map((one) => one.reply !== undefined);

const large = (letter: string): Buffer => Buffer.alloc(2 * 1024 * 1024, letter);
const setLarge = (letter: string): Buffer[] => [
  Buffer.from("SET"),
  Buffer.from("big"),
  large(letter),
];

describe("commands that wait for the engine", () => {
  it("keep the order of their session and of their key; others overtake", async () => {
    const world = await coldStore(1, "SET a 0", "SET b 0");
    await world.ask("GET b");
    world.engineHeld = true;
    const waiting = [
      world.send("APPEND a 1", { session: 1 }),
      world.send("APPEND b 1", { session: 1 }),
      world.send("APPEND a 2", { session: 2 }),
      world.send("GET b", { session: 2 }),
    ];
    const free = [world.send("APPEND c 1"), world.send("GET b", { session: 4 })];
    void free;
    await world.stepMany(40);
    expect(answered(waiting)).toEqual([false, false, false, false]);
    world.engineHeld = false;
    await world.until(() => answered(waiting).every(Boolean), "all replies");
    expect(waiting.map((one) => plain(one.reply!))).toEqual([2, 2, 3, "01"]);
  });

  it("let commands on other keys of other sessions pass", async () => {
    const world = await coldStore(2, "SET a 0", "SET b 0");
    await world.ask("GET b");
    world.engineHeld = true;
    const waits = world.send("APPEND a 1", { session: 1 });
    await world.stepMany(5);
    expect(await world.ask("APPEND b 7", { session: 2 })).toBe(2);
    expect(waits.reply).toBeUndefined();
  });

  it("hold a flush back, and everything behind it", async () => {
    const world = await coldStore(3, "SET a 0", "SET b 0");
    await world.ask("GET b");
    world.engineHeld = true;
    const [region] = world.regions;
    const read = world.send("GET a", { session: 1 });
    await world.stepMany(5);
    const flush = world.sendWhole(region!, "flushall", { session: 2 });
    const after = world.send("APPEND b 5", { session: 3 });
    await world.stepMany(30);
    expect(answered([read, flush, after])).toEqual([false, false, false]);
    world.engineHeld = false;
    await world.until(() => after.reply !== undefined, "the last reply");
    expect([plain(read.reply!), flush.reply, after.reply]).toEqual(["0", "OK", 1]);
    expect(await world.keys()).toEqual(["b"]);
  });

  it("lose no update, whatever the engine answers when and the cache forgets", async () => {
    for (let seed = 10; seed < 18; seed++) {
      const world = await start(seed, seed % 2 === 0 ? 1500 : 1_000_000);
      const sums = new Map<string, number>();
      const sent: Array<Sent & { key: string }> = [];
      for (let move = 0; move < 300; move++) {
        const key = `k${Math.floor(world.random() * 6)}`;
        const session = 1 + Math.floor(world.random() * 4);
        if (world.random() < 0.5) {
          sums.set(key, (sums.get(key) ?? 0) + 1);
          sent.push(Object.assign(world.send(`INCR ${key}`, { session }), { key }));
        } else if (world.random() < 0.3) world.send(`GET ${key}`, { session });
        await world.stepMany(Math.floor(world.random() * 3));
      }
      await world.until(() => answered(sent).every(Boolean), "all replies");
      for (const [key, sum] of sums) {
        const replies = sent.filter((one) => one.key === key).map((one) => Number(one.reply));
        expect(new Set(replies).size, `seed ${seed}`).toBe(sum);
        expect(await world.ask(`GET ${key}`), `seed ${seed}`).toBe(String(sum));
        await world.settle();
        expect(await world.ask(`GET ${key}`), `seed ${seed}`).toBe(String(sum));
      }
    }
  });
});

describe("replies", () => {
  it("wait for the commit of what they did, read or counted", async () => {
    const world = await start(20);
    const [region] = world.regions;
    for (const line of ["SET a 0", "SET b 0"]) await world.ask(line);
    world.journalHeld = true;
    const wrote = world.send("SET a 1");
    await world.stepMany(10);
    const read = world.send("GET a");
    const counted = world.sendWhole(region!, "dbsize");
    await world.stepMany(40);
    expect(answered([wrote, read, counted])).toEqual([false, false, false]);
    world.releaseJournal();
    await world.until(() => counted.reply !== undefined && read.reply !== undefined, "the rest");
    expect([wrote.reply, plain(read.reply!), counted.reply]).toEqual(["OK", "1", 2]);
  });

  it("that were never given leave nothing that must be there", async () => {
    const world = await start(21);
    await world.ask("SET a 0");
    world.journalHeld = true;
    const wrote = world.send("SET a 1");
    await world.stepMany(20);
    expect(wrote.reply).toBeUndefined();
    world.crash(false);
    await world.start();
    expect(await world.ask("GET a")).toBe("0");
  });

  it("that hid an expired key wait for its removal", async () => {
    const world = await start(22);
    world.store.setActiveExpire(false);
    await world.ask("SET a 1 PX 50");
    await world.settle();
    world.clock.advance(100);
    world.journalHeld = true;
    const reads = [world.send("GET a"), world.send("EXISTS a")];
    await world.stepMany(40);
    expect(answered(reads)).toEqual([false, false]);
    world.releaseJournal();
    await world.until(() => answered(reads).every(Boolean), "the replies");
    expect(reads.map((one) => one.reply)).toEqual([null, 0]);
  });
});

describe("a write too large for one entry", () => {
  it("shows nothing before its end and holds up nobody else", async () => {
    const world = await start(30);
    await world.ask("SET big old");
    await world.ask("SET other 1");
    world.engineHeld = true;
    const write = world.send(setLarge("x"), { session: 1 });
    await world.stepMany(60);
    const read = world.send("GETRANGE big 0 2", { session: 2 });
    expect(await world.ask("GET other", { session: 3 })).toBe("1");
    expect(await world.ask("SET other 2", { session: 3 })).toBe("OK");
    expect(answered([write, read])).toEqual([false, false]);
    world.engineHeld = false;
    await world.until(() => read.reply !== undefined, "the read behind it");
    expect(plain(read.reply!)).toBe("xxx");
    expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
    await world.settle();
    expect(await world.stored(spaces.staging)).toEqual([]);
  });

  it("is there whole or not at all after a crash, and leaves no chunks behind", async () => {
    let whole = 0;
    for (let seed = 31; seed < 43; seed++) {
      const world = await start(seed);
      await world.ask("SET big old");
      const write = world.send(setLarge("x"));
      await world.stepMany(Math.floor(world.random() * 60));
      const acked = write.reply !== undefined;
      world.crash(world.random() < 0.7);
      await world.start();
      const read = (await world.ask("GET big")) as string;
      if (acked) expect(read.length).toBe(2 * 1024 * 1024);
      if (read !== "old") {
        expect(read === large("x").toString(), `seed ${seed}`).toBe(true);
        whole++;
      }
      await world.settle(1000);
      expect(await world.stored(spaces.staging), `seed ${seed}`).toEqual([]);
      expect(await world.stored(spaces.deadOid), `seed ${seed}`).toEqual([]);
      expect((await world.stored(spaces.sub)).length, `seed ${seed}`).toBe(
        read === "old" ? 0 : 512,
      );
    }
    expect(whole).toBeGreaterThan(0);
    expect(whole).toBeLessThan(12);
  });

  it("spills what is too much of middle-sized values, in entries of bounded size", async () => {
    const world = await start(44);
    const args = [Buffer.from("MSET")];
    for (let i = 0; i < 80; i++) args.push(Buffer.from(`m${i}`), Buffer.alloc(12_000, 65 + i));
    expect(await world.ask(args)).toBe("OK");
    expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
    expect(await world.ask("GETRANGE m79 11998 20000")).toBe(String.fromCharCode(144).repeat(2));
    expect(await world.askWhole(world.regions[0]!, "dbsize")).toBe(80);
  });
});

describe("walks", () => {
  it("see every acknowledged key once, in steps of any size", async () => {
    const world = await start(50);
    const sent = Array.from({ length: 400 }, (_, i) => world.send(`SET key${i} 1`));
    await world.until(() => answered(sent).every(Boolean), "the keys");
    const keys: string[] = [];
    for (let cursor: number | undefined = 0; cursor !== undefined;) {
      const walk = world.walk(world.regions[0]!, { cursor, count: 7 });
      await world.until(() => walk.result !== undefined, "a step");
      const result = walk.result as { keys: Buffer[]; next: number | undefined };
      for (const key of result.keys) keys.push(key.toString());
      cursor = result.next;
    }
    const expected = Array.from({ length: 400 }, (_, i) => `key${i}`);
    expect(keys.toSorted()).toEqual(expected.toSorted());
  });

  it("see what was acknowledged a moment ago, though the engine is behind", async () => {
    const world = await start(51);
    await world.ask("GET a");
    world.engineHeld = true;
    expect(await world.ask("SET a 1")).toBe("OK");
    const walk = world.walk(world.regions[0]!);
    await world.stepMany(20);
    world.engineHeld = false;
    await world.until(() => walk.result !== undefined, "the walk");
    expect((walk.result as { keys: Buffer[] }).keys.map(String)).toEqual(["a"]);
  });

  it("hide an expired key, in memory or not, only when its removal is committed", async () => {
    for (const isCold of [false, true]) {
      let world = await start(52);
      world.store.setActiveExpire(false);
      await world.ask("SET a 1 PX 50");
      await world.ask("SET b 1");
      await world.settle(10);
      if (isCold) {
        world.crash(false);
        world = await world.start();
        world.store.setActiveExpire(false);
      }
      world.clock.advance(1000);
      world.journalHeld = true;
      const walk = world.walk(world.regions[0]!);
      await world.stepMany(60);
      expect(walk.result).toBeUndefined();
      world.releaseJournal();
      await world.until(() => walk.result !== undefined, "the walk");
      expect((walk.result as { keys: Buffer[] }).keys.map(String)).toEqual(["b"]);
      expect(await world.askWhole(world.regions[0]!, "dbsize")).toBe(1);
    }
  });

  it("remove any number of expired keys in entries of bounded size", async () => {
    const world = await start(53);
    world.store.setActiveExpire(false);
    const name = "n".repeat(4000);
    const sent = Array.from({ length: 300 }, (_, i) => world.send(`SET ${name}${i} 1 PX 5`));
    await world.until(() => answered(sent).every(Boolean), "the keys");
    world.clock.advance(1000);
    expect(await world.keys()).toEqual([]);
    expect(await world.askWhole(world.regions[0]!, "dbsize")).toBe(0);
    expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
  });
});

describe("flushes of one database", () => {
  it("go on for ever beside databases that hold something, and nothing comes back", async () => {
    const world = await start(60);
    const [region] = world.regions;
    await world.ask("SET stays 1", { db: 1 });
    for (let round = 0; round < 330; round++) {
      const set = world.send(`SET k${round % 5} ${round}`, { session: 1 });
      const flush = world.sendWhole(region!, "flushdb", { session: 1 });
      const twice = round % 3 === 0 ? world.send("SET again 1", { session: 1 }) : undefined;
      if (twice !== undefined) world.sendWhole(region!, "flushdb", { session: 1 });
      const read = world.send(`GET k${(round + 1) % 5}`, { session: 1 });
      await world.until(() => read.reply !== undefined, "a round");
      expect([set.reply, flush.reply, read.reply]).toEqual(["OK", "OK", null]);
    }
    expect(await world.keys(0)).toEqual([]);
    expect(await world.keys(1)).toEqual(["stays"]);
    await world.settle(1000);
    expect(await world.stored(spaces.pendingClear)).toEqual([]);
    expect((await world.stored(spaces.meta)).length).toBe(1);
    expect(region!.region!.applied.uncleared.size).toBe(0);
  });

  it("do not take a slot that waits to be cleared, in one batch or after a restart", async () => {
    for (let seed = 61; seed < 69; seed++) {
      const world = await start(seed);
      const [region] = world.regions;
      await world.ask("SET stays 1", { db: 1 });
      for (let life = 0; life < 3; life++) {
        for (let round = 0; round < 4; round++) {
          for (let i = 0; i < 5; i++) world.send(`SET k${i} ${round}`, { session: 1 });
          world.sendWhole(region!, "flushdb", { session: 1 });
          await world.stepMany(Math.floor(world.random() * 4));
        }
        expect(await world.askWhole(world.regions[0]!, "flushdb", { session: 1 })).toBe("OK");
        world.crash(world.random() < 0.5);
        await world.start();
        const size = await world.askWhole(world.regions[0]!, "dbsize");
        expect([await world.keys(), size], `seed ${seed}`).toEqual([[], 0]);
      }
      await world.settle(1000);
      const slots = (await world.stored(spaces.meta)).map((key) => parsePhysicalMetaKey(key).slot);
      expect(slots).toEqual([1]);
    }
  });

  it("of an empty database or region cost no entry", async () => {
    const world = await start(70);
    const [region] = world.regions;
    await world.ask("SET stays 1", { db: 1 });
    const { lastIndex } = region!.region!;
    expect(await world.askWhole(region!, "flushdb")).toBe("OK");
    expect(region!.region!.lastIndex).toBe(lastIndex);
    expect(await world.askWhole(region!, "flushdb", { db: 1 })).toBe("OK");
    expect(region!.region!.lastIndex).toBe(lastIndex + 1);
    expect(await world.askWhole(region!, "flushall")).toBe("OK");
    expect(region!.region!.lastIndex).toBe(lastIndex + 1);
    await world.settle();
    expect(await world.stored(spaces.meta)).toEqual([]);
  });
});

describe("an engine that finishes no write", () => {
  it("makes clients wait instead of growing, and serves them when it goes on", async () => {
    const world = await start(80);
    const value = Buffer.alloc(100_000, "v");
    const keys = Array.from({ length: 300 }, (_, i) => Buffer.from(`w${i}`));
    const warm = keys.map((key) => world.send([Buffer.from("GET"), key]));
    await world.until(() => answered(warm).every(Boolean), "the keys in memory");
    world.engineHeld = true;
    const writes = keys.map((key) => world.send([Buffer.from("SET"), key, value]));
    const more = Array.from({ length: 40 }, (_, i) => world.send(`SET w${i} small`));
    await world.stepMany(600);
    const done = writes.filter((one) => one.reply !== undefined).length;
    // 16 MiB, and what one entry may exceed it by.
    expect(done * value.length).toBeGreaterThan(8 * 1024 * 1024);
    expect(done * value.length).toBeLessThan(17 * 1024 * 1024);
    expect(answered(more).some(Boolean)).toBe(false);
    world.engineHeld = false;
    await world.until(() => answered([...writes, ...more]).every(Boolean), "everybody's reply");
    expect(await world.ask("GET w39")).toBe("small");
    expect(await world.ask("STRLEN w299")).toBe(100_000);
  });
});
