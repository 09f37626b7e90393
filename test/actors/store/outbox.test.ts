// Replies that wait for their index: what is held is counted as under way, and counted off whichever
// way it ends. The order of replies is held by the histories of the evaluator.

import { expect, test } from "vitest";
import { Outbox } from "../../../actors/store/outbox.ts";
import type { RegionRequest } from "../../../actors/store/protocol.ts";

function rig() {
  const inFlight = { count: 0 };
  const replies: unknown[] = [];
  const request = { settle: (reply: unknown) => void replies.push(reply) };
  const outbox = new Outbox((round) => round <= 1, inFlight);
  return { inFlight, outbox, replies, request: request as unknown as RegionRequest };
}

test("what waits is under way until it is released", () => {
  const { inFlight, outbox, replies, request } = rig();
  outbox.put(0, request, 0, false, 0);
  expect(inFlight.count).toBe(0);
  for (const index of [1, 2, 3]) outbox.put(index, request, index, true, index === 3 ? 2 : 1);
  expect(inFlight.count).toBe(3);
  outbox.committed(3);
  // The last one lacks its proof.
  expect([inFlight.count, replies]).toEqual([1, [0, 1, 2]]);
});

test("what is given up is under way no more", () => {
  const { inFlight, outbox, replies, request } = rig();
  for (const index of [1, 2]) outbox.put(index, request, index, true, 0);
  outbox.committed(1);
  outbox.abandon(() => "gone");
  expect([inFlight.count, replies]).toEqual([0, [1, "gone"]]);
});
