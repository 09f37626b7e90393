// Time runs one way: what a reply has hidden stays hidden over restarts and clocks that go back,
// and expired keys leave through the log, a bounded slice at a time, without taking along a key that
// was set anew. Breaking the code turned these red:
//
//   mutant                                  seen by
//   SET-ACTIVE-EXPIRE 0 is not looked at    stops at DEBUG SET-ACTIVE-EXPIRE 0 …
//   nothing is known to expire at a start   finds keys after a restart …

import { describe, expect, it } from "vitest";
import { createActor } from "xstate";
import { expiryLogic, type ExpiryInput } from "../../../actors/store/expiry.ts";
import type { RegionExpire } from "../../../actors/store/protocol.ts";
import { physicalKey, spaces, ttlKey } from "../../../storage/keys.ts";
import { HeapClock } from "../../simulation/clock.ts";
import { plain, StoreWorld, type Sent } from "../../simulation/store-world.ts";

const start = (seed: number): Promise<StoreWorld> => new StoreWorld({ seed, regions: 1 }).start();

const answered = (sent: readonly Sent[]): boolean => sent.every((one) => one.reply !== undefined);

const size = (world: StoreWorld): Promise<unknown> => world.askWhole(world.regions[0]!, "dbsize");

async function sendAll(world: StoreWorld, lines: readonly string[]): Promise<void> {
  const sent = lines.map((line) => world.send(line));
  await world.until(() => answered(sent), "all replies");
}

const manyKeys = (count: number, rest: string): string[] =>
  Array.from({ length: count }, (_, i) => `SET key${i} ${rest}`);

describe("an expired key", () => {
  it("stays away after a restart with a clock that has gone back", async () => {
    const world = await start(1);
    world.store.setActiveExpire(false);
    await sendAll(world, ["SET a 1 PX 1000", "SET b 1 PX 60000", "SET c 1"]);
    world.clock.advance(2000);
    expect(await world.ask("GET a")).toBe(null);
    world.crash();
    world.wallSkewMs = -3_600_000;
    await world.start();
    world.store.setActiveExpire(false);
    expect(await world.ask("GET a")).toBe(null);
    expect(await world.ask("EXISTS a b c")).toBe(2);
    expect(await world.keys()).toEqual(["b", "c"]);
  });

  it("stays away though only another key's reply has shown how late it is", async () => {
    const world = await start(2);
    world.store.setActiveExpire(false);
    await sendAll(world, ["SET a 1 PX 1000", "SET b 1 PX 1000"]);
    world.clock.advance(2000);
    expect(await world.ask("GET b")).toBe(null);
    world.crash();
    world.wallSkewMs = -3_600_000;
    await world.start();
    world.store.setActiveExpire(false);
    expect(await world.keys()).toEqual([]);
    expect(await world.ask("EXISTS a")).toBe(0);
  });

  it("is gone after a walk has hidden it, whatever the clock does then", async () => {
    const world = await start(3);
    world.store.setActiveExpire(false);
    await sendAll(world, ["SET a 1 PX 1000"]);
    world.clock.advance(2000);
    expect(await world.keys()).toEqual([]);
    world.crash();
    world.wallSkewMs = -3_600_000;
    await world.start();
    world.store.setActiveExpire(false);
    expect(await world.ask("GET a")).toBe(null);
  });
});

