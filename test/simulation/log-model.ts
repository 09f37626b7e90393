// What one replica's journal must hold, by its own words: every write it queued, and which of them
// were reported durable. `invariants.ts` holds logs, messages and what a restart finds against it.

import type { HardState, JournalWrite } from "../../storage/journal/types.ts";

/** A log as terms by index, and the vote. */
export interface LogState extends HardState {
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly lastIndex: number;
  termAt(index: number): number | undefined;
}

export class LogModel implements LogState {
  term = 0;
  vote = 0;
  prevIndex = 0;
  prevTerm = 0;
  #terms: number[] = [];

  get lastIndex(): number {
    return this.prevIndex + this.#terms.length;
  }

  termAt(index: number): number | undefined {
    return index === this.prevIndex ? this.prevTerm : this.#terms[index - this.prevIndex - 1];
  }

  copy(): LogModel {
    const copy = new LogModel();
    copy.restore(this);
    return copy;
  }

  /** Becomes the same as another. */
  restore(from: LogState): void {
    const { term, vote, prevIndex, prevTerm, lastIndex } = from;
    Object.assign(this, { term, vote, prevIndex, prevTerm });
    this.#terms = [];
    for (let index = prevIndex + 1; index <= lastIndex; index++) {
      this.#terms.push(from.termAt(index) ?? -1);
    }
  }

  apply({ hardState, reset, entries }: JournalWrite): void {
    if (hardState !== undefined) {
      this.term = hardState.term;
      this.vote = hardState.vote;
    }
    if (reset !== undefined) {
      this.prevIndex = reset.index;
      this.prevTerm = reset.term;
      this.#terms = [];
    }
    const [first] = entries ?? [];
    if (entries === undefined || first === undefined) return;
    this.#terms.length = Math.min(
      this.#terms.length,
      Math.max(0, first.index - this.prevIndex - 1),
    );
    for (const { term } of entries) this.#terms.push(term);
  }

  /** Nothing at or below the index is asked for any more. */
  forget(index: number): void {
    if (index <= this.prevIndex || index > this.lastIndex) return;
    this.prevTerm = this.termAt(index) ?? 0;
    this.#terms = this.#terms.slice(index - this.prevIndex);
    this.prevIndex = index;
  }
}

/** True when the two agree wherever both know something, and end and vote alike. */
function isSame(a: LogState, b: LogState): boolean {
  if (a.term !== b.term || a.vote !== b.vote || a.lastIndex !== b.lastIndex) return false;
  for (let index = Math.max(a.prevIndex, b.prevIndex); index <= a.lastIndex; index++) {
    if (a.termAt(index) !== b.termAt(index)) return false;
  }
  return true;
}

/** One replica's journal. */
export class ReplicaJournal {
  /** Reported durable. */
  readonly durable = new LogModel();
  /** Everything queued. */
  readonly queued = new LogModel();
  #pending: JournalWrite[] = [];

  queue(write: JournalWrite): void {
    this.queued.apply(write);
    this.#pending.push(write);
  }

  /** The oldest write that is not durable yet is durable now; false when that is another one. */
  becameDurable(write: JournalWrite): boolean {
    const next = this.#pending.shift();
    if (next !== write) return false;
    this.durable.apply(write);
    return true;
  }

  /**
   * A restart found this log. True when it is what was durable, or that and some of what was queued
   * behind it, in order. It counts as durable from now on.
   */
  recovered(found: LogState): boolean {
    const state = this.durable.copy();
    let fits = isSame(state, found);
    for (const write of this.#pending) {
      if (fits) break;
      state.apply(write);
      fits = isSame(state, found);
    }
    this.#pending = [];
    this.durable.restore(found);
    this.queued.restore(found);
    return fits;
  }
}
