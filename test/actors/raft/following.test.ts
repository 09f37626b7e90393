// The log of a follower (paper section 5.3): what it takes, what it cuts, what it says it has, and what a
// snapshot makes of it.

import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import type { RaftEffect } from "../../../actors/raft/protocol.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import {
  append,
  commits,
  heard,
  only,
  persistAll,
  persisted,
  persists,
  receive,
  reply,
  sent,
  start,
  terms,
  voters,
  type AppendReply,
} from "./replica.ts";

/** In term 2 already, so that no term has to become durable; entries of these terms behind index 0. */
const follower = (...entryTerms: number[]): RaftState =>
  start({ hardState: { term: 2, vote: 0 }, entries: terms(...entryTerms) });

const acks = (effects: readonly RaftEffect[]): AppendReply[] =>
  sent(effects).filter((message) => message.type === "append.reply");

describe("taking entries", () => {
  test("what is written is acknowledged, when it is written", () => {
    const state = follower();
    const effects = receive(state, append(2, 0, 0, [1, 2], { sentAtMs: 77 }));
    expect(acks(effects)).toEqual([]);
    expect(only(persists(effects)).entries.map(({ index }) => index)).toEqual([1, 2]);
    const ack = only(acks(persistAll(state, effects)));
    expect(ack).toMatchObject({ to: 2, term: 2, matched: true, index: 2, sentAtMs: 77 });
    expect(ack.promiseMs).toBe(1500);
  });

  test("nothing is acknowledged in a term that is not durable, everything after", () => {
    const state = start();
    const [term, entries] = persists(receive(state, append(2, 0, 0, [2])));
    expect(acks(persisted(state, entries!.token))).toEqual([]);
    expect(only(acks(persisted(state, term!.token)))).toMatchObject({ term: 2, index: 1 });
  });

  test("a log that lacks the entry before is refused with the place to look next", () => {
    const state = follower(1, 1);
    expect(only(acks(receive(state, append(2, 5, 2))))).toMatchObject({
      matched: false,
      index: 2,
      hintTerm: 1,
    });
  });

  test("the hint skips entries of terms newer than the leader's there", () => {
    const state = start({ hardState: { term: 9, vote: 0 }, entries: terms(1, 1, 4, 4, 5) });
    expect(only(acks(receive(state, append(9, 5, 2))))).toMatchObject({ index: 2, hintTerm: 1 });
  });

  test("what contradicts the leader goes, from there on", () => {
    const state = follower(1, 1, 1, 1);
    const effects = receive(state, append(2, 2, 1, [2]));
    expect(effects).toContainEqual({ type: "truncate", from: 3 });
    expect(state.log.lastIndex).toBe(3);
    expect(state.durableIndex).toBe(2);
    expect(only(acks(persistAll(state, effects))).index).toBe(3);
  });

  test("an append that comes late, shorter than what is there, cuts nothing", () => {
    const state = follower(2, 2, 2, 2);
    const effects = receive(state, append(2, 0, 0, [2, 2]));
    expect(persists(effects)).toEqual([]);
    expect(state.log.lastIndex).toBe(4);
    expect(only(acks(effects)).index).toBe(2);
  });

  test("an append is not acknowledged as far as the log goes, only as far as it agrees", () => {
    const state = follower(1, 1, 1, 1);
    expect(only(acks(receive(state, append(2, 2, 1)))).index).toBe(2);
  });

  test("entries that are in part below the log's beginning are taken from there on", () => {
    const state = start({
      hardState: { term: 2, vote: 0 },
      prevIndex: 4,
      prevTerm: 1,
      appliedIndex: 4,
    });
    const effects = receive(state, append(2, 2, 1, [1, 1, 2]));
    expect(only(persists(effects)).entries.map(({ index }) => index)).toEqual([5]);
    expect(only(acks(persistAll(state, effects))).index).toBe(5);
  });

  test("a deposed leader hears of the newer term and changes nothing", () => {
    const state = start({ hardState: { term: 5, vote: 0 } });
    const effects = receive(state, append(4, 0, 0, [4]), 9000);
    expect(only(acks(effects))).toMatchObject({
      matched: false,
      term: 5,
      sentAtMs: -Infinity,
      promiseMs: 0,
    });
    expect(state).toMatchObject({ leader: 0, heardAtMs: 0 });
  });

  test("two leaders of one term cannot be: the replica stops", () => {
    const state = start({ hardState: { term: 2, vote: 0 } });
    receive(state, append(2, 0, 0));
    state.role = "leader";
    expect(() => receive(state, append(2, 0, 0))).toThrow("one leader a term");
  });
});

