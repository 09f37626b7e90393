// How much a region has appended that the engine does not hold yet: the bound on what a slow engine
// may make a leader keep in memory.

export class Backlog {
  readonly #entries: Array<{ readonly index: number; readonly bytes: number }> = [];
  #bytes = 0;

  /** Bytes of all entries appended and not yet applied. */
  get bytes(): number {
    return this.#bytes;
  }

  appended(index: number, bytes: number): void {
    this.#entries.push({ index, bytes });
    this.#bytes += bytes;
  }

  /** What was appended may be lost: it counts no longer, applied or not. */
  clear(): void {
    this.#entries.length = 0;
    this.#bytes = 0;
  }

  /** The engine holds everything up to `index`. */
  applied(index: number): void {
    let done = 0;
    for (const entry of this.#entries) {
      if (entry.index > index) break;
      this.#bytes -= entry.bytes;
      done++;
    }
    this.#entries.splice(0, done);
  }
}
