// The Raft core against the paper (Ongaro and Ousterhout, extended version), one describe per
// section, and against the thesis for pre-votes. Changes of membership and append messages are not
// part of this core.

import { describe, expect, test } from "vitest";
import { isServing, step } from "../../../actors/raft/core.ts";
import { minElectionTimeoutMs } from "../../../actors/raft/state.ts";
import {
  applied,
  commits,
  elect,
  later,
  persistAll,
  persisted,
  persists,
  propose,
  receive,
  reply,
  request,
  sent,
  start,
  tick,
} from "./replica.ts";

/** The only element. */
function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0]!;
}

/** A single voter that has just won its election. */
const alone = () => {
  const state = start({ membership: { voters: [1] } });
  const noop = persistAll(state, tick(state));
  return { state, noop };
};

describe("5.1 terms", () => {
  test("a reply with a higher term makes a leader a follower of that term", () => {
    const state = start();
    elect(state);
    expect(state.role).toBe("leader");
    const effects = receive(state, reply(9, { granted: false }));
    expect(effects[0]).toEqual({ type: "role", role: "follower", term: 9, leader: 0 });
    expect(state).toMatchObject({ role: "follower", term: 9, vote: 0 });
    expect(only(persists(effects)).hardState).toEqual({ term: 9, vote: 0 });
  });

  test("a request of an older term is refused with the newer one and changes nothing", () => {
    const state = start({ hardState: { term: 5, vote: 0 } });
    const before = structuredClone({ ...state, log: undefined });
    const answer = only(sent(receive(state, request(4))));
    expect(answer).toEqual(reply(5, { from: 1, to: 2, granted: false }));
    expect(structuredClone({ ...state, log: undefined })).toEqual(before);
  });

  test("a term that is learnt shows to nobody before it is durable", () => {
    const state = start();
    const learnt = receive(state, reply(9, { granted: false }));
    expect(sent(learnt)).toEqual([]);
    expect(receive(state, request(3))).toEqual([]);
    expect(receive(state, request(9, { pre: true }))).toEqual([]);
    persistAll(state, learnt);
    expect(only(sent(receive(state, request(3)))).term).toBe(9);
  });

  test("an own campaign's term shows to nobody before it is durable", () => {
    const state = start();
    tick(state);
    const campaign = receive(state, reply(1, { pre: true }));
    expect(state).toMatchObject({ role: "candidate", term: 1 });
    expect(receive(state, request(1, { from: 3 }))).toEqual([]);
    persistAll(state, campaign);
    expect(only(sent(receive(state, request(1, { from: 3 }))))).toMatchObject({ granted: false });
  });

  test("messages to another replica of the region are dropped", () => {
    const state = start();
    expect(receive(state, request(7, { to: 4 }))).toEqual([]);
    expect(receive(state, reply(7, { to: 4, granted: false }))).toEqual([]);
    expect(state.term).toBe(0);
  });
});

