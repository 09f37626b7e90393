// Changes of membership (thesis chapter 4; `safety.md` 20): in force as soon as they are in the log, one
// replica at a time, only behind an own entry that is committed, taken back with the log, and the bytes
// they are in the log.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import { decodeMembership, encodeMembership } from "../../../actors/raft/membership.ts";
import { isCaughtUp, membershipRefusal } from "../../../actors/raft/reconfiguration.ts";
import type { Membership, RaftEffect } from "../../../actors/raft/protocol.ts";
import type { RaftState } from "../../../actors/raft/state.ts";
import { DamagedError } from "../../../storage/errors.ts";
import type { LogEntry } from "../../../storage/journal/types.ts";
import {
  append,
  commits,
  elect,
  heard,
  later,
  lead,
  matched,
  only,
  persistAll,
  propose,
  receive,
  rejected,
  reply,
  request,
  sent,
  start,
  streamed,
  terms,
  tick,
  voters,
} from "./replica.ts";

const peersOf = ({ voters: ids, learners }: Membership) =>
  [...ids, ...learners].map((replicaId) => ({ replicaId, nodeId: `node-${replicaId}` }));

const record = (membership: Membership) => ({ membership, peers: peersOf(membership) });

const refusal = (state: RaftState, membership: Membership, nowMs = later(state)) =>
  membershipRefusal(state, record(membership), nowMs);

const change = (state: RaftState, membership: Membership): RaftEffect[] =>
  step(state, { type: "raft.changeMembership", ...record(membership), nowMs: later(state) });

const entryOf = (index: number, term: number, membership: Membership): LogEntry => ({
  index,
  term,
  kind: 2,
  payload: encodeMembership(record(membership)),
});

const withLearner: Membership = { voters: [1, 2, 3], learners: [4] };

describe("the bytes", () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 48 - 1 }), { maxLength: 9 });
  const records = fc.record({
    membership: fc.record({ voters: ids, learners: ids }),
    peers: fc.array(
      fc.record({ replicaId: fc.integer({ min: 1, max: 2 ** 48 - 1 }), nodeId: fc.string() }),
      { maxLength: 9 },
    ),
  });

  test("what goes in comes out", () => {
    fc.assert(
      fc.property(records, (each) => {
        expect(decodeMembership(encodeMembership(each))).toEqual(each);
      }),
    );
  });

  test("broken, short, long or of another version, they are damage and nothing else", () => {
    const payload = encodeMembership(record(withLearner));
    expect(() => decodeMembership(Buffer.concat([payload, Buffer.alloc(1)]))).toThrow(DamagedError);
    for (let end = 0; end < payload.length; end++) {
      expect(() => decodeMembership(payload.subarray(0, end))).toThrow(DamagedError);
    }
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const broken = Buffer.from(payload);
        broken[at] = (broken[at] ?? 0) ^ bits;
        try {
          decodeMembership(broken);
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedError);
        }
      }),
    );
  });
});

describe("a leader's change", () => {
  test("is in force when it is appended, reaches the new one, and is final when committed", () => {
    const state = lead();
    const effects = change(state, withLearner);
    expect(effects).toContainEqual({
      type: "membership",
      membership: withLearner,
      peers: peersOf(withLearner),
      index: 2,
    });
    expect(state).toMatchObject({ membership: withLearner, membershipIndex: 2, commitIndex: 1 });
    const probe = only(sent(effects).filter(({ to }) => to === 4));
    expect(probe).toMatchObject({ type: "append.request", prevIndex: 2 });
    persistAll(state, effects);
    receive(state, matched(state, 2));
    expect(state.commitIndex).toBe(2);
    expect(state.olderMemberships).toEqual([]);
  });

  test("counts by the new majority: a voter more needs more, one less needs less", () => {
    const state = lead({ membership: { voters: [1, 2, 3], learners: [4] } });
    receive(state, matched(state, 1, { from: 4 }));
    persistAll(state, change(state, voters(1, 2, 3, 4)));
    expect(commits(receive(state, matched(state, 2)))).toEqual([]);
    expect(commits(receive(state, matched(state, 2, { from: 4 })))).toHaveLength(1);
    persistAll(state, change(state, voters(1, 2, 3)));
    expect(commits(receive(state, matched(state, 3)))).toHaveLength(1);
  });

  test("learners get the log and count for nothing", () => {
    const state = lead({ membership: withLearner });
    expect(streamed(receive(state, matched(state, 0, { from: 4 })), 4)).toHaveLength(1);
    persistAll(state, propose(state, "a"));
    receive(state, matched(state, 2, { from: 4 }));
    expect(state.commitIndex).toBe(1);
  });

  test("a replica that is left out hears of it, until that is final", () => {
    const state = lead();
    receive(state, matched(state, 1, { from: 3 }));
    const effects = change(state, voters(1, 2));
    expect(streamed(effects, 3)).toHaveLength(1);
    persistAll(state, effects);
    expect(state.progress.has(3)).toBe(true);
    receive(state, matched(state, 2));
    expect(state.progress.has(3)).toBe(false);
  });

  test("one that is left out leads until that is committed, without its vote, and then somebody else", () => {
    const state = lead();
    receive(state, matched(state, 1, { from: 3 }));
    const effects = change(state, voters(2, 3));
    persistAll(state, effects);
    expect(commits(receive(state, matched(state, 2)))).toEqual([]);
    expect(state.role).toBe("leader");
    const last = receive(state, matched(state, 2, { from: 3 }));
    expect(commits(last)).toHaveLength(1);
    expect(state).toMatchObject({ role: "follower", leader: 0 });
    expect(sent(last)).toContainEqual({ type: "timeout.now", from: 1, to: 2, term: 1 });
    expect(tick(state, 1e9)).toEqual([]);
  });
});

