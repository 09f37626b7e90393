// The state of one Raft replica's core: one object per region, changed only by the functions of
// this room. One sentence per field says what always holds.

import type { HardState } from "../../storage/journal/types.ts";
import type { Peer } from "../../storage/local-records.ts";
import { LogView } from "./log-view.ts";
import { decodeMembership, type MembershipAt } from "./membership.ts";
import type { Membership, RaftEffect, RaftMessage, Role } from "./protocol.ts";
import { newProgress, type Progress } from "./progress.ts";

/** What a replica starts from: its durable past and the instant it starts. */
export interface ReplicaStart {
  readonly replicaId: number;
  /** As of `appliedIndex` at the latest, and the index of its entry (0 = since it was created). */
  readonly membership: Membership;
  readonly membershipIndex: number;
  readonly peers: readonly Peer[];
  readonly hardState: HardState;
  /** Where the log as the core sees it begins; nothing at or below is sent to anybody. */
  readonly prevIndex: number;
  readonly prevTerm: number;
  /** Applied, hence committed, up to here; prevIndex or above. */
  readonly appliedIndex: number;
  /** The log's entries behind `prevIndex`, oldest first. */
  readonly entries: readonly StartEntry[];
  readonly nowMs: number;
}

/** What the core has to know of an entry that it starts with. */
export interface StartEntry {
  readonly term: number;
  /** Of its payload. */
  readonly bytes: number;
  /** The payload itself when it is a change of membership (kind 2). */
  readonly membership?: Buffer;
}

/** An acknowledgement that waits until what it speaks of is durable. */
export interface PendingAck {
  /** The log agrees with the leader's up to here. */
  readonly index: number;
  /** The newest of the appends. */
  readonly sentAtMs: number;
}

/** A leadership being handed over. */
export interface Transfer {
  readonly to: number;
  readonly startedAtMs: number;
}

export interface RaftState {
  readonly replicaId: number;
  /** The newest in the log, committed or not. */
  membership: Membership;
  /** Index of its entry; above `commitIndex` = a change is under way. */
  membershipIndex: number;
  /** Where its members live, as its entry says. */
  peers: readonly Peer[];
  /** Those before it that a truncation could bring back, oldest first. */
  readonly olderMemberships: MembershipAt[];
  role: Role;
  /** Never decreases; durable before anyone sees it. */
  term: number;
  /** Who got this replica's vote in `term`; 0 = nobody. */
  vote: number;
  /** replicaId of the leader of `term` as far as known; 0 = unknown. */
  leader: number;
  readonly log: LogView;
  /** Highest index known to be on a majority of durable logs; never decreases. */
  commitIndex: number;
  /** Highest index the state machine holds; appliedIndex <= commitIndex. */
  appliedIndex: number;
  /** Own log is durable up to here; a leader counts itself only this far (`safety.md` 7). */
  durableIndex: number;
  /** Index of the no-op this leader opened its term with; 0 while not leading. */
  noopIndex: number;
  /** Goes up with every change of role, term or leader: names the incarnation a persist belongs to. */
  roleEpoch: number;
  /** `roleEpoch` of the last truncation: what was queued before it proves nothing about the log now. */
  truncatedEpoch: number;
  /** Who granted in the current (pre-)election. */
  readonly granted: Set<number>;
  /** Whether the current election was asked for by the leader. */
  isTransferElection: boolean;
  /** Leader: what is known of every other replica. */
  readonly progress: Map<number, Progress>;
  /** When it last heard its leader, or started: it votes for nobody else for `minElectionTimeoutMs`. */
  heardAtMs: number;
  /** From when it counts the time until it stands for election, monotonic ms. */
  waitsFromMs: number;
  /** Term and vote as the disk is known to hold them; behind `term` and `vote` while a write is under way. */
  durableHardState: HardState;
  /** Vote reply that waits until the vote is durable. */
  pendingVote: RaftMessage | undefined;
  /** Follower: `roleEpoch` in which an append came, so that the leader knows how far this log agrees. */
  probedEpoch: number;
  /** Follower: the append that is to be acknowledged once it is durable. */
  pendingAck: PendingAck | undefined;
  /** Leader: a hand-over under way. */
  transfer: Transfer | undefined;
  /** Leader: timeout.now was sent in this term, so its lease is void to the end of it (`safety.md` 18). */
  isLeaseForfeited: boolean;
}

