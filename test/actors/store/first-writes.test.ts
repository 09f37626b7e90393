// What a leader knows of keys that the engine does not hold: they are not looked for there, and nothing
// that is there is ever taken for absent. Breaking the code turned these red:
//
//   mutant                                            seen by
//   a record that is applied is not added             all but the flush of one, recovery.test.ts
//   a region with keys is taken for an empty one      held something at its start, recovery.test.ts
//   the filter outlives a flush of everything         a region that is flushed

import { describe, expect, it, vi } from "vitest";
import { dataIdOfRegion } from "../../../actors/store/apply.ts";
import { keyBucket, physicalMetaKey, parsePhysicalMetaKey, spaces } from "../../../storage/keys.ts";
import { StoreWorld } from "../../simulation/store-world.ts";

const start = (seed: number, regions = 2): Promise<StoreWorld> =>
  // A cache of next to nothing: what is applied has to be found without it.
  new StoreWorld({ seed, regions, cacheBytes: 512, journalFileBytes: 1024 * 1024 }).start();

/** How many records the engine is asked for from here on. */
function readsOf(world: StoreWorld): () => number {
  const { mock } = vi.spyOn(world.store.handles.opened().engine, "getMany");
  return () =>
    mock.calls.flatMap(([keys]) => keys).filter(([space]) => space === spaces.meta).length;
}

async function write(world: StoreWorld, names: readonly string[], value: string): Promise<void> {
  const sent = names.map((name) => world.send(`SET ${name} ${value}`));
  await world.until(() => sent.every(({ reply }) => reply === "OK"), "all are written");
  await world.settle();
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** Whatever the engine holds, the filters of its regions know. */
async function expectAllKnown(world: StoreWorld): Promise<void> {
  let known = 0;
  for (const physical of await world.stored(spaces.meta)) {
    const { key, slot } = parsePhysicalMetaKey(physical);
    const { applied } = world.regionOf(key.toString("latin1")).region!;
    if (physical.readUInt32BE(1) !== dataIdOfRegion(applied.meta)) continue;
    expect(applied.keys.mayHold(slot, key.toString("latin1"))).toBe(true);
    known++;
  }
  expect(known).toBeGreaterThan(0);
}

describe("a key that was never written", () => {
  it("is not looked for in the engine, however it is asked for", async () => {
    const world = await start(1);
    const reads = readsOf(world);
    await write(world, names("key", 100), "v");
    await write(world, names("more", 100), "v");
    expect(await world.ask("GET nothing")).toBeNull();
    expect(await world.ask("DEL nothing")).toBe(0);
    expect(await world.ask("INCR counter")).toBe(1);
    expect(reads()).toBe(0);
    // What was written and is no longer in memory is.
    expect(await world.ask("GET key0")).toBe("v");
    expect(reads()).toBe(1);
    await expectAllKnown(world);
  });

  it("is looked for where a region held something at its start: it may be any", async () => {
    const world = await start(3, 1);
    await write(world, names("key", 50), "v");
    await expectAllKnown(world);
    world.crash(false);
    await world.start();
    const reads = readsOf(world);
    expect(await world.ask("GET nothing")).toBeNull();
    expect(reads()).toBe(1);
    expect(await world.ask("GET key49")).toBe("v");
  });

  it("is not looked for after a crash that has left the engine nothing", async () => {
    const world = await start(2);
    world.crash();
    await world.start();
    const reads = readsOf(world);
    await write(world, names("new", 100), "w");
    expect(reads()).toBe(0);
    await expectAllKnown(world);
  });
});

describe("a region that is flushed", () => {
  it("knows again which keys it has, whatever it knew before", async () => {
    const world = await start(4, 1);
    await write(world, names("key", 50), "v");
    world.crash(false);
    await world.start();
    expect(await world.askWhole(world.regions[0]!, "flushall")).toBe("OK");
    await world.settle(1000);
    const reads = readsOf(world);
    expect(await world.ask("GET key1")).toBeNull();
    await write(world, names("key", 20), "w");
    expect(reads()).toBe(0);
    for (const name of names("key", 20)) expect(await world.ask(`GET ${name}`)).toBe("w");
    await expectAllKnown(world);
  });

  it("finds what was written before a flush of one database in the others", async () => {
    const world = await start(5, 1);
    for (const db of [0, 3]) {
      const sent = names("key", 30).map((name) => world.send(`SET ${name} ${db}`, { db }));
      await world.until(() => sent.every(({ reply }) => reply === "OK"), "all are written");
    }
    await world.settle();
    expect(await world.askWhole(world.regions[0]!, "flushdb", { db: 0 })).toBe("OK");
    await world.settle(1000);
    for (const name of names("key", 30)) {
      expect(await world.ask(`GET ${name}`, { db: 0 })).toBeNull();
      expect(await world.ask(`GET ${name}`, { db: 3 })).toBe("3");
    }
    expect(await world.ask("SET key1 new", { db: 0 })).toBe("OK");
    await world.settle();
    expect(await world.ask("GET key1", { db: 0 })).toBe("new");
  });
});

it("reads the slot and the key where a physical key has them", async () => {
  const world = await start(6, 1);
  await write(world, ["where"], "v");
  const { applied } = world.regions[0]!.region!;
  const key = Buffer.from("where");
  const [stored] = await world.stored(spaces.meta);
  const { position } = parsePhysicalMetaKey(stored!);
  const dataId = dataIdOfRegion(applied.meta);
  expect(stored).toEqual(physicalMetaKey(dataId, position, keyBucket(key), 0, key));
  expect([applied.keys.mayHold(0, "where"), applied.keys.mayHold(1, "where")]).toEqual([
    true,
    false,
  ]);
});
