// The single writer of a store's engine: one batch in flight, what it gathers, what it records with
// every batch and with a marker, and that nothing follows a failed or a stopped one.

import { describe, expect, test } from "vitest";
import { EngineWriter, noGather } from "../../../actors/store/writer.ts";
import { Turn } from "../../../actors/system/turn.ts";
import { DiskError } from "../../../storage/errors.ts";
import { appliedKey, decodeApplied, markerKey } from "../../../storage/local-records.ts";
import { createMemoryOpener } from "../../../storage/memory.ts";
import { HeapClock } from "../../simulation/clock.ts";
import { names, put, rig, type Batch } from "./writer-rig.ts";

const applied = (index: number, term = 1) => ({ applied: { index, term } });

/** What a batch records of a region: [applied index, marked index]. */
function positions({ operations }: Batch, regionId: number) {
  const indexAt = (key: Buffer): number | undefined => {
    const found = operations.filter((operation) => operation.key.equals(key));
    expect(found.length).toBeLessThan(2);
    const [operation] = found;
    return operation?.type === "put" ? decodeApplied(operation.value).index : undefined;
  };
  return [indexAt(appliedKey(regionId)), indexAt(markerKey(regionId))];
}

describe("batches", () => {
  test("what one turn submits is one batch, in order", () => {
    const r = rig();
    r.submit("a");
    r.submit("b", { regionId: 2 });
    expect(r.batches).toEqual([]);
    r.turn();
    expect(r.batches.map(names)).toEqual([["a", "b"]]);
  });

  test("one batch is in flight; what comes meanwhile is the next one", async () => {
    const r = rig();
    r.submit("a");
    r.turn();
    r.submit("b");
    r.submit("c");
    r.turn();
    expect(r.batches).toHaveLength(1);
    await r.batches[0]!.succeed();
    expect(r.done).toEqual(["a"]);
    r.turn();
    expect(r.batches.map(names)).toEqual([["a"], ["b", "c"]]);
    await r.batches[1]!.succeed();
    expect(r.done).toEqual(["a", "b", "c"]);
  });

  test("of a region's counters only the last ones of a batch are written", () => {
    const r = rig();
    r.submit("a", { state: put("state 1", "old") });
    r.submit("b", { state: put("state 1", "new") });
    r.submit("c", { regionId: 2, state: put("state 2") });
    r.turn();
    expect(names(r.batches[0]!)).toEqual(["a", "b", "c", "state 1", "state 2"]);
    const state = r.batches[0]!.operations.find(({ key }) => key.toString() === "state 1");
    expect(state).toEqual(put("state 1", "new"));
  });

  test("one job that must not be redone makes its batch a synced one", async () => {
    const r = rig();
    r.submit("a");
    r.submit("b", { sync: true });
    await r.turnOfSync();
    expect(r.batches.map(names)).toEqual([["a", "b"]]);
    expect(r.batches[0]!.sync).toBe(true);
  });

  test("whoever waits for what is queued waits for no more, however much comes then", async () => {
    const r = rig();
    await r.writer.written();
    const heard: string[] = [];
    r.submit("a");
    void r.writer.written().then(() => heard.push("a is written"));
    r.turn();
    r.submit("b");
    void r.writer.written().then(() => heard.push("b is written"));
    await r.batches[0]!.succeed();
    expect(heard).toEqual(["a is written"]);
    r.turn();
    void r.writer.written().then(() => heard.push("nothing came"));
    await r.batches[1]!.succeed();
    expect(heard).toEqual(["a is written", "b is written", "nothing came"]);
  });

  test("a job of nothing is done, too", async () => {
    const r = rig();
    r.submit("nothing", { operations: [] });
    const written = r.writer.written();
    r.turn();
    await written;
    expect(r.done).toEqual(["nothing"]);
    expect(r.batches).toEqual([]);
  });
});

