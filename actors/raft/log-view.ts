// What the core knows of its own log without reading it: where it starts, where it ends, and the
// term at every index in between, kept as runs because terms change rarely. Bytes stay in the journal.

import assert from "node:assert/strict";

interface Run {
  readonly from: number;
  readonly term: number;
}

/**
 *     prevIndex   runs[0].from        runs[1].from          lastIndex
 *  ───────●───────────┬───────────────────┬────────────────────●
 *   compacted         term of runs[0]      term of runs[1] …
 */
export class LogView {
  #prevIndex: number;
  #prevTerm: number;
  #lastIndex: number;
  #runs: Run[] = [];

  /** An empty log behind (prevIndex, prevTerm); (0, 0) for a new replica. */
  constructor(prevIndex: number, prevTerm: number) {
    this.#prevIndex = prevIndex;
    this.#prevTerm = prevTerm;
    this.#lastIndex = prevIndex;
  }

  get prevIndex(): number {
    return this.#prevIndex;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastTerm(): number {
    return this.#runs.at(-1)?.term ?? this.#prevTerm;
  }

  /** Appends `count` entries of one term at the end. Terms never go down (Log Matching, section 5.3). */
  append(term: number, count: number): void {
    assert(term >= this.lastTerm, "a log's terms never decrease");
    if (count === 0) return;
    if (this.#runs.at(-1)?.term !== term) this.#runs.push({ from: this.#lastIndex + 1, term });
    this.#lastIndex += count;
  }

  /** Term of the entry at index; undefined when it was compacted away or does not exist. */
  termAt(index: number): number | undefined {
    if (index === this.#prevIndex) return this.#prevTerm;
    if (index < this.#prevIndex || index > this.#lastIndex) return undefined;
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (run !== undefined && run.from <= index) return run.term;
    }
    return undefined;
  }

  /** Forgets what is at or below index (a snapshot or a synced marker covers it). */
  compact(index: number): void {
    if (index <= this.#prevIndex) return;
    assert(index <= this.#lastIndex, "compaction stays inside the log");
    this.#prevTerm = this.termAt(index) ?? this.#prevTerm;
    this.#prevIndex = index;
    const runs = this.#runs;
    while (runs.length > 1 && (runs[1]?.from ?? Infinity) <= index + 1) runs.shift();
    if (index === this.#lastIndex) runs.length = 0;
  }
}
