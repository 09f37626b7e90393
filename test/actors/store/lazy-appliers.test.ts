// Regions whose committed entries may gather before they go to the engine: how long, how much, and what
// ends the wait.

import { describe, expect, test } from "vitest";
import { names, rig } from "./writer-rig.ts";

/** Gathers like a node: for 5 ms, or until there are 64 KiB. */
const gather = { delayMs: 5, maxBytes: 64 * 1024 };

/** Of what waits then; what comes later is not meant. */
const hurried = (r: ReturnType<typeof rig>): void => r.writer.hurry();

describe("lazy appliers", () => {
  test("they gather until their time has passed", () => {
    const r = rig(gather);
    r.later("a");
    r.turn();
    r.clock.advance(4);
    r.later("b");
    r.turn();
    expect(r.batches).toEqual([]);
    r.clock.advance(1);
    r.turn();
    expect(r.batches.map(names)).toEqual([["a", "b"]]);
  });

  test("they do not wait when they have gathered enough", () => {
    const r = rig(gather);
    r.later("a", 50 * 1024);
    r.turn();
    expect(r.batches).toEqual([]);
    r.later("b", 14 * 1024);
    r.turn();
    expect(r.batches.map(names)).toEqual([["a", "b"]]);
    expect(r.clock.pending).toBe(0);
  });

  test("those that come while a batch is written gather from its end on", async () => {
    const r = rig(gather);
    r.submit("a");
    r.turn();
    r.later("b");
    await r.batches[0]!.succeed();
    r.turn();
    expect(r.batches.map(names)).toEqual([["a"]]);
    r.clock.advance(5);
    r.turn();
    expect(r.batches.map(names)).toEqual([["a"], ["b"]]);
  });

  test.each([
    ["are enough", (r: ReturnType<typeof rig>) => r.later("c", gather.maxBytes)],
    ["are waited for", (r: ReturnType<typeof rig>) => void r.writer.written()],
    ["are hurried", hurried],
  ])("those that come while a batch is written go next when they %s", async (_why, urge) => {
    for (const isFirst of [false, true]) {
      const r = rig(gather);
      r.submit("a");
      r.turn();
      if (isFirst) urge(r);
      r.later("b");
      if (!isFirst) urge(r);
      await r.batches[0]!.succeed();
      r.turn();
      const isLate = isFirst && urge === hurried;
      expect(r.batches.slice(1).flatMap(names).includes("b")).toBe(!isLate);
    }
  });

  test("a job that somebody waits for takes them with it", () => {
    const r = rig(gather);
    r.later("a");
    r.submit("b");
    r.turn();
    expect(r.batches.map(names)).toEqual([["b", "a"]]);
    expect(r.clock.pending).toBe(0);
  });

  test("one region is asked once, with all it has by then", () => {
    const r = rig(gather);
    let asked = 0;
    const applier = { collect: () => void asked++ };
    r.writer.collectLater(applier, 1);
    r.writer.collectLater(applier, 1);
    r.clock.advance(5);
    r.turn();
    expect(asked).toBe(1);
  });

  test("a marker speaks for them", async () => {
    const r = rig(gather);
    r.later("a");
    r.writer.marker(() => r.done.push("marker"));
    await r.turnOfSync();
    expect(names(r.batches[0]!)).toContain("a");
    await r.batches[0]!.succeed();
    expect(r.done).toEqual(["a", "marker"]);
  });
});
