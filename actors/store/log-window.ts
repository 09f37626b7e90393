// The youngest entries of a region's log, in memory: what the engine has not been given yet, and what
// followers may still need. It stands between the replica, which appends, and applying and sending,
// which read; what it has let go is read from the journal.

import type { LogEntry } from "../../storage/journal/types.ts";

export class LogWindow {
  readonly #entries = new Map<number, LogEntry>();
  #first = 1;
  #last = 0;
  #bytes = 0;

  /** Bytes of all payloads held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lowest index held; above the last one when nothing is. */
  get first(): number {
    return this.#first;
  }

  get(index: number): LogEntry | undefined {
    return this.#entries.get(index);
  }

  /** Consecutive entries; they replace what is held from the first of them on. */
  append(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#last) this.truncate(first.index);
    // After a gap (what lies between was let go or never held) only the new ones are of use.
    if (first.index !== this.#last + 1) this.#restart(first.index);
    for (const entry of entries) {
      this.#entries.set(entry.index, entry);
      this.#bytes += entry.payload.length;
      this.#last = entry.index;
    }
  }

  /** Entries from here on are gone from the log. */
  truncate(from: number): void {
    for (; this.#last >= from && this.#last >= this.#first; this.#last--) this.#drop(this.#last);
    if (this.#last < this.#first - 1) this.#last = this.#first - 1;
  }

  /** Lets go what is at or below this index. */
  trim(index: number): void {
    for (; this.#first <= index && this.#first <= this.#last; this.#first++)
      this.#drop(this.#first);
  }

  /** Lets the oldest go, none behind this index, until no more than so many bytes are held. */
  shrink(maxBytes: number, index: number): void {
    while (this.#bytes > maxBytes && this.#first <= index && this.#first <= this.#last) {
      this.#drop(this.#first++);
    }
  }

  /** Entries [first, last]; undefined when one of them is not held. */
  range(first: number, last: number): LogEntry[] | undefined {
    if (first < this.#first || last > this.#last) return undefined;
    const entries: LogEntry[] = [];
    for (let index = first; index <= last; index++) {
      const entry = this.#entries.get(index);
      if (entry === undefined) return undefined;
      entries.push(entry);
    }
    return entries;
  }

  #restart(index: number): void {
    this.#entries.clear();
    this.#bytes = 0;
    this.#first = index;
    this.#last = index - 1;
  }

  #drop(index: number): void {
    this.#bytes -= this.#entries.get(index)?.payload.length ?? 0;
    this.#entries.delete(index);
  }
}
