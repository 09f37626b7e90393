// The one line of events all simulated nodes live on: what happens next in true time, whose it is, and
// whether that process still exists or is paused. It runs every event synchronously with everything
// its promises had to do, so that a run depends on nothing but its seed.

import v8 from "node:v8";
import type { Clock } from "../../actors/system/clock.ts";
import { HeapClock } from "./clock.ts";

v8.setFlagsFromString("--allow-natives-syntax");

/**
 * Runs all promise reactions that are due. Works only outside of one: the whole run therefore starts
 * from `setImmediate` (`outsidePromises`). About 10 ns when there is nothing to do.
 */
// eslint-disable-next-line no-new-func, typescript/no-implied-eval
export const drainPromises = new Function("%PerformMicrotaskCheckpoint()") as () => void;

/** Runs `task` where `drainPromises` works. */
export function outsidePromises<T>(task: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(task());
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** What kind of event it is; enters the trace. */
export const kinds = { timer: 1, turn: 2, disk: 3, engine: 4, message: 5, client: 6 } as const;

interface Held {
  readonly kind: number;
  readonly run: () => void;
}

const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, "0");

/** One process of a node: when it is over, nothing of it happens any more. */
export class Life {
  readonly node: number;
  alive = true;
  /** Nothing of it runs, but its clock goes on. */
  paused = false;
  #held: Held[] = [];

  constructor(node: number) {
    this.node = node;
  }

  hold(kind: number, run: () => void): void {
    this.#held.push({ kind, run });
  }

  /** What came up during a pause, in order. */
  release(): readonly Held[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }
}

/** Hears of every event that has happened to a node, with all that followed at once. */
export type AfterEvent = (node: number) => void;

export class Timeline {
  readonly #clock = new HeapClock(0, 0);
  /** Two halves of a running hash over everything that happened. */
  #high = 0x811c9dc5;
  #low = 0x01000193;
  events = 0;
  afterEvent: AfterEvent = () => undefined;

  get nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Of all events so far: 16 hex digits. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193);
    this.#low = Math.imul(this.#low ^ (this.#high >>> 15) ^ value, 0x85ebca6b);
  }

  /** An event of the world itself. */
  later(delayMs: number, run: () => void): unknown {
    return this.#clock.setTimeout(run, delayMs);
  }

  cancel(timer: unknown): void {
    this.#clock.clearTimeout(timer);
  }

  /** An event of a process; it is lost with it, and waits while it is paused. */
  at(delayMs: number, life: Life, kind: number, run: () => void): unknown {
    return this.#clock.setTimeout(() => this.happen(life, kind, run), delayMs);
  }

  /** Lets an event of a process happen now. */
  happen(life: Life, kind: number, run: () => void): void {
    if (!life.alive) return;
    if (life.paused) {
      life.hold(kind, run);
      return;
    }
    this.events++;
    this.mix(Math.round(this.nowMs * 1000) ^ (life.node << 24) ^ (kind << 28));
    run();
    drainPromises();
    this.afterEvent(life.node);
  }

  runUntil(untilMs: number): void {
    this.#clock.runUntil(untilMs);
  }
}

/** A node's own idea of time: an oscillator that is off, and a wall clock somebody sets. */
export class NodeClock {
  readonly #timeline: Timeline;
  readonly #offsetMs: number;
  /** Its milliseconds per true millisecond. */
  #rate: number;
  #sinceMs = 0;
  #atMs: number;
  readonly #wallOffsetMs: number;
  /** What somebody has done to the wall clock. */
  wallErrorMs = 0;

  constructor(timeline: Timeline, offsetMs: number, rate: number, wallOffsetMs: number) {
    this.#timeline = timeline;
    this.#offsetMs = offsetMs;
    this.#rate = rate;
    this.#atMs = this.#offsetMs;
    this.#wallOffsetMs = wallOffsetMs;
  }

  get rate(): number {
    return this.#rate;
  }

  setRate(rate: number): void {
    this.#atMs = this.monotonicMs();
    this.#sinceMs = this.#timeline.nowMs;
    this.#rate = rate;
  }

  monotonicMs(): number {
    return this.#atMs + (this.#timeline.nowMs - this.#sinceMs) * this.#rate;
  }

  wallMs(): number {
    // Kept right by NTP, whatever the oscillator does.
    return this.#timeline.nowMs + this.#wallOffsetMs + this.wallErrorMs;
  }

  /** As one process of the node has it: its timers die with it. */
  of(life: Life): Clock {
    return {
      monotonicMs: () => this.monotonicMs(),
      wallMs: () => this.wallMs(),
      // Node's timers take a millisecond at least.
      setTimeout: (callback, delayMs) =>
        this.#timeline.at(Math.max(1, delayMs) / this.#rate, life, kinds.timer, callback),
      clearTimeout: (timer) => this.#timeline.cancel(timer),
    };
  }
}
