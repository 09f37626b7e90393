// Who takes part, changed one replica at a time (thesis sections 4.1 to 4.3; `safety.md` 20): what is in
// force as the log grows and is cut, and which changes a leader refuses. Appending and committing a
// change is `leading.ts`, its bytes are `membership.ts`.

import assert from "node:assert/strict";
import type { MembershipAt, MembershipRecord } from "./membership.ts";
import type { Membership, RaftEffect } from "./protocol.ts";
import { minElectionTimeoutMs } from "./protocol.ts";
import type { RaftState } from "./state.ts";
import { isTransferring } from "./transfer.ts";

/** A learner this close behind the leader's log may become a voter, in bytes and in entries. */
const caughtUpBytes = 256 * 1024;
const caughtUpEntries = 1000;

/** The entry at `index` is in the log: what it says is in force at once (thesis section 4.1). */
export function adoptMembership(
  state: RaftState,
  index: number,
  record: MembershipRecord,
  effects: RaftEffect[],
): void {
  const { membership, peers, membershipIndex } = state;
  assert(index > membershipIndex, "changes follow each other");
  state.olderMemberships.push({ index: membershipIndex, membership, peers });
  enforce(state, { index, ...record }, effects);
}

function enforce(state: RaftState, now: MembershipAt, effects: RaftEffect[]): void {
  const { index, membership, peers } = now;
  state.membership = membership;
  state.peers = peers;
  state.membershipIndex = index;
  effects.push({ type: "membership", membership, peers, index });
}

/** The log is cut from `from` on: what was in force before is in force again. */
export function rollBackMembership(state: RaftState, from: number, effects: RaftEffect[]): void {
  while (state.membershipIndex >= from) {
    const older = state.olderMemberships.pop();
    assert(older !== undefined, "a committed membership is never cut");
    enforce(state, older, effects);
  }
}

/** Nothing at or below this index is ever cut: what is older than the newest there can go. */
export function forgetMemberships(state: RaftState, committed: number): void {
  const older = state.olderMemberships;
  while (older.length > 0 && (older[1]?.index ?? state.membershipIndex) <= committed) older.shift();
}

/** A snapshot says what is in force at its position; what the log says behind it is newer. */
export function installMembership(
  state: RaftState,
  installed: MembershipAt,
  upTo: number,
  effects: RaftEffect[],
): void {
  const older = state.olderMemberships;
  while (older.length > 0 && (older[0]?.index ?? 0) <= upTo) older.shift();
  if (state.membershipIndex > upTo) {
    older.unshift(installed);
    return;
  }
  enforce(state, installed, effects);
}

/** True when this replica's vote counts, by the newest membership it knows. */
export function isVoter({ membership, replicaId }: Readonly<RaftState>): boolean {
  return membership.voters.includes(replicaId);
}

/**
 * True when this replica may be elected. A voter whose removal is not committed may too, though its own
 * vote counts no more: perhaps nobody else has a log long enough (thesis section 4.2.2).
 */
export function mayLead(state: Readonly<RaftState>): boolean {
  if (isVoter(state)) return true;
  const older = state.olderMemberships.at(-1);
  const isFinal = state.membershipIndex <= state.commitIndex;
  return !isFinal && older?.membership.voters.includes(state.replicaId) === true;
}

/** True when this replica is to have the log, by the newest membership it knows. */
export function isMember(state: Readonly<RaftState>): boolean {
  return isVoter(state) || state.membership.learners.includes(state.replicaId);
}

/** Leader: the learner has nearly all of the log and is there to take the rest. */
export function isCaughtUp(state: Readonly<RaftState>, replicaId: number, nowMs: number): boolean {
  const progress = state.progress.get(replicaId);
  if (progress === undefined || progress.mode !== "replicate") return false;
  // Before it has the entry that took it in, it knows of no membership and would grant no vote.
  if (progress.match < state.membershipIndex) return false;
  const { lastIndex } = state.log;
  const isNear =
    lastIndex - progress.match <= caughtUpEntries &&
    state.log.bytesBetween(progress.match, lastIndex) <= caughtUpBytes;
  return isNear && nowMs - progress.heardAtMs < minElectionTimeoutMs;
}

/**
 * Why this replica cannot make that change now; undefined = it can. A change moves one replica one
 * step: nobody -> learner -> voter, and from either back to learner or nobody.
 */
export function membershipRefusal(
  state: Readonly<RaftState>,
  { membership, peers }: MembershipRecord,
  nowMs: number,
): string | undefined {
  if (state.role !== "leader") return "not the leader";
  // Two leaders that each append one change to the same base could elect two (Ongaro, 2015).
  if (state.noopIndex === 0 || state.commitIndex < state.noopIndex) {
    return "no entry of this term is committed yet";
  }
  if (state.membershipIndex > state.commitIndex) return "another change is not committed yet";
  if (isTransferring(state)) return "leadership is being handed over";
  const homeless = members(membership).find((id) => !peers.some((peer) => peer.replicaId === id));
  if (homeless !== undefined) return `nobody says where replica ${homeless} lives`;
  return shapeRefusal(state.membership, membership) ?? gateRefusal(state, membership, nowMs);
}

const members = ({ voters, learners }: Membership): number[] => [...voters, ...learners];

function standing({ voters, learners }: Membership, id: number): string {
  if (voters.includes(id)) return "voter";
  return learners.includes(id) ? "learner" : "nobody";
}

function shapeRefusal(now: Membership, next: Membership): string | undefined {
  if (next.voters.length === 0) return "nobody would vote";
  if (new Set(members(next)).size !== members(next).length) return "a replica is named twice";
  const moved = [...new Set([...members(now), ...members(next)])].filter(
    (id) => standing(now, id) !== standing(next, id),
  );
  if (moved.length !== 1) return `${moved.length} replicas would change, it must be one`;
  const isJump = moved.some((id) => standing(now, id) === "nobody" && next.voters.includes(id));
  return isJump ? "a voter has to be a learner first" : undefined;
}

function gateRefusal(
  state: Readonly<RaftState>,
  next: Membership,
  nowMs: number,
): string | undefined {
  const promoted = next.voters.find((id) => !state.membership.voters.includes(id));
  if (promoted === undefined || isCaughtUp(state, promoted, nowMs)) return undefined;
  return `learner ${promoted} is not caught up`;
}