describe("applied positions and markers", () => {
  test("a batch records where each of its regions stands, once and no marker", () => {
    const r = rig();
    r.submit("a", applied(3));
    r.submit("b", applied(5));
    r.submit("c", { regionId: 2, ...applied(9) });
    r.submit("d", { regionId: 3 });
    r.turn();
    const [batch] = r.batches;
    expect([1, 2, 3].map((regionId) => positions(batch!, regionId))).toEqual([
      [5, undefined],
      [9, undefined],
      [undefined, undefined],
    ]);
    expect(batch!.sync).toBe(false);
  });

  test("a marker is synced and marks every region, those before it and those recovered", async () => {
    const r = rig();
    r.writer.recovered(7, 70, 2);
    r.submit("a", applied(3));
    r.turn();
    await r.batches[0]!.succeed();
    const heard: Array<Array<[number, { index: number; term: number }]>> = [];
    r.submit("b", { regionId: 2, ...applied(9) });
    r.writer.marker((marked) => heard.push([...marked]));
    r.submit("c", { regionId: 2, ...applied(10) });
    await r.turnOfSync();
    const batch = r.batches[1]!;
    expect(batch.sync).toBe(true);
    expect([1, 2, 7].map((regionId) => positions(batch, regionId))).toEqual([
      [undefined, 3],
      [10, 10],
      [undefined, 70],
    ]);
    expect(heard).toEqual([]);
    // What is submitted behind the marker is no part of what it tells.
    r.submit("d", applied(4));
    await batch.succeed();
    expect(heard).toEqual([
      [
        [7, { index: 70, term: 2 }],
        [1, { index: 3, term: 1 }],
        [2, { index: 10, term: 1 }],
      ],
    ]);
  });

  test("a marker speaks only for batches that were synced before it was written", async () => {
    const r = rig();
    r.submit("a", applied(3));
    r.turn();
    r.writer.marker(() => r.done.push("marker"));
    await r.batches[0]!.succeed();
    r.turn();
    const sync = r.batches[1]!;
    expect([names(sync), sync.sync]).toEqual([["\0"], true]);
    expect(positions(sync, 1)).toEqual([undefined, undefined]);
    r.turn();
    expect(r.batches).toHaveLength(2);
    await sync.succeed();
    r.turn();
    expect(positions(r.batches[2]!, 1)).toEqual([undefined, 3]);
    expect(r.done).toEqual(["a"]);
    await r.batches[2]!.succeed();
    expect(r.done).toEqual(["a", "marker"]);
    // Nothing was written since: the next one needs no such care.
    r.writer.marker(() => undefined);
    r.turn();
    expect(positions(r.batches[3]!, 1)).toEqual([undefined, 3]);
  });

  test("a marker of a store that applied nothing is told and marks nothing", async () => {
    const r = rig();
    const heard: number[] = [];
    r.writer.marker((marked) => heard.push(marked.size));
    await r.turnOfSync();
    expect(heard).toEqual([0]);
    expect(r.batches).toEqual([]);
    r.submit("a");
    r.turn();
    expect(r.batches).toHaveLength(1);
  });

  test("whoever waits behind such a marker hears of it", async () => {
    const r = rig();
    r.writer.marker(() => undefined);
    const written = r.writer.written();
    await r.turnOfSync();
    await written;
  });

  test("a real engine takes the marker of an empty store and of one with data", async () => {
    const engine = await createMemoryOpener().open();
    const fatal: Error[] = [];
    const turn = new Turn(setImmediate, (error) => fatal.push(error as Error));
    const writer = new EngineWriter(engine, turn, new HeapClock(), noGather, (error) =>
      fatal.push(error),
    );
    await new Promise<void>((resolve) => writer.marker(() => resolve()));
    const done: number[] = [];
    const onDone = (): void => void done.push(1);
    writer.submit({ regionId: 1, operations: [], sync: false, onDone, ...applied(6) });
    await new Promise<void>((resolve) => writer.marker(() => resolve()));
    const [stored] = await engine.getMany([markerKey(1)]);
    expect(decodeApplied(stored!)).toEqual({ index: 6, term: 1 });
    expect(done).toHaveLength(1);
    expect(fatal).toEqual([]);
  });
});

describe("the end", () => {
  test("a failed write is fatal and nothing follows it", async () => {
    const r = rig();
    r.submit("a");
    r.turn();
    r.submit("b");
    const cause = new Error("EIO");
    await r.batches[0]!.fail(cause);
    expect(r.fatal).toEqual([new DiskError("writing to RocksDB failed", { cause })]);
    expect(r.fatal[0]!.cause).toBe(cause);
    r.submit("c");
    r.writer.marker(() => r.done.push("marker"));
    r.turn();
    expect(r.batches).toHaveLength(1);
    expect(r.done).toEqual([]);
  });

  test("after a stop only the batch in flight ends, and the stop waits for it", async () => {
    const r = rig({ delayMs: 5, maxBytes: 1000 });
    r.submit("a");
    r.turn();
    r.submit("b");
    r.later("c");
    let stopped = false;
    void r.writer.stop().then(() => (stopped = true));
    r.submit("d");
    r.writer.marker(() => r.done.push("marker"));
    r.turn();
    expect(stopped).toBe(false);
    await r.batches[0]!.succeed();
    r.turn();
    r.clock.advance(10);
    r.turn();
    expect(stopped).toBe(true);
    expect(r.batches).toHaveLength(1);
    expect(r.done).toEqual(["a"]);
  });

  test("a stop waits for the sync before a marker as well", async () => {
    const r = rig();
    r.writer.marker(() => r.done.push("marker"));
    r.turn();
    const stopped = r.writer.stop();
    await r.batches[0]!.succeed();
    await stopped;
    r.turn();
    expect(r.batches).toHaveLength(1);
    expect(r.done).toEqual([]);
  });

  test("a stop before the turn's end writes nothing", async () => {
    const r = rig();
    r.submit("a");
    await r.writer.stop();
    r.turn();
    expect(r.batches).toEqual([]);
  });
});
