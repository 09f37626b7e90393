// Virtual time for tests and simulation: the clock port over a heap of timers, which fires them in
// order of time and then of arming, and only when told to. It replaces XState's SimulatedClock,
// which sorts every timer again at each step.

import type { Clock } from "../../actors/system/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

/** Satisfies our port and XState's `clock` option at once. */
export class HeapClock implements Clock {
  #nowMs: number;
  readonly #wallOffsetMs: number;
  #sequence = 0;
  readonly #heap: Timer[] = [];
  readonly #live = new Set<number>();

  /** Starts at `startMs` on the monotonic side; the wall side runs `wallOffsetMs` ahead of it. */
  constructor(startMs = 0, wallOffsetMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
    this.#wallOffsetMs = wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  /** Timers armed and not yet fired or cleared. */
  get pending(): number {
    return this.#live.size;
  }

  setTimeout(callback: () => void, delayMs: number): number {
    const sequence = ++this.#sequence;
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), sequence, callback };
    this.#live.add(sequence);
    let index = this.#heap.push(timer) - 1;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex]!;
      if (isBefore(parent, timer)) break;
      this.#heap[index] = parent;
      index = parentIndex;
    }
    this.#heap[index] = timer;
    return sequence;
  }

  clearTimeout(id: unknown): void {
    this.#live.delete(id as number);
  }

  /** Moves time on by `ms`, firing what falls due on the way at its own time. */
  advance(ms: number): void {
    this.runUntil(this.#nowMs + ms);
  }

  /** Moves time to `untilMs`; timers armed meanwhile that fall due by then fire too. */
  runUntil(untilMs: number): void {
    for (
      let next = this.#heap[0];
      next !== undefined && next.atMs <= untilMs;
      next = this.#heap[0]
    ) {
      this.#pop();
      if (!this.#live.delete(next.sequence)) continue;
      this.#nowMs = next.atMs;
      next.callback();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= heap.length) break;
      if (childIndex + 1 < heap.length && isBefore(heap[childIndex + 1]!, heap[childIndex]!)) {
        childIndex++;
      }
      if (isBefore(last, heap[childIndex]!)) break;
      heap[index] = heap[childIndex]!;
      index = childIndex;
    }
    heap[index] = last;
  }
}
