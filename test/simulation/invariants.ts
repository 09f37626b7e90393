// What must hold after every event, whatever happened (design raft.md section 3.2): checked for the
// replicas of the node the event was of, and for every message and journal write. It only looks at
// the real objects; each check says in its message what is broken.

import { crc32 } from "node:zlib";
import type { RaftMessage } from "../../actors/raft/protocol.ts";
import { canRead } from "../../actors/raft/reads.ts";
import type { RaftState } from "../../actors/raft/state.ts";
import type { Journal, JournalWrite } from "../../storage/journal/types.ts";
import { LogModel, ReplicaJournal, type LogState } from "./log-model.ts";
import type { NodeProcess, SimulatedNode } from "./process.ts";
import { watchReads } from "./reads.ts";

/** Something that must never be true is. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function require(condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(what());
}

/** A replica as it was after the last event of its node. */
interface Seen {
  raft: Readonly<RaftState>;
  role: string;
  term: number;
  vote: number;
  commitIndex: number;
  appliedIndex: number;
  durableIndex: number;
}

/** What is known of one region across all nodes. */
class RegionFacts {
  /** Who led each term. */
  readonly leaders = new Map<number, number>();
  newestTerm = 0;
  /** By index: what has ever been written there, by term. */
  readonly entries = new Map<number, Map<number, { hash: number; prevTerm: number | undefined }>>();
  /** By index: the term of the committed entry. */
  readonly committed = new Map<number, number>();
  committedIndex = 0;
  /** How far each term's leader has committed, oldest first. */
  readonly commits: Array<{ readonly inTerm: number; index: number }> = [];
  readonly nodeOfReplica = new Map<number, number>();
}

export class Invariants {
  /** How often something was looked at, for the report. */
  readonly figures = { elections: 0, commits: 0, recoveries: 0, installs: 0 };
  readonly #nodes: readonly SimulatedNode[];
  readonly #regions = new Map<number, RegionFacts>();
  /** By node and region. */
  readonly #seen: Map<number, Seen>[];
  readonly #journals: Map<number, ReplicaJournal>[];

  /** The first thing found broken inside a node's own calls: thrown there, it would be the node's failure. */
  violation: Violation | undefined;

  constructor(nodes: readonly SimulatedNode[]) {
    this.#nodes = nodes;
    this.#seen = nodes.map(() => new Map<number, Seen>());
    this.#journals = nodes.map(() => new Map<number, ReplicaJournal>());
  }

  /** A new process: nothing it had in memory counts. */
  started(process: NodeProcess): void {
    this.#seen[process.node.index]!.clear();
    watchReads(
      process,
      (what) => {
        this.violation ??= new Violation(what);
      },
      (regionId) => this.#facts(regionId).commits.at(-1)?.inTerm ?? 0,
    );
    const { link } = process.store;
    if (link === undefined) return;
    const send = link.send.bind(link);
    link.send = (nodeId, regionId, message) => {
      this.#guard(() => this.#sends(process.node, regionId, message));
      send(nodeId, regionId, message);
    };
  }

  /** `logs` is what it recovered, by region. */
  journalOpened(process: NodeProcess, journal: Journal, logs: ReadonlyMap<number, LogState>): void {
    const append = journal.append.bind(journal);
    const { index } = process.node;
    for (const regionId of new Set([...logs.keys(), ...this.#journals[index]!.keys()])) {
      this.#guard(() =>
        this.#recovered(process.node, regionId, logs.get(regionId) ?? new LogModel()),
      );
    }
    journal.append = (write, onDurable) => {
      const replica = this.#journal(index, write.regionId);
      if (process.life.alive) this.#guard(() => this.#queues(process.node, replica, write));
      append(write, () => {
        if (process.life.alive) this.#guard(() => this.#landed(replica, write));
        onDurable();
      });
    };
  }

  #landed(replica: ReplicaJournal, write: JournalWrite): void {
    require(replica.becameDurable(write), () =>
      `writes of region ${write.regionId} became durable out of order`);
  }

