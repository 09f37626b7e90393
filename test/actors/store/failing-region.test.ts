// A bug outside any command ends a region's actor. Whoever had asked it something hears so, the one
// whose turn it was included, and nothing that stood half evaluated is ever appended.

import { expect, it } from "vitest";
import { plain, StoreWorld, type Sent } from "../../simulation/store-world.ts";

const restarting = "-CLUSTERDOWN store restarting";

const start = async (seed: number): Promise<StoreWorld> => {
  const world = await new StoreWorld({ seed, regions: 1 }).start();
  world.store.setActiveExpire(false);
  await world.ask("SET a 1 PX 50");
  await world.ask("SET b 1");
  await world.settle();
  world.clock.advance(100);
  return world;
};

/** Looking at a key throws, once. */
function breakOnce(world: StoreWorld, name: string): void {
  const { memory } = world.regions[0]!.region!.evaluator;
  const peek = memory.peek.bind(memory);
  memory.peek = (slot, key) => {
    if (key === name) throw new Error("a bug");
    return peek(slot, key);
  };
}

/** Runs until the region has failed and is back. */
async function fail(world: StoreWorld): Promise<void> {
  const before = world.regions[0]!.region!;
  const isBack = (): boolean => world.regions[0]!.region !== before && world.store.isServing();
  await world.until(isBack, "the region has failed and serves again");
}

const replies = (sent: readonly Sent[]): unknown[] =>
  sent.map(({ reply }) => (reply === undefined ? undefined : plain(reply)));

it("answers the command whose turn it was, and those behind it", async () => {
  const world = await start(1);
  breakOnce(world, "b");
  const sent = [world.send("GET b"), world.send("GET c"), world.send("SET c 1")];
  await fail(world);
  expect(replies(sent)).toEqual([restarting, restarting, restarting]);
  expect(await world.ask("EXISTS b c")).toBe(1);
});

it("answers whoever had keys removed whose time is over", async () => {
  const world = await start(2);
  breakOnce(world, "a");
  const settled: Array<string | undefined> = [];
  const due = [{ slot: 0, key: Buffer.from("a") }];
  const { ref } = world.regions[0]!;
  ref!.send({ type: "region.expire", due, settle: (error) => settled.push(error) });
  await fail(world);
  expect(settled).toEqual(["CLUSTERDOWN store restarting"]);
  expect(await world.ask("EXISTS a b")).toBe(1);
});

it("answers whoever proposed what could not be appended", async () => {
  const world = await start(3);
  const { region, ref } = world.regions[0]!;
  region!.propose = () => {
    throw new Error("a bug");
  };
  const settled: Array<string | undefined> = [];
  const effects = [{ type: "drop", position: 0, oid: 1_000_000 }] as const;
  ref!.send({ type: "region.propose", effects, settle: (error) => settled.push(error) });
  const sent = [world.send("SET c 1"), world.send("GET b")];
  await fail(world);
  expect(settled.length).toBe(1);
  expect(settled[0]).toMatch(/^UNKNOWN outcome/);
  expect(replies(sent)).toEqual([restarting, restarting]);
});
