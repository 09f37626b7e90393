// One region's replica on this store: the Raft core with its shell. It opens by redoing the log
// from the last synced marker, persists through the log actor, applies through the engine actor,
// and hands commands to its evaluator. What commands mean and how keys look is not its business.

import assert from "node:assert/strict";
import type { Positions } from "../../storage/position.ts";
import type { LogEntry, HardState } from "../../storage/journal/types.ts";
import { isServing, step } from "../raft/core.ts";
import type { ReplicaHost } from "../raft/machine.ts";
import { perform, type ReplicaPorts } from "../raft/perform.ts";
import type { PersistToken, RaftEvent, RaftMessage, Role } from "../raft/protocol.ts";
import { startState, type RaftState } from "../raft/state.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn } from "../system/turn.ts";
import { applyEntries, dataIdOfRegion, type AppliedState } from "./apply.ts";
import type { RecordCache } from "./cache.ts";
import type { EngineEvent } from "./engine.ts";
import { Evaluator } from "./evaluate.ts";
import type { EvaluatorCounters, EvaluatorHost } from "./evaluator-host.ts";
import type { DataIds } from "./data-ids.ts";
import type { StoreHandles } from "./handles.ts";
import type { LogEvent } from "./log.ts";
import type { RegionEvent, RegionFailed, RegionFetched, RegionWalked } from "./protocol.ts";
import type { LazyApplier } from "./writer.ts";
import { recoverRegion } from "./recover.ts";
import { abandonedStagings } from "./stagings.ts";

/** Bytes of log read at once while catching up from the journal. */
const catchUpBytes = 1024 * 1024;

/** What every region of a store is given. */
export interface RegionPorts {
  readonly handles: StoreHandles;
  /** The engine and log actors, looked up when the replica starts. */
  readonly engine: { send(event: EngineEvent): void };
  readonly log: { send(event: LogEvent): void };
  readonly cache: RecordCache;
  readonly dataIds: DataIds;
  readonly positions: Positions;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly random: () => number;
  readonly counters: EvaluatorCounters;
  /** The replica has become able, or stopped being able, to serve commands. */
  readonly onServing: (region: Region, serving: boolean) => void;
  /** A flush or drop left something for the sweeper. */
  readonly onGarbage: () => void;
  /** Damage or a broken disk: the process must end. */
  readonly onFatal: (error: Error) => void;
  /** A command threw: a bug to report; the client has its answer. */
  readonly onBug: (error: unknown, command: string) => void;
}

/** Everything a region's actor handles. */
export type ReplicaEvent = RaftEvent | RegionEvent | RegionFetched | RegionWalked | RegionFailed;

/** Reaches a replica's own actor. */
export type SendToReplica = (event: ReplicaEvent) => void;

/** True for what a region's host handles itself; the rest is the chart's. */
export const isReplicaEvent = (event: { readonly type: string }): event is ReplicaEvent =>
  event.type.startsWith("region.") || event.type.startsWith("raft.");

export class Region implements ReplicaHost<ReplicaEvent>, ReplicaPorts, EvaluatorHost, LazyApplier {
  readonly regionId: number;
  readonly #ports: RegionPorts;
  readonly #send: SendToReplica;
  readonly #onEnd: (region: Region) => void;
  readonly #evaluator: Evaluator;
  #raft: RaftState | undefined;
  #applied: AppliedState | undefined;
  /** Entries not handed to the engine yet, by index. */
  readonly #recent = new Map<number, LogEntry>();
  /** Handed to the engine up to here. */
  #submitted = 0;
  #reading = false;
  #serving = false;
  #abandoned = false;
  /** Entries appended by this incarnation. */
  proposals = 0;