  #guard(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.violation ??= error as Violation;
    }
  }

  /** Looks at every replica of a node that has changed. */
  check(nodeIndex: number): void {
    if (this.violation !== undefined) throw this.violation;
    const process = this.#nodes[nodeIndex]?.process;
    if (process === undefined) return;
    const { directory } = process.store;
    const seen = this.#seen[nodeIndex]!;
    for (const { regionId, region } of directory.all()) {
      if (region?.raft !== undefined) this.#look(process, regionId, region.raft, seen);
    }
    const raft = directory.replica(0)?.raft;
    if (raft !== undefined) this.#look(process, 0, raft, seen);
  }

  #look(
    process: NodeProcess,
    regionId: number,
    raft: Readonly<RaftState>,
    seen: Map<number, Seen>,
  ): void {
    let before = seen.get(regionId);
    if (before === undefined || before.raft !== raft) {
      this.#facts(regionId).nodeOfReplica.set(raft.replicaId, process.node.index);
      before = {
        raft,
        role: "follower",
        term: raft.term,
        vote: raft.vote,
        commitIndex: 0,
        appliedIndex: 0,
        durableIndex: raft.durableIndex,
      };
      seen.set(regionId, before);
    }
    if (raft.role === "leader") this.#leads(process, regionId, raft);
    if (
      before.term !== raft.term ||
      before.role !== raft.role ||
      before.vote !== raft.vote ||
      before.commitIndex !== raft.commitIndex ||
      before.appliedIndex !== raft.appliedIndex ||
      before.durableIndex !== raft.durableIndex
    ) {
      this.#changed(process, regionId, raft, before);
    }
  }

  /** A leader of the past believes in no lease. */
  #leads(process: NodeProcess, regionId: number, raft: Readonly<RaftState>): void {
    const { newestTerm } = this.#facts(regionId);
    if (newestTerm <= raft.term) return;
    require(!canRead(raft, process.clock.monotonicMs()), () =>
      `region ${regionId}: n${process.node.index + 1} may read in term ${raft.term}, ` +
      `term ${newestTerm} has a leader`);
  }

  #changed(process: NodeProcess, regionId: number, raft: Readonly<RaftState>, before: Seen): void {
    const at = (): string => `n${process.node.index + 1} region ${regionId} term ${raft.term}: `;
    require(raft.term >= before.term, () => `${at()}its term went back from ${before.term}`);
    if (raft.term === before.term && before.vote !== 0) {
      require(raft.vote === before.vote, () => `${at()}it changed its vote to ${raft.vote}`);
    }
    if (raft.role === "leader" && (before.role !== "leader" || before.term !== raft.term)) {
      this.#elected(process.node, regionId, raft);
    }
    require(raft.commitIndex >= before.commitIndex, () => `${at()}its commit index went back`);
    require(raft.appliedIndex >= before.appliedIndex, () => `${at()}applied went back`);
    require(raft.appliedIndex <= raft.commitIndex, () => `${at()}applied what is not committed`);
    if (raft.commitIndex > before.commitIndex)
      this.#committed(process.node, regionId, raft, before);
    // What lies before the log is in the engine, durably: by a marker, or by a snapshot.
    const { lastIndex } = this.#journal(process.node.index, regionId).durable;
    const durableIndex = Math.max(lastIndex, raft.log.prevIndex);
    require(raft.durableIndex <= durableIndex, () =>
      `${at()}it believes ${raft.durableIndex} durable, but ${lastIndex} is`);
    require(raft.appliedIndex <= durableIndex, () =>
      `${at()}it applied ${raft.appliedIndex}, durable is ${lastIndex}`);
    before.role = raft.role;
    before.term = raft.term;
    before.vote = raft.vote;
    before.commitIndex = raft.commitIndex;
    before.appliedIndex = raft.appliedIndex;
    before.durableIndex = raft.durableIndex;
  }

  /** What a restart found is what was durable, or more of what was queued. */
  #recovered(node: SimulatedNode, regionId: number, found: LogState): void {
    this.figures.recoveries++;
    const replica = this.#journal(node.index, regionId);
    const was = replica.durable.copy();
    require(replica.recovered(found), () =>
      `n${node.index + 1} region ${regionId}: a restart found term ${found.term}, vote ` +
      `${found.vote}, log ${found.prevIndex}..${found.lastIndex}; durable were term ` +
      `${was.term}, vote ${was.vote}, log ${was.prevIndex}..${was.lastIndex}`);
  }

  /** Election Safety, Leader Completeness, and that no lease of an older leader is still good. */
  #elected(node: SimulatedNode, regionId: number, raft: Readonly<RaftState>): void {
    this.figures.elections++;
    const facts = this.#facts(regionId);
    const { term, replicaId, log } = raft;
    const other = facts.leaders.get(term);
    require(other === undefined || other === replicaId, () =>
      `region ${regionId}: ${other} and ${replicaId} both lead term ${term}`);
    facts.leaders.set(term, replicaId);
    facts.newestTerm = Math.max(facts.newestTerm, term);
    // What a later term has committed it need not have: votes may come in very late.
    const index = facts.commits.findLast(({ inTerm }) => inTerm < term)?.index ?? 0;
    require(log.prevIndex >= index || log.termAt(index) === facts.committed.get(index), () =>
      `region ${regionId}: the leader of term ${term} lacks committed entry ${index} ` +
      `(its log ends at ${log.lastIndex})`);
    for (const { process } of this.#nodes) {
      const rival = process?.store.directory.replica(regionId)?.raft;
      if (process === undefined || rival === undefined || rival === raft) continue;
      require(rival.term >= term || !canRead(rival, process.clock.monotonicMs()), () =>
        `region ${regionId}: ${rival.replicaId} may read in term ${rival.term} while n` +
        `${node.index + 1} leads term ${term}`);
    }
  }

  /** Committed entries are on a majority of durable logs, and nobody ever commits another. */
  #committed(node: SimulatedNode, regionId: number, raft: Readonly<RaftState>, before: Seen): void {
    const facts = this.#facts(regionId);
    const { commitIndex, log } = raft;
    const first = Math.max(before.commitIndex, log.prevIndex - 1) + 1;
    for (let index = Math.max(1, first); index <= commitIndex; index++) {
      const term = log.termAt(index);
      const known = facts.committed.get(index);
      require(term !== undefined, () =>
        `n${node.index + 1} region ${regionId}: commit index ${commitIndex}, log ends at ${log.lastIndex}`);
      if (known === undefined) facts.committed.set(index, term);
      else {
        require(known === term, () =>
          `n${node.index + 1} region ${regionId}: entry ${index} of term ${term} is committed, ` +
          `and one of term ${known} as well`);
      }
    }
    if (commitIndex <= facts.committedIndex) return;
    this.figures.commits++;
    facts.committedIndex = commitIndex;
    const last = facts.commits.at(-1);
    if (last?.inTerm === raft.term) last.index = commitIndex;
    else facts.commits.push({ inTerm: raft.term, index: commitIndex });
    const term = log.termAt(commitIndex);
    const { voters } = raft.membership;
    let copies = 0;
    for (const voter of voters) {
      const at = facts.nodeOfReplica.get(voter);
      if (at === undefined) continue;
      const { durable } = this.#journal(at, regionId);
      if (durable.termAt(commitIndex) === term || durable.prevIndex > commitIndex) copies++;
    }
    require(copies * 2 > voters.length, () =>
      `region ${regionId}: n${node.index + 1} committed entry ${commitIndex} of term ${term} ` +
      `with ${copies} durable copies of ${voters.length}`);
  }

  /** Log Matching: index and term name one entry with one past. */
  #queues(node: SimulatedNode, replica: ReplicaJournal, write: JournalWrite): void {
    const { entries } = this.#facts(write.regionId);
    if (write.reset !== undefined) this.figures.installs++;
    const queued = replica.queued;
    let prevTerm = queued.termAt((write.entries?.[0]?.index ?? 0) - 1);
    for (const { index, term, kind, payload } of write.entries ?? []) {
      const hash = crc32(payload, kind);
      let terms = entries.get(index);
      if (terms === undefined) entries.set(index, (terms = new Map()));
      const known = terms.get(term);
      if (known === undefined) terms.set(term, { hash, prevTerm });
      else {
        const isSame =
          known.hash === hash && (prevTerm === undefined || known.prevTerm === prevTerm);
        require(isSame, () =>
          `n${node.index + 1} region ${write.regionId}: two different entries ${index} of term ${term}`);
      }
      prevTerm = term;
    }
    replica.queue(write);
  }

  /** Nothing is said that is not durable. */
  #sends(node: SimulatedNode, regionId: number, message: RaftMessage): void {
    const { durable } = this.#journal(node.index, regionId);
    const at = (): string =>
      `n${node.index + 1} region ${regionId}: ${JSON.stringify(message).slice(0, 200)} with durable ` +
      `term ${durable.term}, vote ${durable.vote}, log to ${durable.lastIndex}`;
    const isPoll = "pre" in message && message.pre;
    if (!isPoll) require(message.term <= durable.term, at);
    if (message.type === "vote.reply" && message.granted && !message.pre) {
      require(durable.term === message.term && durable.vote === message.to, at);
    }
    if (message.type === "vote.request" && !message.pre) {
      require(durable.vote === message.from, at);
    }
    if (message.type === "append.reply" && message.matched) {
      const { queued } = this.#journal(node.index, regionId);
      require(message.index <= durable.lastIndex, at);
      require(durable.termAt(message.index) === queued.termAt(message.index), at);
    }
  }

  /** Cuts what no check can ask for any more. */
  forget(): void {
    for (const [regionId, facts] of this.#regions) {
      let floor = facts.committedIndex;
      for (const journals of this.#journals) {
        const journal = journals.get(regionId);
        if (journal !== undefined) floor = Math.min(floor, journal.durable.lastIndex);
      }
      for (const journals of this.#journals) {
        journals.get(regionId)?.durable.forget(floor - 1);
        journals.get(regionId)?.queued.forget(floor - 1);
      }
      for (const index of facts.entries.keys()) if (index < floor - 1) facts.entries.delete(index);
    }
  }

  /** How far a region is committed. */
  committedIndex(regionId: number): number {
    return this.#facts(regionId).committedIndex;
  }

  #facts(regionId: number): RegionFacts {
    let facts = this.#regions.get(regionId);
    if (facts === undefined) this.#regions.set(regionId, (facts = new RegionFacts()));
    return facts;
  }

  #journal(nodeIndex: number, regionId: number): ReplicaJournal {
    const journals = this.#journals[nodeIndex]!;
    let journal = journals.get(regionId);
    if (journal === undefined) journals.set(regionId, (journal = new ReplicaJournal()));
    return journal;
  }
}
