// A wall clock is the time only while the other nodes' agree with it; when it does not, time goes on from
// where it was. Who leads because of it is tested with the leaders.

import { expect, test } from "vitest";
import type { NodeStatus } from "../../../actors/cluster/protocol.ts";
import { TrustedClock } from "../../../actors/store/trusted-clock.ts";
import { HeapClock } from "../../simulation/clock.ts";

const info = { nodeId: "n", incarnation: "", epoch: 1, respAddress: "", httpAddress: "" };

const status = (clockSkewMs: number): NodeStatus => ({
  info,
  isUp: true,
  sinceMs: 0,
  clockSkewMs,
});

/** A node with two others; `skews` = their clocks minus ours as of the last heartbeat. */
function world(skews: number[]) {
  const heap = new HeapClock();
  let jumpMs = 0;
  const clock = {
    monotonicMs: () => heap.monotonicMs(),
    wallMs: () => heap.wallMs() + jumpMs,
    setTimeout: heap.setTimeout.bind(heap),
    clearTimeout: heap.clearTimeout.bind(heap),
  };
  const trusted = new TrustedClock(clock, () => skews.map(status));
  const jump = (byMs: number): void => {
    jumpMs += byMs;
  };
  return { heap, trusted, jump };
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

test("a clock that is set back right is the time again", () => {
  const skews = [0, 0];
  const { heap, trusted, jump } = world(skews);
  jump(3_600_000);
  trusted.wallMs();
  skews.splice(0, 2, -3_600_000, -3_600_000);
  trusted.check();
  expect(trusted.isTrusted).toBe(false);
  jump(-3_600_000);
  skews.splice(0, 2, 0, 0);
  trusted.check();
  expect(trusted.isTrusted).toBe(true);
  expect(trusted.wallMs()).toBe(heap.wallMs());
});

test("a node whose clock was wrong from its start does not lead, the median one does", () => {
  const ahead = world([-60_000, -60_010]);
  ahead.trusted.check();
  expect(ahead.trusted.isTrusted).toBe(false);
  const median = world([60_000, 5]);
  median.trusted.check();
  expect(median.trusted.isTrusted).toBe(true);
});

test("a clock that everybody's jumps with is believed", () => {
  const { heap, trusted, jump } = world([3_600_000, 3_600_000]);
  jump(3_600_000);
  expect(trusted.wallMs()).toBe(heap.wallMs() + 3_600_000);
});
