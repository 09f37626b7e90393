// What a leader counts and when it commits (paper sections 5.3, 5.4.2 and 8), with tokens of writes that
// a former role had asked for. How the log travels is `replication.test.ts`.

import { describe, expect, test } from "vitest";
import { isServing } from "../../../actors/raft/core.ts";
import {
  alone,
  applied,
  commits,
  elect,
  matched,
  only,
  persistAll,
  persisted,
  persists,
  propose,
  receive,
  reply,
  request,
  start,
  terms,
  tick,
  voters,
} from "./replica.ts";

describe("5.3 log replication", () => {
  test("a leader's term opens with a no-op behind its last entry", () => {
    const hardState = { term: 2, vote: 3 };
    const behind = { prevIndex: 4, prevTerm: 1, appliedIndex: 4, entries: terms(1, 2) };
    const state = start({ hardState, ...behind });
    const { entries } = only(persists(elect(state)));
    expect(entries).toEqual([{ index: 7, term: 3, kind: 0, payload: Buffer.alloc(0) }]);
  });

  test("proposals get consecutive indexes in order, one entry each", () => {
    const { state } = alone();
    const { entries, token } = only(persists(propose(state, "a", "b")));
    expect(
      entries.map(({ index, term, kind, payload }) => [index, term, kind, String(payload)]),
    ).toEqual([
      [2, 1, 1, "a"],
      [3, 1, 1, "b"],
    ]);
    expect(token).toMatchObject({ lastIndex: 3, lastTerm: 1 });
  });

  test("only a leader appends", () => {
    expect(() => propose(start(), "a")).toThrow("only a leader appends");
  });

  test("a leader counts its own entries only when they are durable", () => {
    const { state, noop } = alone();
    const first = propose(state, "a");
    const second = propose(state, "b");
    expect([...commits(noop), ...commits(first), ...commits(second)]).toEqual([]);
    expect(state).toMatchObject({ durableIndex: 0, commitIndex: 0 });
    persistAll(state, noop);
    expect(state).toMatchObject({ durableIndex: 1, commitIndex: 1 });
    expect(persistAll(state, first)).toEqual([{ type: "commit", from: 1, to: 2 }]);
    expect(persistAll(state, second)).toEqual([{ type: "commit", from: 2, to: 3 }]);
  });

  test("a leader of three commits nothing by its own disk alone", () => {
    const state = start();
    expect(persistAll(state, elect(state))).toEqual([]);
    expect(persistAll(state, propose(state, "a"))).toEqual([]);
    expect(state).toMatchObject({ durableIndex: 2, commitIndex: 0 });
  });

  test("what is not committed is never applied, and applied never goes back", () => {
    const { state, noop } = alone();
    expect(() => applied(state, 1)).toThrow("only committed entries are applied");
    persistAll(state, noop);
    persistAll(state, propose(state, "a"));
    applied(state, 2);
    expect(() => applied(state, 1)).toThrow("applied never goes back");
  });
});

describe("5.4.2 committing entries of earlier terms", () => {
  test("entries of older terms commit with the first own one, not before (figure 8)", () => {
    const state = start({
      membership: voters(1),
      hardState: { term: 2, vote: 1 },
      entries: terms(1, 2, 2),
    });
    const noop = persistAll(state, tick(state));
    // The old entries are durable here, on "a majority": still nothing commits.
    const old = { roleEpoch: state.roleEpoch, term: 3, hardState: undefined };
    expect(persisted(state, { ...old, lastIndex: 3, lastTerm: 2 })).toEqual([]);
    expect(state.commitIndex).toBe(0);
    expect(persistAll(state, noop)).toEqual([{ type: "commit", from: 0, to: 4 }]);
  });

  test("with the old entries on a majority and the no-op not, nothing commits", () => {
    const state = start({ hardState: { term: 2, vote: 1 }, entries: terms(1, 2) });
    const noop = elect(state);
    persistAll(state, noop);
    expect(commits(receive(state, matched(state, 2)))).toEqual([]);
    expect(state.commitIndex).toBe(0);
    const committed = commits(receive(state, matched(state, 3)));
    expect(committed).toEqual([{ type: "commit", from: 0, to: 3 }]);
  });
});