describe("committing", () => {
  test("no further than the append has shown to agree", () => {
    const state = follower(1, 1, 1);
    receive(state, append(2, 1, 1, [], { commitIndex: 3 }));
    expect(state.commitIndex).toBe(1);
    expect(commits(receive(state, append(2, 1, 1, [1], { commitIndex: 3 })))).toEqual([
      { type: "commit", from: 1, to: 2 },
    ]);
  });

  test("never back, and what is committed is never replaced", () => {
    const state = follower(1, 1, 1);
    receive(state, append(2, 3, 1, [], { commitIndex: 3 }));
    receive(state, append(2, 3, 1, [], { commitIndex: 1 }));
    expect(state.commitIndex).toBe(3);
    expect(() => receive(state, append(2, 1, 1, [2]))).toThrow("never replaced");
  });
});

describe("writes that are under way", () => {
  test("of a former leader they acknowledge nothing to the next one", () => {
    const state = follower();
    const first = receive(state, append(2, 0, 0, [2, 2]));
    const second = receive(state, append(3, 0, 0, [], { from: 3 }));
    persistAll(state, second);
    // Replica 3 has shown agreement up to 0 only.
    expect(acks(persistAll(state, first)).map(({ index }) => index)).not.toContain(2);
    expect(only(acks(receive(state, append(3, 0, 0, [2], { from: 3 })))).index).toBe(1);
  });

  test("ABA: a write queued before a truncation proves nothing about the same entries come again", () => {
    const state = start({ hardState: { term: 3, vote: 0 } });
    const first = receive(state, append(3, 0, 0, [1, 1]));
    const cut = receive(state, append(4, 0, 0, [2], { from: 3 }));
    const again = receive(state, append(5, 0, 0, [1, 1]));
    expect(state.log.lastTerm).toBe(1);
    expect(acks(persistAll(state, first))).toEqual([]);
    expect(state.durableIndex).toBe(0);
    persistAll(state, cut);
    expect(state.durableIndex).toBe(0);
    expect(acks(persistAll(state, again)).at(-1)).toMatchObject({ index: 2, term: 5 });
  });

  test("appends that overlap a write are acknowledged together when it lands, as of the newest", () => {
    const state = follower();
    const effects = receive(state, append(2, 0, 0, [2, 2], { sentAtMs: 5 }));
    expect(receive(state, append(2, 2, 2, [], { sentAtMs: 9 }))).toEqual([]);
    expect(receive(state, append(2, 0, 0, [2], { sentAtMs: 4 }))).toEqual([]);
    expect(only(acks(persistAll(state, effects)))).toMatchObject({ index: 2, sentAtMs: 9 });
  });
});

