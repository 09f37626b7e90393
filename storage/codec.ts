// The payload of a log entry: a version, the instant, and effects in their binary form. Sits
// between evaluation (which encodes effect by effect) and apply (which walks them without copies);
// it does not know what applying means.

import { crc32 } from "node:zlib";

import { DamagedError } from "./errors.ts";
import type { Effect, EffectsEntry, RegionState } from "./keyspace/effects.ts";
import { checksumLength, dataIdLength } from "./keys.ts";
import { decodeRegionState, encodeRegionState, regionStateBytes } from "./region-state.ts";

const version = 1;
const headerLength = 1 + 6;
const initialScratchBytes = 64 * 1024;
/** A scratch that grew beyond this is given back by the next `reset`. */
const keptScratchBytes = 1024 * 1024;

/** The operations of an entry, by their byte on disk and on the wire. */
export const operations = {
  /** Returned by `EntryReader.next` after the last operation; never encoded. */
  end: 0,
  /** vint key length, vint value length, key, value, crc4 over key and value. */
  put: 1,
  /** vint key length, key. */
  del: 2,
  /** position u32, oid u48. */
  drop: 3,
  flushAll: 4,
  /** database u8, slot u8. */
  flushDb: 5,
  /** As in `region-state.ts`. */
  state: 6,
} as const;

/** Encodes one entry at a time into a scratch buffer that is reused; `finish` copies it out once. */
export class EntryEncoder {
  #scratch = Buffer.allocUnsafe(initialScratchBytes);
  #length = 0;
  #operations = 0;

  /** Starts a new entry with the instant `nowMs` (Unix ms, u48), forgetting an unfinished one. */
  reset(nowMs: number): void {
    if (this.#scratch.length > keptScratchBytes) {
      this.#scratch = Buffer.allocUnsafe(initialScratchBytes);
    }
    this.#scratch[0] = version;
    this.#scratch.writeUIntBE(nowMs, 1, 6);
    this.#length = headerLength;
    this.#operations = 0;
  }

  /** Bytes of the entry so far. */
  get bytes(): number {
    return this.#length;
  }

  /** Operations in the entry so far, the state included. */
  get operations(): number {
    return this.#operations;
  }

  /** `value` without its checksum, which is computed here, once for all replicas. */
  put(logicalKey: Uint8Array, value: Uint8Array): void {
    this.#begin(operations.put, 20 + logicalKey.length + value.length + checksumLength);
    this.#vint(logicalKey.length);
    this.#vint(value.length);
    const start = this.#length;
    this.#raw(logicalKey);
    this.#raw(value);
    const crc = crc32(this.#scratch.subarray(start, this.#length));
    this.#length = this.#scratch.writeUInt32BE(crc, this.#length);
  }

  del(logicalKey: Uint8Array): void {
    this.#begin(operations.del, 10 + logicalKey.length);
    this.#vint(logicalKey.length);
    this.#raw(logicalKey);
  }

  drop(position: number, oid: number): void {
    this.#begin(operations.drop, 10);
    this.#length = this.#scratch.writeUInt32BE(position, this.#length);
    this.#length = this.#scratch.writeUIntBE(oid, this.#length, 6);
  }

  flushAll(): void {
    this.#begin(operations.flushAll, 0);
  }

  flushDb(db: number, slot: number): void {
    this.#begin(operations.flushDb, 2);
    this.#scratch[this.#length++] = db;
    this.#scratch[this.#length++] = slot;
  }

  state(state: RegionState): void {
    this.#begin(operations.state, regionStateBytes);
    this.#raw(encodeRegionState(state));
  }

  /** Any effect, for callers that hold one as an object. */
  effect(effect: Effect): void {
    switch (effect.type) {
      case "put":
        return this.put(effect.key, effect.value);
      case "del":
        return this.del(effect.key);
      case "drop":
        return this.drop(effect.position, effect.oid);
      case "flushAll":
        return this.flushAll();
      case "flushDb":
        return this.flushDb(effect.db, effect.slot);
    }
  }

  /** A copy of the entry; the encoder may be reset and used again. */
  finish(): Buffer {
    return Buffer.from(this.#scratch.subarray(0, this.#length));
  }

  #begin(operation: number, roomBytes: number): void {
    const needed = this.#length + 1 + roomBytes;
    if (needed > this.#scratch.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#scratch.length * 2));
      this.#scratch.copy(grown, 0, 0, this.#length);
      this.#scratch = grown;
    }
    this.#scratch[this.#length++] = operation;
    this.#operations++;
  }

  #vint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#scratch[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#scratch[this.#length++] = rest;
  }

