// The removal of keys whose time is over, as walks and active expiry have it done: nobody is told
// that a key is gone before what makes it so is committed.

import { expect, it } from "vitest";
import { StoreWorld } from "../../simulation/store-world.ts";

it("a walk that hid a key waits for the flush that took its slot", async () => {
  const world = await new StoreWorld({ seed: 1, regions: 1 }).start();
  world.store.setActiveExpire(false);
  const [region] = world.regions;
  // A flush of one of two databases gives it another slot.
  await world.ask("SET a 1", { db: 1 });
  await world.ask("SET a 1 PX 50");
  await world.settle();
  world.clock.advance(100);
  world.engineHeld = true;
  const walk = world.walk(region!);
  await world.stepMany(20);
  world.journalHeld = true;
  const flush = world.sendWhole(region!, "flushdb");
  await world.stepMany(20);
  expect(region!.region!.lastIndex).toBe(region!.region!.commitIndex + 1);
  world.engineHeld = false;
  await world.stepMany(60);
  expect([walk.result, flush.reply]).toEqual([undefined, undefined]);
  world.releaseJournal();
  await world.until(() => walk.result !== undefined, "the walk");
  expect(walk.result).toEqual({ keys: [], next: undefined });
  expect(flush.reply).toBe("OK");
});

it("active expiry of keys that a flush has left is answered once the flush is committed", async () => {
  const world = await new StoreWorld({ seed: 2, regions: 1 }).start();
  world.store.setActiveExpire(false);
  const [region] = world.regions;
  await world.ask("SET a 1", { db: 1 });
  await world.ask("SET a 1 PX 50");
  await world.settle();
  world.clock.advance(100);
  world.journalHeld = true;
  world.sendWhole(region!, "flushdb");
  const settled: Array<string | undefined> = [];
  const due = [{ slot: 0, key: Buffer.from("a") }];
  const settle = (error?: string): void => void settled.push(error);
  region!.ref!.send({ type: "region.expire", due, settle });
  await world.stepMany(40);
  expect(settled).toEqual([]);
  world.releaseJournal();
  await world.until(() => settled.length > 0, "the answer");
  expect(settled).toEqual([undefined]);
  expect(await world.ask("EXISTS a", { db: 1 })).toBe(1);
});
