// Handing leadership over (thesis section 3.10): the successor has everything before it is told, nothing
// is appended meanwhile, and a successor that does not come is given up.

import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import { canPropose } from "../../../actors/raft/leading.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import {
  append,
  elect,
  evidence,
  heard,
  later,
  lead,
  matched,
  only,
  persistAll,
  persists,
  propose,
  receive,
  request,
  sent,
  start,
  tick,
} from "./replica.ts";

const transfer = (state: RaftState, to: number, nowMs = later(state)) =>
  step(state, { type: "raft.transfer", to, nowMs });

const told = (effects: Parameters<typeof sent>[0]) =>
  sent(effects).filter(({ type }) => type === "timeout.now");

const order = (term: number, from = 2) => ({ type: "timeout.now" as const, from, to: 1, term });

const follower = (): RaftState => {
  const state = start({ hardState: { term: 1, vote: 0 } });
  heard(state, 2, 1, 9000);
  return state;
};

describe("the leader", () => {
  test("tells a successor that has everything at once, and gives up its lease", () => {
    const state = lead();
    expect(only(told(transfer(state, 2)))).toEqual({
      type: "timeout.now",
      from: 1,
      to: 2,
      term: 1,
    });
    expect(state.isLeaseForfeited).toBe(true);
  });

  test("waits for one that lags, and appends nothing meanwhile", () => {
    const state = lead();
    propose(state, "a");
    expect(canPropose(state)).toBe(true);
    expect(told(transfer(state, 2))).toEqual([]);
    expect(state.isLeaseForfeited).toBe(false);
    expect(canPropose(state)).toBe(false);
    expect(told(receive(state, matched(state, 2, { from: 3 })))).toEqual([]);
    expect(told(receive(state, matched(state, 2)))).toHaveLength(1);
  });

  test("tells it again while it does not come, and gives it up after an election timeout", () => {
    const state = lead();
    transfer(state, 2, 20_000);
    evidence(state, 3, { nowMs: 20_000, sentAtMs: 20_000 });
    expect(told(tick(state, 20_100))).toHaveLength(1);
    evidence(state, 3, { nowMs: 21_400, sentAtMs: 21_400 });
    expect(told(tick(state, 21_500))).toEqual([]);
    expect(canPropose(state)).toBe(true);
  });

  test("hands over to no learner, stranger or itself, to nobody else meanwhile, not before its no-op", () => {
    const state = lead({ membership: { voters: [1, 2, 3], learners: [4] } });
    for (const to of [1, 4, 9]) expect(transfer(state, to)).toEqual([]);
    expect(state.transfer).toBeUndefined();
    transfer(state, 3);
    transfer(state, 2);
    expect(state.transfer?.to).toBe(3);
    const fresh = start();
    elect(fresh);
    transfer(fresh, 2);
    expect(fresh.transfer).toBeUndefined();
  });

  test("votes for its successor although it leads", () => {
    const state = lead();
    transfer(state, 2);
    const effects = receive(state, request(2, { transfer: true, lastIndex: 1, lastTerm: 1 }));
    expect(only(sent(persistAll(state, effects)))).toMatchObject({ granted: true, term: 2 });
    expect(state.role).toBe("follower");
  });
});

describe("the successor", () => {
  test("stands at once, without a poll, and says that it was asked to", () => {
    const state = follower();
    const effects = receive(state, order(1), 9001);
    expect(only(persists(effects)).hardState).toEqual({ term: 2, vote: 1 });
    const asked = sent(persistAll(state, effects));
    expect(asked.map(({ type, to, term }) => [type, to, term])).toEqual([
      ["vote.request", 2, 2],
      ["vote.request", 3, 2],
    ]);
    expect(asked[0]).toMatchObject({ transfer: true, pre: false });
  });

  test("only for the leader it follows, in this term, as a voter", () => {
    expect(receive(follower(), order(1, 3), 9001)).toEqual([]);
    const moved = follower();
    persistAll(moved, receive(moved, append(3, 0, 0), 9002));
    expect(receive(moved, order(1), 9003)).toEqual([]);
    const learner = start({ replicaId: 4, hardState: { term: 1, vote: 0 } });
    heard(learner, 2, 1, 9000);
    expect(receive(learner, { ...order(1), to: 4 }, 9001)).toEqual([]);
  });

  test("when it has failed, its next election is one like any other", () => {
    const state = follower();
    persistAll(state, receive(state, order(1), 9001));
    expect(sent(tick(state, 20_000))[0]).toMatchObject({ pre: true, transfer: false });
  });
});
