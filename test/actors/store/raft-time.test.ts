// Who stands for election when: a node whose clock is wrong never does, neither because nobody was heard
// of nor because a leader that does not know yet hands over to it.

import { expect, test } from "vitest";
import type { RaftEvent } from "../../../actors/raft/protocol.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import { Inbox } from "../../../actors/store/inbox.ts";
import type { Outgoing } from "../../../actors/store/outgoing.ts";
import { RaftTime } from "../../../actors/store/raft-time.ts";
import type { Region } from "../../../actors/store/region.ts";
import type { RegionPorts } from "../../../actors/store/region-ports.ts";
import { HeapClock } from "../../simulation/clock.ts";

/** One follower among several nodes; `events` is what its core would step on. */
function world() {
  const clock = new HeapClock();
  const events: RaftEvent[] = [];
  const lookedAtMs: number[] = [];
  const state = { mayLead: true };
  const membership = { voters: [1, 2, 3], learners: [] };
  const raft = {
    role: "follower",
    waitsFromMs: 0,
    replicaId: 1,
    membership,
  } as unknown as RaftState;
  const inbox = new Inbox(
    { clock, random: () => 0 } as unknown as RegionPorts,
    { raft, ended: false },
    { heardFrom: () => undefined } as unknown as Outgoing,
    (event) => void events.push(event as RaftEvent),
  );
  const time = new RaftTime({
    clock,
    schedule: (run) => run(),
    isAlone: false,
    mayLead: () => {
      lookedAtMs.push(clock.monotonicMs());
      return state.mayLead;
    },
    regions: () => [{ inbox, ended: false } as unknown as Region],
    failed: (error) => {
      throw error;
    },
  });
  time.wake();
  const handOver = (): boolean => {
    const before = events.length;
    const message = { type: "timeout.now", from: 2, to: 1, term: 1 } as const;
    inbox.received("n2", message, clock.monotonicMs());
    return events.length > before;
  };
  return { clock, events, state, raft, looked: () => lookedAtMs, handOver };
}

test("a tick is an event only when the election timeout is over", () => {
  const { clock, events } = world();
  clock.advance(1400);
  expect(events).toEqual([]);
  clock.advance(100);
  expect(events).toMatchObject([{ type: "raft.tick", electionTimeoutMs: 1500 }]);
});

test("the clock is looked at before the first tick, and a wrong one never stands", () => {
  const { clock, events, state } = world();
  state.mayLead = false;
  clock.advance(10_000);
  expect(events).toEqual([]);
});

test("a leadership is taken over only while the clock is right", () => {
  const { clock, state, handOver } = world();
  expect(handOver()).toBe(false);
  clock.advance(100);
  expect(handOver()).toBe(true);
  state.mayLead = false;
  clock.advance(250);
  expect(handOver()).toBe(false);
});

test("replicas that may be left alone are looked at four times a second", () => {
  const { clock, looked } = world();
  clock.advance(1000);
  expect(looked()).toEqual([100, 350, 600, 850]);
  // And the one that is to stand for election then when it is.
  clock.advance(600);
  expect(looked()).toContain(1500);
});

test("one that may not be left alone is looked at ten times a second", () => {
  const { clock, looked, raft } = world();
  Object.assign(raft, { role: "preCandidate", waitsFromMs: -10_000 });
  clock.advance(500);
  expect(looked()).toEqual([100, 200, 300, 400, 500]);
});
