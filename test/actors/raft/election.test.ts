// Terms and elections against the paper (sections 5.1, 5.2 and 5.4.1): who gets a vote, what is durable
// before it is seen, who wins. Polls and promises are `pre-vote.test.ts`.

import { describe, expect, test } from "vitest";
import { minElectionTimeoutMs } from "../../../actors/raft/protocol.ts";
import {
  elect,
  only,
  persistAll,
  persisted,
  persists,
  receive,
  reply,
  request,
  sent,
  start,
  terms,
  tick,
  voters,
} from "./replica.ts";

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
    expect(only(sent(receive(state, request(1))))).toMatchObject({ to: 2, granted: true });
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

  const five = { membership: voters(1, 2, 3, 4, 5) };

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

  test("whoever stands already polls again sooner than a follower stands, not at once", () => {
    const state = start();
    expect(tick(state, minElectionTimeoutMs - 1)).toEqual([]);
    expect(tick(state, minElectionTimeoutMs)).not.toEqual([]);
    expect(tick(state, minElectionTimeoutMs + 399)).toEqual([]);
    expect(sent(tick(state, minElectionTimeoutMs + 400))).toHaveLength(2);
  });

  test("nobody polls while its term or vote is on the way to the disk", () => {
    const state = start();
    const learnt = receive(state, reply(9, { granted: false }));
    expect(tick(state, 1e9)).toEqual([]);
    persistAll(state, learnt);
    expect(sent(tick(state, 1e9))).toHaveLength(2);
  });

  test("a replica that no membership names grants nothing", () => {
    const state = start({ membership: voters() });
    expect(receive(state, request(4))).toEqual([]);
    expect(receive(state, request(4, { pre: true }))).toEqual([]);
  });

  test("one who is no voter never polls", () => {
    const state = start({ replicaId: 4 });
    expect(tick(state, 1e9)).toEqual([]);
  });

  test("a single voter campaigns at once and leads when its vote is durable", () => {
    const state = start({ membership: voters(1) });
    const campaign = tick(state, 0);
    expect(campaign[0]).toMatchObject({ type: "role", role: "candidate", term: 1 });
    expect(sent(campaign)).toEqual([]);
    expect(tick(state, 1)).toEqual([]);
    const led = persistAll(state, campaign);
    expect(led[0]).toEqual({ type: "role", role: "leader", term: 1, leader: 1 });
  });
});

describe("5.4.1 election restriction", () => {
  const entries = terms(1, 1, 2);
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
        const state = start({ hardState: { term: 3, vote: 0 }, entries });
        const effects = receive(state, request(4, { pre, lastIndex, lastTerm }));
        const answer = only(sent([...effects, ...persistAll(state, effects)]));
        expect(answer).toMatchObject({ granted, pre });
      }
    });
  }

  test("a refused candidate's newer term is taken over durably all the same", () => {
    const state = start({ hardState: { term: 3, vote: 1 }, entries });
    const effects = receive(state, request(8));
    expect(only(persists(effects)).hardState).toEqual({ term: 8, vote: 0 });
    expect(sent(effects)).toEqual([]);
    expect(only(sent(persistAll(state, effects)))).toMatchObject({ term: 8, granted: false });
  });
});
