// When a leader may answer reads from its own state: the lease, counted from send times within what
// followers promised, and rounds of heartbeats (thesis section 6.4; `safety.md` 15, 16, 18), and when
// a leader that hears no majority gives up (section 6.2).

import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import { follows } from "../../../actors/raft/election.ts";
import { canRead, leaseMs, readConfirmed } from "../../../actors/raft/reads.ts";
import {
  applied,
  append,
  elect,
  evidence,
  heard,
  later,
  lead,
  matched,
  persistAll,
  receive,
  rejected,
  reply,
  start,
  tick,
  voters,
} from "./replica.ts";

describe("lease", () => {
  test("begins when the message left, not when its answer came", () => {
    const state = lead();
    receive(state, matched(state, 1, { sentAtMs: 20_000 }), 20_900);
    expect(canRead(state, 20_000 + leaseMs - 1)).toBe(true);
    expect(canRead(state, 20_000 + leaseMs)).toBe(false);
    evidence(state, 3, { sentAtMs: 30_000, nowMs: 30_900 });
    expect(canRead(state, 30_000 + leaseMs - 1)).toBe(true);
    expect(canRead(state, 30_000 + leaseMs)).toBe(false);
  });

  test("a refused append is evidence as well, of the promise, not of the log", () => {
    const state = lead();
    receive(state, rejected(state, 0, 0, { from: 3, sentAtMs: 20_000 }), 20_001);
    expect(canRead(state, 20_500)).toBe(true);
  });

  test("no longer than 97 % of what was promised, and nothing without a promise", () => {
    const state = lead();
    evidence(state, 2, { sentAtMs: 20_000, promiseMs: 100 });
    expect(canRead(state, 20_096)).toBe(true);
    expect(canRead(state, 20_097)).toBe(false);
    evidence(state, 2, { sentAtMs: 21_000, promiseMs: 0 });
    expect(canRead(state, 21_000)).toBe(false);
  });

  test("needs a majority: of five, two others", () => {
    const state = start({ membership: voters(1, 2, 3, 4, 5) });
    tick(state);
    for (const from of [2, 3]) receive(state, reply(1, { pre: true, from }));
    persistAll(state, [
      {
        type: "persist",
        hardState: { term: 1, vote: 1 },
        reset: undefined,
        entries: [],
        token: {
          roleEpoch: state.roleEpoch,
          term: 1,
          lastIndex: 0,
          lastTerm: 0,
          hardState: { term: 1, vote: 1 },
        },
      },
    ]);
    receive(state, reply(1));
    const noop = receive(state, reply(1, { from: 3 }));
    persistAll(state, noop);
    for (const from of [2, 3]) receive(state, matched(state, 1, { from, sentAtMs: 0 }));
    applied(state, 1);
    evidence(state, 2, { sentAtMs: 20_000 });
    expect(canRead(state, 20_001)).toBe(false);
    evidence(state, 4, { sentAtMs: 19_500 });
    expect(canRead(state, 20_001)).toBe(true);
    expect(canRead(state, 20_500)).toBe(false);
  });

  test("an answer to something older takes nothing away, one of another term gives nothing", () => {
    const state = lead();
    evidence(state, 2, { sentAtMs: 20_000 });
    evidence(state, 2, { sentAtMs: 10_000, promiseMs: 0 });
    expect(canRead(state, 20_500)).toBe(true);
    evidence(state, 2, { sentAtMs: 30_000, term: state.term - 1 });
    expect(canRead(state, 30_001)).toBe(false);
  });

  test("what left later than now gives nothing: it was a former process's, with another clock", () => {
    const state = lead();
    receive(state, rejected(state, 0, 0, { sentAtMs: 90_000, promiseMs: 0 }), 20_000);
    evidence(state, 3, { sentAtMs: 80_000, nowMs: 20_000 });
    expect(canRead(state, 20_001)).toBe(false);
  });

  test("learners and strangers give nothing", () => {
    const membership = { voters: [1, 2, 3], learners: [4] };
    const state = lead({ membership });
    evidence(state, 4, { sentAtMs: 20_000 });
    evidence(state, 9, { sentAtMs: 20_000 });
    expect(canRead(state, 20_001)).toBe(false);
  });

  test("nothing is read before the term's own no-op is applied, and nothing after leading", () => {
    const state = start();
    persistAll(state, elect(state));
    receive(state, matched(state, 1, { sentAtMs: 20_000 }), 20_000);
    evidence(state, 2, { sentAtMs: 20_000, round: 9 });
    expect(canRead(state, 20_001)).toBe(false);
    expect(readConfirmed(state, 9)).toBe(false);
    applied(state, 1);
    expect(canRead(state, 20_001)).toBe(true);
    expect(readConfirmed(state, 9)).toBe(true);
    receive(state, reply(7, { granted: false }));
    expect(canRead(state, 20_001)).toBe(false);
    expect(readConfirmed(state, 9)).toBe(false);
  });

  test("once the successor has been told to stand, never again in the term", () => {
    const state = lead();
    step(state, { type: "raft.transfer", to: 2, nowMs: 20_000 });
    evidence(state, 2, { sentAtMs: 20_000, nowMs: 20_000 });
    evidence(state, 3, { sentAtMs: 20_000, nowMs: 20_000 });
    expect(canRead(state, 20_001)).toBe(false);
    evidence(state, 3, { sentAtMs: 21_000, nowMs: 21_000 });
    tick(state, 21_499.9);
    expect(state.transfer).toBeDefined();
    tick(state, 21_500);
    expect(state.transfer).toBeUndefined();
    evidence(state, 2, { sentAtMs: 21_600, nowMs: 21_600, round: 4 });
    expect(canRead(state, 21_601)).toBe(false);
    expect(readConfirmed(state, 4)).toBe(true);
  });
});

