// Handing leadership over (thesis section 3.10): the successor is brought up to the leader's log, then
// told to stand for election at once. One hand-over at a time, given up when it takes too long.

import type { RaftEffect } from "./protocol.ts";
import { minElectionTimeoutMs } from "./protocol.ts";
import type { RaftState } from "./state.ts";

/** Begins a hand-over to this voter; nothing happens when one is under way or it cannot be. */
export function onTransfer(
  state: RaftState,
  to: number,
  nowMs: number,
  effects: RaftEffect[],
): void {
  if (state.role !== "leader" || state.transfer !== undefined || to === state.replicaId) return;
  if (!state.membership.voters.includes(to)) return;
  // Before the no-op is committed the successor's log cannot be known to be complete.
  if (state.commitIndex < state.noopIndex || state.noopIndex === 0) return;
  state.transfer = { to, startedAtMs: nowMs };
  onTransferProgress(state, to, effects);
}

/** The successor has come nearer: with everything durable there it is told. */
export function onTransferProgress(state: RaftState, peer: number, effects: RaftEffect[]): void {
  if (state.transfer?.to !== peer) return;
  if (state.progress.get(peer)?.match !== state.log.lastIndex) return;
  // The election ignores promises: from here on no lease of this term proves anything.
  state.isLeaseForfeited = true;
  effects.push(timeoutNow(state, peer));
}

/**
 * A successor that does not come may not have been reached: it is told again. In the end it is given
 * up: proposals go on here, without a lease if it was told.
 */
export function onTransferTick(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  const { transfer } = state;
  if (transfer === undefined) return;
  if (nowMs - transfer.startedAtMs >= minElectionTimeoutMs) state.transfer = undefined;
  else onTransferProgress(state, transfer.to, effects);
}

/** While true the leader appends nothing: the successor must be able to catch up. */
export function isTransferring(state: Readonly<RaftState>): boolean {
  return state.transfer !== undefined;
}

/** The voter with the longest log that holds everything committed. */
export function bestSuccessor(state: Readonly<RaftState>): number | undefined {
  let best: number | undefined;
  let bestMatch = state.commitIndex;
  for (const voter of state.membership.voters) {
    const match = state.progress.get(voter)?.match ?? 0;
    if (match < bestMatch || (best !== undefined && match === bestMatch)) continue;
    best = voter;
    bestMatch = match;
  }
  return best;
}

/** "Stand for election now"; the sender must not use its lease again in this term (`safety.md` 18). */
export function timeoutNow({ replicaId, term }: Readonly<RaftState>, to: number): RaftEffect {
  return { type: "send", message: { type: "timeout.now", from: replicaId, to, term } };
}
