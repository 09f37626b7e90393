// What a command writes that is too large for one log entry: the chunks of its freshly allocated
// strings, to be replicated in fragments before the command itself. Sits between a keyspace that
// was asked to `stage` and the region that replicates; it decides nothing about entries or order.

import type { Effect } from "./effects.ts";

/** The chunks of one string nobody can see yet: no meta names its oid. */
export interface StagedString {
  readonly position: number;
  readonly oid: number;
  /** By chunk number; `key` is the logical SUB key. */
  readonly chunks: Map<number, { readonly key: Buffer; readonly bytes: Buffer }>;
}

/** Bytes an effect takes in an entry beside its key and value, at most. */
export const effectOverheadBytes = 16;

/** Made by `Keyspace.stage`; given back to `Keyspace.begin` when the command runs again. */
export class StagedWrite {
  readonly strings: readonly StagedString[];

  constructor(strings: readonly StagedString[]) {
    this.strings = strings;
  }

  /** All chunk puts, in lists of at most `maxBytes` (at least one put each), in a fixed order. */
  *fragments(maxBytes: number): Generator<Effect[]> {
    let list: Effect[] = [];
    let bytes = 0;
    for (const { chunks } of this.strings) {
      for (const chunk of chunks.values()) {
        const size = chunk.key.length + chunk.bytes.length + effectOverheadBytes;
        if (list.length > 0 && bytes + size > maxBytes) {
          yield list;
          list = [];
          bytes = 0;
        }
        list.push({ type: "put", key: chunk.key, value: chunk.bytes });
        bytes += size;
      }
    }
    if (list.length > 0) yield list;
  }

  /** Forgets the strings: what a region proposes when the command is never run again. */
  drops(): Effect[] {
    return this.strings.map(({ position, oid }) => ({ type: "drop", position, oid }));
  }
}

/** Whether two buffers hold the same bytes; the same view of the same memory needs no look. */
export function sameBytes(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false;
  return (a.buffer === b.buffer && a.byteOffset === b.byteOffset) || a.equals(b);
}
