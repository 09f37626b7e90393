// What a batch of commands lacked in memory, gathered so that one read of the engine brings it all:
// records and chunks by name, each with the commands that wait for it.

import type { KeyRecord } from "../../storage/keyspace/records.ts";
import { decodeRecord } from "../../storage/keyspace/record-codec.ts";
import type { Missing } from "../../storage/keyspace/keyspace.ts";
import {
  checkedPhysicalValue,
  chunkKey,
  keyBucket,
  physicalKey,
  physicalMetaKey,
} from "../../storage/keys.ts";
import type { Positions } from "../../storage/position.ts";

/** Keys of one `getMany`: a 64 MiB string comes in slices, so that others get their turn. */
const sliceKeys = 512;

/** What a waiting command has been brought so far: records by slot and name, chunks by oid and number. */
export type Found = Map<string, KeyRecord | Buffer | null>;

/** Names a missing thing inside its region. */
export function missingName(missing: Missing): string {
  if (missing.type === "record") return recordName(missing.slot, missing.name);
  return chunkName(missing.oid, missing.chunkNo);
}

/** A record's name in overlay, cache and fetch: the slot as one character, then the key as latin1. */
export function recordName(slot: number, name: string): string {
  return String.fromCharCode(slot) + name;
}

/** A chunk's name; it cannot meet a record's, whose first character is below 256. */
export function chunkName(oid: number, chunkNo: number): string {
  return `\u0100${oid}:${chunkNo}`;
}

/** A record that memory lacks. */
export type MissingRecord = Extract<Missing, { type: "record" }>;

interface Wanted {
  readonly missing: Missing;
  readonly owners: Waiter[];
}

/** A command that waits for things to be brought. */
export interface Waiter {
  readonly found: Found;
  /** Things still on their way. */
  outstanding: number;
}

/** One read of the engine in slices, issued one after another. */
export class Fetch {
  readonly #wanted: Wanted[];
  readonly #dataId: number;
  readonly #positions: Positions;
  #next = 0;
  #keys: Buffer[] = [];

  constructor(wanted: Wanted[], dataId: number, positions: Positions) {
    this.#wanted = wanted;
    this.#dataId = dataId;
    this.#positions = positions;
  }

  get done(): boolean {
    return this.#next >= this.#wanted.length;
  }

  /** Physical keys of the next slice. */
  nextKeys(): readonly Buffer[] {
    this.#keys = this.#wanted
      .slice(this.#next, this.#next + sliceKeys)
      .map(({ missing }) => this.#physicalKey(missing));
    return this.#keys;
  }

  /**
   * Hands the slice's values to those who wait, and each record to `onRecord`. Returns the commands
   * that lack nothing any more. Throws DamagedError when a checksum does not fit.
   */
  deliver(
    values: ReadonlyArray<Buffer | undefined>,
    onRecord: (of: MissingRecord, record: KeyRecord | null, owners: readonly Waiter[]) => void,
  ): Waiter[] {
    const ready: Waiter[] = [];
    for (const [i, stored] of values.entries()) {
      const wanted = this.#wanted[this.#next + i];
      const key = this.#keys[i];
      if (wanted === undefined || key === undefined) continue;
      const { missing, owners } = wanted;
      const name = missingName(missing);
      const value = stored === undefined ? null : checkedPhysicalValue(key, stored);
      const isRecord = missing.type === "record";
      const thing = value !== null && isRecord ? decodeRecord(value) : value;
      if (isRecord) onRecord(missing, thing as KeyRecord | null, owners);
      for (const owner of owners) {
        owner.found.set(name, thing);
        if (--owner.outstanding === 0) ready.push(owner);
      }
    }
    this.#next += values.length;
    return ready;
  }

  #physicalKey(missing: Missing): Buffer {
    if (missing.type === "chunk") {
      const { position, oid, chunkNo } = missing;
      return physicalKey(chunkKey(position, oid, chunkNo), this.#dataId);
    }
    const { key, slot } = missing;
    const position = this.#positions.positionOf(key);
    return physicalMetaKey(this.#dataId, position, keyBucket(key), slot, key);
  }
}

/** Gathers what the commands of one batch lack. */
export class FetchPlan {
  readonly #wanted = new Map<string, Wanted>();

  get isEmpty(): boolean {
    return this.#wanted.size === 0;
  }

  /** `owner` undefined = good to have for a command that waits for something else. */
  want(missing: Missing, owner: Waiter | undefined): void {
    const name = missingName(missing);
    let wanted = this.#wanted.get(name);
    if (wanted === undefined) {
      wanted = { missing, owners: [] };
      this.#wanted.set(name, wanted);
    }
    if (owner === undefined) return;
    wanted.owners.push(owner);
    owner.outstanding++;
  }

  /** Takes the plan as one fetch and starts a new one; `onRecord` hears every record in it. */
  take(
    dataId: number,
    positions: Positions,
    onRecord: (of: MissingRecord, fetch: Fetch) => void,
  ): Fetch {
    const fetch = new Fetch([...this.#wanted.values()], dataId, positions);
    for (const { missing } of this.#wanted.values()) {
      if (missing.type === "record") onRecord(missing, fetch);
    }
    this.#wanted.clear();
    return fetch;
  }
}
