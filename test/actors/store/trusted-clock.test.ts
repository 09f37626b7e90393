// A wall clock is the time only while the other nodes' agree with it; when it does not, time goes on from
// where it was. Who leads because of it is tested with the leaders.

import { expect, test } from "vitest";
import type { NodeStatus } from "../../../actors/cluster/protocol.ts";
import { TrustedClock } from "../../../actors/store/trusted-clock.ts";
import { HeapClock } from "../../simulation/clock.ts";

const info = { nodeId: "n", incarnation: "", epoch: 1, respAddress: "", httpAddress: "" };

const status = (wallOffsetMs: number, at: number, isUp: boolean): NodeStatus => ({
  info: { ...info, nodeId: `n${at}` },
  isUp,
  sinceMs: 0,
  wallOffsetMs,
});

/** Clocks minus ours, as of the last heartbeats, of nodes n0, n1 and so on. */
type Skews = readonly number[];

/** A node with others; `startErrorMs` = how wrong its clock is from the start. */
function world(skews: Skews, startErrorMs = 0, isAlone = false) {
  const heap = new HeapClock();
  let errorMs = startErrorMs;
  let offsets: number[] = [];
  let isUp = true;
  const gone = new Set<number>();
  const clock = {
    monotonicMs: () => heap.monotonicMs(),
    wallMs: () => heap.wallMs() + errorMs,
    setTimeout: heap.setTimeout.bind(heap),
    clearTimeout: heap.clearTimeout.bind(heap),
  };
  /** Heartbeats came; of nobody: the others are gone. */
  const hear = (now: Skews): void => {
    offsets = now.map((skewMs) => clock.wallMs() + skewMs - clock.monotonicMs());
  };
  hear(skews);
  const trusted = new TrustedClock(
    clock,
    () => offsets.map((ms, at) => status(ms, at, isUp && !gone.has(at))),
    () => isAlone,
  );
  const jump = (byMs: number): void => {
    errorMs += byMs;
  };
  const setUp = (areUp: boolean): void => {
    isUp = areUp;
  };
  const down = (at: number): void => void gone.add(at);
  return { heap, trusted, jump, hear, setUp, down };
}

test("a clock that agrees with the others is the time", () => {
  const { heap, trusted } = world([20, -30]);
  heap.advance(1000);
  trusted.check();
  expect(trusted.wallMs()).toBe(heap.wallMs());
  expect(trusted.isTrusted).toBe(true);
});

test("a clock that jumps ahead of the others expires nothing, not even at the first look", () => {
  const { heap, trusted, jump } = world([0, 0]);
  const before = trusted.wallMs();
  jump(3_600_000);
  heap.advance(100);
  expect(trusted.wallMs()).toBe(before + 100);
  expect(trusted.isTrusted).toBe(false);
});

test("it stays wrong though nothing new is heard, and though the others go", () => {
  const { heap, trusted, jump, hear } = world([0, 0]);
  const before = trusted.wallMs();
  jump(3_600_000);
  trusted.wallMs();
  trusted.check();
  expect(trusted.isTrusted).toBe(false);
  hear([]);
  heap.advance(100);
  trusted.check();
  expect(trusted.isTrusted).toBe(false);
  expect(trusted.wallMs()).toBe(before + 100);
});

test("a clock that is set back right is the time again", () => {
  const { heap, trusted, jump, hear } = world([0, 0]);
  jump(3_600_000);
  trusted.wallMs();
  hear([-3_600_000, -3_600_000]);
  trusted.check();
  expect(trusted.isTrusted).toBe(false);
  jump(-3_600_000);
  trusted.check();
  expect(trusted.isTrusted).toBe(true);
  expect(trusted.wallMs()).toBe(heap.wallMs());
});

test("a node whose clock was wrong from its start does not lead, the median one does", () => {
  const ahead = world([-60_000, -60_010], 60_000);
  ahead.trusted.check();
  expect(ahead.trusted.isTrusted).toBe(false);
  const median = world([60_000, 5]);
  median.trusted.check();
  expect(median.trusted.isTrusted).toBe(true);
  expect([median.trusted.trusts("n0"), median.trusted.trusts("n1")]).toEqual([false, true]);
});

test("what was ahead from its start goes by the others' time, before it has led and after", () => {
  const { heap, trusted, hear } = world([-3_600_000, -3_600_010], 3_600_000);
  trusted.check();
  expect(heap.wallMs() - trusted.wallMs()).toBeLessThan(20);
  expect(trusted.wallMs()).toBeLessThanOrEqual(heap.wallMs());
  hear([]);
  heap.advance(100);
  trusted.check();
  expect(trusted.wallMs()).toBeLessThanOrEqual(heap.wallMs());
});

test("of two that disagree the one that is behind leads: it expires nothing too soon", () => {
  const ahead = world([-3_600_000]);
  ahead.trusted.check();
  expect(ahead.trusted.isTrusted).toBe(false);
  const behind = world([3_600_000]);
  behind.trusted.check();
  expect(behind.trusted.isTrusted).toBe(true);
});

test("of two that disagree the one a majority has found right leads when the third is gone", () => {
  const { heap, trusted, down } = world([0, -10_000]);
  trusted.check();
  expect([trusted.isTrusted, trusted.trusts("n1")]).toEqual([true, false]);
  const believed = trusted.wallMs();
  down(0);
  heap.advance(100);
  trusted.check();
  expect(trusted.isTrusted).toBe(true);
  expect(trusted.wallMs()).toBe(believed + 100);
  const wrong = world([10_000, 10_000]);
  wrong.trusted.check();
  wrong.down(0);
  wrong.trusted.check();
  expect(wrong.trusted.isTrusted).toBe(false);
});

test("a clock that jumps while all others are down is not believed before one of them is", () => {
  const { heap, trusted, jump, hear, setUp } = world([0, 0]);
  trusted.check();
  const before = trusted.wallMs();
  setUp(false);
  jump(3_600_000);
  expect(trusted.wallMs()).toBe(before);
  heap.advance(100);
  trusted.check();
  expect(trusted.wallMs()).toBe(before + 100);
  expect(trusted.isTrusted).toBe(false);
  setUp(true);
  hear([0, 0]);
  trusted.check();
  expect(trusted.wallMs()).toBe(before + 3_600_100);
});

test("while nobody has been heard since the start nothing is known of the own clock", () => {
  const { heap, trusted, hear } = world([]);
  trusted.check();
  expect(trusted.isTrusted).toBe(false);
  hear([10, -10]);
  trusted.check();
  expect(trusted.isTrusted).toBe(true);
  expect(trusted.wallMs()).toBe(heap.wallMs());
});

test("the clock of the only member is the only one", () => {
  const { heap, trusted, jump } = world([], 0, true);
  trusted.check();
  expect(trusted.wallMs()).toBe(heap.wallMs());
  jump(60_000);
  trusted.check();
  expect(trusted.isTrusted).toBe(true);
  expect(trusted.wallMs()).toBe(heap.wallMs() + 60_000);
});

test("a clock that everybody's jumps with is believed", () => {
  const { heap, trusted, jump } = world([3_600_000, 3_600_000]);
  jump(3_600_000);
  expect(trusted.wallMs()).toBe(heap.wallMs() + 3_600_000);
});