describe("refused", () => {
  test("while no entry of the own term is committed (Ongaro's correction of 2015)", () => {
    const state = start();
    persistAll(state, elect(state));
    expect(refusal(state, withLearner)).toBe("no entry of this term is committed yet");
    receive(state, matched(state, 1));
    expect(refusal(state, withLearner)).toBeUndefined();
  });

  test("while another is under way, during a transfer, and by everybody but a leader", () => {
    const state = lead();
    change(state, withLearner);
    expect(refusal(state, { voters: [1, 2, 3], learners: [4, 5] })).toMatch("not committed");
    const handing = lead();
    step(handing, { type: "raft.transfer", to: 2, nowMs: later(handing) });
    expect(refusal(handing, withLearner)).toMatch("handed over");
    expect(refusal(start(), withLearner)).toBe("not the leader");
  });

  test("two at once, a voter from nowhere, nobody left, names twice, a member without a home", () => {
    const state = lead();
    expect(refusal(state, { voters: [1, 2, 3], learners: [4, 5] })).toMatch("2 replicas");
    expect(refusal(state, voters(1, 2, 3))).toMatch("0 replicas");
    expect(refusal(state, voters(1, 2, 3, 4))).toMatch("learner first");
    expect(refusal(state, voters())).toMatch("nobody would vote");
    expect(refusal(state, { voters: [1, 2, 3], learners: [3] })).toMatch("twice");
    const homeless = { membership: withLearner, peers: peersOf(voters(1, 2, 3)) };
    expect(membershipRefusal(state, homeless, 0)).toMatch("where replica 4 lives");
  });

  test("the promotion of a learner that lags, or is silent, or was never told that it takes part", () => {
    const state = lead({ membership: withLearner });
    const promoted = voters(1, 2, 3, 4);
    expect(refusal(state, promoted)).toMatch("not caught up");
    for (let i = 0; i < 5; i++) {
      const payloads = [Buffer.alloc(100_000)];
      persistAll(state, step(state, { type: "raft.propose", payloads, nowMs: later(state) }));
    }
    receive(state, matched(state, 6));
    receive(state, matched(state, 1, { from: 4 }), 30_000);
    expect(isCaughtUp(state, 4, 30_000)).toBe(false);
    receive(state, matched(state, 6, { from: 4 }), 30_000);
    expect(isCaughtUp(state, 4, 30_000)).toBe(true);
    expect(isCaughtUp(state, 4, 32_000)).toBe(false);
    const fresh = lead();
    persistAll(fresh, change(fresh, withLearner));
    receive(fresh, matched(fresh, 2));
    receive(fresh, matched(fresh, 1, { from: 4 }), 30_000);
    expect(isCaughtUp(fresh, 4, 30_000)).toBe(false);
  });

  test("and a change that was not asked about stops the replica", () => {
    expect(() => change(lead(), voters(1))).toThrow();
  });
});

const follower = (options: Parameters<typeof start>[0] = {}): RaftState =>
  start({ hardState: { term: 2, vote: 0 }, ...options });