describe("active expiry", () => {
  it("removes any number of keys through the log, in bounded entries", async () => {
    const world = await start(10);
    await sendAll(world, manyKeys(700, "1 PX 300"));
    await sendAll(world, ["SET stays 1", "SET later 1 PX 3600000"]);
    const before = world.regions[0]!.region!.lastIndex;
    world.clock.advance(500);
    await world.settle(3000);
    expect(await world.stored(spaces.ttl)).toHaveLength(1);
    expect(await world.stored(spaces.meta)).toHaveLength(2);
    expect(await size(world)).toBe(2);
    expect(world.store.counters.expiredKeys).toBe(700);
    expect(world.regions[0]!.region!.lastIndex - before).toBeGreaterThanOrEqual(5);
    expect(await world.longestEntry()).toBeLessThan(200 * 1024);
  });

  it("stops at DEBUG SET-ACTIVE-EXPIRE 0 and goes on at 1 where it left off", async () => {
    const world = await start(11);
    await sendAll(world, manyKeys(2000, "1 PX 300"));
    world.clock.advance(250);
    await world.until(() => world.clock.wallMs() >= 1_700_000_000_000 + 400, "the time", 2000);
    await world.until(() => world.store.counters.expiredKeys > 0, "the first slice");
    world.store.setActiveExpire(false);
    await world.settle(1000);
    const left = await size(world);
    expect(left).toBeGreaterThan(0);
    await world.settle(2000);
    expect(await size(world)).toBe(left);
    world.store.setActiveExpire(true);
    await world.settle(2000);
    expect(await size(world)).toBe(0);
  });

  it("finds keys after a restart though nothing new expires", async () => {
    const world = await start(13);
    await sendAll(world, manyKeys(20, "1 PX 2000"));
    await world.settle();
    world.crash(false);
    await world.start();
    world.clock.advance(3000);
    await world.settle(1000);
    expect(await world.stored(spaces.ttl)).toEqual([]);
  });

  it("finds the keys of before a restart, and of before a flush of another database", async () => {
    const world = await start(12);
    await world.ask("SET stays 1", { db: 1 });
    await world.ask("SET due 1 PX 2000", { db: 1 });
    await sendAll(world, manyKeys(20, "1 PX 2000"));
    world.crash();
    await world.start();
    await sendAll(world, ["SET other 1 PX 2000"]);
    expect(await world.askWhole(world.regions[0]!, "flushdb")).toBe("OK");
    await sendAll(world, manyKeys(30, "1 PX 2500"));
    world.clock.advance(3000);
    await world.settle(2000);
    expect(await world.stored(spaces.ttl)).toEqual([]);
    expect(await world.stored(spaces.meta)).toHaveLength(1);
  });

  it("overlooks no key, whenever the engine takes it in", async () => {
    for (let seed = 20; seed < 28; seed++) {
      const world = await start(seed);
      for (let i = 0; i < 60; i++) {
        world.send(`SET key${i} 1 PX ${1 + Math.floor(world.random() * 400)}`);
        await world.stepMany(Math.floor(world.random() * 8));
        if (world.random() < 0.2) world.clock.advance(Math.floor(world.random() * 60));
      }
      world.clock.advance(500);
      await world.settle(3000);
      expect(await world.stored(spaces.ttl), `seed ${seed}`).toEqual([]);
      expect(await size(world), `seed ${seed}`).toBe(0);
    }
  });

  it("leaves a key alone that is set anew while its removal is on its way", async () => {
    for (let seed = 30; seed < 38; seed++) {
      const world = await start(seed);
      await sendAll(world, manyKeys(40, "old PX 200"));
      world.crash(false);
      await world.start();
      world.clock.advance(120);
      const again: Sent[] = [];
      for (let i = 0; i < 40; i++) {
        await world.stepMany(Math.floor(world.random() * 6));
        again.push(world.send(`SET key${i} new`));
      }
      await world.until(() => answered(again), "all replies");
      world.clock.advance(500);
      await world.settle(1000);
      expect(await size(world), `seed ${seed}`).toBe(40);
      const reads = Array.from({ length: 40 }, (_, i) => world.send(`GET key${i}`));
      await world.until(() => answered(reads), "all values");
      expect(new Set(reads.map((one) => plain(one.reply!))), `seed ${seed}`).toEqual(
        new Set(["new"]),
      );
      expect(await world.stored(spaces.ttl), `seed ${seed}`).toEqual([]);
    }
  });

  it("looks again for what it found when the replica lost its leadership meanwhile", async () => {
    const clock = new HeapClock();
    const dueMs = clock.wallMs() - 1;
    const key = physicalKey(ttlKey(dueMs, 5, 0, 0, Buffer.from("key")), 1);
    const applied = { meta: { extents: [{ dataId: 1 }] }, nextExpiryMs: dueMs };
    const region = {
      serving: true,
      applied,
      get nextExpiryMs() {
        return this.serving ? applied.nextExpiryMs : Infinity;
      },
    };
    let looks = 0;
    const next = () => {
      region.serving = looks++ > 0;
      return Promise.resolve([{ key }]);
    };
    const removed: string[] = [];
    const send = (event: RegionExpire): void => {
      for (const { key: found } of event.due) removed.push(found.toString());
      event.settle(undefined);
    };
    const input = {
      clock,
      handles: { engine: { engine: { iterate: () => ({ next, end: async () => undefined }) } } },
      directory: { all: () => [{ regionId: 1, region, ref: { send } }] },
      isActive: () => true,
    };
    createActor(expiryLogic, { clock, input: input as unknown as ExpiryInput }).start();
    for (let turn = 0; turn < 20; turn++) {
      clock.advance(100);
      await new Promise((done) => setImmediate(done));
      if (turn === 10) {
        expect(removed).toEqual([]);
        region.serving = true;
      }
    }
    expect(removed).toEqual(["key"]);
  });
});
