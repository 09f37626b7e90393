// What must hold of Raft after every step (design raft.md section 3.2), judged from outside: by what is
// on the simulated disks, in the logs and on the wire, never by what the cores say of each other. It
// looks at the nodes of `raft-world.ts` and changes nothing.

import { canRead, readConfirmed } from "../../actors/raft/reads.ts";
import type { RaftMessage } from "../../actors/raft/protocol.ts";
import type { RaftState } from "../../actors/raft/state.ts";
import type { LogEntry } from "../../storage/journal/types.ts";
import type { Persist, RaftNode } from "./raft-node.ts";

/** An invariant does not hold. */
export class Broken extends Error {
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

function demand(condition: boolean, rule: string, what: () => string): asserts condition {
  if (!condition) throw new Broken(rule, what());
}

/** A core as it was before a step. */
export type Before = Pick<
  RaftState,
  "role" | "term" | "vote" | "commitIndex" | "appliedIndex" | "membership" | "membershipIndex"
>;

export const snapshotOf = (state: RaftState): Before => ({
  role: state.role,
  term: state.term,
  vote: state.vote,
  commitIndex: state.commitIndex,
  appliedIndex: state.appliedIndex,
  membership: state.membership,
  membershipIndex: state.membershipIndex,
});

interface Committed {
  readonly term: number;
  readonly payload: Buffer;
  /** Term of the leader that committed it. */
  readonly by: number;
}

const place = (index: number, term: number): number => term * 2 ** 24 + index;

export class RaftRules {
  readonly #nodes: readonly RaftNode[];
  /** Who led which term. */
  readonly leaders = new Map<number, number>();
  /** By index, from 1. */
  readonly committed: Committed[] = [{ term: 0, payload: Buffer.alloc(0), by: 0 }];
  /** By place: the entry and the term before it. */
  readonly #written = new Map<number, { readonly payload: Buffer; readonly prevTerm: number }>();
  readonly #hashes: number[] = [0];
  /** Reads that a lease or a round allowed. */
  leaseReads = 0;
  roundReads = 0;

  constructor(nodes: readonly RaftNode[]) {
    this.#nodes = nodes;
  }

  get maxCommitted(): number {
    return this.committed.length - 1;
  }

  afterStep(node: RaftNode, before: Before): void {
    const state = node.state as RaftState;
    demand(state.term >= before.term, "monotone term", () => `${before.term} -> ${state.term}`);
    demand(
      state.term > before.term || before.vote === 0 || state.vote === before.vote,
      "one vote a term",
      () => `${node.id} voted ${before.vote}, then ${state.vote} in ${state.term}`,
    );
    demand(state.commitIndex >= before.commitIndex, "monotone commit", () => `of ${node.id}`);
    demand(state.appliedIndex >= before.appliedIndex, "monotone applied", () => `of ${node.id}`);
    const { log, appliedIndex, commitIndex } = state;
    demand(
      log.prevIndex <= appliedIndex && appliedIndex <= commitIndex && commitIndex <= log.lastIndex,
      "order of indexes",
      () => `${log.prevIndex} <= ${appliedIndex} <= ${commitIndex} <= ${log.lastIndex}`,
    );
    if (state.membershipIndex > before.membershipIndex && before.role === "leader") {
      demand(
        before.membershipIndex <= before.commitIndex,
        "one change at a time",
        () => `${before.membershipIndex} is not committed at ${node.id}`,
      );
      const moved = difference(before.membership.voters, state.membership.voters);
      demand(moved <= 1, "overlapping majorities", () => `${moved} voters changed at once`);
    }
  }

