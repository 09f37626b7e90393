// What a leader has evaluated but not yet applied, of chunks: commands look here first.
// Entries are kept in log order, so that everything up to an applied index falls off the front.

/** A value with the log index that carries it; `undefined` index = the batch being evaluated. */
interface Versioned<V> {
  readonly index: number;
  readonly value: V;
}

/** Newest uncommitted or unapplied value per key, in index order. `null` = the key is deleted. */
export class Overlay<V> {
  // A Map iterates in insertion order; a rewritten key is moved to the end, so order = index order.
  readonly #entries = new Map<string, Versioned<V>>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Versioned<V> | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: V, index: number): void {
    if (this.#entries.size > 0) this.#entries.delete(key);
    this.#entries.set(key, { index, value });
  }

  /** Drops everything at or below the applied index, telling what fell. */
  applied(index: number, onDrop: (key: string, value: V) => void): void {
    for (const [key, entry] of this.#entries) {
      if (entry.index > index) return;
      this.#entries.delete(key);
      onDrop(key, entry.value);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}