describe("persisted tokens of an older incarnation of the role", () => {
  test("a vote whose role is over is durable but not sent", () => {
    const state = start();
    const voted = receive(state, request(1));
    const learnt = receive(state, reply(5, { granted: false }));
    expect(persistAll(state, voted)).toEqual([]);
    expect(state.durableHardState).toEqual({ term: 1, vote: 2 });
    expect(persistAll(state, learnt)).toEqual([]);
    expect(state.durableHardState).toEqual({ term: 5, vote: 0 });
  });

  test("an own vote of an older campaign asks nobody and elects nobody", () => {
    const state = start();
    tick(state);
    const campaign = receive(state, reply(1, { pre: true }));
    const learnt = receive(state, reply(2, { granted: false }));
    expect(persistAll(state, campaign)).toEqual([]);
    expect(state.granted.size).toBe(0);
    persistAll(state, learnt);
    expect(state).toMatchObject({ role: "follower", term: 2 });
  });

  test("entries of a leadership that ended and came back commit nothing by themselves", () => {
    const state = start({ membership: voters(1, 2) });
    const first = elect(state);
    persistAll(state, receive(state, reply(5, { granted: false })));
    elect(state);
    expect(state).toMatchObject({ role: "leader", term: 6 });
    receive(state, matched(state, 2));
    expect(persistAll(state, first)).toEqual([]);
    expect(state).toMatchObject({ durableIndex: 1, commitIndex: 0 });
  });

  test("ABA: durable entries that the log has since replaced count for nothing", () => {
    const state = start({ membership: voters(1) });
    const noop = persistAll(state, tick(state));
    const { token } = only(persists(noop));
    expect(persisted(state, { ...token, lastTerm: 7 })).toEqual([]);
    expect(persisted(state, { ...token, lastIndex: 2 })).toEqual([]);
    expect(state.durableIndex).toBe(0);
    expect(persisted(state, token)).toEqual([{ type: "commit", from: 0, to: 1 }]);
  });
});

describe("8 client interaction", () => {
  test("a leader serves when its own no-op is applied, not when it is elected or committed", () => {
    const state = start({
      membership: voters(1),
      hardState: { term: 1, vote: 1 },
      entries: terms(1, 1),
    });
    expect(isServing(state)).toBe(false);
    const led = persistAll(state, tick(state));
    expect(state.role).toBe("leader");
    expect(isServing(state)).toBe(false);
    persistAll(state, led);
    expect(state.commitIndex).toBe(3);
    expect(isServing(state)).toBe(false);
    applied(state, 2);
    expect(isServing(state)).toBe(false);
    applied(state, 3);
    expect(isServing(state)).toBe(true);
  });

  test("a leader that was deposed does not serve, and not before its next no-op", () => {
    const state = start();
    const noop = elect(state);
    persistAll(state, noop);
    receive(state, matched(state, 1));
    applied(state, 1);
    expect(isServing(state)).toBe(true);
    persistAll(state, receive(state, reply(5, { granted: false })));
    expect(isServing(state)).toBe(false);
    expect(state.noopIndex).toBe(0);
    expect(state.progress.size).toBe(0);
    elect(state);
    expect(state.role).toBe("leader");
    expect(isServing(state)).toBe(false);
  });

  test("a start from a durable past is a follower that serves nothing", () => {
    const state = start({
      membership: voters(1),
      prevIndex: 9,
      prevTerm: 4,
      appliedIndex: 9,
      hardState: { term: 4, vote: 1 },
    });
    expect(state).toMatchObject({ role: "follower", commitIndex: 9, durableIndex: 9 });
    expect(isServing(state)).toBe(false);
    expect(applied(state, 9)).toEqual([]);
  });
});