  lead({ id, state, disk }: RaftNode, term: number): void {
    const other = this.leaders.get(term);
    demand(other === undefined, "election safety", () => `${other} and ${id} lead term ${term}`);
    this.leaders.set(term, id);
    const { hardState } = disk;
    demand(
      hardState.term === term && hardState.vote === id,
      "durable vote",
      () => `${id} leads ${term} by ${JSON.stringify(hardState)}`,
    );
    const { voters } = (state as RaftState).membership;
    // Who has gone on to a later term may have voted; who has not shows it on its disk.
    const possible = this.#nodes.filter((node) => {
      const { term: durableTerm, vote } = node.disk.hardState;
      const mayHave = durableTerm > term || (durableTerm === term && vote === id);
      return voters.includes(node.id) && mayHave;
    });
    demand(
      possible.length * 2 > voters.length,
      "elected by a majority",
      () => `${id} leads ${term} with ${possible.length} of ${voters.length}`,
    );
    this.#holdsCommitted(state as RaftState, id);
  }

  #holdsCommitted({ log, term }: RaftState, id: number): void {
    for (let index = log.prevIndex + 1; index <= this.maxCommitted; index++) {
      const known = this.committed[index];
      // Who wins a term late need not have what a later term has committed meanwhile.
      demand(
        known === undefined || known.by >= term || log.termAt(index) === known.term,
        "leader completeness",
        () => `${id}, leader of ${term}, lacks ${index} of ${this.maxCommitted}`,
      );
    }
  }

  append(node: RaftNode, { entries }: Persist): void {
    for (const { index, term, payload } of entries) {
      const prevTerm = node.entryAt(index - 1)?.term ?? -1;
      const known = this.#written.get(place(index, term));
      if (known === undefined) {
        this.#written.set(place(index, term), { payload, prevTerm });
        continue;
      }
      const isSame = known.payload === payload || known.payload.equals(payload);
      const hasSamePast = known.prevTerm === -1 || prevTerm === -1 || known.prevTerm === prevTerm;
      demand(isSame && hasSamePast, "log matching", () => `(${index}, ${term}) at ${node.id}`);
    }
  }

  truncate(node: RaftNode, role: string, from: number): void {
    demand(role !== "leader", "leader append-only", () => `${node.id} cuts from ${from}`);
    if (from === 0) return;
    const first = this.committed[from];
    demand(
      first === undefined || node.entryAt(from)?.term !== first.term,
      "committed is never lost",
      () => `${node.id} cuts committed ${from}`,
    );
  }

  commit(node: RaftNode, isLeader: boolean, from: number, to: number): void {
    const state = node.state as RaftState;
    if (isLeader && to > this.maxCommitted) {
      // Figure 8 happens so rarely that its rule is asked for itself.
      const counted = state.log.termAt(to);
      demand(counted === state.term, "own-term commit", () => `${node.id} counts ${counted}`);
      this.#isOnMajority(state, to);
    }
    for (let index = from + 1; index <= to; index++) {
      const entry = node.entryAt(index);
      if (entry === undefined) continue;
      const known = this.committed[index];
      if (known === undefined) {
        demand(isLeader, "only a leader commits first", () => `${node.id} commits ${index}`);
        this.committed.push({ term: entry.term, payload: entry.payload, by: state.term });
      } else {
        demand(
          known.term === entry.term && known.payload.equals(entry.payload),
          "state machine safety",
          () => `${node.id} commits (${index}, ${entry.term}), it was ${known.term}`,
        );
      }
    }
    for (const other of this.#nodes) {
      if (other.state?.role !== "leader" || other.state.term <= state.term) continue;
      this.#holdsCommitted(other.state, other.id);
    }
  }

  #isOnMajority({ membership, log }: RaftState, index: number): void {
    const term = log.termAt(index);
    const { voters } = membership;
    const holders = this.#nodes.filter(({ id, disk }) => {
      if (!voters.includes(id)) return false;
      return disk.applied.index >= index || disk.termAt(index) === term;
    });
    demand(
      holders.length * 2 > voters.length,
      "committed is on a majority of disks",
      () => `${index} is on ${holders.length} of ${voters.length}`,
    );
  }

  applied(node: RaftNode, entry: LogEntry): void {
    const { index, hash } = node.applied;
    const known = (this.#hashes[index] ??= hash);
    demand(known === hash, "state machine safety", () => `${node.id} differs at ${index}`);
    const { disk } = node;
    demand(
      disk.termAt(index) === entry.term || disk.applied.index >= index,
      "only what is durable is applied",
      () => `${node.id} applies ${index}`,
    );
  }

  send(node: RaftNode, message: RaftMessage): void {
    const { hardState } = node.disk;
    const { id } = node;
    const isAboutNext = "pre" in message && message.pre && !isRefusal(message);
    const shown = message.term - (isAboutNext ? 1 : 0);
    // A granted poll names the asker's next term, and says nothing about the own one.
    if (!(message.type === "vote.reply" && isAboutNext)) {
      demand(
        shown <= hardState.term,
        "a term is durable before it is seen",
        () => `${id} shows ${message.term} in ${message.type}, durable is ${hardState.term}`,
      );
    }
    if (message.type === "vote.request" && !message.pre) {
      demand(hardState.vote === id, "durable vote", () => `${id} asks for votes`);
    }
    if (message.type === "vote.reply" && message.granted && !message.pre) {
      demand(
        hardState.term === message.term && hardState.vote === message.to,
        "durable vote",
        () => `${id} grants ${message.to} in ${message.term}`,
      );
    }
    if (message.type === "append.reply" && message.matched) this.#acknowledges(node, message);
  }

  #acknowledges(
    node: RaftNode,
    { to, term, index }: Extract<RaftMessage, { type: "append.reply" }>,
  ): void {
    const { disk, id } = node;
    const isWritten = disk.applied.index >= index || disk.lastIndex >= index;
    demand(isWritten, "an ack says what is written", () => `${id} acks ${index} unwritten`);
    const leader = this.#nodes.find((each) => each.id === to)?.state;
    if (leader?.role !== "leader" || leader.term !== term) return;
    const [mine, theirs] = [disk.termAt(index), leader.log.termAt(index)];
    if (mine === undefined || theirs === undefined) return;
    demand(mine === theirs, "an ack says what agrees", () => `${id} acks ${index} to ${to}`);
  }

  /** Nobody may read who does not know everything that anybody has committed. */
  reads(trueMs: number): void {
    for (const node of this.#nodes) {
      const { state } = node;
      if (state?.role !== "leader" || node.pausedUntil > trueMs) continue;
      if (!canRead(state, node.localMs(trueMs))) continue;
      this.leaseReads++;
      demand(
        state.commitIndex >= this.maxCommitted,
        "lease exclusivity",
        () => `${node.id} reads at ${state.commitIndex} of ${this.maxCommitted}`,
      );
    }
  }

  /** A round of heartbeats confirmed reads that had begun before it. */
  confirmedReads(node: RaftNode): void {
    const { state } = node;
    if (state === undefined) return;
    node.reads = node.reads.filter(({ round, floor }) => {
      if (!readConfirmed(state, round)) return true;
      this.roundReads++;
      demand(
        state.commitIndex >= floor,
        "read index",
        () => `${node.id} reads at ${state.commitIndex}, committed was ${floor}`,
      );
      return false;
    });
  }
}

const isRefusal = (message: RaftMessage): boolean =>
  message.type === "vote.reply" && !message.granted;

const difference = (a: readonly number[], b: readonly number[]): number =>
  a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length;
