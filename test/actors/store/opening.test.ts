// A replica while it opens: it hears of every slot that the sweeper frees meanwhile, or its applying
// would wait for ever at the next flush that takes one of them, and it tells clients what is the case.

import { expect, test } from "vitest";
import { spaceRange } from "../../../storage/key-ranges.ts";
import { spaces } from "../../../storage/keys.ts";
import { StoreWorld } from "../../simulation/store-world.ts";

/** Its actor throws, as if by a bug. */
const fail = (ref: { send(event: never): void }): void =>
  ref.send({ type: "region.failed", error: new Error("a bug") } as never);

/** A door that what comes waits at until it is opened. */
function door() {
  let open: (() => void) | undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { waiting: 0, opened, open: () => open?.() };
}

test("a slot that is cleared while the replica opens is free for it", async () => {
  const world = await new StoreWorld({ seed: 1, regions: 1 }).start();
  await world.settle();
  const { engine } = world.store.handles.opened();
  const iterate = engine.iterate.bind(engine);
  const records = spaceRange(spaces.pendingClear);
  const sweeper = door();
  const recovery = door();
  engine.iterate = (range) => {
    const iterator = iterate(range);
    if (range.gte[0] !== spaces.pendingClear) return iterator;
    const at = range.lt.equals(records.lt) ? sweeper : recovery;
    const next = async (count: number) => {
      const found = await iterator.next(count);
      at.waiting++;
      await at.opened;
      return found;
    };
    return { next, end: () => iterator.end() };
  };
  await world.ask("SET key value");
  // Otherwise all of the region is left, not a slot.
  await world.ask("SET stays value", { db: 1 });
  const [place] = world.regions;
  expect(await world.askWhole(place!, "flushdb")).toBe("OK");
  await world.until(() => sweeper.waiting > 0, "the sweeper has seen what to clear");
  const former = place!.region;
  fail(place!.ref!);
  await world.until(() => recovery.waiting > 0, "the new replica has seen what is not cleared");
  sweeper.open();
  await world.until(() => sweeper.waiting > 1, "the sweeper goes on");
  await world.settle();
  recovery.open();
  await world.until(() => place!.region?.serving === true, "the new replica serves");
  expect(place!.region).not.toBe(former);
  expect(await world.stored(spaces.pendingClear)).toEqual([]);
  expect([...place!.region!.applied.uncleared]).toEqual([]);
});

test("a node that is alone does not say that another one leads", async () => {
  const world = await new StoreWorld({ seed: 2, regions: 1 }).start();
  await world.settle();
  const [place] = world.regions;
  fail(place!.ref!);
  await world.until(() => place!.ref !== undefined, "a new replica");
  expect(place!.region!.serving).toBe(false);
  expect(await world.ask("GET key")).toBe("-CLUSTERDOWN store restarting");
});
