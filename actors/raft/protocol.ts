// What goes in and out of a Raft replica's core: every message between replicas, every event it steps
// on and every effect it asks for. The core is pure: it reads no clock, no dice, no disk; each event
// carries what it needs.

import type { HardState, LogEntry } from "../../storage/journal/types.ts";
import type { Peer } from "../../storage/local-records.ts";

/** The shortest time a follower keeps faith with a leader, ms (`electionTimeoutMs` lies above it). */
export const minElectionTimeoutMs = 1500;

/** Visible role of a replica (paper section 5.1; pre-candidate: thesis section 9.6). */
export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** Who takes part. Both ascending, disjoint; replicaIds are never reused (`safety.md` 11). */
export interface Membership {
  /** They vote, and a majority of them commits. */
  readonly voters: readonly number[];
  /** They get the log and count for nothing. */
  readonly learners: readonly number[];
}

interface Addressed {
  /** replicaIds. A message to another replica than the receiver is dropped. */
  readonly from: number;
  readonly to: number;
  /** The sender's term (of a granted pre-vote: the term asked for). */
  readonly term: number;
}

/** Messages between replicas of one region. Every one names term, sender and addressee. */
export type RaftMessage =
  | (Addressed & {
      readonly type: "vote.request";
      /** True: a poll that changes nothing at the receiver (pre-vote). */
      readonly pre: boolean;
      /** True: the leader asked for this election (timeout.now); promises do not stand against it. */
      readonly transfer: boolean;
      readonly lastIndex: number;
      readonly lastTerm: number;
    })
  | (Addressed & { readonly type: "vote.reply"; readonly pre: boolean; readonly granted: boolean })
  | (Addressed & {
      readonly type: "append.request";
      readonly prevIndex: number;
      readonly prevTerm: number;
      readonly commitIndex: number;
      /** Consecutive from prevIndex + 1; empty = a probe or news of the commit index. */
      readonly entries: readonly LogEntry[];
      /** The leader's monotonic clock when it left; comes back in the reply. */
      readonly sentAtMs: number;
    })
  | (Addressed & {
      readonly type: "append.reply";
      /** Matched: the follower's log agrees with the leader's and is *durable* up to `index`. */
      readonly matched: boolean;
      /** Matched: as above. Otherwise a hint: the last index of its log at which both may still agree. */
      readonly index: number;
      /** Term of the hint's entry; 0 when matched. */
      readonly hintTerm: number;
      /** How far the follower knows the log to be committed. */
      readonly commitIndex: number;
      /** Of the request answered: the lease counts from there. */
      readonly sentAtMs: number;
      /** How long the follower will grant nobody else a vote, from its receiving of the request, ms. */
      readonly promiseMs: number;
    })
  /** Leader to its successor: stand for election at once (thesis section 3.10). */
  | (Addressed & { readonly type: "timeout.now" });