  constructor(
    regionId: number,
    ports: RegionPorts,
    send: SendToReplica,
    onEnd: (region: Region) => void,
  ) {
    this.regionId = regionId;
    this.#ports = {
      ...ports,
      // What fails behind this incarnation's back (an engine or a journal that a restart has closed)
      // is no error of the disk.
      onFatal: (error) => {
        if (!this.#abandoned) ports.onFatal(error);
      },
    };
    this.#send = send;
    this.#onEnd = onEnd;
    this.#evaluator = new Evaluator(this.#ports, this);
  }

  get role(): Role {
    return this.#raft?.role ?? "follower";
  }

  get term(): number {
    return this.#raft?.term ?? 0;
  }

  get commitIndex(): number {
    return this.#raft?.commitIndex ?? 0;
  }

  get appliedIndex(): number {
    return this.#raft?.appliedIndex ?? 0;
  }

  get lastIndex(): number {
    return this.#raft?.log.lastIndex ?? 0;
  }

  /** The applied state; only an opened region has one. */
  get applied(): AppliedState {
    assert(this.#applied !== undefined, "the region is open");
    return this.#applied;
  }

  get evaluator(): Evaluator {
    return this.#evaluator;
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** No key of the region expires before this instant, Unix ms; Infinity while it does not serve. */
  get nextExpiryMs(): number {
    return this.#serving ? this.applied.nextExpiryMs : Infinity;
  }

  /** True when this incarnation is over. */
  get ended(): boolean {
    return this.#abandoned;
  }

  /** Through the actor's mailbox, so that a failure is the actor's. */
  tick(event: Extract<RaftEvent, { type: "raft.tick" }>): void {
    this.#send(event);
  }

  async open(): Promise<void> {
    const recovered = await recoverRegion(this.regionId, this.#ports);
    if (this.#abandoned) return;
    this.#applied = recovered.applied;
    this.#raft = startState({
      replicaId: recovered.applied.meta.replicaId,
      membership: recovered.applied.meta.membership,
      hardState: recovered.hardState,
      appliedIndex: recovered.appliedIndex,
      appliedTerm: recovered.appliedTerm,
      terms: recovered.terms,
      nowMs: this.#ports.clock.monotonicMs(),
    });
    this.#submitted = recovered.appliedIndex;
  }

  handle(event: ReplicaEvent): void {
    switch (event.type) {
      case "region.request":
      case "region.walk":
      case "region.expire":
      case "region.propose":
        this.#evaluator.enqueue(event);
        break;
      case "region.fetched":
        this.#evaluator.fetched(event);
        break;
      case "region.failed":
        throw event.error;
      case "region.walked":
        this.#evaluator.walked(event);
        break;
      default:
        this.#step(event);
    }
  }

  /** Nothing of this incarnation answers or acts any more; what waits hears why. */
  abandon(reason: string): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    this.#serving = false;
    this.#evaluator.pause(reason);
    this.#onEnd(this);
  }

  /** The sweeper has cleared a slot that a flush left: it may be used again. */
  slotCleared(dataId: number, slot: number): void {
    const applied = this.#applied;
    if (applied === undefined || dataIdOfRegion(applied.meta) !== dataId) return;
    applied.uncleared.delete(slot);
    this.#evaluator.memory.slotCleared(slot);
  }

  tellSelf(event: RegionFetched | RegionWalked | RegionFailed): void {
    this.#send(event);
  }

  /** Appends one entry for the evaluator. Only while serving; returns its index. */
  propose(payload: Buffer): number {
    this.proposals++;
    this.#step({ type: "raft.propose", payloads: [payload] });
    return this.lastIndex;
  }

  #step(event: RaftEvent): void {
    const raft = this.#raft;
    if (raft === undefined || this.#abandoned) return;
    perform(step(raft, event), this);
    if (event.type === "raft.applied") this.#afterApply(event.index);
  }

  persist(
    hardState: HardState | undefined,
    entries: readonly LogEntry[],
    token: PersistToken,
  ): void {
    for (const entry of entries) this.#recent.set(entry.index, entry);
    const write = {
      regionId: this.regionId,
      replicaId: this.applied.meta.replicaId,
      entries,
      ...(hardState === undefined ? {} : { hardState }),
    };
    this.#ports.log.send({
      type: "log.append",
      write,
      onDurable: () => this.#send({ type: "raft.persisted", token }),
    });
  }

  send(message: RaftMessage): void {
    // Every region has one voter until nodes talk to each other; a message would have no way.
    assert.fail(`region ${this.regionId} has nobody to send ${message.type} to`);
  }

  commit(_from: number, to: number): void {
    this.#evaluator.committed(to);
    const writer = this.#ports.handles.engine?.writer;
    if (writer === undefined || !this.#serving || this.#evaluator.waitsForApply) {
      this.#applyCommitted();
    } else {
      writer.collectLater(this);
    }
  }

  collect(): void {
    try {
      this.#applyCommitted();
    } catch (error) {
      this.tellSelf({ type: "region.failed", error });
    }
  }

  changeRole(role: Role): void {
    if (role !== "leader") this.#setServing(false);
  }

  /** Hands committed entries to the engine in order; reads from the journal what is not in memory. */
  #applyCommitted(): void {
    const raft = this.#raft;
    if (raft === undefined || this.#abandoned || this.#reading) return;
    const entries: LogEntry[] = [];
    while (this.#submitted < raft.commitIndex) {
      const entry = this.#recent.get(this.#submitted + 1);
      if (entry === undefined) break;
      this.#recent.delete(entry.index);
      this.#submitted = entry.index;
      entries.push(entry);
    }
    if (entries.length > 0) this.#submit(entries);
    if (this.#submitted < raft.commitIndex) this.#readMore(raft.commitIndex);
  }

  #submit(entries: readonly LogEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    const { operations, sync, hasGarbage, state, nextExpiryMs } = applyEntries(
      entries,
      this.applied,
      this.#ports.dataIds,
    );
    this.#ports.engine.send({
      type: "engine.apply",
      job: {
        regionId: this.regionId,
        operations,
        applied: { index: last.index, term: last.term },
        ...(state === undefined ? {} : { state }),
        sync,
        onDone: () => {
          this.#send({ type: "raft.applied", index: last.index });
          // Not earlier: whoever looks for due keys must then find these.
          this.applied.nextExpiryMs = Math.min(this.applied.nextExpiryMs, nextExpiryMs);
          if (hasGarbage) this.#ports.onGarbage();
        },
      },
    });
  }

  #afterApply(index: number): void {
    this.#evaluator.applied(index);
    const raft = this.#raft;
    if (raft !== undefined && isServing(raft)) this.#setServing(true);
  }

  /** Gives up the large writes that a former leader left unfinished. */
  #dropStagings(): void {
    const engine = this.#ports.handles.engine?.engine;
    if (engine === undefined) return;
    abandonedStagings(engine, dataIdOfRegion(this.applied.meta)).then(
      (entries) => {
        for (const effects of this.#abandoned ? [] : entries) {
          this.#send({ type: "region.propose", effects, settle: () => undefined });
        }
      },
      (error: unknown) => {
        // An engine that closed under the iterator ends this replica as well.
        if (!this.#abandoned) this.#ports.onFatal(error as Error);
      },
    );
  }

  #readMore(to: number): void {
    const journal = this.#ports.handles.journal;
    if (journal === undefined) return;
    this.#reading = true;
    journal.read(this.regionId, this.#submitted + 1, to, catchUpBytes).then(
      (entries) => {
        this.#reading = false;
        if (this.#abandoned) return;
        for (const entry of entries) this.#recent.set(entry.index, entry);
        this.#applyCommitted();
      },
      (error: unknown) => this.#ports.onFatal(error as Error),
    );
  }

  #setServing(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    if (serving) {
      this.#dropStagings();
      this.#evaluator.serve(this.applied);
    } else this.#evaluator.pause("leadership changed");
    this.#ports.onServing(this, serving);
  }
}
