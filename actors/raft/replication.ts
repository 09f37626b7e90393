// The log of a leader: appending, counting what is durable, committing (paper sections 5.3, 5.4.2).
// Only an entry of the leader's own term commits by counting; older ones commit with it.

import assert from "node:assert/strict";
import type { LogEntry } from "../../storage/journal/types.ts";
import type { PersistToken, RaftEffect } from "./protocol.ts";
import { quorumIndex } from "./quorum.ts";
import type { RaftState } from "./state.ts";

const empty = Buffer.alloc(0);

/** Opens the term of a new leader: until this entry is applied it serves nothing. */
export function appendNoop(state: RaftState, effects: RaftEffect[]): void {
  state.noopIndex = state.log.lastIndex + 1;
  append(state, [{ index: state.noopIndex, term: state.term, kind: 0, payload: empty }], effects);
}

/** Appends one entry per payload, in order. Only a leader is asked (the shell checks in the same step). */
export function onPropose(
  state: RaftState,
  payloads: readonly Buffer[],
  effects: RaftEffect[],
): void {
  assert.equal(state.role, "leader", "only a leader appends");
  const first = state.log.lastIndex + 1;
  const entries = payloads.map((payload, i): LogEntry => ({
    index: first + i,
    term: state.term,
    kind: 1,
    payload,
  }));
  append(state, entries, effects);
}

function append(state: RaftState, entries: readonly LogEntry[], effects: RaftEffect[]): void {
  state.log.append(state.term, entries.length);
  const token: PersistToken = {
    roleEpoch: state.roleEpoch,
    term: state.term,
    lastIndex: state.log.lastIndex,
    lastTerm: state.term,
    hardState: undefined,
  };
  effects.push({ type: "persist", hardState: undefined, entries, token });
}

/** Own entries have become durable: the leader counts itself up to there, never further. */
export function onLogPersisted(state: RaftState, token: PersistToken, effects: RaftEffect[]): void {
  // The write may have been overtaken by a truncation and other entries at the same indexes:
  // only if the log still holds that term there is it this log that became durable.
  if (state.log.termAt(token.lastIndex) !== token.lastTerm) return;
  if (token.lastIndex > state.durableIndex) state.durableIndex = token.lastIndex;
  if (state.role !== "leader" || token.roleEpoch !== state.roleEpoch) return;
  state.matched.set(state.replicaId, state.durableIndex);
  advanceCommit(state, effects);
}

function advanceCommit(state: RaftState, effects: RaftEffect[]): void {
  const index = quorumIndex(state.membership.voters, state.matched);
  if (index <= state.commitIndex) return;
  // Figure 8: counting replicas proves nothing for an entry of an older term.
  if (state.log.termAt(index) !== state.term) return;
  const from = state.commitIndex;
  state.commitIndex = index;
  effects.push({ type: "commit", from, to: index });
}