  #raw(bytes: Uint8Array): void {
    this.#scratch.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

/** Encodes a whole entry. The hot path uses an `EntryEncoder` of its own instead. */
export function encodeEntry(entry: EffectsEntry): Buffer {
  const encoder = new EntryEncoder();
  encoder.reset(entry.nowMs);
  for (const effect of entry.effects) encoder.effect(effect);
  if (entry.state !== undefined) encoder.state(entry.state);
  return encoder.finish();
}

/**
 * A cursor over an entry's operations. After `next` returned one, the fields that belong to it are
 * valid until the following `next`; keys and values are views of the payload, so they live as long
 * as it does. Throws DamagedError for what is not an entry of this version.
 */
export class EntryReader {
  /** The instant of the entry, Unix ms. */
  readonly nowMs: number;
  /** Of `drop`. */
  position = 0;
  oid = 0;
  /** Of `flushDb`. */
  db = 0;
  slot = 0;
  readonly #payload: Buffer;
  #offset = headerLength;
  #keyStart = 0;
  #keyEnd = 0;
  #storedEnd = 0;
  #state: RegionState | undefined;

  constructor(payload: Buffer) {
    this.#payload = payload;
    if (payload.length < headerLength) throw this.#damaged("is too short");
    if (payload[0] !== version) throw this.#damaged(`has the unknown version ${payload[0]}`);
    this.nowMs = payload.readUIntBE(1, 6);
  }

  /** The next operation, one of `operations`; `operations.end` after the last. */
  next(): number {
    if (this.#offset === this.#payload.length) return operations.end;
    const operation = this.#payload[this.#offset++] as number;
    switch (operation) {
      case operations.put: {
        const keyLength = this.#keyLength();
        const valueLength = this.#vint();
        this.#keyStart = this.#take(keyLength);
        this.#keyEnd = this.#offset;
        this.#take(valueLength + checksumLength);
        this.#storedEnd = this.#offset;
        return operation;
      }
      case operations.del: {
        this.#keyStart = this.#take(this.#keyLength());
        this.#keyEnd = this.#offset;
        return operation;
      }
      case operations.drop:
        this.position = this.#payload.readUInt32BE(this.#take(4));
        this.oid = this.#payload.readUIntBE(this.#take(6), 6);
        return operation;
      case operations.flushAll:
        return operation;
      case operations.flushDb:
        this.db = this.#payload.readUInt8(this.#take(1));
        this.slot = this.#payload.readUInt8(this.#take(1));
        return operation;
      case operations.state:
        this.#state = this.#readState();
        return operation;
      default:
        throw this.#damaged(`has the unknown operation ${operation}`);
    }
  }

  /** Of `put` and `del`: the logical key. */
  get key(): Buffer {
    return this.#payload.subarray(this.#keyStart, this.#keyEnd);
  }

  /** Of `put`: the value with the checksum behind it, as it is stored. */
  get stored(): Buffer {
    return this.#payload.subarray(this.#keyEnd, this.#storedEnd);
  }

  /** Of `put` and `del`: a new physical key, made without the logical one in between. */
  physicalKey(dataId: number): Buffer {
    const length = this.#keyEnd - this.#keyStart;
    const bytes = Buffer.allocUnsafe(length + dataIdLength);
    bytes[0] = this.#payload[this.#keyStart] as number;
    bytes[1] = dataId >>> 24;
    bytes[2] = dataId >>> 16;
    bytes[3] = dataId >>> 8;
    bytes[4] = dataId;
    this.#payload.copy(bytes, 1 + dataIdLength, this.#keyStart + 1, this.#keyEnd);
    return bytes;
  }

  /** Of `state`. */
  get state(): RegionState {
    if (this.#state === undefined) throw this.#damaged("has no region state here");
    return this.#state;
  }

  #readState(): RegionState {
    const start = this.#take(regionStateBytes);
    return decodeRegionState(this.#payload.subarray(start, this.#offset));
  }

  /** A key has at least its space byte. */
  #keyLength(): number {
    const length = this.#vint();
    if (length === 0) throw this.#damaged("has an empty key");
    return length;
  }

  /** Moves past `length` bytes and returns where they begin. */
  #take(length: number): number {
    const start = this.#offset;
    if (length > this.#payload.length - start) throw this.#damaged("ends inside an operation");
    this.#offset = start + length;
    return start;
  }

  #vint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#payload[this.#take(1)] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
      if (scale > 2 ** 49) throw this.#damaged("has a number out of range");
    }
  }

  #damaged(reason: string): DamagedError {
    return new DamagedError(`a log entry ${reason}`, `byte ${this.#offset} of its payload`);
  }
}