export type RaftEvent =
  /** The store's tick: only wakes the core; time is `nowMs`, monotonic, read fresh by the caller. */
  | { readonly type: "raft.tick"; readonly nowMs: number; readonly electionTimeoutMs: number }
  | { readonly type: "raft.message"; readonly nowMs: number; readonly message: RaftMessage }
  /**
   * Follower or learner: the leader's node said in a heartbeat that it leads this region in `term`
   * (`safety.md` 16). Renews the promise like an append. Whether the replica is then a live follower
   * of that leader in that term is asked with `follows(state, leader, term)`.
   */
  | {
      readonly type: "raft.heard";
      readonly nowMs: number;
      readonly leader: number;
      readonly term: number;
    }
  /**
   * Leader: the node of replica `from` acknowledged a heartbeat that named (region, term) and did not
   * except this region. `sentAtMs` = when that heartbeat left here; `round` = its number, monotone per
   * process, for reads.
   */
  | {
      readonly type: "raft.evidence";
      readonly nowMs: number;
      readonly from: number;
      readonly term: number;
      readonly sentAtMs: number;
      readonly round: number;
      readonly promiseMs: number;
    }
  /** The leader's node is known to be another process now, or no longer names the region. */
  | { readonly type: "raft.leaderLost"; readonly leader: number; readonly nowMs: number }
  /**
   * Leader only, and only when `canPropose` has said yes in the same synchronous step: append these
   * payloads, one entry each. Returns through the core's `lastIndex`.
   */
  | { readonly type: "raft.propose"; readonly nowMs: number; readonly payloads: readonly Buffer[] }
  /**
   * Leader only, and only when `membershipRefusal` has had nothing against it in the same synchronous
   * step: append this change. It is in force from now on and final when its entry is committed.
   */
  | {
      readonly type: "raft.changeMembership";
      readonly membership: Membership;
      /** Where each member lives. */
      readonly peers: readonly Peer[];
      readonly nowMs: number;
    }
  /** Leader only: hand over to this voter; it is caught up first, given up after one election timeout. */
  | { readonly type: "raft.transfer"; readonly to: number; readonly nowMs: number }
  /** A persist effect is durable. Stale ones (older `token`) release nothing that a newer role owns. */
  | { readonly type: "raft.persisted"; readonly token: PersistToken; readonly nowMs: number }
  /** The state machine has applied up to here. */
  | { readonly type: "raft.applied"; readonly index: number; readonly nowMs: number }
  /**
   * Leader: a snapshot stream to a peer ended, always reported, also when the peer or the stream is
   * gone. `index` = what it covered. Proves nothing about the peer's disk: its next append.reply does.
   */
  | {
      readonly type: "raft.snapshotSent";
      readonly to: number;
      readonly index: number;
      readonly ok: boolean;
      readonly nowMs: number;
    }
  /**
   * Follower: a snapshot beyond what is applied lies durably in the engine (data flipped, `safety.md`
   * 8), and nothing older is being applied any more. Its position replaces the log by a `persist` with
   * `reset`, unless the log already holds (index, term): then its suffix stays. Acknowledged when the
   * journal has it. The shell applies on from `index`.
   */
  | {
      readonly type: "raft.installed";
      readonly index: number;
      readonly term: number;
      /** The newest at or below `index`, and the index of its entry. */
      readonly membership: Membership;
      readonly membershipIndex: number;
      readonly peers: readonly Peer[];
      readonly nowMs: number;
    }
  /** Entries up to here are covered by the synced marker and cut from the journal. */
  | { readonly type: "raft.compacted"; readonly index: number };

/** A place in a log. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** Names a persist effect: which role incarnation asked and what becomes durable with it. */
export interface PersistToken {
  /** Counts role changes; a token of an older epoch proves durability but releases no message. */
  readonly roleEpoch: number;
  readonly term: number;
  /** Last log index covered (0 = none: term and vote alone) and its term. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly hardState: HardState | undefined;
}

/** Performed strictly in order by the shell (`perform.ts`), one case per effect. */
export type RaftEffect =
  /**
   * Make durable; then step `raft.persisted` with the token. A vote or term is durable before any
   * message or role that shows it (paper figure 2, "updated on stable storage before responding").
   * Entries at or behind existing indexes replace everything from there on; `reset` drops the whole
   * log and begins it anew behind that position.
   */
  | {
      readonly type: "persist";
      readonly hardState: HardState | undefined;
      readonly reset: LogPosition | undefined;
      readonly entries: readonly LogEntry[];
      readonly token: PersistToken;
    }
  /** Send now (everything it depends on is durable already). */
  | { readonly type: "send"; readonly message: RaftMessage }
  /**
   * Send an append.request with the entries [first, last] of the own log (in memory or read from the
   * journal; consecutive). When they cannot be read any more, or the role has changed meanwhile
   * (`roleEpoch`), it is dropped: the core probes again by itself.
   */
  | {
      readonly type: "sendEntries";
      readonly to: number;
      readonly term: number;
      readonly roleEpoch: number;
      readonly prevIndex: number;
      readonly prevTerm: number;
      readonly commitIndex: number;
      readonly first: number;
      readonly last: number;
    }
  /** The peer needs what the log has let go: stream it the applied state, then step `raft.snapshotSent`. */
  | { readonly type: "sendSnapshot"; readonly to: number; readonly term: number }
  /** commitIndex moved: entries (from, to] are ready to apply and their replies may leave. */
  | { readonly type: "commit"; readonly from: number; readonly to: number }
  /** Entries from here on are gone from the log (a conflict): whoever holds them in memory forgets them. */
  | { readonly type: "truncate"; readonly from: number }
  /**
   * Another membership is in force, by the entry at `index`; after a truncation an older one again.
   * `peers` says where its members live.
   */
  | {
      readonly type: "membership";
      readonly membership: Membership;
      readonly peers: readonly Peer[];
      readonly index: number;
    }
  /** Role or term changed: throw away what only the old role knew. */
  | { readonly type: "role"; readonly role: Role; readonly term: number; readonly leader: number };
