// The youngest entries of a region's log, in memory: what the engine has not been given yet, and what
// followers may still need. It stands between the replica, which appends, and applying and sending,
// which read; what it has let go is read from the journal.

import type { LogEntry } from "../../storage/journal/types.ts";

/** Let go entries at the head of the list beyond which it is cut. */
const cutAt = 64;

export class LogWindow {
  /**
   * Consecutive, up to the last index; those before `#first` are let go and undefined. Not a map: its
   * tables are made anew as it slides along the log, and grow old (docs/benchmarks.md).
   */
  #entries: Array<LogEntry | undefined> = [];
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
    return index > this.#last ? undefined : this.#entries[this.#at(index)];
  }

  /** Consecutive entries; they replace what is held from the first of them on. */
  append(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#last) this.truncate(first.index);
    // After a gap (what lies between was let go or never held) only the new ones are of use.
    if (first.index !== this.#last + 1) this.#restart(first.index);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#bytes += entry.payload.length;
      this.#last = entry.index;
    }
  }

  /** Entries from here on are gone from the log. */
  truncate(from: number): void {
    const last = Math.min(this.#last, Math.max(from, this.#first) - 1);
    for (let index = last + 1; index <= this.#last; index++) this.#letGo(index);
    this.#entries.length -= this.#last - last;
    this.#last = last;
  }

  /** Lets go what is at or below this index. */
  trim(index: number): void {
    while (this.#first <= index && this.#first <= this.#last) this.#letGo(this.#first++);
    this.#cut();
  }

  /** Lets the oldest go, none behind this index, until no more than so many bytes are held. */
  shrink(maxBytes: number, index: number): void {
    while (this.#bytes > maxBytes && this.#first <= index && this.#first <= this.#last) {
      this.#letGo(this.#first++);
    }
    this.#cut();
  }

  /** Entries [first, last]; undefined when one of them is not held. */
  range(first: number, last: number): LogEntry[] | undefined {
    if (first < this.#first || last > this.#last) return undefined;
    return this.#entries.slice(this.#at(first), this.#at(last) + 1) as LogEntry[];
  }

  #at(index: number): number {
    return this.#entries.length - 1 - (this.#last - index);
  }

  #restart(index: number): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#first = index;
    this.#last = index - 1;
  }

  #letGo(index: number): void {
    const at = this.#at(index);
    this.#bytes -= this.#entries[at]?.payload.length ?? 0;
    this.#entries[at] = undefined;
  }

  #cut(): void {
    const held = this.#last - this.#first + 1;
    const gone = this.#entries.length - held;
    if (held === 0 || gone >= Math.max(cutAt, held)) this.#entries = this.#entries.slice(gone);
  }
}
