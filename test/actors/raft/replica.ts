// A replica's core under a test's control: events in, effects out, with persists completed only when
// the test says so. Between the tests of this folder and `core.ts`; it checks nothing by itself.

import { step } from "../../../actors/raft/core.ts";
import type {
  PersistToken,
  RaftEffect,
  RaftEvent,
  RaftMessage,
} from "../../../actors/raft/protocol.ts";
import {
  minElectionTimeoutMs,
  startState,
  type RaftState,
  type ReplicaStart,
} from "../../../actors/raft/state.ts";

export type Persist = Extract<RaftEffect, { type: "persist" }>;
export type VoteRequest = Extract<RaftMessage, { type: "vote.request" }>;
export type VoteReply = Extract<RaftMessage, { type: "vote.reply" }>;

/** Replica 1 of voters 1, 2, 3 at time 0, unless told otherwise. */
export function start(options: Partial<ReplicaStart> = {}): RaftState {
  return startState({
    replicaId: 1,
    membership: { voters: [1, 2, 3] },
    hardState: { term: 0, vote: 0 },
    appliedIndex: 0,
    appliedTerm: 0,
    terms: [],
    nowMs: 0,
    ...options,
  });
}

/** Later than any promise that a replica gave before. */
export const later = (state: RaftState): number => state.heardAtMs + minElectionTimeoutMs;

export const tick = (state: RaftState, nowMs = later(state)): RaftEffect[] =>
  step(state, { type: "raft.tick", nowMs, electionTimeoutMs: minElectionTimeoutMs });

export const receive = (
  state: RaftState,
  message: RaftMessage,
  nowMs = later(state),
): RaftEffect[] => {
  const event: RaftEvent = { type: "raft.message", nowMs, message, electionTimeoutMs: 1500 };
  return step(state, event);
};

export const persisted = (state: RaftState, token: PersistToken): RaftEffect[] =>
  step(state, { type: "raft.persisted", token });

export const applied = (state: RaftState, index: number): RaftEffect[] =>
  step(state, { type: "raft.applied", index });

export const propose = (state: RaftState, ...texts: string[]): RaftEffect[] =>
  step(state, { type: "raft.propose", payloads: texts.map((text) => Buffer.from(text)) });

/** A real request of replica 2 to replica 1 with an empty log, unless told otherwise. */
export const request = (term: number, options: Partial<VoteRequest> = {}): VoteRequest => ({
  type: "vote.request",
  from: 2,
  to: 1,
  term,
  pre: false,
  lastIndex: 0,
  lastTerm: 0,
  ...options,
});

/** A real grant of replica 2 to replica 1, unless told otherwise. */
export const reply = (term: number, options: Partial<VoteReply> = {}): VoteReply => ({
  type: "vote.reply",
  from: 2,
  to: 1,
  term,
  pre: false,
  granted: true,
  ...options,
});

export const persists = (effects: readonly RaftEffect[]): Persist[] =>
  effects.filter((effect) => effect.type === "persist");

export const sent = (effects: readonly RaftEffect[]): RaftMessage[] =>
  effects.flatMap((effect) => (effect.type === "send" ? [effect.message] : []));

export const commits = (effects: readonly RaftEffect[]) =>
  effects.filter((effect) => effect.type === "commit");

/** Completes every persist of these effects at once; returns what that led to. */
export function persistAll(state: RaftState, effects: readonly RaftEffect[]): RaftEffect[] {
  return persists(effects).flatMap(({ token }) => persisted(state, token));
}

/** Polls and campaigns with replica 2's help; returns the effects of the moment it leads. */
export function elect(state: RaftState): RaftEffect[] {
  tick(state);
  const campaign = receive(state, reply(state.term + 1, { pre: true }));
  persistAll(state, campaign);
  return receive(state, reply(state.term));
}
