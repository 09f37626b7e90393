// How a leader's log travels to its peers (paper section 5.3): probing, streaming within a window, falling
// back, and sending again what was lost. What is committed by it is `commit.test.ts`.

import { describe, expect, test } from "vitest";
import { canPropose, uncommittedBytesMax } from "../../../actors/raft/leading.ts";
import { replicationFloor } from "../../../actors/raft/progress.ts";
import { step } from "../../../actors/raft/core.ts";
import { appendBytesMax, windowBytes } from "../../../actors/raft/replication.ts";
import type { RaftEffect } from "../../../actors/raft/protocol.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import {
  applied,
  elect,
  evidence,
  later,
  lead,
  matched,
  only,
  persistAll,
  propose,
  receive,
  rejected,
  sent,
  start,
  streamed,
  terms,
  tick,
} from "./replica.ts";

/** Long after everything that was sent, while both followers are still heard by heartbeats. */
function muchLater(state: RaftState, waitMs = 400): RaftEffect[] {
  const sentAtMs = [...state.progress.values()].map((progress) => progress.sentAtMs);
  const nowMs = Math.max(...sentAtMs) + waitMs;
  for (const from of [2, 3]) evidence(state, from, { nowMs, sentAtMs: nowMs });
  return tick(state, nowMs);
}

const proposeBytes = (state: RaftState, bytes: number): RaftEffect[] =>
  step(state, { type: "raft.propose", payloads: [Buffer.alloc(bytes)], nowMs: later(state) });

describe("probing", () => {
  test("a new leader sends everybody one append from the end of its log", () => {
    const state = start({ hardState: { term: 2, vote: 0 }, entries: terms(1, 2) });
    const effects = elect(state);
    for (const to of [2, 3]) {
      const { prevIndex, prevTerm, first, last } = only(streamed(effects, to));
      expect({ prevIndex, prevTerm, first, last }).toEqual({
        prevIndex: 2,
        prevTerm: 2,
        first: 3,
        last: 3,
      });
    }
    expect(streamed(propose(state, "a"), 2)).toEqual([]);
  });

  test("a peer whose log ends earlier is found in one step", () => {
    const state = start({ hardState: { term: 2, vote: 0 }, entries: terms(1, 1, 1, 1, 2, 2) });
    elect(state);
    const again = receive(state, rejected(state, 2, 1));
    expect(only(streamed(again, 2))).toMatchObject({
      prevIndex: 2,
      prevTerm: 1,
      first: 3,
      last: 3,
    });
  });

  test("a long tail of other terms is skipped term by term, not entry by entry", () => {
    const own = [...Array<number>(50).fill(1), ...Array<number>(50).fill(5)];
    const state = start({ hardState: { term: 5, vote: 0 }, entries: terms(...own) });
    elect(state);
    // The peer has the first twenty entries and then eighty of terms 2, 3 and 4.
    let probes = 1;
    let effects = receive(state, rejected(state, 100, 4));
    for (; only(streamed(effects, 2)).prevIndex > 20; probes++) {
      const { prevIndex, prevTerm } = only(streamed(effects, 2));
      const at = prevTerm >= 2 ? prevIndex : 20;
      effects = receive(state, rejected(state, at, at === 20 ? 1 : 2));
    }
    expect(probes).toBeLessThanOrEqual(3);
    expect(only(streamed(effects, 2)).prevIndex).toBe(20);
  });

  test("a rejection never makes a probe go up, and a late one is not answered", () => {
    const state = start({ hardState: { term: 1, vote: 0 }, entries: terms(1, 1, 1, 1) });
    elect(state);
    receive(state, rejected(state, 2, 1));
    expect(state.progress.get(2)?.next).toBe(3);
    receive(state, rejected(state, 4, 1));
    expect(state.progress.get(2)?.next).toBeLessThan(3);
    const late = rejected(state, 0, 0, { sentAtMs: -5 });
    expect(receive(state, late)).toEqual([]);
  });

  test("a lost probe is sent again, also when nothing ever left", () => {
    const state = start();
    const first = elect(state);
    expect(streamed(first, 2)).toHaveLength(1);
    expect(streamed(muchLater(state, 399), 2)).toEqual([]);
    expect(only(streamed(muchLater(state), 2))).toMatchObject({ first: 1, last: 1 });
  });

  test("a peer that nobody hears is asked rarely, and without the entries", () => {
    const state = start();
    elect(state);
    const nowMs = later(state) + 3000;
    evidence(state, 2, { nowMs, sentAtMs: nowMs });
    const effects = tick(state, nowMs);
    expect(streamed(effects, 3)).toEqual([]);
    expect(only(sent(effects).filter(({ to }) => to === 3))).toMatchObject({ entries: [] });
    evidence(state, 2, { nowMs: nowMs + 500, sentAtMs: nowMs + 500 });
    expect(sent(tick(state, nowMs + 500)).filter(({ to }) => to === 3)).toEqual([]);
  });
});

