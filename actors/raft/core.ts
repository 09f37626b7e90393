// The Raft core of one replica: `step` takes one event, changes the state and returns what must be
// done. It owns no clock, disk or network; the rules are in one file a chapter of the paper.
//
// Who does what with a message of its own term (one of a higher term first makes a follower of it,
// one of a lower term is answered with the own term or dropped):
//
//                  vote.request     vote.reply   append.request    append.reply   timeout.now
//   follower       grants once,     -            checks, appends,  -              stands for election
//                  not while it                  acknowledges
//                  has promised                  what is durable
//   preCandidate   as a follower    counts polls follows           -              -
//   candidate      refuses (voted   counts       follows           -              -
//                  for itself)      votes
//   leader         refuses, shows   -            impossible        counts, sends  -
//                  a poll its log                                  on, commits

import assert from "node:assert/strict";
import {
  onLeaderLost,
  onTick as onElectionTick,
  onTimeoutNow,
  onVotePersisted,
  onVoteReply,
  onVoteRequest,
} from "./election.ts";
import { onAppendRequest, onFollowerPersisted, onHeard, onInstalled } from "./following.ts";
import { onAppendReply, onChangeMembership, onLeaderPersisted, onPropose } from "./leading.ts";
import type { RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import { onEvidence, onQuorumTick } from "./reads.ts";
import { onReplicationTick, onSnapshotSent } from "./replication.ts";
import type { RaftState } from "./state.ts";
import { onTransfer, onTransferTick } from "./transfer.ts";

/**
 * Steps the replica once. Effects are performed in the order returned, before the next step.
 * Throws AssertionError when an invariant is broken: the replica must stop, it never guesses.
 */
export function step(state: RaftState, event: RaftEvent): RaftEffect[] {
  const effects: RaftEffect[] = [];
  switch (event.type) {
    case "raft.propose":
      onPropose(state, event.payloads, event.nowMs, effects);
      break;
    case "raft.persisted":
      onPersisted(state, event, effects);
      break;
    case "raft.applied":
      assert(event.index <= state.commitIndex, "only committed entries are applied");
      assert(event.index >= state.appliedIndex, "applied never goes back");
      state.appliedIndex = event.index;
      break;
    case "raft.tick":
      onTick(state, event, effects);
      break;
    case "raft.message":
      onMessage(state, event.message, event.nowMs, effects);
      break;
    case "raft.heard":
      onHeard(state, event, effects);
      break;
    case "raft.evidence":
      onEvidence(state, event);
      break;
    case "raft.leaderLost":
      onLeaderLost(state, event, effects);
      break;
    case "raft.changeMembership":
      onChangeMembership(state, event, effects);
      break;
    case "raft.transfer":
      onTransfer(state, event.to, event.nowMs, effects);
      break;
    case "raft.snapshotSent":
      onSnapshotSent(state, event, effects);
      break;
    case "raft.installed":
      onInstalled(state, event, effects);
      break;
    case "raft.compacted":
      state.log.compact(Math.min(event.index, state.appliedIndex));
      break;
    default:
      event satisfies never;
  }
  return effects;
}

type Persisted = Extract<RaftEvent, { type: "raft.persisted" }>;
type Tick = Extract<RaftEvent, { type: "raft.tick" }>;

function onPersisted(state: RaftState, event: Persisted, effects: RaftEffect[]): void {
  const { token, nowMs } = event;
  const isOfThisRole = token.roleEpoch === state.roleEpoch;
  if (token.hardState !== undefined) {
    state.durableHardState = token.hardState;
    if (isOfThisRole) onVotePersisted(state, nowMs, effects);
    if (token.lastIndex === 0) onFollowerPersisted(state, effects);
  }
  if (token.lastIndex === 0) return;
  // What was queued before a truncation may be on the disk and not in the log, or the other way
  // round until the rest of the queue has landed (etcd's "ABA" of asynchronous storage writes).
  if (token.roleEpoch < state.truncatedEpoch) return;
  if (state.log.termAt(token.lastIndex) !== token.lastTerm) return;
  if (token.lastIndex > state.durableIndex) state.durableIndex = token.lastIndex;
  if (!isOfThisRole) return;
  if (state.role === "leader") onLeaderPersisted(state, nowMs, effects);
  else onFollowerPersisted(state, effects);
}

function onTick(state: RaftState, event: Tick, effects: RaftEffect[]): void {
  if (state.role !== "leader") {
    onElectionTick(state, event, effects);
    return;
  }
  if (!onQuorumTick(state, event, effects)) return;
  onTransferTick(state, event.nowMs, effects);
  onReplicationTick(state, event.nowMs, effects);
}

function onMessage(
  state: RaftState,
  message: RaftMessage,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // A message to another replica of the region (an older one of this node) is not ours to answer.
  if (message.to !== state.replicaId) return;
  switch (message.type) {
    case "vote.request":
      onVoteRequest(state, message, nowMs, effects);
      break;
    case "vote.reply":
      onVoteReply(state, message, nowMs, effects);
      break;
    case "append.request":
      onAppendRequest(state, message, nowMs, effects);
      break;
    case "append.reply":
      onAppendReply(state, message, nowMs, effects);
      break;
    case "timeout.now":
      onTimeoutNow(state, message, nowMs, effects);
      break;
    default:
      message satisfies never;
  }
}

/** A leader serves when its own term's no-op is applied: only then is its state exact (section 8). */
export function isServing(state: Readonly<RaftState>): boolean {
  return state.role === "leader" && state.appliedIndex >= state.noopIndex && state.noopIndex > 0;
}
