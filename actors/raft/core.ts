// The Raft core of one replica: `step` takes one event, changes the state and returns what must be
// done. It owns no clock, disk or network; `election.ts` and `replication.ts` hold the rules.

import assert from "node:assert/strict";
import { onTick, onVotePersisted, onVoteReply, onVoteRequest } from "./election.ts";
import type { RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import { onLogPersisted, onPropose } from "./replication.ts";
import type { RaftState } from "./state.ts";

/**
 * Steps the replica once. Effects are performed in the order returned, before the next step.
 * Throws AssertionError when an invariant is broken: the replica must stop, it never guesses.
 */
export function step(state: RaftState, event: RaftEvent): RaftEffect[] {
  const effects: RaftEffect[] = [];
  switch (event.type) {
    case "raft.propose":
      onPropose(state, event.payloads, effects);
      break;
    case "raft.persisted":
      if (event.token.lastIndex > 0) onLogPersisted(state, event.token, effects);
      if (event.token.hardState !== undefined) {
        state.durableHardState = event.token.hardState;
        if (event.token.roleEpoch === state.roleEpoch) onVotePersisted(state, effects);
      }
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
    default:
      event satisfies never;
  }
  return effects;
}

function onMessage(
  state: RaftState,
  message: RaftMessage,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // A message to another replica of the region (an older one of this node) is not ours to answer.
  if (message.to !== state.replicaId) return;
  if (message.type === "vote.request") onVoteRequest(state, message, nowMs, effects);
  else onVoteReply(state, message, nowMs, effects);
}

/** A leader serves when its own term's no-op is applied: only then is its state exact (section 8). */
export function isServing(state: RaftState): boolean {
  return state.role === "leader" && state.appliedIndex >= state.noopIndex && state.noopIndex > 0;
}
