// The log of a follower: checking that it agrees with the leader's, replacing what does not, and
// acknowledging what is durable (paper section 5.3). What is acknowledged is *written*, never only
// received; a persist of an older role releases nothing.

import assert from "node:assert/strict";
import type { LogEntry } from "../../storage/journal/types.ts";
import { follow, follows } from "./election.ts";
import { decodeMembership } from "./membership.ts";
import type { LogPosition, PersistToken, RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import {
  adoptMembership,
  forgetMemberships,
  installMembership,
  isMember,
  rollBackMembership,
} from "./reconfiguration.ts";
import { minElectionTimeoutMs } from "./protocol.ts";
import { isVoteDurable, type RaftState } from "./state.ts";

type Heard = Extract<RaftEvent, { type: "raft.heard" }>;
type AppendReply = Extract<RaftMessage, { type: "append.reply" }>;
type AppendRequest = Extract<RaftMessage, { type: "append.request" }>;
type Installed = Extract<RaftEvent, { type: "raft.installed" }>;

/** The leader's node says that it leads: as good as an append of nothing (`safety.md` 16). */
export function onHeard(state: RaftState, event: Heard, effects: RaftEffect[]): void {
  const { leader, term, nowMs } = event;
  if (term < state.term || leader === state.replicaId) return;
  follow(state, leader, term, nowMs, effects);
  // It may take this replica for one that knows more (before a restart it did): it is asked to look.
  if (state.probedEpoch === state.roleEpoch || !follows(state, leader, term)) return;
  if (!isMember(state)) return;
  const { lastIndex, lastTerm } = state.log;
  reply(state, leader, { matched: false, index: lastIndex, hintTerm: lastTerm }, unasked, effects);
}

/** What is sent by itself answers nothing: it proves nothing for a lease. */
const unasked = { sentAtMs: -Infinity, promiseMs: 0 };

/** An append of a leader: follow it, take what is new, commit what it says is committed. */
export function onAppendRequest(
  state: RaftState,
  request: AppendRequest,
  nowMs: number,
  effects: RaftEffect[],
): void {
  if (request.term < state.term) {
    // A leader that was deposed and does not know it yet.
    if (isVoteDurable(state))
      reject(state, request, { index: state.log.lastIndex, term: 0 }, effects);
    return;
  }
  follow(state, request.from, request.term, nowMs, effects);
  state.probedEpoch = state.roleEpoch;
  const { log } = state;
  const prevTerm = log.termAt(request.prevIndex);
  // Below the own start everything is committed, and so in every leader's log.
  if (request.prevIndex >= log.prevIndex && prevTerm !== request.prevTerm) {
    const index = log.agreeableIndex(request.prevIndex, request.prevTerm);
    const hint = { index, term: log.termAt(index) ?? 0 };
    if (isVoteDurable(state)) reject(state, request, hint, effects);
    return;
  }
  take(state, request.entries, effects);
  // Only what this request has shown to agree (not the whole log) may commit by it.
  const verified = Math.max(request.prevIndex + request.entries.length, log.prevIndex);
  const to = Math.min(request.commitIndex, verified);
  if (to > state.commitIndex) {
    const from = state.commitIndex;
    state.commitIndex = to;
    forgetMemberships(state, to);
    effects.push({ type: "commit", from, to });
  }
  const { pendingAck } = state;
  const index = Math.max(verified, pendingAck?.index ?? 0);
  const sentAtMs = Math.max(request.sentAtMs, pendingAck?.sentAtMs ?? -Infinity);
  state.pendingAck = { index, sentAtMs };
  // What is still on its way to the disk is acknowledged when it has arrived there.
  if (state.durableIndex >= index) acknowledge(state, effects);
}

/** Appends what the log lacks; what contradicts the leader goes first. */
function take(state: RaftState, entries: readonly LogEntry[], effects: RaftEffect[]): void {
  const { log } = state;
  const fresh = entries.findIndex(
    ({ index, term }) => index > log.prevIndex && log.termAt(index) !== term,
  );
  const first = entries[fresh];
  // A shorter or repeated append: nothing of what was acknowledged is cut.
  if (first === undefined) return;
  if (first.index <= log.lastIndex) {
    assert(first.index > state.commitIndex, "what is committed is never replaced");
    log.truncate(first.index);
    state.durableIndex = Math.min(state.durableIndex, first.index - 1);
    state.truncatedEpoch = state.roleEpoch;
    state.pendingAck = undefined;
    effects.push({ type: "truncate", from: first.index });
    rollBackMembership(state, first.index, effects);
  }
  const added = fresh === 0 ? entries : entries.slice(fresh);
  for (const { index, term, kind, payload } of added) {
    log.append(term, payload.length);
    if (kind === 2) adoptMembership(state, index, decodeMembership(payload), effects);
  }
  persistLog(state, undefined, added, effects);
}

function persistLog(
  state: RaftState,
  reset: LogPosition | undefined,
  entries: readonly LogEntry[],
  effects: RaftEffect[],
): void {
  const { log, roleEpoch, term } = state;
  const { lastIndex, lastTerm } = log;
  const token: PersistToken = { roleEpoch, term, lastIndex, lastTerm, hardState: undefined };
  effects.push({ type: "persist", hardState: undefined, reset, entries, token });
}

/** Something has become durable: acknowledge it if a leader waits for that. */
export function onFollowerPersisted(state: RaftState, effects: RaftEffect[]): void {
  if (state.role === "follower") acknowledge(state, effects);
}

function acknowledge(state: RaftState, effects: RaftEffect[]): void {
  const pending = state.pendingAck;
  if (pending === undefined || !isVoteDurable(state)) return;
  // Below the log's start it has nothing to show: what is on the disk goes when the log is restarted.
  if (state.durableIndex < state.log.prevIndex) return;
  const index = Math.min(pending.index, state.durableIndex);
  if (index === pending.index) state.pendingAck = undefined;
  const answered = { sentAtMs: pending.sentAtMs, promiseMs: minElectionTimeoutMs };
  reply(state, state.leader, { matched: true, index, hintTerm: 0 }, answered, effects);
}

function reject(
  state: RaftState,
  request: AppendRequest,
  hint: LogPosition,
  effects: RaftEffect[],
): void {
  // The promise holds whether the logs agree or not, but only to the leader of this term. One of an
  // older term may even have led it as another process, with another clock.
  const isOfTerm = request.term === state.term;
  const answered = isOfTerm
    ? { sentAtMs: request.sentAtMs, promiseMs: minElectionTimeoutMs }
    : unasked;
  const agreement = { matched: false, index: hint.index, hintTerm: hint.term };
  reply(state, request.from, agreement, answered, effects);
}

function reply(
  state: RaftState,
  to: number,
  agreement: Pick<AppendReply, "matched" | "index" | "hintTerm">,
  answered: Pick<AppendReply, "sentAtMs" | "promiseMs">,
  effects: RaftEffect[],
): void {
  effects.push({
    type: "send",
    message: {
      type: "append.reply",
      from: state.replicaId,
      to,
      term: state.term,
      commitIndex: state.commitIndex,
      matched: agreement.matched,
      index: agreement.index,
      hintTerm: agreement.hintTerm,
      sentAtMs: answered.sentAtMs,
      promiseMs: answered.promiseMs,
    },
  });
}

/** A snapshot lies durably in the engine: the log begins behind it, unless it already goes on there. */
export function onInstalled(state: RaftState, event: Installed, effects: RaftEffect[]): void {
  const { index, term, membership, membershipIndex, peers, nowMs } = event;
  assert(index >= state.appliedIndex, "what is applied never goes back");
  const { log } = state;
  if (log.termAt(index) === term) {
    log.compact(index);
  } else {
    assert(state.role !== "leader" && index > state.commitIndex, "what is committed stays");
    log.reset(index, term);
    // What contradicts the snapshot is on the disk until the reset is.
    state.durableIndex = Math.min(state.durableIndex, state.commitIndex);
    state.truncatedEpoch = state.roleEpoch;
    effects.push({ type: "truncate", from: 0 });
    rollBackMembership(state, index + 1, effects);
    persistLog(state, { index, term }, [], effects);
  }
  installMembership(state, { index: membershipIndex, membership, peers }, index, effects);
  state.commitIndex = Math.max(state.commitIndex, index);
  state.appliedIndex = index;
  if (state.role !== "follower" || state.leader === 0) return;
  state.waitsFromMs = Math.max(state.waitsFromMs, nowMs);
  const pending = state.pendingAck;
  state.pendingAck = {
    index: Math.max(index, pending?.index ?? 0),
    sentAtMs: pending?.sentAtMs ?? -Infinity,
  };
  if (state.durableIndex >= state.pendingAck.index) acknowledge(state, effects);
}