describe("a leader heard by heartbeats", () => {
  test("a follower that no append has reached asks to be probed, until one comes", () => {
    const state = follower(1, 2);
    for (let i = 0; i < 2; i++) {
      expect(only(acks(heard(state, 2, 2)))).toMatchObject({
        to: 2,
        matched: false,
        index: 2,
        hintTerm: 2,
        sentAtMs: -Infinity,
        promiseMs: 0,
      });
    }
    receive(state, append(2, 2, 2));
    expect(heard(state, 2, 2)).toEqual([]);
  });

  test("not in a term that is not durable, and not when it takes no part", () => {
    const state = start();
    const learnt = heard(state, 2, 3);
    expect(sent(learnt)).toEqual([]);
    persistAll(state, learnt);
    expect(acks(heard(state, 2, 3))).toHaveLength(1);
    const stranger = start({ replicaId: 9, hardState: { term: 3, vote: 0 } });
    expect(sent(heard(stranger, 2, 3))).toEqual([]);
    expect(stranger.leader).toBe(2);
  });

  test("a heartbeat of an older term changes nothing", () => {
    const state = start({ hardState: { term: 5, vote: 0 } });
    expect(heard(state, 2, 4, 9000)).toEqual([]);
    expect(state).toMatchObject({ leader: 0, heardAtMs: 0 });
  });
});

const installed = (state: RaftState, index: number, term: number): RaftEffect[] =>
  step(state, {
    type: "raft.installed",
    index,
    term,
    membership: voters(1, 2, 3),
    membershipIndex: 0,
    peers: [],
    nowMs: 0,
  });

describe("an installed snapshot", () => {
  test("replaces a log that contradicts it, and is acknowledged when the journal has begun anew", () => {
    const state = follower(1, 1, 1);
    receive(state, append(2, 0, 0));
    const effects = installed(state, 2, 2);
    expect(acks(effects)).toEqual([]);
    expect(effects).toContainEqual({ type: "truncate", from: 0 });
    expect(only(persists(effects)).reset).toEqual({ index: 2, term: 2 });
    expect(state.log).toMatchObject({ prevIndex: 2, lastIndex: 2 });
    expect(state).toMatchObject({ appliedIndex: 2, commitIndex: 2 });
    expect(only(acks(persistAll(state, effects)))).toMatchObject({ matched: true, index: 2 });
  });

  test("leaves a log that goes on behind it, and takes nothing back", () => {
    const state = follower(1, 1, 2, 2);
    receive(state, append(2, 4, 2, [], { commitIndex: 1 }));
    const effects = installed(state, 3, 2);
    expect(persists(effects)).toEqual([]);
    expect(state.log).toMatchObject({ prevIndex: 3, lastIndex: 4 });
    expect(state).toMatchObject({ appliedIndex: 3, commitIndex: 3, durableIndex: 4 });
    expect(only(acks(effects)).index).toBe(3);
  });

  test("far beyond the log's end, appends go on behind it", () => {
    const state = follower(1);
    receive(state, append(2, 0, 0));
    persistAll(state, installed(state, 50, 2));
    const effects = receive(state, append(2, 50, 2, [2]));
    expect(only(acks(persistAll(state, effects))).index).toBe(51);
  });

  test("nothing is acknowledged before the journal has begun anew, not even what is committed", () => {
    const state = follower(1, 1, 1);
    receive(state, append(2, 3, 1, [], { commitIndex: 3 }));
    const newTerm = receive(state, append(3, 3, 1));
    const effects = installed(state, 9, 3);
    expect(acks(persistAll(state, newTerm))).toEqual([]);
    expect(only(acks(persistAll(state, effects)))).toMatchObject({ matched: true, index: 9 });
  });

  test("an older one than what is applied must not come to pass", () => {
    const state = start({ prevIndex: 9, prevTerm: 1, appliedIndex: 9 });
    expect(() => installed(state, 8, 1)).toThrow("never goes back");
  });

  test("votes are answered while it comes and after", () => {
    const state = follower(1);
    installed(state, 50, 2);
    const poll = { ...reply(3), type: "vote.request" as const, pre: true, transfer: false };
    const answer = receive(state, { ...poll, lastIndex: 49, lastTerm: 2 }, 1e6);
    expect(only(sent(answer))).toMatchObject({ granted: false });
    const better = receive(state, { ...poll, lastIndex: 50, lastTerm: 2 }, 1e6);
    expect(only(sent(better))).toMatchObject({ granted: true });
  });
});
