// The single writer of a store's engine: everything that waits becomes the next batch, one batch is
// in flight (`safety.md` 1: two of RocksDB's unsynced batches may land in either order). It also
// knows what every region has applied, which makes any synced batch a marker for all of them.

import { DiskError } from "../../storage/errors.ts";
import type { Engine, WriteOperation } from "../../storage/engine.ts";
import { appliedKey, encodeApplied, markerKey } from "../../storage/local-records.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import type { Turn, TurnTask } from "../system/turn.ts";

/** What one region wants applied; jobs of a region are submitted in log order. */
export interface ApplyJob {
  readonly regionId: number;
  readonly operations: readonly WriteOperation[];
  /** Position of the last entry in `operations`; undefined = only local records. */
  readonly applied?: { readonly index: number; readonly term: number };
  /** The region's counters after this job, written once per batch. */
  readonly state?: WriteOperation | undefined;
  /** Flush, and other changes that must not be redone, want a synced batch. */
  readonly sync: boolean;
  /** The batch holding this job has been written. */
  onDone(): void;
}

/** A region with committed entries that it has not turned into a job yet. */
export interface LazyApplier {
  /** Submits what is committed. Never throws. */
  collect(): void;
}

/** Counters since the engine was opened. */
export interface WriterStatistics {
  batches: number;
  syncedBatches: number;
  operations: number;
  lastBatchSeconds: number;
}

/** How long committed entries gather before they go to the engine: replies do not wait for it. */
export interface ApplyGather {
  /** At most so long, ms; 0 = not at all. */
  readonly delayMs: number;
  /** Or until there is so much log. */
  readonly maxBytes: number;
}

export const noGather: ApplyGather = { delayMs: 0, maxBytes: 0 };

/** Changes nothing: no key begins with this byte. Engines refuse to sync an empty batch. */
const nothing: WriteOperation = { type: "del", key: Buffer.from([0]) };

export class EngineWriter implements TurnTask {
  readonly #engine: Engine;
  readonly #turn: Turn;
  readonly #clock: Clock;
  readonly #gather: ApplyGather;
  readonly #onFatal: (error: Error) => void;
  readonly #applied = new Map<number, { index: number; term: number }>();
  #queue: ApplyJob[] = [];
  #markers: Array<(applied: ReadonlyMap<number, { index: number; term: number }>) => void> = [];
  #appliers = new Set<LazyApplier>();
  /** What the appliers have. */
  #gatheredBytes = 0;
  /** What waits is not to gather any longer. */
  #isUrgent = false;
  #isCollecting = false;
  #timer: TimerId;
  #inFlight = false;
  /** Something may be written and not durable: after each batch without sync, and at open. */
  #isDirty = true;
  #deferred = false;
  #stopped = false;
  #between: Array<() => void> = [];
  /** Who waits for everything queued before: they go with the next batch. */
  #fences: Array<() => void> = [];
  readonly statistics: WriterStatistics = {
    batches: 0,
    syncedBatches: 0,
    operations: 0,
    lastBatchSeconds: 0,
  };

  constructor(
    engine: Engine,
    turn: Turn,
    clock: Clock,
    gather: ApplyGather,
    onFatal: (error: Error) => void,
  ) {
    this.#engine = engine;
    this.#turn = turn;
    this.#clock = clock;
    this.#gather = gather;
    this.#onFatal = onFatal;
  }

