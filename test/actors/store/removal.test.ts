// The removal of keys whose time is over, as walks and active expiry have it done: nobody is told
// that a key is gone before what makes it so is committed.

import { expect, it } from "vitest";
import { spaces } from "../../../storage/keys.ts";
import { plain, StoreWorld } from "../../simulation/store-world.ts";

/** A key whose time is over, not removed; a flush of its database, one of two, gives that another slot. */
async function expired(seed: number) {
  const world = await new StoreWorld({ seed, regions: 1 }).start();
  world.store.setActiveExpire(false);
  await world.ask("SET a 1", { db: 1 });
  await world.ask("SET a 1 PX 50");
  await world.settle();
  world.clock.advance(100);
  return { world, region: world.regions[0]! };
}

it("a walk that hid a key waits for the flush that took its slot", async () => {
  const { world, region } = await expired(1);
  world.engineHeld = true;
  const walk = world.walk(region);
  await world.stepMany(20);
  world.journalHeld = true;
  const flush = world.sendWhole(region, "flushdb");
  await world.stepMany(20);
  expect(region.region!.lastIndex).toBe(region.region!.commitIndex + 1);
  world.engineHeld = false;
  await world.stepMany(60);
  expect([walk.result, flush.reply]).toEqual([undefined, undefined]);
  world.releaseJournal();
  await world.until(() => walk.result !== undefined, "the walk");
  expect(walk.result).toEqual({ keys: [], next: undefined });
  expect(flush.reply).toBe("OK");
});

it("active expiry of keys that a flush has left is answered once the flush is committed", async () => {
  const { world, region } = await expired(2);
  world.journalHeld = true;
  world.sendWhole(region, "flushdb");
  const settled: Array<string | undefined> = [];
  const due = [{ slot: 0, key: Buffer.from("a") }];
  const settle = (error?: string): void => void settled.push(error);
  region.ref!.send({ type: "region.expire", due, settle });
  await world.stepMany(40);
  expect(settled).toEqual([]);
  world.releaseJournal();
  await world.until(() => settled.length > 0, "the answer");
  expect(settled).toEqual([undefined]);
  expect(await world.ask("EXISTS a", { db: 1 })).toBe(1);
});

it("a read of any number of expired keys hides them all and is no error", async () => {
  const world = await new StoreWorld({ seed: 3, regions: 1, cacheBytes: 16_000_000 }).start();
  world.store.setActiveExpire(false);
  const [region] = world.regions;
  const keys = Array.from({ length: 6000 }, (_, i) => `some-longer-key${i}`);
  const sent = keys.map((key) => world.send(`SET ${key} 1 PX 50`));
  await world.until(() => sent.every(({ reply }) => reply === "OK"), "the keys");
  world.clock.advance(1000);
  world.journalHeld = true;
  const read = world.send(`MGET ${keys.join(" ")}`);
  await world.stepMany(60);
  expect(read.reply).toBeUndefined();
  world.releaseJournal();
  await world.until(() => read.reply !== undefined, "the values");
  expect(plain(read.reply!)).toEqual(keys.map(() => null));
  expect(await world.ask(`EXISTS ${keys.join(" ")}`)).toBe(0);
  expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
  // A write of what was only hidden finds the key as it is: its index entry goes, and the count fits.
  const last = keys.slice(-300);
  const sets = last.map((key) => world.send(`SET ${key} 2`));
  await world.until(() => sets.every(({ reply }) => reply === "OK"), "the writes");
  expect(await world.keys()).toEqual(last.toSorted());
  expect(await world.askWhole(region!, "dbsize")).toBe(last.length);
  await world.settle();
  expect(await world.stored(spaces.ttl)).toEqual([]);
});