describe("a follower's membership", () => {
  const four = voters(1, 2, 3, 4);

  test("changes with the append, and back when the entry is cut", () => {
    const state = follower();
    const entries = [entryOf(1, 2, four), entryOf(2, 2, { voters: [1, 2, 3, 4], learners: [5] })];
    receive(state, { ...append(2, 0, 0), entries });
    expect(state).toMatchObject({ membershipIndex: 2, membership: { learners: [5] } });
    const cut = receive(state, append(3, 1, 2, [3], { from: 3 }));
    expect(cut).toContainEqual({
      type: "membership",
      membership: four,
      peers: peersOf(four),
      index: 1,
    });
    receive(state, append(4, 0, 0, [4]));
    expect(state).toMatchObject({ membership: voters(1, 2, 3), membershipIndex: 0 });
  });

  test("is found again after a restart, and goes back to what only the start record says", () => {
    const entries = [
      ...terms(1),
      { term: 2, bytes: 1, membership: encodeMembership(record(four)) },
      ...terms(2),
    ];
    const state = follower({ entries });
    expect(state).toMatchObject({ membership: four, membershipIndex: 2, peers: peersOf(four) });
    receive(state, append(3, 1, 1, [3]));
    expect(state).toMatchObject({ membership: voters(1, 2, 3), membershipIndex: 0 });
  });

  test("of entries that the start record covers already, nothing is taken twice", () => {
    const entries = [{ term: 2, bytes: 1, membership: encodeMembership(record(four)) }];
    const newer = { voters: [1, 2, 3, 4], learners: [5] };
    const state = follower({ entries, membership: newer, membershipIndex: 1, appliedIndex: 1 });
    expect(state).toMatchObject({ membership: newer, olderMemberships: [] });
  });

  test("comes with a snapshot, but does not replace a newer one of the log", () => {
    const event = {
      type: "raft.installed",
      index: 5,
      term: 2,
      membership: four,
      membershipIndex: 3,
      peers: peersOf(four),
      nowMs: 0,
    } as const;
    const bare = follower();
    step(bare, event);
    expect(bare).toMatchObject({ membership: four, membershipIndex: 3 });
    const five = voters(1, 2, 3, 4, 5);
    const state = follower({
      entries: [
        ...terms(1, 1, 1, 1, 2),
        { term: 2, bytes: 1, membership: encodeMembership(record(five)) },
      ],
    });
    step(state, event);
    expect(state).toMatchObject({ membership: five, membershipIndex: 6 });
    receive(state, append(3, 5, 2, [3]));
    expect(state).toMatchObject({ membership: four, membershipIndex: 3 });
  });

  test("a learner votes when it is asked, but stands for nothing", () => {
    const state = start({ replicaId: 4, membership: withLearner });
    expect(tick(state, 1e9)).toEqual([]);
    const effects = receive(state, request(1, { to: 4 }), 1e9);
    expect(only(sent(persistAll(state, effects)))).toMatchObject({ granted: true });
  });

  test("a voter that is left out still stands while that is not committed, and not after", () => {
    const removed = { ...append(2, 0, 0), entries: [entryOf(1, 2, voters(2, 3))] };
    const state = follower();
    persistAll(state, receive(state, removed));
    expect(sent(tick(state))).toHaveLength(2);
    persistAll(state, receive(state, reply(3, { pre: true })));
    expect(state.role).toBe("preCandidate");
    persistAll(state, receive(state, reply(3, { pre: true, from: 3 })));
    for (const from of [2, 3]) receive(state, reply(3, { from }));
    expect(state.role).toBe("leader");
    const final = follower();
    persistAll(final, receive(final, { ...removed, commitIndex: 1 }));
    expect(tick(final, 1e9)).toEqual([]);
  });

  test("a removed replica that does not know it disturbs nobody who hears a leader", () => {
    const state = follower({ membership: voters(1, 2) });
    heard(state, 2, 2, 9000);
    const poll = request(3, { from: 3, pre: true, lastIndex: 9, lastTerm: 2 });
    expect(only(sent(receive(state, poll, 9100)))).toMatchObject({ granted: false });
    expect(receive(state, request(9, { from: 3, lastIndex: 9, lastTerm: 2 }), 9100)).toEqual([]);
    expect(state.term).toBe(2);
  });

  test("grants and acknowledgements of others count by what is in force", () => {
    const state = lead();
    persistAll(state, change(state, withLearner));
    receive(state, matched(state, 2, { from: 9 }));
    receive(state, rejected(state, 2, 1, { from: 9 }));
    expect(state.commitIndex).toBe(1);
  });
});