  /** Queues a job for the next batch. */
  submit(job: ApplyJob): void {
    if (this.#stopped) return;
    this.#queue.push(job);
    if (!this.#isCollecting) this.hurry();
  }

  /**
   * Collects from this region within the delay, or when regions have gathered enough: this one has
   * `bytes` of log more than it said before. Replies do not wait for the engine (the log has it,
   * the overlay serves it), so committed entries may gather: what they come to, the region's
   * position and counters, the call and the wake-up of a pool thread are then paid once for many.
   */
  collectLater(applier: LazyApplier, bytes: number): void {
    if (this.#stopped) return;
    this.#appliers.add(applier);
    this.#gatheredBytes += bytes;
    const { delayMs, maxBytes } = this.#gather;
    if (delayMs === 0 || this.#gatheredBytes >= maxBytes) this.hurry();
    else this.#hurryLater();
  }

  #hurryLater(): void {
    if (this.#timer !== undefined || this.#deferred || this.#inFlight) return;
    this.#timer = this.#clock.setTimeout(this.hurry, this.#gather.delayMs);
  }

  get #hasWork(): boolean {
    return this.#queue.length > 0 || this.#markers.length > 0 || this.#appliers.size > 0;
  }

  /** Somebody waits for what is queued: write it at the end of this turn. */
  readonly hurry = (): void => {
    if (this.#timer !== undefined) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    if (!this.#hasWork) return;
    this.#isUrgent = true;
    this.#deferRun();
  };

  /** What a region had applied before this process: makes it part of the next marker. */
  recovered(regionId: number, index: number, term: number): void {
    this.#applied.set(regionId, { index, term });
  }

  /**
   * A synced marker behind everything submitted so far. `done` hears what every region had applied
   * in it: the log below may be cut.
   */
  marker(done: (applied: ReadonlyMap<number, { index: number; term: number }>) => void): void {
    if (this.#stopped) return;
    this.#markers.push(done);
    this.hurry();
  }

  /**
   * Runs it in the first step in which no batch is in flight, perhaps this one: whatever iterators it
   * opens all see the same batches. Never after `stop`. It must not throw.
   */
  betweenBatches(task: () => void): void {
    if (this.#stopped) return;
    if (this.#inFlight) this.#between.push(task);
    else task();
  }

  /**
   * The end of this incarnation: nothing more is written and what waits is dropped unanswered (the
   * log still has it). Resolves when the batch in flight, if any, has ended.
   */
  stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#markers = [];
    this.#between = [];
    this.#appliers.clear();
    if (!this.#inFlight) for (const resolve of this.#fences.splice(0)) resolve();
    return this.written();
  }

  /** Resolves when everything that waits now or is in flight has been written, whatever comes then. */
  written(): Promise<void> {
    if (!this.#inFlight && !this.#hasWork) return Promise.resolve();
    this.hurry();
    return new Promise((resolve) => this.#fences.push(resolve));
  }

  #deferRun(): void {
    if (this.#deferred || this.#inFlight) return;
    this.#deferred = true;
    this.#turn.defer("journal", this);
  }

  /** Nothing is in flight any more: the next batch, or word to those who wait for none. */
  #goOn(): void {
    for (const task of this.#between.splice(0)) task();
    if (!this.#hasWork) for (const resolve of this.#fences.splice(0)) resolve();
    else if (this.#isUrgent || this.#fences.length > 0) this.#deferRun();
    else this.#hurryLater();
  }

  /** Starts the next batch, unless one is in flight: then its end does. */
  run(): void {
    this.#deferred = false;
    if (this.#inFlight || !this.#hasWork) return;
    this.#collect();
    const sync = this.#markers.length > 0 || this.#queue.some((job) => job.sync);
    if (sync && this.#isDirty) {
      this.#syncEarlier();
      return;
    }
    this.#isUrgent = false;
    const jobs = this.#queue;
    const markers = this.#markers;
    const fences = this.#fences;
    this.#queue = [];
    this.#markers = [];
    this.#fences = [];
    const operations = this.#operationsOf(jobs, sync);
    if (operations.length === 0) {
      // Nothing was ever applied: nothing to mark, and engines refuse an empty batch.
      for (const job of jobs) job.onDone();
      for (const done of markers) done(this.#applied);
      for (const resolve of fences) resolve();
      this.#goOn();
      return;
    }
    const marked = sync ? new Map(this.#applied) : undefined;
    this.#inFlight = true;
    const startedMs = this.#clock.monotonicMs();
    this.#engine.write(operations, { sync }).then(
      () => {
        this.statistics.batches++;
        if (sync) this.statistics.syncedBatches++;
        this.statistics.operations += operations.length;
        this.statistics.lastBatchSeconds = (this.#clock.monotonicMs() - startedMs) / 1000;
        this.#inFlight = false;
        this.#isDirty = !sync;
        for (const job of jobs) job.onDone();
        if (marked !== undefined) for (const done of markers) done(marked);
        for (const resolve of fences) resolve();
        this.#goOn();
      },
      (error: unknown) => {
        // In flight for ever: after a failed write nothing may follow it.
        this.#onFatal(new DiskError("writing to RocksDB failed", { cause: error }));
      },
    );
  }

  #collect(): void {
    const appliers = this.#appliers;
    if (appliers.size === 0) return;
    this.#appliers = new Set();
    this.#gatheredBytes = 0;
    this.#isCollecting = true;
    for (const applier of appliers) applier.collect();
    this.#isCollecting = false;
  }

  /**
   * Makes all that was written before durable, and only then comes back for what waits: a power
   * loss may keep a marker whose sync was still under way, and it must not speak for a lost batch.
   */
  #syncEarlier(): void {
    this.#inFlight = true;
    this.#engine.write([nothing], { sync: true }).then(
      () => {
        this.#inFlight = false;
        this.#isDirty = false;
        this.#goOn();
      },
      (error: unknown) => {
        this.#onFatal(new DiskError("writing to RocksDB failed", { cause: error }));
      },
    );
  }

  #operationsOf(jobs: readonly ApplyJob[], sync: boolean): WriteOperation[] {
    const operations: WriteOperation[] = [];
    const states = new Map<number, WriteOperation>();
    const touched = new Set<number>();
    for (const job of jobs) {
      for (const operation of job.operations) operations.push(operation);
      if (job.state !== undefined) states.set(job.regionId, job.state);
      if (job.applied === undefined) continue;
      this.#applied.set(job.regionId, job.applied);
      touched.add(job.regionId);
    }
    for (const state of states.values()) operations.push(state);
    for (const regionId of touched) this.#putPosition(operations, appliedKey(regionId), regionId);
    if (sync) {
      for (const regionId of this.#applied.keys()) {
        this.#putPosition(operations, markerKey(regionId), regionId);
      }
    }
    return operations;
  }

  #putPosition(operations: WriteOperation[], key: Buffer, regionId: number): void {
    const { index, term } = this.#applied.get(regionId) ?? { index: 0, term: 0 };
    operations.push({ type: "put", key, value: encodeApplied(index, term) });
  }
}
