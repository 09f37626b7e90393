// What the core knows of its own log without reading it: where it starts, where it ends, the size of
// every entry, and the term at every index, kept as runs because terms change rarely. Bytes stay in
// the journal.

import assert from "node:assert/strict";

interface Run {
  readonly from: number;
  readonly term: number;
}

/** Totals of forgotten entries are given back when this many have gathered. */
const forgottenMax = 4096;

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
  /** Payload bytes of all entries ever appended, up to and with the one at index `#totalsFrom + i`. */
  #totals: number[] = [0];
  #totalsFrom: number;

  /** An empty log behind (prevIndex, prevTerm); (0, 0) for a new replica. */
  constructor(prevIndex: number, prevTerm: number) {
    this.#prevIndex = prevIndex;
    this.#prevTerm = prevTerm;
    this.#lastIndex = prevIndex;
    this.#totalsFrom = prevIndex;
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

  /** Appends one entry at the end. Terms never go down (Log Matching, section 5.3). */
  append(term: number, bytes: number): void {
    assert(term >= this.lastTerm, "a log's terms never decrease");
    this.#lastIndex++;
    if (this.#runs.at(-1)?.term !== term) this.#runs.push({ from: this.#lastIndex, term });
    this.#totals.push((this.#totals.at(-1) ?? 0) + bytes);
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

  /** Payload bytes of the entries (from, to]; of those at or below `prevIndex` nothing is known. */
  bytesBetween(from: number, to: number): number {
    const total = (index: number): number =>
      this.#totals[Math.max(index, this.#prevIndex) - this.#totalsFrom] ?? 0;
    return total(to) - total(from);
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: where two logs can still agree
   * when the other has `term` at `index` (section 5.3, "optimized to reduce the number of rejected
   * AppendEntries"). Not below `prevIndex`, which is committed.
   */
  agreeableIndex(index: number, term: number): number {
    let at = Math.min(index, this.#lastIndex);
    for (let i = this.#runs.length - 1; i >= 0 && at > this.#prevIndex; i--) {
      const run = this.#runs[i];
      if (run === undefined || run.from > at) continue;
      if (run.term <= term) return at;
      at = run.from - 1;
    }
    return Math.max(at, this.#prevIndex);
  }

  /** Removes everything from `index` on: a conflict with the leader's log. */
  truncate(index: number): void {
    assert(index > this.#prevIndex, "what is compacted is committed");
    if (index > this.#lastIndex) return;
    this.#lastIndex = index - 1;
    const runs = this.#runs;
    while ((runs.at(-1)?.from ?? 0) >= index) runs.pop();
    this.#totals.length = index - this.#totalsFrom;
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
    const forgotten = index - this.#totalsFrom;
    if (forgotten < forgottenMax && index < this.#lastIndex) return;
    this.#totals = this.#totals.slice(forgotten);
    this.#totalsFrom = index;
  }

  /** Starts anew behind a snapshot's position. */
  reset(index: number, term: number): void {
    this.#prevIndex = index;
    this.#prevTerm = term;
    this.#lastIndex = index;
    this.#runs = [];
    this.#totals = [0];
    this.#totalsFrom = index;
  }
}
