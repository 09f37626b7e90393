// A region in memory for tests: runs commands one by one over a `Keyspace`, applies their effects to
// a map of logical keys, and can be cold (nothing in memory, so that every need is a Miss) or warm.

import { chunkKey, keyBucket, metaKey, parseMetaKey } from "../../../storage/keys.ts";
import type { Effect, RegionState } from "../../../storage/keyspace/effects.ts";
import { Keyspace } from "../../../storage/keyspace/keyspace.ts";
import type { RecordSource } from "../../../storage/keyspace/keyspace.ts";
import { decodeRecord } from "../../../storage/keyspace/record-codec.ts";
import type { KeyRecord } from "../../../storage/keyspace/records.ts";
import type { StagedWrite } from "../../../storage/keyspace/staging.ts";
import { Miss } from "../../../storage/keyspace/view.ts";
import type { KeyspaceView } from "../../../storage/keyspace/view.ts";
import { createPositions } from "../../../storage/position.ts";

export const positions = createPositions(16, true);

const text = (key: Buffer): string => key.toString("latin1");

export class MemoryRegion {
  readonly store = new Map<string, Buffer>();
  state: RegionState = {
    nextOid: 1,
    counts: Array.from({ length: 16 }, () => 0),
    slots: Array.from({ length: 16 }, (_, db) => db),
    maxNowMs: 0,
  };
  /** Effects of the last `run`, and how often it ran. */
  effects: readonly Effect[] = [];
  attempts = 0;
  hidExpired = false;
  cold: boolean;
  /** Largest entry; what is larger is staged. Infinity = never. */
  cap = Infinity;
  staged = 0;

  constructor(cold = false) {
    this.cold = cold;
  }

  run<T>(nowMs: number, db: number, body: (view: KeyspaceView) => T): T {
    return this.runIn(this.keyspace(nowMs), db, body);
  }

  keyspace(nowMs: number): Keyspace {
    return new Keyspace(this.#source(), positions, this.state, nowMs);
  }

  /** Runs and applies at once: one command, one entry. */
  runIn<T>(
    keyspace: Keyspace,
    db: number,
    body: (view: KeyspaceView) => T,
    staged?: StagedWrite,
  ): T {
    const result = this.attempt(keyspace, db, body, staged);
    if (staged === undefined && keyspace.commandBytes > this.cap) {
      if (keyspace.commandFixedBytes > this.cap) {
        keyspace.rollback();
        keyspace.spill = true;
        this.attempt(keyspace, db, body);
      }
      const write = keyspace.stage();
      this.staged += 1;
      for (const fragment of write.fragments(this.cap)) this.apply(fragment);
      this.state = keyspace.changedState() ?? this.state;
      const again = this.keyspace(keyspace.nowMs);
      again.spill = keyspace.spill;
      return this.runIn(again, db, body, write);
    }
    keyspace.finishStaged();
    this.effects = [...keyspace.effects];
    this.hidExpired = keyspace.hidExpired;
    this.apply(this.effects);
    this.state = keyspace.changedState() ?? this.state;
    return result;
  }

  /** One command as often as it misses; nothing is applied. */
  attempt<T>(
    keyspace: Keyspace,
    db: number,
    body: (view: KeyspaceView) => T,
    staged?: StagedWrite,
  ): T {
    this.attempts = 0;
    for (;;) {
      this.attempts += 1;
      keyspace.begin(staged);
      try {
        return body(keyspace.view(db));
      } catch (error) {
        if (!(error instanceof Miss) || this.attempts > 100_000) throw error;
        keyspace.rollback();
        for (const missing of keyspace.missing) {
          this.#loaded.add(
            missing.type === "record"
              ? `${missing.slot}/${missing.name}`
              : text(chunkKey(missing.position, missing.oid, missing.chunkNo)),
          );
        }
      }
    }
  }

  apply(effects: readonly Effect[]): void {
    this.#loaded.clear();
    for (const effect of effects) {
      if (effect.type === "put") this.store.set(text(effect.key), Buffer.from(effect.value));
      else if (effect.type === "del") this.store.delete(text(effect.key));
      else if (effect.type === "drop") this.#drop(effect.position, effect.oid);
      else if (effect.type === "flushAll") this.store.clear();
    }
  }

  /** Every record there is, expired ones too, by slot and key. */
  records(): Map<string, KeyRecord> {
    const found = new Map<string, KeyRecord>();
    for (const [key, value] of this.store) {
      if (key.charCodeAt(0) !== 0x10) continue;
      const meta = parseMetaKey(Buffer.from(key, "latin1"));
      found.set(`${meta.slot}/${text(meta.key)}`, decodeRecord(value));
    }
    return found;
  }

  /** Keys of one space (its first byte). */
  keysOf(space: number): string[] {
    return [...this.store.keys()].filter((key) => key.charCodeAt(0) === space);
  }

  readonly #loaded = new Set<string>();

  #drop(position: number, oid: number): void {
    const prefix = text(chunkKey(position, oid, 0).subarray(0, 11));
    for (const key of this.store.keys()) if (key.startsWith(prefix)) this.store.delete(key);
  }

  #source(): RecordSource {
    return {
      peek: (slot, name, key) => {
        if (this.cold && !this.#loaded.has(`${slot}/${name}`)) return undefined;
        const logical = metaKey(positions.positionOf(key), keyBucket(key), slot, key);
        const value = this.store.get(text(logical));
        return value === undefined ? null : decodeRecord(value);
      },
      peekChunk: (position, oid, chunkNo) => {
        const logical = text(chunkKey(position, oid, chunkNo));
        if (this.cold && !this.#loaded.has(logical)) return undefined;
        return this.store.get(logical) ?? null;
      },
      slotIsClean: (slot) =>
        slot < 40 && ![...this.records().keys()].some((name) => name.startsWith(`${slot}/`)),
      random: () => 0.5,
    };
  }
}
