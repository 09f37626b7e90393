// Linearizable reads without a log entry: the leader's lease and ReadIndex rounds (thesis section 6.4),
// and the same evidence for check-quorum (section 6.2). All three ask: what has a majority last
// acknowledged, counted from when the leader *sent* it.

import { countPromise } from "./progress.ts";
import type { RaftEffect, RaftEvent } from "./protocol.ts";
import { quorumValue } from "./quorum.ts";
import { becomeRole, type RaftState } from "./state.ts";

type EvidenceEvent = Extract<RaftEvent, { type: "raft.evidence" }>;
type Tick = Extract<RaftEvent, { type: "raft.tick" }>;

/** The longest a lease can last, ms (`safety.md` 15). */
export const leaseMs = 1000;
/** How much of a follower's promise may be used: its clock may run faster than the leader's. */
const promiseShare = 0.97;

/** A heartbeat that named this leader and term was acknowledged by the peer's node. */
export function onEvidence(state: RaftState, event: EvidenceEvent): void {
  const progress = state.progress.get(event.from);
  if (state.role !== "leader" || event.term !== state.term || progress === undefined) return;
  countPromise(progress, event, event.nowMs);
  progress.round = Math.max(progress.round, event.round);
  progress.heardAtMs = Math.max(progress.heardAtMs, event.nowMs);
}

/** Until when a majority has promised to elect nobody else, monotonic ms; own vote = for ever. */
function leaseUntilMs(state: Readonly<RaftState>): number {
  return quorumValue(state.membership.voters, (voter) => {
    if (voter === state.replicaId) return Infinity;
    const progress = state.progress.get(voter);
    if (progress === undefined) return -Infinity;
    return progress.ackedSentAtMs + Math.min(leaseMs, promiseShare * progress.promiseMs);
  });
}

/**
 * True: what is read now, at `nowMs` taken fresh after the request came, is what a linearizable read
 * may show, as far as leadership goes. Not before the own term's no-op is applied (section 8), and
 * never again in a term in which a hand-over was begun (`safety.md` 18).
 */
export function canRead(state: Readonly<RaftState>, nowMs: number): boolean {
  if (!isExact(state) || state.isLeaseForfeited) return false;
  return nowMs < leaseUntilMs(state);
}

/** Everything that was committed before this term began is known here and applied. */
function isExact({ role, noopIndex, appliedIndex }: Readonly<RaftState>): boolean {
  return role === "leader" && noopIndex > 0 && appliedIndex >= noopIndex;
}

/**
 * A majority acknowledged a heartbeat of this round or a later one to this leader in this term: it led
 * when that round began. As little as a lease before the own term's no-op is applied.
 */
export function readConfirmed(state: Readonly<RaftState>, round: number): boolean {
  if (!isExact(state)) return false;
  const confirmed = quorumValue(state.membership.voters, (voter) =>
    voter === state.replicaId ? Infinity : (state.progress.get(voter)?.round ?? 0),
  );
  return confirmed >= round;
}

/** Check-quorum: false when the leader has stepped down because a majority is out of sight. */
export function onQuorumTick(state: RaftState, event: Tick, effects: RaftEffect[]): boolean {
  if (event.nowMs - quorumHeardAtMs(state) < event.electionTimeoutMs) return true;
  becomeRole(state, "follower", state.term, 0, effects);
  state.waitsFromMs = event.nowMs;
  return false;
}

/** When the newest of what a majority has acknowledged left this leader, monotonic ms. */
export function quorumHeardAtMs(state: Readonly<RaftState>): number {
  return quorumValue(state.membership.voters, (voter) =>
    voter === state.replicaId ? Infinity : (state.progress.get(voter)?.ackedSentAtMs ?? -Infinity),
  );
}
