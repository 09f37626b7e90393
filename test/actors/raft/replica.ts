// A replica's core under a test's control: events in, effects out, with persists completed only when
// the test says so. Between the tests of this folder and `core.ts`; it checks nothing by itself.

import { expect } from "vitest";
import { step } from "../../../actors/raft/core.ts";
import type {
  Membership,
  PersistToken,
  RaftEffect,
  RaftEvent,
  RaftMessage,
} from "../../../actors/raft/protocol.ts";
import { minElectionTimeoutMs } from "../../../actors/raft/protocol.ts";
import {
  startState,
  type RaftState,
  type ReplicaStart,
  type StartEntry,
} from "../../../actors/raft/state.ts";
import type { EntryKind, LogEntry } from "../../../storage/journal/types.ts";

export type Persist = Extract<RaftEffect, { type: "persist" }>;
export type SendEntries = Extract<RaftEffect, { type: "sendEntries" }>;
export type VoteRequest = Extract<RaftMessage, { type: "vote.request" }>;
export type VoteReply = Extract<RaftMessage, { type: "vote.reply" }>;
export type AppendRequest = Extract<RaftMessage, { type: "append.request" }>;
export type AppendReply = Extract<RaftMessage, { type: "append.reply" }>;

export const voters = (...ids: number[]): Membership => ({ voters: ids, learners: [] });

/** Entries of these terms, one byte each. */
export const terms = (...list: number[]): StartEntry[] => list.map((term) => ({ term, bytes: 1 }));

/** Replica 1 of voters 1, 2, 3 at time 0, unless told otherwise. */
export function start(options: Partial<ReplicaStart> = {}): RaftState {
  return startState({
    replicaId: 1,
    membership: voters(1, 2, 3),
    membershipIndex: 0,
    peers: [],
    hardState: { term: 0, vote: 0 },
    prevIndex: 0,
    prevTerm: 0,
    appliedIndex: 0,
    entries: [],
    nowMs: 0,
    ...options,
  });
}

/** The only element. */
export function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0]!;
}

/** Later than any promise that a replica gave before. */
export const later = (state: RaftState): number =>
  Math.max(state.heardAtMs, state.waitsFromMs) + minElectionTimeoutMs;

export const tick = (state: RaftState, nowMs = later(state)): RaftEffect[] =>
  step(state, { type: "raft.tick", nowMs, electionTimeoutMs: minElectionTimeoutMs });

export const receive = (
  state: RaftState,
  message: RaftMessage,
  nowMs = later(state),
): RaftEffect[] => step(state, { type: "raft.message", nowMs, message });

export const persisted = (state: RaftState, token: PersistToken, nowMs = 0): RaftEffect[] =>
  step(state, { type: "raft.persisted", token, nowMs });

export const applied = (state: RaftState, index: number): RaftEffect[] =>
  step(state, { type: "raft.applied", index, nowMs: 0 });

export const propose = (state: RaftState, ...texts: string[]): RaftEffect[] => {
  const payloads = texts.map((text) => Buffer.from(text));
  return step(state, { type: "raft.propose", payloads, nowMs: later(state) });
};

export const heard = (state: RaftState, leader: number, term: number, nowMs = later(state)) =>
  step(state, { type: "raft.heard", leader, term, nowMs });

export const evidence = (
  state: RaftState,
  from: number,
  options: Partial<Extract<RaftEvent, { type: "raft.evidence" }>> = {},
): RaftEffect[] => {
  const sentAtMs = options.sentAtMs ?? 0;
  const proof = { term: state.term, sentAtMs, round: 1, promiseMs: 1500, nowMs: sentAtMs };
  return step(state, { type: "raft.evidence", from, ...proof, ...options });
};

/** A real request of replica 2 to replica 1 with an empty log, unless told otherwise. */
export const request = (term: number, options: Partial<VoteRequest> = {}): VoteRequest => ({
  type: "vote.request",
  from: 2,
  to: 1,
  term,
  pre: false,
  transfer: false,
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

/** An entry that says what it is. */
export const entry = (index: number, term: number, kind: EntryKind = 1): LogEntry => ({
  index,
  term,
  kind,
  payload: Buffer.from(`${index}@${term}`),
});

/** Of leader 2 to replica 1: entries of these terms behind (prevIndex, prevTerm). */
export const append = (
  term: number,
  prevIndex: number,
  prevTerm: number,
  entryTerms: readonly number[] = [],
  options: Partial<AppendRequest> = {},
): AppendRequest => ({
  type: "append.request",
  from: 2,
  to: 1,
  term,
  prevIndex,
  prevTerm,
  commitIndex: 0,
  entries: entryTerms.map((each, i) => entry(prevIndex + 1 + i, each)),
  sentAtMs: 0,
  ...options,
});

/** Of follower 2 to leader 1: everything up to `index` is durable there. */
export const matched = (
  state: RaftState,
  index: number,
  options: Partial<AppendReply> = {},
): AppendReply => ({
  type: "append.reply",
  from: 2,
  to: 1,
  term: state.term,
  matched: true,
  index,
  hintTerm: 0,
  commitIndex: 0,
  sentAtMs: 0,
  promiseMs: minElectionTimeoutMs,
  ...options,
});

export const rejected = (
  state: RaftState,
  index: number,
  hintTerm: number,
  options: Partial<AppendReply> = {},
): AppendReply => matched(state, index, { matched: false, hintTerm, sentAtMs: 1e9, ...options });

export const persists = (effects: readonly RaftEffect[]): Persist[] =>
  effects.filter((effect) => effect.type === "persist");

export const sent = (effects: readonly RaftEffect[]): RaftMessage[] =>
  effects.flatMap((effect) => (effect.type === "send" ? [effect.message] : []));

/** Appends that leave with entries, those to `to` only. */
export const streamed = (effects: readonly RaftEffect[], to: number): SendEntries[] =>
  effects.filter((effect) => effect.type === "sendEntries").filter((effect) => effect.to === to);

export const commits = (effects: readonly RaftEffect[]) =>
  effects.filter((effect) => effect.type === "commit");

/** Completes every persist of these effects at once; returns what that led to. */
export function persistAll(state: RaftState, effects: readonly RaftEffect[]): RaftEffect[] {
  return persists(effects).flatMap(({ token }) => persisted(state, token));
}

/** Polls and campaigns with replica 2's help; returns the effects of the moment it leads. */
export function elect(state: RaftState): RaftEffect[] {
  tick(state, state.waitsFromMs + minElectionTimeoutMs);
  const campaign = receive(state, reply(state.term + 1, { pre: true }));
  persistAll(state, campaign);
  return receive(state, reply(state.term));
}

/** Elected, the no-op durable here and at replica 2, committed and applied. */
export function lead(options: Partial<ReplicaStart> = {}): RaftState {
  const state = start(options);
  persistAll(state, elect(state));
  receive(state, matched(state, state.noopIndex));
  expect(state).toMatchObject({ role: "leader", commitIndex: state.noopIndex });
  applied(state, state.noopIndex);
  return state;
}

/** A single voter that has just won its election, with the effects of that moment. */
export const alone = () => {
  const state = start({ membership: voters(1) });
  const noop = persistAll(state, tick(state));
  return { state, noop };
};
