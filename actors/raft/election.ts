// Elections: paper section 5.2 and 5.4.1, pre-vote of the thesis (section 9.6), and the promise of
// a follower that heard a leader. A vote and a term are durable before anyone sees them.

import { appendNoop } from "./replication.ts";
import type { RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import { hasMajority } from "./quorum.ts";
import {
  becomeRole,
  isAlone,
  isVoteDurable,
  minElectionTimeoutMs,
  persistVote,
  type RaftState,
} from "./state.ts";

type VoteRequest = Extract<RaftMessage, { type: "vote.request" }>;
type VoteReply = Extract<RaftMessage, { type: "vote.reply" }>;
type Tick = Extract<RaftEvent, { type: "raft.tick" }>;

/** Looks at the time: a follower or candidate that heard nobody for its drawn timeout stands for election. */
export function onTick(state: RaftState, event: Tick, effects: RaftEffect[]): void {
  if (state.role === "leader") return;
  if (isAlone(state)) {
    // Nobody else was ever a voter, so no promise can be broken and no poll is needed.
    if (state.role === "follower") campaign(state, effects);
    return;
  }
  if (!state.membership.voters.includes(state.replicaId)) return;
  if (event.nowMs - state.heardAtMs < event.electionTimeoutMs) return;
  state.heardAtMs = event.nowMs;
  becomeRole(state, "preCandidate", state.term, 0, effects);
  state.granted.add(state.replicaId);
  ask(state, state.term + 1, true, effects);
}

/** Starts an election in the next term; requests leave when the own vote is durable. */
function campaign(state: RaftState, effects: RaftEffect[]): void {
  becomeRole(state, "candidate", state.term + 1, 0, effects);
  state.vote = state.replicaId;
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
        lastIndex: state.log.lastIndex,
        lastTerm: state.log.lastTerm,
      },
    });
  }
}

/** The own vote or term has reached the disk: send what waited for it. */
export function onVotePersisted(state: RaftState, effects: RaftEffect[]): void {
  const reply = state.pendingVote;
  if (reply !== undefined) {
    state.pendingVote = undefined;
    effects.push({ type: "send", message: reply });
  }
  if (state.role !== "candidate" || state.granted.has(state.replicaId)) return;
  state.granted.add(state.replicaId);
  ask(state, state.term, false, effects);
  winIfElected(state, effects);
}

/** Answers a vote or pre-vote request. */
export function onVoteRequest(
  state: RaftState,
  request: VoteRequest,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // While term or vote are on their way to the disk no answer may show them: the asker retries.
  if (!isVoteDurable(state)) return;
  // A follower that heard a leader, or has just started, keeps its promise for the minimum
  // timeout: leases of the leader rest on it (`safety.md` 17).
  const promised = state.role === "leader" || nowMs - state.heardAtMs < minElectionTimeoutMs;
  if (request.pre) {
    const granted = !promised && request.term > state.term && isUpToDate(state, request);
    // A grant names the term it was asked for, so that a late one counts in no later poll.
    const term = granted ? request.term : state.term;
    effects.push({ type: "send", message: voteReply(state, request, term, granted) });
    return;
  }
  if (promised) return;
  const isNewTerm = request.term > state.term;
  if (isNewTerm) becomeRole(state, "follower", request.term, 0, effects);
  const granted =
    request.term === state.term &&
    (state.vote === 0 || state.vote === request.from) &&
    isUpToDate(state, request);
  const reply = voteReply(state, request, state.term, granted);
  if (granted) {
    state.vote = request.from;
    state.heardAtMs = nowMs;
  }
  if (!granted && !isNewTerm) {
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
    onPollGranted(state, reply, effects);
    return;
  }
  if (reply.term > state.term) {
    becomeRole(state, "follower", reply.term, 0, effects);
    state.heardAtMs = nowMs;
    persistVote(state, effects);
    return;
  }
  if (!reply.granted || !state.membership.voters.includes(reply.from)) return;
  if (state.role === "candidate" && reply.term === state.term) {
    state.granted.add(reply.from);
    winIfElected(state, effects);
  }
}

/** Its term is the one the poll was about, which nobody has reached yet. */
function onPollGranted(state: RaftState, reply: VoteReply, effects: RaftEffect[]): void {
  if (state.role !== "preCandidate" || reply.term !== state.term + 1) return;
  if (!state.membership.voters.includes(reply.from)) return;
  state.granted.add(reply.from);
  if (hasMajority(state.membership.voters, state.granted)) campaign(state, effects);
}

function winIfElected(state: RaftState, effects: RaftEffect[]): void {
  if (!state.granted.has(state.replicaId)) return;
  if (!hasMajority(state.membership.voters, state.granted)) return;
  becomeRole(state, "leader", state.term, state.replicaId, effects);
  appendNoop(state, effects);
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
