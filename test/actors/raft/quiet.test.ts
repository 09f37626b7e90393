// How long a replica may be left alone: a tick before that has no effect, and the first one after it
// has one.

import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import { minElectionTimeoutMs as electionTimeoutMs } from "../../../actors/raft/protocol.ts";
import { quietMs } from "../../../actors/raft/quiet.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import {
  append,
  evidence,
  later,
  lead,
  matched,
  propose,
  receive,
  rejected,
  start,
  tick,
} from "./replica.ts";
import { persistAll, reply } from "./replica.ts";

const quiet = (state: RaftState, nowMs: number): number =>
  quietMs(state, { nowMs, electionTimeoutMs });

/** A leader whose followers have everything, know how far it is committed, and were heard now. */
function settled(): { state: RaftState; nowMs: number } {
  const state = lead();
  const nowMs = later(state);
  const { commitIndex } = state;
  for (const from of [2, 3]) {
    receive(state, matched(state, commitIndex, { from, commitIndex, sentAtMs: nowMs }), nowMs);
  }
  return { state, nowMs };
}

/** Until then a tick does nothing. */
function expectQuietFor(state: RaftState, nowMs: number, ms: number): void {
  expect(quiet(state, nowMs)).toBe(ms);
  const { role, roleEpoch } = state;
  for (const after of [1, ms / 2, ms - 1]) expect(tick(state, nowMs + after)).toEqual([]);
  expect(state).toMatchObject({ role, roleEpoch });
  tick(state, nowMs + ms);
  expect(state.roleEpoch).toBeGreaterThan(roleEpoch);
}

describe("a replica may be left alone", () => {
  test("as a follower until it stands for election", () => {
    const state = start();
    persistAll(state, receive(state, append(1, 0, 0, [1]), 10_000));
    expectQuietFor(state, 10_400, electionTimeoutMs - 400);
  });

  test("between two polls that nobody answers", () => {
    const state = start();
    tick(state, electionTimeoutMs);
    expect(state.role).toBe("preCandidate");
    expectQuietFor(state, electionTimeoutMs, 400);
  });

  test("as a settled leader until a majority is out of sight", () => {
    const { state, nowMs } = settled();
    expectQuietFor(state, nowMs, electionTimeoutMs);
  });

  test("as a leader longer when it hears more", () => {
    const { state, nowMs } = settled();
    evidence(state, 3, { sentAtMs: nowMs + 700 });
    expect(quiet(state, nowMs + 800)).toBe(electionTimeoutMs - 100);
  });
});

describe("a leader is not left alone", () => {
  test("while an entry is on its way", () => {
    const { state, nowMs } = settled();
    persistAll(state, propose(state, "a"));
    expect(quiet(state, nowMs)).toBe(0);
  });

  test("while a follower does not know of a commit", () => {
    const { state, nowMs } = settled();
    persistAll(state, propose(state, "a"));
    const { lastIndex } = state.log;
    for (const from of [2, 3]) receive(state, matched(state, lastIndex, { from }), nowMs);
    expect(state.commitIndex).toBe(lastIndex);
    expect(quiet(state, nowMs)).toBe(0);
    for (const from of [2, 3]) {
      receive(state, matched(state, lastIndex, { from, commitIndex: lastIndex }), nowMs);
    }
    expect(quiet(state, nowMs)).toBeGreaterThan(0);
  });

  test("while a follower is probed", () => {
    const state = start();
    tick(state, electionTimeoutMs);
    persistAll(state, receive(state, reply(1, { pre: true })));
    persistAll(state, receive(state, reply(1)));
    expect(state.role).toBe("leader");
    expect(quiet(state, electionTimeoutMs)).toBe(0);
  });

  test("while one that had everything says that it has not", () => {
    const { state, nowMs } = settled();
    const { commitIndex } = state;
    receive(state, rejected(state, commitIndex, state.term, { from: 3, commitIndex }), nowMs);
    expect(state.progress.get(3)).toMatchObject({ mode: "probe", match: commitIndex });
    expect(quiet(state, nowMs)).toBe(0);
  });

  test("while it hands over", () => {
    const { state, nowMs } = settled();
    step(state, { type: "raft.transfer", to: 2, nowMs });
    expect(quiet(state, nowMs)).toBe(0);
  });
});
