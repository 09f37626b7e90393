// The log of a leader: appending, counting what is durable where, and committing (paper sections 5.3
// and 5.4.2). Only an entry of the leader's own term commits by counting; older ones commit with it.
// What travels to the peers is `replication.ts`.

import assert from "node:assert/strict";
import type { EntryKind } from "../../storage/journal/types.ts";
import { encodeMembership } from "./membership.ts";
import { countPromise, newProgress } from "./progress.ts";
import type { PersistToken, RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import { quorumValue } from "./quorum.ts";
import {
  adoptMembership,
  forgetMemberships,
  isVoter,
  membershipRefusal,
} from "./reconfiguration.ts";
import { onMatched, onRejected, sendTo, sendToAll, tellCommit } from "./replication.ts";
import { adoptTerm, becomeRole, type RaftState } from "./state.ts";
import { bestSuccessor, isTransferring, onTransferProgress, timeoutNow } from "./transfer.ts";

type AppendReply = Extract<RaftMessage, { type: "append.reply" }>;
type ChangeMembership = Extract<RaftEvent, { type: "raft.changeMembership" }>;

/** Payload bytes a leader appends beyond what is committed, before it refuses more. */
export const uncommittedBytesMax = 16 * 1024 * 1024;

const empty = Buffer.alloc(0);

/** Opens the term of a new leader: until this entry is applied it serves nothing. */
export function appendNoop(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  state.noopIndex = state.log.lastIndex + 1;
  append(state, 0, [empty], effects);
  sendToAll(state, nowMs, effects);
}

/**
 * Whether the leader takes a proposal now: not while it hands over (the successor must be able to
 * catch up), and not when too much waits for a majority that may be out of reach.
 */
export function canPropose(state: Readonly<RaftState>): boolean {
  if (state.role !== "leader" || isTransferring(state)) return false;
  return state.log.bytesBetween(state.commitIndex, state.log.lastIndex) < uncommittedBytesMax;
}

/** Appends one entry per payload, in order. Only a leader is asked (the shell checks in the same step). */
export function onPropose(
  state: RaftState,
  payloads: readonly Buffer[],
  nowMs: number,
  effects: RaftEffect[],
): void {
  assert.equal(state.role, "leader", "only a leader appends");
  append(state, 1, payloads, effects);
  sendToAll(state, nowMs, effects);
}

/** Appends a change that was found good in this same step; it counts from here on. */
export function onChangeMembership(
  state: RaftState,
  event: ChangeMembership,
  effects: RaftEffect[],
): void {
  assert.equal(membershipRefusal(state, event, event.nowMs), undefined);
  append(state, 2, [encodeMembership(event)], effects);
  adoptMembership(state, state.log.lastIndex, event, effects);
  const { voters, learners } = event.membership;
  for (const peer of [...voters, ...learners]) {
    if (peer === state.replicaId || state.progress.has(peer)) continue;
    state.progress.set(peer, newProgress(state.log.lastIndex, event.nowMs));
  }
  sendToAll(state, event.nowMs, effects);
  // With a voter less, what is there already may be enough.
  advanceCommit(state, event.nowMs, effects);
}

function append(
  state: RaftState,
  kind: EntryKind,
  payloads: readonly Buffer[],
  effects: RaftEffect[],
): void {
  const { log, term } = state;
  const entries = payloads.map((payload) => {
    log.append(term, payload.length);
    return { index: log.lastIndex, term, kind, payload };
  });
  const token: PersistToken = {
    roleEpoch: state.roleEpoch,
    term,
    lastIndex: log.lastIndex,
    lastTerm: term,
    hardState: undefined,
  };
  effects.push({ type: "persist", hardState: undefined, reset: undefined, entries, token });
}

/** Own entries have become durable: the leader counts itself up to there, never further. */
export function onLeaderPersisted(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  advanceCommit(state, nowMs, effects);
}

/** A follower's answer: it agrees and has it durable up to `index`, or says where it might agree. */
export function onAppendReply(
  state: RaftState,
  reply: AppendReply,
  nowMs: number,
  effects: RaftEffect[],
): void {
  if (reply.term > state.term) {
    adoptTerm(state, reply.term, nowMs, effects);
    return;
  }
  const progress = state.progress.get(reply.from);
  if (state.role !== "leader" || reply.term !== state.term || progress === undefined) return;
  progress.heardAtMs = Math.max(progress.heardAtMs, nowMs);
  countPromise(progress, reply, nowMs);
  if (!reply.matched) onRejected(state, reply, progress);
  else if (onMatched(state, reply, progress)) {
    advanceCommit(state, nowMs, effects);
    onTransferProgress(state, reply.from, effects);
  }
  // Unless that commit was of its own removal.
  if (state.role === "leader") sendTo(state, reply.from, progress, nowMs, effects);
}

function advanceCommit(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  const { membership, progress, replicaId, log } = state;
  const index = quorumValue(membership.voters, (voter) =>
    voter === replicaId ? state.durableIndex : (progress.get(voter)?.match ?? 0),
  );
  if (index <= state.commitIndex) return;
  // Figure 8: counting replicas proves nothing for an entry of an older term.
  if (log.termAt(index) !== state.term) return;
  const from = state.commitIndex;
  state.commitIndex = index;
  forgetMemberships(state, index);
  effects.push({ type: "commit", from, to: index });
  // The no-op's commit is what the others' state machines wait for after an election.
  if (from < state.noopIndex) tellCommit(state, nowMs, effects);
  if (from < state.membershipIndex && state.membershipIndex <= index) {
    onMembershipCommitted(state, nowMs, effects);
  }
}

/** Nobody can take the change back: who was left out has had the chance to hear of it. */
function onMembershipCommitted(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  const { voters, learners } = state.membership;
  for (const peer of state.progress.keys()) {
    if (!voters.includes(peer) && !learners.includes(peer)) state.progress.delete(peer);
  }
  if (isVoter(state)) return;
  // It led only to commit its own removal (thesis section 4.2.2); somebody takes over without a wait.
  const successor = bestSuccessor(state);
  if (successor !== undefined) effects.push(timeoutNow(state, successor));
  state.waitsFromMs = nowMs;
  becomeRole(state, "follower", state.term, 0, effects);
}
