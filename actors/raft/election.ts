// Elections: paper section 5.2 and 5.4.1, pre-vote of the thesis (section 9.6), and the promise of
// a follower that heard a leader. A vote and a term are durable before anyone sees them.

import assert from "node:assert/strict";
import { appendNoop } from "./leading.ts";
import type { RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import { hasMajority } from "./quorum.ts";
import { mayLead } from "./reconfiguration.ts";
import { probe } from "./replication.ts";
import { minElectionTimeoutMs } from "./protocol.ts";
import {
  adoptTerm,
  becomeRole,
  isAlone,
  isVoteDurable,
  persistVote,
  startProgress,
  type RaftState,
} from "./state.ts";

type VoteRequest = Extract<RaftMessage, { type: "vote.request" }>;
type VoteReply = Extract<RaftMessage, { type: "vote.reply" }>;
type TimeoutNow = Extract<RaftMessage, { type: "timeout.now" }>;
type Tick = Extract<RaftEvent, { type: "raft.tick" }>;
type LeaderLost = Extract<RaftEvent, { type: "raft.leaderLost" }>;

/** An election that nobody has won is begun again after this long and the random part, ms. */
const retryMs = 400;

/** Looks at the time: who heard nobody for its drawn timeout asks whether it should stand for election. */
export function onTick(state: RaftState, event: Tick, effects: RaftEffect[]): void {
  if (isAlone(state)) {
    // Nobody else was ever a voter, so no promise can be broken and no poll is needed.
    if (state.role === "follower") campaign(state, false, event.nowMs, effects);
    return;
  }
  // While term or vote are on their way to the disk, a poll would show them.
  if (!mayLead(state) || !isVoteDurable(state)) return;
  // The boot wait rests on this too: `waitsFromMs` begins at the start (`safety.md` 17).
  if (!isElectionDue(state, event)) return;
  state.waitsFromMs = event.nowMs;
  becomeRole(state, "preCandidate", state.term, 0, effects);
  state.granted.add(state.replicaId);
  ask(state, state.term + 1, true, effects);
  campaignIfPolled(state, event.nowMs, effects);
}

/** Whether a tick means anything to who does not lead: most find that the leader was heard. */
export function isElectionDue(
  state: Readonly<RaftState>,
  { nowMs, electionTimeoutMs }: Pick<Tick, "nowMs" | "electionTimeoutMs">,
): boolean {
  return isAlone(state) || nowMs >= electionDueMs(state, electionTimeoutMs);
}

/** When it stands for election if it hears nobody until then, monotonic ms. */
export function electionDueMs(state: Readonly<RaftState>, electionTimeoutMs: number): number {
  return state.waitsFromMs + waitMs(state, electionTimeoutMs);
}

/** A follower waits for its leader; whoever stands already has no promise to keep, only to spread out. */
function waitMs({ role }: Readonly<RaftState>, electionTimeoutMs: number): number {
  if (role === "follower") return electionTimeoutMs;
  return retryMs + electionTimeoutMs - minElectionTimeoutMs;
}

/** Starts an election in the next term; requests leave when the own vote is durable. */
function campaign(
  state: RaftState,
  isTransfer: boolean,
  nowMs: number,
  effects: RaftEffect[],
): void {
  state.waitsFromMs = nowMs;
  becomeRole(state, "candidate", state.term + 1, 0, effects);
  state.vote = state.replicaId;
  state.isTransferElection = isTransfer;
  persistVote(state, effects);
}

function ask(state: RaftState, term: number, pre: boolean, effects: RaftEffect[]): void {
  for (const to of state.membership.voters) {
    if (to === state.replicaId) continue;
    effects.push({
      type: "send",
      message: {
        type: "vote.request",
        from: state.replicaId,
        to,
        term,
        pre,
        transfer: !pre && state.isTransferElection,
        lastIndex: state.log.lastIndex,
        lastTerm: state.log.lastTerm,
      },
    });
  }
}

/** The own vote or term has reached the disk: send what waited for it. */
export function onVotePersisted(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  if (!isVoteDurable(state)) return;
  const reply = state.pendingVote;
  if (reply !== undefined) {
    state.pendingVote = undefined;
    effects.push({ type: "send", message: reply });
  }
  if (state.role !== "candidate" || state.granted.has(state.replicaId)) return;
  state.granted.add(state.replicaId);
  ask(state, state.term, false, effects);
  winIfElected(state, nowMs, effects);
}

/** Answers a vote or pre-vote request. A learner that missed its promotion answers as well. */
export function onVoteRequest(
  state: RaftState,
  request: VoteRequest,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // While term or vote are on their way to the disk no answer may show them: the asker retries.
  if (!isVoteDurable(state)) return;
  // Without a membership it is nobody's voter yet (`safety.md` 11).
  if (state.membership.voters.length === 0) return;
  // A follower that heard a leader, or has just started, keeps its promise for the minimum
  // timeout: leases of the leader rest on it (`safety.md` 17). Only the leader can waive it.
  const promised = state.role === "leader" || nowMs - state.heardAtMs < minElectionTimeoutMs;
  if (request.pre) {
    const granted = !promised && request.term > state.term && isUpToDate(state, request);
    // A grant names the term it was asked for, so that a late one counts in no later poll.
    const term = granted ? request.term : state.term;
    effects.push({ type: "send", message: voteReply(state, request, term, granted) });
    // Who asks has lost sight of its leader: the leader shows itself.
    if (state.role === "leader") probe(state, request.from, nowMs, effects);
    return;
  }
  if (promised && !request.transfer) return;
  const isNewTerm = request.term > state.term;
  if (isNewTerm) {
    if (state.role === "leader") state.waitsFromMs = nowMs;
    becomeRole(state, "follower", request.term, 0, effects);
  }
  const granted =
    request.term === state.term &&
    (state.vote === 0 || state.vote === request.from) &&
    isUpToDate(state, request);
  const reply = voteReply(state, request, state.term, granted);
  if (granted) {
    state.vote = request.from;
    state.waitsFromMs = nowMs;
  }
  if (isVoteDurable(state)) {
    effects.push({ type: "send", message: reply });
    return;
  }
  state.pendingVote = reply;
  persistVote(state, effects);
}

/** Counts a reply; a set, so that a doubled message counts once. */
export function onVoteReply(
  state: RaftState,
  reply: VoteReply,
  nowMs: number,
  effects: RaftEffect[],
): void {
  if (reply.pre && reply.granted) {
    // Its term is the one the poll was about, which nobody has reached yet.
    if (state.role !== "preCandidate" || reply.term !== state.term + 1) return;
    state.granted.add(reply.from);
    campaignIfPolled(state, nowMs, effects);
    return;
  }
  if (reply.term > state.term) {
    adoptTerm(state, reply.term, nowMs, effects);
    return;
  }
  if (!reply.granted || state.role !== "candidate" || reply.term !== state.term) return;
  state.granted.add(reply.from);
  winIfElected(state, nowMs, effects);
}

function campaignIfPolled(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  if (hasMajority(state.membership.voters, state.granted)) campaign(state, false, nowMs, effects);
}

function winIfElected(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  if (!state.granted.has(state.replicaId)) return;
  if (!hasMajority(state.membership.voters, state.granted)) return;
  becomeRole(state, "leader", state.term, state.replicaId, effects);
  startProgress(state, nowMs);
  appendNoop(state, nowMs, effects);
}

/** The leader hands over: no poll, and nobody's promise stands against it (thesis section 3.10). */
export function onTimeoutNow(
  state: RaftState,
  message: TimeoutNow,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // One that was late by a term or two is nobody's wish any more.
  if (message.term !== state.term || state.role !== "follower") return;
  if (message.from !== state.leader || !isVoteDurable(state)) return;
  if (!mayLead(state)) return;
  campaign(state, true, nowMs, effects);
}

/** Becomes or stays a follower of this leader, whose term is not below the own. */
export function follow(
  state: RaftState,
  leader: number,
  term: number,
  nowMs: number,
  effects: RaftEffect[],
): void {
  const isNewTerm = term > state.term;
  assert(isNewTerm || state.role !== "leader", "one leader a term");
  if (isNewTerm || state.role !== "follower" || state.leader !== leader) {
    becomeRole(state, "follower", term, leader, effects);
    if (isNewTerm) persistVote(state, effects);
  }
  // What waited in a mailbox may be older than what was heard since.
  state.heardAtMs = Math.max(state.heardAtMs, nowMs);
  state.waitsFromMs = Math.max(state.waitsFromMs, nowMs);
}

/**
 * The process that led is gone: it can use no lease any more, so nothing is owed to it, and of the
 * wait for it only the random part is left.
 */
export function onLeaderLost(state: RaftState, event: LeaderLost, effects: RaftEffect[]): void {
  const { leader, nowMs } = event;
  if (state.role !== "follower" || state.leader !== leader || leader === 0) return;
  becomeRole(state, "follower", state.term, 0, effects);
  state.heardAtMs = -Infinity;
  state.waitsFromMs = nowMs - minElectionTimeoutMs;
}

/** Whether this replica is a live follower of that leader in that term, durably. */
export function follows(state: Readonly<RaftState>, leader: number, term: number): boolean {
  const isFollower = state.role === "follower" && state.leader === leader && state.term === term;
  return isFollower && state.durableHardState.term === term;
}

/** Section 5.4.1: the candidate's log is at least as complete as ours. */
function isUpToDate(state: RaftState, request: VoteRequest): boolean {
  if (request.lastTerm !== state.log.lastTerm) return request.lastTerm > state.log.lastTerm;
  return request.lastIndex >= state.log.lastIndex;
}

function voteReply(
  state: RaftState,
  request: VoteRequest,
  term: number,
  granted: boolean,
): RaftMessage {
  return {
    type: "vote.reply",
    from: state.replicaId,
    to: request.from,
    term,
    pre: request.pre,
    granted,
  };
}
