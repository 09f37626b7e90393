// The state of one Raft replica's core: one object per region, changed only by the functions of
// this room. One sentence per field says what always holds.

import type { HardState } from "../../storage/journal/types.ts";
import { LogView } from "./log-view.ts";
import type { Membership, RaftEffect, RaftMessage, Role } from "./protocol.ts";

/** The shortest time a follower keeps faith with a leader, ms (`electionTimeoutMs` lies above it). */
export const minElectionTimeoutMs = 1500;

/** What a replica starts from: its durable past and the instant it starts. */
export interface ReplicaStart {
  readonly replicaId: number;
  readonly membership: Membership;
  readonly hardState: HardState;
  /** Applied, hence committed, up to here. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /** Entries behind the applied position that the log still holds, oldest first: their terms. */
  readonly terms: readonly number[];
  readonly nowMs: number;
}

export interface RaftState {
  readonly replicaId: number;
  membership: Membership;
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
  /** Goes up with every change of role or term: names the incarnation a persist belongs to. */
  roleEpoch: number;
  /** Who granted in the current (pre-)election. */
  readonly granted: Set<number>;
  /** Leader: highest durable index per voter, itself included. */
  readonly matched: Map<number, number>;
  /** When this replica last heard a leader, granted a vote or started, monotonic ms. */
  heardAtMs: number;
  /** Term and vote as the disk is known to hold them; behind `term` and `vote` while a write is under way. */
  durableHardState: HardState;
  /** Vote reply that waits until the vote is durable. */
  pendingVote: RaftMessage | undefined;
}

/** A follower as it stands after start; it takes part in nothing until it is stepped. */
export function startState(start: ReplicaStart): RaftState {
  const log = new LogView(start.appliedIndex, start.appliedTerm);
  for (const term of start.terms) log.append(term, 1);
  return {
    replicaId: start.replicaId,
    membership: start.membership,
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
    granted: new Set(),
    matched: new Map(),
    heardAtMs: start.nowMs,
    durableHardState: start.hardState,
    pendingVote: undefined,
  };
}

/** True when no other voter was ever named: nobody can hold a promise of this replica (`safety.md` 17). */
export function isAlone(state: RaftState): boolean {
  return state.membership.voters.length === 1 && state.membership.voters[0] === state.replicaId;
}

/** False while term or vote are on their way to the disk: until then nobody may see them. */
export function isVoteDurable({ durableHardState, term, vote }: RaftState): boolean {
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
  state.matched.clear();
  state.noopIndex = 0;
  state.pendingVote = undefined;
  effects.push({ type: "role", role, term: state.term, leader });
}

/** Asks for term and vote to become durable; what shows them waits for `raft.persisted`. */
export function persistVote(state: RaftState, effects: RaftEffect[]): void {
  const hardState: HardState = { term: state.term, vote: state.vote };
  effects.push({
    type: "persist",
    hardState,
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
