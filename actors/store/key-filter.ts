// Which keys a region's engine may hold, so that a key which was never written need not be looked for
// there: such a read costs as much as half of the write (docs/benchmarks.md).
// It stands between what is applied, which adds every record before the engine has it, and a
// leader's memory, which asks. It may say yes to a key that is not there; it never says no to one that is.

import { physicalMetaSlotAt } from "../../storage/keys.ts";

/** Keys that one filter holds, 2 MiB; a region with more is read as if there were none. */
const keysMax = 256 * 1024;
/** Neighbours that are looked at: more of them are the work of somebody who chose the keys for it. */
const probesMax = 128;
const firstCapacity = 64;

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/** Spreads FNV-1a's hash over all bits (MurmurHash3's finalizer); 0 stands for an empty place. */
function fingerprint(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16) || 1;
}

/** Grows with what is added; what is deleted stays, and is looked for in the engine as before. */
export class KeyFilter {
  /** Fingerprints of 32 bits, each at the first free place from its low bits on; undefined = any key. */
  #table: Int32Array | undefined = new Int32Array(firstCapacity);
  #size = 0;

  /** Of an engine that holds something already: it says yes to every key. */
  static ofAny(): KeyFilter {
    const filter = new KeyFilter();
    filter.#table = undefined;
    return filter;
  }

  /** A record with this physical META key is on its way to the engine, or there. */
  add(key: Buffer): void {
    const table = this.#table;
    if (table === undefined) return;
    let hash = offsetBasis;
    for (let at = physicalMetaSlotAt; at < key.length; at++) {
      hash = Math.imul(hash ^ (key[at] as number), prime);
    }
    const print = fingerprint(hash);
    const place = placeOf(table, print);
    if (table[place] === print) return;
    if (place < 0 || this.#size === keysMax) {
      this.#table = undefined;
      return;
    }
    table[place] = print;
    this.#size++;
    if (this.#size * 2 > table.length) this.#table = twiceAsLarge(table);
  }

  /** False: the engine has no record of this key, its bytes as Latin-1 text, in this slot. */
  mayHold(slot: number, name: string): boolean {
    const table = this.#table;
    if (table === undefined) return true;
    let hash = Math.imul(offsetBasis ^ slot, prime);
    for (let at = 0; at < name.length; at++) {
      hash = Math.imul(hash ^ name.charCodeAt(at), prime);
    }
    return table[placeOf(table, fingerprint(hash))] !== 0;
  }
}

/** Where the fingerprint is, or would be put; -1 when too many others are in the way. */
function placeOf(table: Int32Array, print: number): number {
  const mask = table.length - 1;
  let place = print & mask;
  for (let probes = 0; probes < probesMax; probes++) {
    const held = table[place];
    if (held === print || held === 0) return place;
    place = (place + 1) & mask;
  }
  return -1;
}

/** Undefined when one of them finds no place. */
function twiceAsLarge(table: Int32Array): Int32Array | undefined {
  const larger = new Int32Array(table.length * 2);
  for (const print of table) {
    if (print === 0) continue;
    const place = placeOf(larger, print);
    if (place < 0) return undefined;
    larger[place] = print;
  }
  return larger;
}
