// Where leadership goes: home when its preferred node has settled, and not back at once to a node that
// gave it away, which may be about to stop.

import { expect, it } from "vitest";

import { Leadership, type PeerNodes } from "../../../actors/store/leadership.ts";
import type { Region } from "../../../actors/store/region.ts";
import { HeapClock } from "../../simulation/clock.ts";

const named = (replicaId: number): string => `n${replicaId}`;

/** Leads region 7, whose home is n1, on n2; notes when and where it is asked to go. */
function world(nodes: Partial<PeerNodes> = {}): {
  clock: HeapClock;
  leadership: Leadership;
  moves: string[];
  lead: (term: number) => void;
} {
  const clock = new HeapClock(100_000);
  const moves: string[] = [];
  let term = 0;
  const inbox = { transferTo: (to: string) => moves.push(`${to} at ${clock.monotonicMs()}`) };
  const leadership = new Leadership({
    nodeId: "n2",
    clock,
    nodes: { upSinceMs: () => 0, mayLead: () => true, couldLead: () => true, ...nodes },
    mapped: () => [
      {
        regionId: 7,
        fromPosition: 0,
        toPosition: 1,
        epoch: 1,
        voters: [
          { replicaId: 1, nodeId: "n1" },
          { replicaId: 2, nodeId: "n2" },
          { replicaId: 3, nodeId: "n3" },
        ],
      },
    ],
    replica: (regionId) => {
      const role = term > 0 ? "leader" : "follower";
      const raft = { membership: { voters: [1, 2, 3] } };
      const replica = { regionId, serving: term > 0, role, term, inbox, raft, nodeOf: named };
      return replica as unknown as Region;
    },
  });
  leadership.start();
  return { clock, leadership, moves, lead: (of) => (term = of) };
}

it("a region goes home after some seconds", () => {
  const { clock, moves, lead } = world();
  lead(3);
  clock.advance(5100);
  expect(moves).toEqual(["n1 at 105000"]);
});

it("a region that has just come stays, whatever led here before", () => {
  const { clock, moves, lead } = world();
  lead(3);
  clock.advance(4100);
  lead(0);
  clock.advance(1000);
  lead(5);
  clock.advance(4000);
  expect(moves).toEqual([]);
  lead(9);
  clock.advance(4000);
  expect(moves).toEqual([]);
});

it("a region stays while the clock of its home is wrong", () => {
  let isWrong = true;
  const { clock, moves, lead } = world({ couldLead: (nodeId) => nodeId !== "n1" || !isWrong });
  lead(3);
  clock.advance(8100);
  expect(moves).toEqual([]);
  isWrong = false;
  clock.advance(1000);
  expect(moves).toEqual(["n1 at 109000"]);
});

it("a node whose own clock is wrong gives its regions to one whose clock is right", () => {
  const { clock, moves, lead } = world({
    mayLead: () => false,
    couldLead: (nodeId) => nodeId === "n3",
  });
  lead(3);
  clock.advance(1100);
  expect(moves).toEqual(["n3 at 101000"]);
});

it("a home that does not take over is not asked every second: each try stops the writes", () => {
  const { clock, moves, lead } = world();
  lead(3);
  clock.advance(44_900);
  expect(moves).toEqual(["n1 at 105000"]);
  clock.advance(200);
  expect(moves).toEqual(["n1 at 105000", "n1 at 145000"]);
});

it("a home that did not take over is asked again in the next term", () => {
  const { clock, moves, lead } = world();
  lead(3);
  clock.advance(6500);
  lead(5);
  clock.advance(5100);
  expect(moves).toEqual(["n1 at 105000", "n1 at 111000"]);
});

it("a stopping node gives away until nothing is led here: what has just come cannot go at once", async () => {
  const { clock, leadership, moves, lead } = world();
  lead(3);
  let isDone = false;
  const done = leadership.handOver().then(() => (isDone = true));
  for (let i = 0; i < 3; i++) {
    await Promise.resolve();
    clock.advance(10);
  }
  expect(moves).toEqual(["n3 at 100000", "n3 at 100010", "n3 at 100020"]);
  expect(isDone).toBe(false);
  lead(0);
  await Promise.resolve();
  clock.advance(10);
  await done;
});
