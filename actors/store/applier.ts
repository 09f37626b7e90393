// Brings a region's committed entries to the engine, in order and once: from memory, or from the
// journal when they have left it. It stands between the replica, which knows what is committed, and
// the engine's writer; what an entry does is `apply.ts`.

import type { LogEntry } from "../../storage/journal/types.ts";
import { applyEntries, type AppliedState } from "./apply.ts";
import type { LogWindow } from "./log-window.ts";
import type { RegionPorts } from "./region-ports.ts";
import type { LazyApplier } from "./writer.ts";

/** Bytes of log read at once while catching up from the journal. */
const catchUpBytes = 1024 * 1024;
/**
 * Bytes of log that the engine may owe: more waits in the log, so that an engine that falls behind is
 * given batches of bounded size.
 */
const owedMaxBytes = 4 * 1024 * 1024;

/** What applying needs of its replica. */
export interface ApplierHost {
  readonly regionId: number;
  readonly ended: boolean;
  /** Entries up to here are committed and durable here. */
  readonly applicableIndex: number;
  readonly applied: AppliedState;
  /** Bytes of the log's entries (from, to]. */
  logBytes(from: number, to: number): number;
  /** The engine holds everything up to here. */
  onApplied(index: number): void;
  /** Applying threw: the replica fails. */
  onApplyFailed(error: unknown): void;
}

export class Applier implements LazyApplier {
  readonly #ports: RegionPorts;
  readonly #host: ApplierHost;
  readonly #window: LogWindow;
  #submitted = 0;
  /** The engine's writer knows that there is something up to here. */
  #told = 0;
  /** Handed to the engine and not written yet. */
  #owedBytes = 0;
  #reading = false;
  #held = false;

  constructor(ports: RegionPorts, host: ApplierHost, window: LogWindow) {
    this.#ports = ports;
    this.#host = host;
    this.#window = window;
  }

  /** Handed to the engine up to here. */
  get submitted(): number {
    return this.#submitted;
  }

  /** The engine is there already: by recovery, or by an installed snapshot. */
  startAt(index: number): void {
    this.#submitted = index;
    this.#held = false;
  }

  /** Hands over nothing more until `startAt`: what comes next stands on a snapshot being installed. */
  hold(): void {
    this.#held = true;
  }

  /** Hands over what is committed, soon: `lazily` lets it gather for a moment. */
  wake(lazily: boolean): void {
    const writer = this.#ports.handles.engine?.writer;
    if (writer === undefined || !lazily) this.#run();
    else {
      const to = this.#host.applicableIndex;
      const from = Math.max(this.#told, this.#submitted);
      this.#told = to;
      writer.collectLater(this, to > from ? this.#host.logBytes(from, to) : 0);
    }
  }

  collect(): void {
    try {
      this.#run();
    } catch (error) {
      this.#host.onApplyFailed(error);
    }
  }

  #run(): void {
    const host = this.#host;
    if (host.ended || this.#reading || this.#held || this.#isOwedEnough) return;
    const to = host.applicableIndex;
    const entries: LogEntry[] = [];
    let bytes = this.#owedBytes;
    for (let next = this.#submitted + 1; next <= to && bytes < owedMaxBytes; next++) {
      const entry = this.#window.get(next);
      if (entry === undefined) break;
      entries.push(entry);
      bytes += entry.payload.length;
    }
    if (!this.#submit(entries) || this.#isOwedEnough) return;
    if (this.#submitted < to) this.#readMore(to);
  }

  get #isOwedEnough(): boolean {
    return this.#owedBytes >= owedMaxBytes;
  }

  /** False when one of them has to wait for the sweeper, which wakes this again. */
  #submit(entries: readonly LogEntry[]): boolean {
    const host = this.#host;
    const { applied } = host;
    const { count, operations, sync, hasGarbage, state, nextExpiryMs } = applyEntries(
      entries,
      applied,
      this.#ports.dataIds,
    );
    const last = entries[count - 1];
    if (last === undefined) return entries.length === 0;
    this.#submitted = last.index;
    let bytes = 0;
    for (const { payload } of entries.slice(0, count)) bytes += payload.length;
    this.#owedBytes += bytes;
    this.#ports.engine.send({
      type: "engine.apply",
      job: {
        regionId: host.regionId,
        operations,
        applied: { index: last.index, term: last.term },
        state,
        sync,
        onDone: () => {
          host.onApplied(last.index);
          // Not earlier: whoever looks for due keys must then find these.
          applied.nextExpiryMs = Math.min(applied.nextExpiryMs, nextExpiryMs);
          if (hasGarbage) this.#ports.onGarbage();
          this.#paid(bytes);
        },
      },
    });
    return count === entries.length;
  }

  /** What waited because the engine owed enough goes on. */
  #paid(bytes: number): void {
    const waited = this.#isOwedEnough;
    this.#owedBytes -= bytes;
    if (waited) this.collect();
  }

  #readMore(to: number): void {
    const journal = this.#ports.handles.journal;
    if (journal === undefined) return;
    this.#reading = true;
    const first = this.#submitted + 1;
    journal.read(this.#host.regionId, first, to, catchUpBytes).then(
      (entries) => this.#goOn(first, entries),
      (error: unknown) => {
        // A snapshot that takes the log's place takes it from under the reading, too.
        if (this.#isNext(first)) this.#ports.onFatal(error as Error);
        else this.#goOn(first, []);
      },
    );
  }

  #isNext(first: number): boolean {
    return !this.#held && this.#submitted + 1 === first;
  }

  #goOn(first: number, entries: readonly LogEntry[]): void {
    this.#reading = false;
    try {
      const isWanted = this.#isNext(first) && !this.#host.ended;
      if (!isWanted || this.#submit(entries)) this.#run();
    } catch (error) {
      this.#host.onApplyFailed(error);
    }
  }
}