/** A follower as it stands after start; it takes part in nothing until it is stepped. */
export function startState(start: ReplicaStart): RaftState {
  const log = new LogView(start.prevIndex, start.prevTerm);
  const memberships: MembershipAt[] = [
    { index: start.membershipIndex, membership: start.membership, peers: start.peers },
  ];
  for (const { term, bytes, membership } of start.entries) {
    log.append(term, bytes);
    if (membership === undefined || log.lastIndex <= start.membershipIndex) continue;
    memberships.push({ index: log.lastIndex, ...decodeMembership(membership) });
  }
  const { membership, peers, index } = memberships.pop() as MembershipAt;
  return {
    replicaId: start.replicaId,
    membership,
    membershipIndex: index,
    peers,
    olderMemberships: memberships,
    role: "follower",
    term: start.hardState.term,
    vote: start.hardState.vote,
    leader: 0,
    log,
    commitIndex: start.appliedIndex,
    appliedIndex: start.appliedIndex,
    durableIndex: log.lastIndex,
    noopIndex: 0,
    roleEpoch: 0,
    truncatedEpoch: 0,
    granted: new Set(),
    isTransferElection: false,
    progress: new Map(),
    // It may have promised before it stopped: it behaves as if it had just heard a leader.
    heardAtMs: start.nowMs,
    waitsFromMs: start.nowMs,
    durableHardState: start.hardState,
    pendingVote: undefined,
    probedEpoch: -1,
    pendingAck: undefined,
    transfer: undefined,
    isLeaseForfeited: false,
  };
}

/**
 * True when no other voter was ever named: nobody can hold a promise of this replica. A group that
 * shrank to one voter is another matter (`safety.md` 17).
 */
export function isAlone(state: Readonly<RaftState>): boolean {
  const { voters } = state.membership;
  return voters.length === 1 && voters[0] === state.replicaId && state.membershipIndex === 0;
}

/** False while term or vote are on their way to the disk: until then nobody may see them. */
export function isVoteDurable({ durableHardState, term, vote }: Readonly<RaftState>): boolean {
  return durableHardState.term === term && durableHardState.vote === vote;
}

/** Changes role and term in one step and tells the shell; everything of the old role is void. */
export function becomeRole(
  state: RaftState,
  role: Role,
  term: number,
  leader: number,
  effects: RaftEffect[],
): void {
  if (term > state.term) {
    state.term = term;
    state.vote = 0;
  }
  state.role = role;
  state.leader = leader;
  state.roleEpoch++;
  state.granted.clear();
  state.progress.clear();
  state.noopIndex = 0;
  state.pendingVote = undefined;
  state.pendingAck = undefined;
  state.transfer = undefined;
  state.isLeaseForfeited = false;
  effects.push({ type: "role", role, term: state.term, leader });
}

/** Follows into a newer term that somebody showed; who leads it is not known. */
export function adoptTerm(
  state: RaftState,
  term: number,
  nowMs: number,
  effects: RaftEffect[],
): void {
  // A leader has not waited for anybody; it does not stand again at once.
  if (state.role === "leader") state.waitsFromMs = nowMs;
  becomeRole(state, "follower", term, 0, effects);
  persistVote(state, effects);
}

/** A new leader knows nothing yet of the others. */
export function startProgress(state: RaftState, nowMs: number): void {
  const { voters, learners } = state.membership;
  for (const peer of [...voters, ...learners]) {
    if (peer !== state.replicaId) state.progress.set(peer, newProgress(state.log.lastIndex, nowMs));
  }
}

/** Asks for term and vote to become durable; what shows them waits for `raft.persisted`. */
export function persistVote(state: RaftState, effects: RaftEffect[]): void {
  const hardState: HardState = { term: state.term, vote: state.vote };
  effects.push({
    type: "persist",
    hardState,
    reset: undefined,
    entries: [],
    token: {
      roleEpoch: state.roleEpoch,
      term: state.term,
      lastIndex: 0,
      lastTerm: 0,
      hardState,
    },
  });
}
