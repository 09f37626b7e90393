// The only file of the room that acts: one case per effect of the core, in the order the core gave
// them. What acting means on this node (journal, mailboxes, state machine) is behind the ports.

import type { PersistToken, RaftEffect, RaftMessage, Role } from "./protocol.ts";
import type { HardState, LogEntry } from "../../storage/journal/types.ts";

/** What a replica's shell can do for its core. */
export interface ReplicaPorts {
  /** Makes it durable, then steps `raft.persisted` with the token. */
  persist(
    hardState: HardState | undefined,
    entries: readonly LogEntry[],
    token: PersistToken,
  ): void;
  /** Hands a message to the transport; it may be lost. */
  send(message: RaftMessage): void;
  /** Entries (from, to] are committed: release what waited for them and apply them. */
  commit(from: number, to: number): void;
  /** The role changed: forget what only the old one knew. */
  changeRole(role: Role, term: number, leader: number): void;
}

/** Performs the effects of one step. */
export function perform(effects: readonly RaftEffect[], ports: ReplicaPorts): void {
  for (const effect of effects) {
    switch (effect.type) {
      case "persist":
        ports.persist(effect.hardState, effect.entries, effect.token);
        break;
      case "send":
        ports.send(effect.message);
        break;
      case "commit":
        ports.commit(effect.from, effect.to);
        break;
      case "role":
        ports.changeRole(effect.role, effect.term, effect.leader);
        break;
      default:
        effect satisfies never;
    }
  }
}