describe("streaming", () => {
  test("once a peer agrees, appends follow each other without waiting", () => {
    const state = lead();
    expect(only(streamed(propose(state, "a"), 2))).toMatchObject({ first: 2, last: 2 });
    expect(only(streamed(propose(state, "b", "c"), 2))).toMatchObject({
      prevIndex: 2,
      first: 3,
      last: 4,
    });
  });

  test("one append holds no more than its share, entries counted with their heads", () => {
    const state = lead();
    const half = appendBytesMax / 2 - 16;
    for (let i = 0; i < 4; i++) proposeBytes(state, half);
    muchLater(state);
    const streams = streamed(receive(state, matched(state, 2)), 2);
    expect(streams.map(({ first, last }) => last - first + 1)).toEqual([2, 1]);
    const many = Array.from({ length: 30_000 }, () => Buffer.alloc(0));
    const small = streamed(
      step(state, { type: "raft.propose", payloads: many, nowMs: later(state) }),
      2,
    );
    expect(small.length).toBeGreaterThan(1);
  });

  test("a long entry goes alone, so that no append is longer than it", () => {
    const state = lead();
    const payloads = [1, 1, 512 * 1024, 1].map((bytes) => Buffer.alloc(bytes));
    const effects = step(state, { type: "raft.propose", payloads, nowMs: later(state) });
    const streams = streamed(effects, 2);
    expect(streams.map(({ first, last }) => [first, last])).toEqual([
      [2, 3],
      [4, 4],
      [5, 5],
    ]);
  });

  test("no more than a window is on its way, and an answer opens it again", () => {
    const state = lead();
    const bytes = 512 * 1024;
    let streams = 0;
    while (streamed(proposeBytes(state, bytes), 2).length > 0) streams++;
    expect(streams).toBe(Math.ceil(windowBytes / bytes));
    expect(streamed(proposeBytes(state, bytes), 2)).toEqual([]);
    expect(streamed(receive(state, matched(state, 2)), 2)).toHaveLength(1);
  });

  test("a lost append is found by the next one and sent again from behind what is certain", () => {
    const state = lead();
    propose(state, "a");
    propose(state, "b");
    const again = receive(state, rejected(state, 1, 1));
    expect(only(streamed(again, 2))).toMatchObject({ prevIndex: 1, first: 2, last: 2 });
    const rest = receive(state, matched(state, 2));
    expect(only(streamed(rest, 2))).toMatchObject({ first: 3, last: 3 });
  });

  test("a lost last append is sent again by time", () => {
    const state = lead();
    propose(state, "a");
    expect(only(streamed(muchLater(state), 2))).toMatchObject({ first: 2, last: 2 });
  });

  test("answers that come twice or in the wrong order change nothing", () => {
    const state = lead();
    propose(state, "a", "b");
    receive(state, matched(state, 3));
    const before = structuredClone(state.progress.get(2));
    receive(state, matched(state, 2));
    receive(state, matched(state, 3));
    expect(state.progress.get(2)).toEqual(before);
  });
});

/** Everybody has everything; `known` = the commit index the followers say they know. */
const settle = (state: RaftState, index: number, known: number): void => {
  for (const from of [2, 3]) receive(state, matched(state, index, { from, commitIndex: known }));
};

describe("silence", () => {
  test("what is committed is told until it is known, then not a word is said", () => {
    const state = lead();
    persistAll(state, propose(state, "a"));
    settle(state, 2, 1);
    expect(state.commitIndex).toBe(2);
    const told = sent(muchLater(state));
    expect(told.map(({ to }) => to)).toEqual([2, 3]);
    expect(told[0]).toMatchObject({ commitIndex: 2, prevIndex: 2, entries: [] });
    expect(sent(muchLater(state))).toHaveLength(2);
    settle(state, 2, 2);
    for (let i = 0; i < 100; i++) expect(muchLater(state, 1000)).toEqual([]);
  });

  test("a follower that asks to be probed, because it has restarted, is told again", () => {
    const state = lead();
    settle(state, 1, 1);
    expect(muchLater(state)).toEqual([]);
    const asks = rejected(state, 1, 1, { commitIndex: 0, sentAtMs: -Infinity });
    const probe = only(sent(receive(state, asks)));
    expect(probe).toMatchObject({ type: "append.request", to: 2, commitIndex: 1 });
  });
});