describe("5.2 leader election", () => {
  test("a vote is durable before the grant is sent", () => {
    const state = start();
    const effects = receive(state, request(1));
    expect(sent(effects)).toEqual([]);
    const { hardState, token } = only(persists(effects));
    expect(hardState).toEqual({ term: 1, vote: 2 });
    expect(sent(persisted(state, token))).toEqual([reply(1, { from: 1, to: 2 })]);
  });

  test("a candidate votes for itself durably before it asks anybody", () => {
    const state = start();
    tick(state);
    const campaign = receive(state, reply(1, { pre: true }));
    expect(sent(campaign)).toEqual([]);
    expect(only(persists(campaign)).hardState).toEqual({ term: 1, vote: 1 });
    const asked = sent(persistAll(state, campaign));
    expect(asked.map((message) => message.to)).toEqual([2, 3]);
    expect(asked.every((message) => message.term === 1 && message.from === 1)).toBe(true);
  });

  test("one vote a term: a second candidate is refused, the first is granted again", () => {
    const state = start();
    persistAll(state, receive(state, request(1)));
    const refused = only(sent(receive(state, request(1, { from: 3 }))));
    expect(refused).toMatchObject({ to: 3, granted: false });
    const again = receive(state, request(1));
    expect(only(sent(persistAll(state, again)))).toMatchObject({ to: 2, granted: true });
  });

  test("a vote survives a restart", () => {
    const state = start({ hardState: { term: 1, vote: 2 } });
    expect(only(sent(receive(state, request(1, { from: 3 }))))).toMatchObject({ granted: false });
  });

  test("a second candidate hears nothing while the first one's vote is not durable", () => {
    const state = start();
    receive(state, request(1));
    expect(receive(state, request(1, { from: 3 }))).toEqual([]);
    expect(receive(state, request(2, { from: 3 }))).toEqual([]);
    expect(state).toMatchObject({ term: 1, vote: 2 });
  });

  const five = { membership: { voters: [1, 2, 3, 4, 5] } };

  test("a grant that comes twice counts once", () => {
    const state = start(five);
    tick(state);
    receive(state, reply(1, { pre: true }));
    expect(receive(state, reply(1, { pre: true }))).toEqual([]);
    expect(state.role).toBe("preCandidate");
    persistAll(state, receive(state, reply(1, { pre: true, from: 3 })));
    expect(state.role).toBe("candidate");
    receive(state, reply(1));
    expect(receive(state, reply(1))).toEqual([]);
    expect(state.role).toBe("candidate");
    receive(state, reply(1, { from: 3 }));
    expect(state).toMatchObject({ role: "leader", leader: 1 });
  });

  test("a grant of one who is no voter counts for nothing", () => {
    const state = start();
    tick(state);
    expect(receive(state, reply(1, { pre: true, from: 9 }))).toEqual([]);
    persistAll(state, receive(state, reply(1, { pre: true })));
    expect(receive(state, reply(1, { from: 9 }))).toEqual([]);
    expect(state.role).toBe("candidate");
  });

  test("grants of an older term's election elect nobody", () => {
    const state = start();
    tick(state);
    persistAll(state, receive(state, reply(1, { pre: true })));
    tick(state);
    persistAll(state, receive(state, reply(2, { pre: true })));
    expect(state).toMatchObject({ role: "candidate", term: 2 });
    expect(receive(state, reply(1))).toEqual([]);
    expect(state.role).toBe("candidate");
  });

  test("a majority of grants elects nobody before the own vote is durable", () => {
    const state = start();
    tick(state);
    const campaign = receive(state, reply(1, { pre: true }));
    receive(state, reply(1));
    receive(state, reply(1, { from: 3 }));
    expect(state.role).toBe("candidate");
    persistAll(state, campaign);
    expect(state.role).toBe("leader");
  });

  test("a candidate that hears nothing polls again after its timeout, not before", () => {
    const state = start();
    expect(tick(state, minElectionTimeoutMs - 1)).toEqual([]);
    expect(tick(state, minElectionTimeoutMs)).not.toEqual([]);
    expect(tick(state, 2 * minElectionTimeoutMs - 1)).toEqual([]);
    expect(sent(tick(state, 2 * minElectionTimeoutMs))).toHaveLength(2);
  });

  test("a leader never polls", () => {
    const state = start();
    elect(state);
    expect(tick(state, 1e9)).toEqual([]);
  });

  test("one who is no voter never polls", () => {
    const state = start({ replicaId: 4 });
    expect(tick(state, 1e9)).toEqual([]);
  });

  test("a single voter campaigns at once and leads when its vote is durable", () => {
    const state = start({ membership: { voters: [1] } });
    const campaign = tick(state, 0);
    expect(campaign[0]).toMatchObject({ type: "role", role: "candidate", term: 1 });
    expect(sent(campaign)).toEqual([]);
    expect(tick(state, 1)).toEqual([]);
    const led = persistAll(state, campaign);
    expect(led[0]).toEqual({ type: "role", role: "leader", term: 1, leader: 1 });
  });
});