describe("rounds", () => {
  test("a read is confirmed by a majority that acknowledged its round or a later one", () => {
    const state = lead();
    evidence(state, 2, { round: 6 });
    expect(readConfirmed(state, 7)).toBe(false);
    evidence(state, 3, { round: 8 });
    expect(readConfirmed(state, 7)).toBe(true);
    expect(readConfirmed(state, 9)).toBe(false);
    evidence(state, 3, { round: 5 });
    expect(readConfirmed(state, 8)).toBe(true);
  });

  test("a deposed leader's rounds are nothing to its next term", () => {
    const state = lead();
    evidence(state, 2, { round: 50 });
    persistAll(state, receive(state, reply(5, { granted: false })));
    persistAll(state, elect(state));
    receive(state, matched(state, state.noopIndex));
    applied(state, state.noopIndex);
    evidence(state, 2, { round: 50, term: 1 });
    expect(readConfirmed(state, 50)).toBe(false);
  });
});

describe("check-quorum", () => {
  test("a leader that no majority has acknowledged for an election timeout steps down", () => {
    const state = lead();
    evidence(state, 2, { sentAtMs: 20_000, nowMs: 20_000 });
    expect(state.role).toBe("leader");
    tick(state, 21_499);
    expect(state.role).toBe("leader");
    tick(state, 21_500);
    expect(state).toMatchObject({ role: "follower", leader: 0, term: 1 });
    expect(tick(state, 21_501)).toEqual([]);
  });

  test("a leader that is alone never does", () => {
    const state = start({ membership: voters(1) });
    persistAll(state, persistAll(state, tick(state)));
    tick(state, 1e9);
    expect(state.role).toBe("leader");
  });
});

describe("what a heartbeat's answer may say", () => {
  test("a replica follows only that leader, in that term, durably", () => {
    const state = start();
    const learnt = heard(state, 2, 3);
    expect(follows(state, 2, 3)).toBe(false);
    persistAll(state, learnt);
    expect(follows(state, 2, 3)).toBe(true);
    expect(follows(state, 3, 3)).toBe(false);
    expect(follows(state, 2, 2)).toBe(false);
    receive(state, append(4, 0, 0, [], { from: 3 }), later(state));
    expect(follows(state, 2, 3)).toBe(false);
  });
});