const behind = (): RaftState => {
  const state = lead({ hardState: { term: 1, vote: 0 }, entries: terms(1, 1, 1, 1) });
  step(state, { type: "raft.compacted", index: 4 });
  return state;
};

const isAsked = (effects: readonly RaftEffect[]): boolean =>
  effects.some(({ type }) => type === "sendSnapshot");

describe("snapshots and compaction", () => {
  test("a peer that needs what is cut from the log gets a snapshot, and nothing else meanwhile", () => {
    const state = behind();
    // The first hint is held up at the log's beginning, the second goes below it.
    const effects = [0, 0].flatMap(() => receive(state, rejected(state, 0, 0, { from: 3 })));
    expect(effects.filter(({ type }) => type === "sendSnapshot")).toEqual([
      { type: "sendSnapshot", to: 3, term: 2 },
    ]);
    expect(streamed(propose(state, "a"), 3)).toEqual([]);
    expect(sent(muchLater(state, 1000)).filter(({ to }) => to === 3)).toEqual([]);
  });

  test("a stream that ended is followed by a probe; only the follower's word counts", () => {
    const state = behind();
    for (let i = 0; i < 2; i++) receive(state, rejected(state, 0, 0, { from: 3 }));
    const ended = { type: "raft.snapshotSent", to: 3, index: 4, ok: true, nowMs: 1e6 } as const;
    expect(only(streamed(step(state, ended), 3))).toMatchObject({ prevIndex: 4, first: 5 });
    expect(state.progress.get(3)?.match).toBe(0);
    receive(state, matched(state, 5, { from: 3 }));
    expect(state.progress.get(3)).toMatchObject({ match: 5, mode: "replicate" });
  });

  test("a peer whose log reaches into what is left of the log needs none", () => {
    const state = start({
      hardState: { term: 2, vote: 0 },
      prevIndex: 4,
      prevTerm: 1,
      appliedIndex: 4,
      entries: terms(1, 1, 2),
    });
    elect(state);
    // A lost probe is sent again where it was, a refused one goes down to the log's beginning at most.
    expect(isAsked(muchLater(state))).toBe(false);
    const effects = receive(state, rejected(state, 5, 1));
    expect(only(streamed(effects, 2))).toMatchObject({ prevIndex: 5, first: 6 });
    const lower = receive(state, rejected(state, 4, 1));
    expect(only(streamed(lower, 2))).toMatchObject({ prevIndex: 4, first: 5 });
    expect(isAsked(receive(state, rejected(state, 4, 1)))).toBe(false);
    expect(isAsked(receive(state, rejected(state, 3, 1)))).toBe(true);
  });

  test("a stream that failed is asked for again, later", () => {
    const state = behind();
    for (let i = 0; i < 2; i++) receive(state, rejected(state, 0, 0, { from: 3 }));
    const nowMs = later(state);
    const failed = { type: "raft.snapshotSent", to: 3, index: 0, ok: false, nowMs } as const;
    expect(step(state, failed)).toEqual([]);
    // It may have failed because the peer has more by now: the log's start is tried first.
    expect(isAsked(muchLater(state))).toBe(false);
    expect(isAsked(receive(state, rejected(state, 0, 0, { from: 3 })))).toBe(true);
  });

  test("the log is never cut beyond what is applied", () => {
    const state = lead();
    persistAll(state, propose(state, "a"));
    step(state, { type: "raft.compacted", index: 2 });
    expect(state.log.prevIndex).toBe(1);
  });

  test("the floor is what the last peer has, and nothing holds it elsewhere", () => {
    const state = lead();
    persistAll(state, propose(state, "a"));
    receive(state, matched(state, 2));
    expect(replicationFloor(state)).toBe(0);
    receive(state, matched(state, 1, { from: 3 }));
    expect(replicationFloor(state)).toBe(1);
    expect(replicationFloor(start({ entries: terms(1, 1) }))).toBe(2);
  });
});

describe("quota", () => {
  test("a leader that cannot commit takes no more than its quota, and takes more when it can", () => {
    const state = lead();
    let count = 0;
    for (; canPropose(state); count++) persistAll(state, proposeBytes(state, 1024 * 1024));
    expect(count).toBe(uncommittedBytesMax / 1024 / 1024);
    receive(state, matched(state, state.log.lastIndex));
    expect(canPropose(state)).toBe(true);
    applied(state, state.commitIndex);
  });

  test("nobody but a leader takes proposals", () => {
    expect(canPropose(start())).toBe(false);
  });
});
