// What goes in and out of a Raft replica's core: every event it steps on and every effect it asks
// for. The core is pure: it reads no clock, no dice, no disk; each event carries what it needs.

import type { HardState, LogEntry } from "../../storage/journal/types.ts";

/** Visible role of a replica (paper section 5.1; pre-candidate: thesis section 9.6). */
export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** Who votes. Learners and changes of membership come with the multi-node work. */
export interface Membership {
  /** replicaIds, ascending. */
  readonly voters: readonly number[];
}

/** Messages between replicas of one region. Every one names term, sender and addressee. */
export type RaftMessage =
  | {
      readonly type: "vote.request";
      readonly from: number;
      readonly to: number;
      readonly term: number;
      /** True: a poll that changes nothing at the receiver (pre-vote). */
      readonly pre: boolean;
      readonly lastIndex: number;
      readonly lastTerm: number;
    }
  | {
      readonly type: "vote.reply";
      readonly from: number;
      readonly to: number;
      /** The sender's term; that of the request when a pre-vote is granted. */
      readonly term: number;
      readonly pre: boolean;
      readonly granted: boolean;
    };

export type RaftEvent =
  /** The store's tick: only wakes the core; time is `nowMs`, monotonic, read fresh by the caller. */
  | { readonly type: "raft.tick"; readonly nowMs: number; readonly electionTimeoutMs: number }
  | {
      readonly type: "raft.message";
      readonly nowMs: number;
      readonly message: RaftMessage;
      readonly electionTimeoutMs: number;
    }
  /** Leader only: append these payloads, one entry each. Returns through the core's `lastIndex`. */
  | { readonly type: "raft.propose"; readonly payloads: readonly Buffer[] }
  /** A persist effect is durable. Stale ones (older `token`) release nothing that a newer role owns. */
  | { readonly type: "raft.persisted"; readonly token: PersistToken }
  /** The state machine has applied up to here. */
  | { readonly type: "raft.applied"; readonly index: number };

/** Names a persist effect: which role incarnation asked and what becomes durable with it. */
export interface PersistToken {
  /** Counts role changes; a token of an older epoch proves durability but releases no message. */
  readonly roleEpoch: number;
  readonly term: number;
  /** Last log index covered (0 = none) and its term. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly hardState: HardState | undefined;
}

/** Performed strictly in order by the shell (`perform.ts`), one case per effect. */
export type RaftEffect =
  /**
   * Make durable; then step `raft.persisted` with the token. A vote or term is durable before any
   * message or role that shows it (paper figure 2, "updated on stable storage before responding").
   */
  | {
      readonly type: "persist";
      readonly hardState: HardState | undefined;
      readonly entries: readonly LogEntry[];
      readonly token: PersistToken;
    }
  /** Send now (everything it depends on is durable already). */
  | { readonly type: "send"; readonly message: RaftMessage }
  /** commitIndex moved: entries (from, to] are ready to apply and their replies may leave. */
  | { readonly type: "commit"; readonly from: number; readonly to: number }
  /** Role or term changed: throw away what only the old role knew. */
  | { readonly type: "role"; readonly role: Role; readonly term: number; readonly leader: number };
