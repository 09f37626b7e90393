// An ordered map of byte keys with snapshots that cost nothing until someone writes: leaves of a
// few hundred pairs, shared between snapshots and copied by the one who changes them. Stands under
// `memory.ts` only; it knows nothing of batches, durability or time.

const leafPairs = 256;

interface Leaf {
  /** The map that may change this leaf in place. */
  readonly owner: symbol;
  readonly keys: Buffer[];
  readonly values: Buffer[];
}

/** A pair as it is kept: not to be changed by anyone. */
export interface StoredPair {
  readonly key: Buffer;
  readonly value: Buffer;
}

export class SortedPairs {
  #leaves: Leaf[] = [];
  #owner = Symbol("owner of leaves");
  #ownsList = true;

  /** This map as it is now; later changes of either do not show in the other. */
  snapshot(): SortedPairs {
    const copy = new SortedPairs();
    copy.#leaves = this.#leaves;
    copy.#ownsList = false;
    this.#ownsList = false;
    this.#owner = Symbol("owner of leaves");
    return copy;
  }

  get(key: Buffer): Buffer | undefined {
    const leaf = this.#leaves[this.#leafFor(key)];
    if (leaf === undefined) return undefined;
    const index = lowerBound(leaf.keys, key);
    return leaf.keys[index]?.equals(key) === true ? leaf.values[index] : undefined;
  }

  /** Keeps both buffers: the caller hands them over. */
  set(key: Buffer, value: Buffer): void {
    const at = this.#leafFor(key);
    const leaf = this.#ownLeaf(at);
    const index = lowerBound(leaf.keys, key);
    if (leaf.keys[index]?.equals(key) === true) {
      leaf.values[index] = value;
      return;
    }
    leaf.keys.splice(index, 0, key);
    leaf.values.splice(index, 0, value);
    if (leaf.keys.length <= leafPairs) return;
    const half = leafPairs / 2;
    const right = {
      owner: this.#owner,
      keys: leaf.keys.splice(half),
      values: leaf.values.splice(half),
    };
    this.#leaves.splice(at + 1, 0, right);
  }

  delete(key: Buffer): void {
    const at = this.#leafFor(key);
    const index = lowerBound(this.#leaves[at]?.keys ?? [], key);
    if (this.#leaves[at]?.keys[index]?.equals(key) !== true) return;
    const leaf = this.#ownLeaf(at);
    leaf.keys.splice(index, 1);
    leaf.values.splice(index, 1);
    if (leaf.keys.length === 0) this.#leaves.splice(at, 1);
  }

  /** Pairs with `gte <= key < lt`, descending when `reverse`. Do not change the map meanwhile. */
  *range(gte: Buffer, lt: Buffer, reverse: boolean): Generator<StoredPair> {
    if (reverse) yield* this.#descending(gte, lt);
    else yield* this.#ascending(gte, lt);
  }

  *#ascending(gte: Buffer, lt: Buffer): Generator<StoredPair> {
    for (let at = this.#leafFor(gte); at < this.#leaves.length; at++) {
      const { keys, values } = this.#leaves[at] as Leaf;
      for (let index = lowerBound(keys, gte); index < keys.length; index++) {
        const key = keys[index] as Buffer;
        if (key.compare(lt) >= 0) return;
        yield { key, value: values[index] as Buffer };
      }
    }
  }

  *#descending(gte: Buffer, lt: Buffer): Generator<StoredPair> {
    for (let at = this.#leafFor(lt); at >= 0 && at < this.#leaves.length; at--) {
      const { keys, values } = this.#leaves[at] as Leaf;
      for (let index = lowerBound(keys, lt) - 1; index >= 0; index--) {
        const key = keys[index] as Buffer;
        if (key.compare(gte) < 0) return;
        yield { key, value: values[index] as Buffer };
      }
    }
  }

  /** The last leaf that begins at or before the key; 0 when none does. */
  #leafFor(key: Buffer): number {
    let low = 0;
    let high = this.#leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = (this.#leaves[middle] as Leaf).keys[0] as Buffer;
      if (first.compare(key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #ownLeaf(at: number): Leaf {
    if (!this.#ownsList) {
      this.#leaves = [...this.#leaves];
      this.#ownsList = true;
    }
    const leaf = this.#leaves[at];
    if (leaf !== undefined && leaf.owner === this.#owner) return leaf;
    const own = {
      owner: this.#owner,
      keys: [...(leaf?.keys ?? [])],
      values: [...(leaf?.values ?? [])],
    };
    this.#leaves[at] = own;
    return own;
  }
}

/** The index of the first key that is not below `key`. */
function lowerBound(keys: readonly Buffer[], key: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as Buffer).compare(key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