describe("thesis 9.6 pre-vote and 4.2.3 promises", () => {
  test("a poll changes nothing at the receiver, whether it is granted or not", () => {
    for (const lastTerm of [0, 1]) {
      const state = start({ hardState: { term: 3, vote: 2 }, terms: [1] });
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

  test("whoever voted keeps to that candidate for the minimum election timeout", () => {
    const state = start();
    const votedAtMs = later(state);
    persistAll(state, receive(state, request(1), votedAtMs));
    const early = votedAtMs + minElectionTimeoutMs - 1;
    expect(receive(state, request(2, { from: 3 }), early)).toEqual([]);
    expect(receive(state, request(2, { from: 3 }), early + 1)).not.toEqual([]);
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

describe("5.3 log replication", () => {
  test("a leader's term opens with a no-op behind its last entry", () => {
    const hardState = { term: 2, vote: 3 };
    const state = start({ hardState, appliedIndex: 4, appliedTerm: 1, terms: [1, 2] });
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

describe("5.4.1 election restriction", () => {
  const terms = [1, 1, 2];
  const cases: Array<[string, number, number, boolean]> = [
    ["the same end", 3, 2, true],
    ["a longer log of the same last term", 4, 2, true],
    ["a shorter log of the same last term", 2, 2, false],
    ["a shorter log of a newer last term", 1, 3, true],
    ["a longer log of an older last term", 9, 1, false],
  ];
  for (const [what, lastIndex, lastTerm, granted] of cases) {
    test(`${what} is ${granted ? "granted" : "refused"}, polled for or real`, () => {
      for (const pre of [true, false]) {
        const state = start({ hardState: { term: 3, vote: 0 }, terms });
        const effects = receive(state, request(4, { pre, lastIndex, lastTerm }));
        const answer = only(sent([...effects, ...persistAll(state, effects)]));
        expect(answer).toMatchObject({ granted, pre });
      }
    });
  }

  test("a refused candidate's newer term is taken over durably all the same", () => {
    const state = start({ hardState: { term: 3, vote: 1 }, terms });
    const effects = receive(state, request(8));
    expect(only(persists(effects)).hardState).toEqual({ term: 8, vote: 0 });
    expect(sent(effects)).toEqual([]);
    expect(only(sent(persistAll(state, effects)))).toMatchObject({ term: 8, granted: false });
  });
});

describe("5.4.2 committing entries of earlier terms", () => {
  test("entries of older terms commit with the first own one, not before (figure 8)", () => {
    const state = start({
      membership: { voters: [1] },
      hardState: { term: 2, vote: 1 },
      terms: [1, 2, 2],
    });
    const noop = persistAll(state, tick(state));
    // The old entries are durable here, on "a majority": still nothing commits.
    const old = { roleEpoch: state.roleEpoch, term: 3, hardState: undefined };
    expect(persisted(state, { ...old, lastIndex: 3, lastTerm: 2 })).toEqual([]);
    state.matched.set(1, 0);
    expect(state.commitIndex).toBe(0);
    expect(persistAll(state, noop)).toEqual([{ type: "commit", from: 0, to: 4 }]);
  });

  test("with the old entries on a majority and the no-op not, nothing commits", () => {
    const state = start({ hardState: { term: 2, vote: 1 }, terms: [1, 2] });
    const noop = elect(state);
    state.matched.set(2, 2);
    expect(persistAll(state, noop)).toEqual([]);
    expect(state.commitIndex).toBe(0);
    state.matched.set(2, 3);
    expect(persistAll(state, propose(state, "a"))).toEqual([{ type: "commit", from: 0, to: 3 }]);
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
    tick(state);
    receive(state, reply(2, { pre: true }));
    expect(state).toMatchObject({ role: "candidate", term: 2 });
    expect(persistAll(state, campaign)).toEqual([]);
    expect(state.granted.size).toBe(0);
  });

  test("entries of a leadership that ended and came back commit nothing by themselves", () => {
    const state = start({ membership: { voters: [1, 2] } });
    const first = elect(state);
    persistAll(state, receive(state, reply(5, { granted: false })));
    elect(state);
    expect(state).toMatchObject({ role: "leader", term: 6 });
    state.matched.set(2, 2);
    expect(persistAll(state, first)).toEqual([]);
    expect(state).toMatchObject({ durableIndex: 1, commitIndex: 0 });
    expect(state.matched.has(1)).toBe(false);
  });

  test("ABA: durable entries that the log has since replaced count for nothing", () => {
    const state = start({ membership: { voters: [1] } });
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
      membership: { voters: [1] },
      hardState: { term: 1, vote: 1 },
      terms: [1, 1],
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
    elect(state);
    state.matched.set(2, 1);
    persistAll(state, propose(state, "a"));
    applied(state, 1);
    expect(isServing(state)).toBe(true);
    persistAll(state, receive(state, reply(5, { granted: false })));
    expect(isServing(state)).toBe(false);
    expect(state.noopIndex).toBe(0);
    expect(state.matched.size).toBe(0);
    elect(state);
    expect(state.role).toBe("leader");
    expect(isServing(state)).toBe(false);
  });

  test("a start from a durable past is a follower that serves nothing", () => {
    const state = start({
      membership: { voters: [1] },
      appliedIndex: 9,
      appliedTerm: 4,
      hardState: { term: 4, vote: 1 },
    });
    expect(state).toMatchObject({ role: "follower", commitIndex: 9, durableIndex: 9 });
    expect(isServing(state)).toBe(false);
    expect(step(state, { type: "raft.applied", index: 9 })).toEqual([]);
  });
});
