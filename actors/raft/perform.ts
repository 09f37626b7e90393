// The only file of the room that acts: one case per effect of the core, in the order the core gave
// them. What acting means on this node (journal, mailboxes, state machine) is behind the listener.

import type { HardState, LogEntry } from "../../storage/journal/types.ts";
import type { Peer } from "../../storage/local-records.ts";
import type {
  LogPosition,
  Membership,
  PersistToken,
  RaftEffect,
  RaftMessage,
  Role,
} from "./protocol.ts";

type SendEntries = Extract<RaftEffect, { type: "sendEntries" }>;

/** What writes and sends for the core. */
export interface ReplicaWriter {
  /** Makes it durable, in the order of the calls, then steps `raft.persisted` with the token. */
  persist(
    hardState: HardState | undefined,
    entries: readonly LogEntry[],
    token: PersistToken,
    reset: LogPosition | undefined,
  ): void;
  /** Hands a message to the transport; it may be lost. */
  send(message: RaftMessage): void;
  /** Sends an append with these entries of the own log; dropped when they cannot be read any more. */
  sendEntries(effect: SendEntries): void;
  /** Streams the applied state to a peer, then steps `raft.snapshotSent`. */
  sendSnapshot(to: number, term: number): void;
  /** Entries from here on are gone from the log. */
  truncate(from: number): void;
}

/** What hears of the core's news. */
export interface ReplicaListener {
  /** Entries (from, to] are committed: release what waited for them and apply them. */
  commit(from: number, to: number): void;
  /** Another membership is in force, by the entry at `index` (not committed yet, or restored). */
  changeMembership(membership: Membership, peers: readonly Peer[], index: number): void;
  /** The role changed: forget what only the old one knew. */
  changeRole(role: Role, term: number, leader: number): void;
}

/** Performs the effects of one step. */
export function perform(
  effects: readonly RaftEffect[],
  writer: ReplicaWriter,
  listener: ReplicaListener,
): void {
  for (const effect of effects) {
    switch (effect.type) {
      case "persist":
        writer.persist(effect.hardState, effect.entries, effect.token, effect.reset);
        break;
      case "send":
        writer.send(effect.message);
        break;
      case "sendEntries":
        writer.sendEntries(effect);
        break;
      case "sendSnapshot":
        writer.sendSnapshot(effect.to, effect.term);
        break;
      case "truncate":
        writer.truncate(effect.from);
        break;
      case "commit":
        listener.commit(effect.from, effect.to);
        break;
      case "membership":
        listener.changeMembership(effect.membership, effect.peers, effect.index);
        break;
      case "role":
        listener.changeRole(effect.role, effect.term, effect.leader);
        break;
      default:
        effect satisfies never;
    }
  }
}
