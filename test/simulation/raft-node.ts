// One simulated replica for the pure Raft core: its state while it runs, the bytes of its log, and what
// of it survives a crash. It stands between the core and `raft-world.ts`, which moves time, messages
// and disks; the state machine is a hash over all that was applied.

import type { PersistToken, RaftEffect } from "../../actors/raft/protocol.ts";
import { decodeMembership, type MembershipAt } from "../../actors/raft/membership.ts";
import { startState, type RaftState } from "../../actors/raft/state.ts";
import type { HardState, LogEntry } from "../../storage/journal/types.ts";
import { Broken } from "./raft-rules.ts";

export type Persist = Extract<RaftEffect, { type: "persist" }>;

/** The state machine at one index. */
export interface Applied extends Pick<MembershipAt, "membership" | "peers"> {
  readonly index: number;
  readonly term: number;
  readonly hash: number;
  readonly membershipIndex: number;
}

/** What survives a crash: journal and engine. */
export class RaftDisk {
  hardState: HardState = { term: 0, vote: 0 };
  prevIndex = 0;
  prevTerm = 0;
  entries: LogEntry[] = [];
  applied: Applied;

  constructor(applied: Applied) {
    this.applied = applied;
  }

  get lastIndex(): number {
    return this.prevIndex + this.entries.length;
  }

  termAt(index: number): number | undefined {
    if (index === this.prevIndex) return this.prevTerm;
    return this.entries[index - this.prevIndex - 1]?.term;
  }

  /** A write lands: hard state, then reset, then entries. */
  land({ hardState, reset, entries }: Persist): void {
    if (hardState !== undefined) {
      const { term, vote } = this.hardState;
      const isKept = hardState.term > term || (hardState.term === term && vote === 0);
      if (!isKept && (hardState.term < term || hardState.vote !== vote)) {
        throw new Broken("durable vote", "a durable term or vote was taken back");
      }
      this.hardState = hardState;
    }
    if (reset !== undefined) {
      this.entries = [];
      this.prevIndex = reset.index;
      this.prevTerm = reset.term;
    }
    const first = entries[0];
    if (first === undefined) return;
    if (first.index > this.lastIndex + 1) throw new Broken("journal", "a gap in the journal");
    this.entries.length = Math.max(0, first.index - this.prevIndex - 1);
    for (const entry of entries) if (entry.index > this.prevIndex) this.entries.push(entry);
  }

  compact(index: number): void {
    const term = this.termAt(index);
    if (index <= this.prevIndex || term === undefined) return;
    this.entries = this.entries.slice(index - this.prevIndex);
    this.prevIndex = index;
    this.prevTerm = term;
  }

  /** At open: a log that contradicts the engine is dropped (`safety.md` 8). */
  recover(): void {
    const { index, term } = this.applied;
    if (index <= this.lastIndex && (index < this.prevIndex || this.termAt(index) === term)) return;
    this.entries = [];
    this.prevIndex = index;
    this.prevTerm = term;
  }
}

/** What has been handed to the disk and not reported as durable. */
export interface Writing {
  readonly persist: Persist;
  readonly token: PersistToken;
}

export class RaftNode {
  readonly id: number;
  readonly disk: RaftDisk;
  /** The core; undefined while the process is down. */
  state: RaftState | undefined;
  /** Counts processes of this node. */
  life = 0;
  writing: Writing[] = [];
  isLanding = false;
  pausedUntil = 0;
  /** Local monotonic time = offset + rate * true time. */
  rate = 1;
  offset = 0;
  /** Number of the last heartbeat sent by this process. */
  round = 0;
  /** Which life of each other node was last heard. */
  readonly heardLives = new Map<number, number>();
  /** The log in memory: entries behind `logFrom`. */
  log: LogEntry[] = [];
  logFrom = 0;
  applied: Applied;
  isApplying = false;
  isInstalling = false;
  reads: Array<{ readonly round: number; readonly floor: number }> = [];

  constructor(id: number, voters: readonly number[]) {
    this.id = id;
    const membership = { voters: voters.includes(id) ? voters : [], learners: [] };
    const start = { index: 0, term: 0, hash: 0, membership, peers: [], membershipIndex: 0 };
    this.disk = new RaftDisk(start);
    this.applied = start;
  }

  localMs(trueMs: number): number {
    return this.offset + this.rate * trueMs;
  }

  start(nowMs: number): void {
    const { disk } = this;
    disk.recover();
    this.life++;
    this.round = 0;
    this.heardLives.clear();
    this.applied = disk.applied;
    this.log = [...disk.entries];
    this.logFrom = disk.prevIndex;
    const { index, membership, peers, membershipIndex } = disk.applied;
    this.state = startState({
      replicaId: this.id,
      membership,
      membershipIndex,
      peers,
      hardState: disk.hardState,
      prevIndex: disk.prevIndex,
      prevTerm: disk.prevTerm,
      appliedIndex: index,
      entries: disk.entries.map(({ term, kind, payload }) => ({
        term,
        bytes: payload.length,
        ...(kind === 2 ? { membership: payload } : {}),
      })),
      nowMs,
    });
  }

  /** The first `survivors` of the unfinished writes made it; nobody was told. */
  crash(survivors: number): void {
    for (const { persist } of this.writing.slice(0, survivors)) this.disk.land(persist);
    this.writing = [];
    this.isLanding = false;
    this.isApplying = false;
    this.isInstalling = false;
    this.reads = [];
    this.state = undefined;
  }

  entryAt(index: number): LogEntry | undefined {
    return this.log[index - this.logFrom - 1];
  }

  /** Entries [first, last]; undefined when one of them is not held. */
  range(first: number, last: number): LogEntry[] | undefined {
    if (first <= this.logFrom || last > this.logFrom + this.log.length) return undefined;
    return this.log.slice(first - this.logFrom - 1, last - this.logFrom);
  }

  /** Keeps the bytes of what the core has appended. */
  remember({ entries, reset }: Persist): void {
    if (reset !== undefined) {
      this.log = [];
      this.logFrom = reset.index;
    }
    for (const entry of entries) {
      this.log.length = Math.min(this.log.length, entry.index - this.logFrom - 1);
      this.log.push(entry);
    }
  }

  truncate(from: number): void {
    this.log.length = Math.max(0, Math.min(this.log.length, from - this.logFrom - 1));
  }

  /** Applies the entry; effects of membership and of commands alike enter the hash. */
  apply(entry: LogEntry): Applied {
    const { index, term, kind, payload } = entry;
    const content = payload.length >= 4 ? payload.readUInt32BE(payload.length - 4) : payload.length;
    let hash = this.applied.hash;
    for (const part of [index, term, kind, content]) {
      hash = Math.imul(hash ^ part, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const members = kind === 2 ? { ...decodeMembership(payload), membershipIndex: index } : {};
    this.applied = { ...this.applied, index, term, hash, ...members };
    return this.applied;
  }
}
