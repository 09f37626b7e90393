// What evaluating a command leaves behind: blind, absolute facts that every replica applies the
// same way and may apply twice. They are all that is replicated (design decision 10).

/** Logical keys begin with their space byte and position; see `../keys.ts`. */
export type Effect =
  /** `value` is without its checksum; the codec adds it. */
  | { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: "del"; readonly key: Buffer }
  /** Everything under (position, oid) in the SUB space is dead. */
  | { readonly type: "drop"; readonly position: number; readonly oid: number }
  | { readonly type: "flushAll" }
  /** The logical database lives in this slot from now on; what its old slot held is dead. */
  | { readonly type: "flushDb"; readonly db: number; readonly slot: number };

/** The region's counters after the entry, absolute. */
export interface RegionState {
  /** Next object id to hand out (u48). */
  nextOid: number;
  /** Keys per logical database (16). */
  counts: number[];
  /** Slot (the db byte in keys) per logical database (16); 0..255. */
  slots: number[];
  /** Highest `now` any applied entry carried, Unix ms: time never runs backwards. */
  maxNowMs: number;
}

/** One entry's content. */
export interface EffectsEntry {
  readonly nowMs: number;
  readonly effects: readonly Effect[];
  /** Present when it differs from before. */
  readonly state?: RegionState;
}
