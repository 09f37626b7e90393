// Polls that change nothing (thesis section 9.6), and the promise of a follower that heard a leader or has
// just started (`safety.md` 17): what leases rest on.

import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import { minElectionTimeoutMs } from "../../../actors/raft/protocol.ts";
import {
  append,
  heard,
  later,
  lead,
  only,
  persistAll,
  persists,
  receive,
  reply,
  request,
  sent,
  start,
  streamed,
  terms,
  tick,
  voters,
  elect,
} from "./replica.ts";

describe("thesis 9.6 pre-vote and 4.2.3 promises", () => {
  test("a poll changes nothing at the receiver, whether it is granted or not", () => {
    for (const lastTerm of [0, 1]) {
      const state = start({ hardState: { term: 3, vote: 2 }, entries: terms(1) });
      const before = structuredClone({ ...state, log: undefined });
      const poll = request(4, { from: 3, pre: true, lastIndex: 1, lastTerm });
      const answer = only(receive(state, poll));
      expect(answer).toMatchObject({ type: "send", message: { pre: true, granted: lastTerm > 0 } });
      expect(structuredClone({ ...state, log: undefined })).toEqual(before);
    }
  });

  test("a poll changes neither term nor vote of the one who asks, and writes nothing", () => {
    const state = start({ hardState: { term: 3, vote: 2 } });
    const poll = tick(state);
    expect(persists(poll)).toEqual([]);
    expect(state).toMatchObject({ role: "preCandidate", term: 3, vote: 2 });
    expect(sent(poll)).toHaveLength(2);
    expect(sent(poll)[0]).toMatchObject({ term: 4, pre: true });
  });

  test("a poll for a term that is not new is refused with the own term", () => {
    const state = start({ hardState: { term: 3, vote: 0 } });
    const refused = only(sent(receive(state, request(3, { pre: true }))));
    expect(refused).toMatchObject({ term: 3, granted: false });
  });

  test("a late grant of an older poll counts in no later one", () => {
    const state = start();
    tick(state);
    persistAll(state, receive(state, reply(5, { granted: false })));
    tick(state);
    expect(state).toMatchObject({ role: "preCandidate", term: 5 });
    expect(receive(state, reply(1, { pre: true }))).toEqual([]);
    expect(state.role).toBe("preCandidate");
    receive(state, reply(6, { pre: true }));
    expect(state).toMatchObject({ role: "candidate", term: 6 });
  });

  test("a grant that was polled for counts in no real election", () => {
    const state = start();
    tick(state);
    persistAll(state, receive(state, reply(1, { pre: true })));
    expect(receive(state, reply(1, { pre: true, from: 3 }))).toEqual([]);
    expect(state.role).toBe("candidate");
  });

  test("a granted poll is answered with the term it asks for", () => {
    const state = start();
    expect(only(sent(receive(state, request(4, { pre: true }))))).toEqual(
      reply(4, { from: 1, to: 2, pre: true }),
    );
  });

  test("whoever has just started grants nothing for the minimum election timeout", () => {
    for (const pre of [true, false]) {
      const state = start({ nowMs: 100 });
      const early = 100 + minElectionTimeoutMs - 1;
      const answers = sent(receive(state, request(1, { pre }), early));
      expect(answers.some((answer) => answer.type === "vote.reply" && answer.granted)).toBe(false);
      expect(state).toMatchObject({ term: 0, vote: 0 });
      const effects = receive(state, request(1, { pre }), early + 1);
      const granted = sent([...effects, ...persistAll(state, effects)]);
      expect(only(granted)).toMatchObject({ granted: true });
    }
  });

  test("whoever voted does not stand itself for a while, but is bound to nobody", () => {
    const state = start();
    const votedAtMs = later(state);
    persistAll(state, receive(state, request(1), votedAtMs));
    expect(tick(state, votedAtMs + minElectionTimeoutMs - 1)).toEqual([]);
    const next = persistAll(state, receive(state, request(2, { from: 3 }), votedAtMs + 1));
    expect(only(sent(next))).toMatchObject({ to: 3, granted: true });
  });

  test("whoever heard a leader grants nothing for the minimum election timeout, by either way", () => {
    for (const byHeartbeat of [true, false]) {
      const state = start({ hardState: { term: 1, vote: 0 } });
      if (byHeartbeat) heard(state, 2, 1, 9000);
      else receive(state, append(1, 0, 0), 9000);
      const early = 9000 + minElectionTimeoutMs - 1;
      expect(receive(state, request(2, { from: 3 }), early)).toEqual([]);
      const poll = sent(receive(state, request(2, { from: 3, pre: true }), early));
      expect(only(poll)).toMatchObject({ granted: false });
      expect(tick(state, early)).toEqual([]);
      expect(persists(receive(state, request(2, { from: 3 }), early + 1))).toHaveLength(1);
    }
  });

  test("a message that lay in the mailbox does not shorten a promise", () => {
    const state = start({ hardState: { term: 1, vote: 0 } });
    heard(state, 2, 1, 9000);
    receive(state, append(1, 0, 0), 8000);
    expect(receive(state, request(2, { from: 3 }), 8000 + minElectionTimeoutMs)).toEqual([]);
  });

  test("the leader's order to elect is the only thing a promise does not stand against", () => {
    const state = start({ hardState: { term: 1, vote: 0 } });
    heard(state, 2, 1, 9000);
    const effects = receive(state, request(2, { from: 3, transfer: true }), 9001);
    expect(only(sent(persistAll(state, effects)))).toMatchObject({ to: 3, granted: true });
  });

  test("when the process that led is gone, nothing is owed to it, and only the random part is waited", () => {
    const state = start({ hardState: { term: 1, vote: 0 } });
    heard(state, 2, 1, 9000);
    step(state, { type: "raft.leaderLost", leader: 3, nowMs: 9100 });
    expect(receive(state, request(2, { from: 3 }), 9100)).toEqual([]);
    step(state, { type: "raft.leaderLost", leader: 2, nowMs: 9100 });
    expect(state.leader).toBe(0);
    expect(only(sent(receive(state, request(2, { from: 3, pre: true }), 9100)))).toMatchObject({
      granted: true,
    });
    const event = { type: "raft.tick", electionTimeoutMs: minElectionTimeoutMs + 300 } as const;
    expect(step(state, { ...event, nowMs: 9399 })).toEqual([]);
    expect(sent(step(state, { ...event, nowMs: 9400 }))).toHaveLength(2);
  });

  test("a leader shows itself to whoever asks for its place", () => {
    const state = lead();
    const effects = receive(state, request(7, { from: 3, pre: true }), 1e9);
    const shown = sent(effects).find(({ type }) => type === "append.request");
    expect(shown ?? only(streamed(effects, 3))).toMatchObject({ to: 3, term: 1 });
  });

  test("a group that has shrunk to one voter waits at its start, then needs no poll", () => {
    const state = start({ membership: voters(1), membershipIndex: 4 });
    expect(tick(state, minElectionTimeoutMs - 1)).toEqual([]);
    persistAll(state, tick(state, minElectionTimeoutMs));
    expect(state).toMatchObject({ role: "leader", term: 1 });
  });

  test("a leader grants nothing and stays", () => {
    const state = start();
    elect(state);
    expect(receive(state, request(7), 1e9)).toEqual([]);
    expect(only(sent(receive(state, request(7, { pre: true }), 1e9)))).toMatchObject({
      granted: false,
      term: 1,
    });
    expect(state.role).toBe("leader");
  });
});
