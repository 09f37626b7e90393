// The byte layout of every key: logical keys as they are replicated, the physical form they take in
// this store's engine (a node-local `dataId` after the space byte), and the checksum behind every
// value. Sits between records and the engine; ranges are in `key-ranges.ts`, and what the values
// hold is other files' business.

import { crc32 } from "node:zlib";

import { DamagedError } from "./errors.ts";

/** The first byte of every key. Below 0x10: local to this store, never replicated. */
export const spaces = {
  storeIdent: 0x01,
  regionMeta: 0x02,
  applied: 0x03,
  pendingClear: 0x04,
  deadOid: 0x05,
  allocator: 0x06,
  marker: 0x07,
  installed: 0x08,
  meta: 0x10,
  sub: 0x20,
  ttl: 0x30,
  txn: 0x40,
  region: 0x50,
  placement: 0x60,
  staging: 0x70,
} as const;

/** Bytes a physical key has more than its logical one. */
export const dataIdLength = 4;
/** Bytes of the checksum that ends every stored value. */
export const checksumLength = 4;

const metaHeader = 1 + 4 + 2 + 1;
const subHeader = 1 + 4 + 6;
const ttlHeader = 1 + 6 + 4 + 2 + 1;

const crc16Table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});

/** CRC16/XMODEM of the whole key, all 16 bits (Redis Cluster specification takes 14 of them). */
export function keyBucket(key: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < key.length; i++) {
    crc = ((crc << 8) & 0xffff) ^ (crc16Table[(crc >>> 8) ^ (key[i] as number)] as number);
  }
  return crc;
}

function setU16(bytes: Buffer, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

function setU32(bytes: Buffer, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

function setU48(bytes: Buffer, offset: number, value: number): void {
  setU16(bytes, offset, Math.floor(value / 2 ** 32));
  setU32(bytes, offset + 2, value >>> 0);
}

/** A new key of `length` bytes that begins with `space`. */
function begin(space: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  bytes[0] = space;
  return bytes;
}

function fillMeta(
  bytes: Buffer,
  offset: number,
  position: number,
  bucket: number,
  slot: number,
  key: Uint8Array,
): Buffer {
  setU32(bytes, offset, position);
  setU16(bytes, offset + 4, bucket);
  bytes[offset + 6] = slot;
  bytes.set(key, offset + 7);
  return bytes;
}

/** META: `position` u32, `bucket` = `keyBucket(key)`, `slot` = where its logical database lives. */
export function metaKey(position: number, bucket: number, slot: number, key: Uint8Array): Buffer {
  return fillMeta(begin(spaces.meta, metaHeader + key.length), 1, position, bucket, slot, key);
}

/** SUB: chunk `chunkNo` (u32, 4 KiB each) of the string with object id `oid` (u48). */
export function chunkKey(position: number, oid: number, chunkNo: number): Buffer {
  const bytes = begin(spaces.sub, subHeader + 4);
  setU32(bytes, 1, position);
  setU48(bytes, 5, oid);
  setU32(bytes, subHeader, chunkNo);
  return bytes;
}

/** TTL index: ordered by the instant (Unix ms, u48) at which the key expires. */
export function ttlKey(
  expireAtMs: number,
  position: number,
  bucket: number,
  slot: number,
  key: Uint8Array,
): Buffer {
  const bytes = begin(spaces.ttl, ttlHeader + key.length);
  setU48(bytes, 1, expireAtMs);
  return fillMeta(bytes, 7, position, bucket, slot, key);
}

/** PLACEMENT: a page of the region map, in region 0 only. */
export function placementKey(page: number): Buffer {
  return u32Key(spaces.placement, page);
}

/** STAGING: chunks of `oid` are on their way and no key names them yet (`safety.md` 28). */
export function stagingKey(position: number, oid: number): Buffer {
  const bytes = begin(spaces.staging, subHeader);
  setU32(bytes, 1, position);
  setU48(bytes, 5, oid);
  return bytes;
}

/** Inverse of `stagingKey`. */
export function parseStagingKey(logical: Buffer): { position: number; oid: number } {
  expectKey(logical, spaces.staging, subHeader);
  return { position: logical.readUInt32BE(1), oid: logical.readUIntBE(5, 6) };
}

/** REGION: the replicated counters of one region. */
export function regionStateKey(regionId: number): Buffer {
  return u32Key(spaces.region, regionId);
}

function u32Key(space: number, value: number): Buffer {
  const bytes = begin(space, 5);
  setU32(bytes, 1, value);
  return bytes;
}

/** What a META key says. `key` is a view of the parsed bytes. */
export interface MetaKey {
  readonly position: number;
  readonly bucket: number;
  readonly slot: number;
  readonly key: Buffer;
}

/** What a TTL key says. */
export interface TtlKey extends MetaKey {
  readonly expireAtMs: number;
}

/** What a SUB key of a chunked string says. */
export interface ChunkKey {
  readonly position: number;
  readonly oid: number;
  readonly chunkNo: number;
}

function expectKey(bytes: Buffer, space: number, minLength: number): void {
  if (bytes[0] !== space || bytes.length < minLength) {
    throw new DamagedError(
      "a stored key has the wrong form",
      `key ${bytes.toString("hex", 0, 32)}`,
    );
  }
}

function readMeta(bytes: Buffer, offset: number): MetaKey {
  return {
    position: bytes.readUInt32BE(offset),
    bucket: bytes.readUInt16BE(offset + 4),
    slot: bytes.readUInt8(offset + 6),
    key: bytes.subarray(offset + 7),
  };
}

/** Inverse of `metaKey`; DamagedError when the bytes are none. */
export function parseMetaKey(logical: Buffer): MetaKey {
  expectKey(logical, spaces.meta, metaHeader);
  return readMeta(logical, 1);
}

/** Inverse of `physicalMetaKey`, without its dataId. */
export function parsePhysicalMetaKey(physical: Buffer): MetaKey {
  expectKey(physical, spaces.meta, metaHeader + dataIdLength);
  return readMeta(physical, 1 + dataIdLength);
}

/** Inverse of `ttlKey`. */
export function parseTtlKey(logical: Buffer): TtlKey {
  expectKey(logical, spaces.ttl, ttlHeader);
  return { expireAtMs: logical.readUIntBE(1, 6), ...readMeta(logical, 7) };
}

/** Inverse of `physicalKey(ttlKey(...), dataId)`, without the dataId. */
export function parsePhysicalTtlKey(physical: Buffer): TtlKey {
  expectKey(physical, spaces.ttl, ttlHeader + dataIdLength);
  const offset = 1 + dataIdLength;
  return { expireAtMs: physical.readUIntBE(offset, 6), ...readMeta(physical, offset + 6) };
}

/** Inverse of `chunkKey`. */
export function parseChunkKey(logical: Buffer): ChunkKey {
  expectKey(logical, spaces.sub, subHeader + 4);
  return {
    position: logical.readUInt32BE(1),
    oid: logical.readUIntBE(5, 6),
    chunkNo: logical.readUInt32BE(subHeader),
  };
}

/** Inverse of `regionStateKey`. */
export function parseRegionStateKey(logical: Buffer): number {
  expectKey(logical, spaces.region, 5);
  return logical.readUInt32BE(1);
}

/**
 * The position (u32) inside a logical key, META, SUB, TTL, TXN or STAGING, by which its extent is found;
 * DamagedError for a space that has none.
 */
export function positionOfLogicalKey(logical: Buffer): number {
  const space = logical[0];
  if (space === spaces.ttl && logical.length >= ttlHeader) return logical.readUInt32BE(7);
  const isPlain = space === spaces.meta || space === spaces.sub || space === spaces.txn;
  if ((!isPlain && space !== spaces.staging) || logical.length < 5) {
    expectKey(logical, spaces.meta, metaHeader);
  }
  return logical.readUInt32BE(1);
}

/** Space, dataId (u32), the rest of the logical key. */
export function physicalKey(logical: Buffer, dataId: number): Buffer {
  const bytes = begin(logical[0] as number, logical.length + dataIdLength);
  setU32(bytes, 1, dataId);
  logical.copy(bytes, 1 + dataIdLength, 1);
  return bytes;
}

/** `physicalKey(metaKey(...), dataId)` without the key in between: the hot path. */
export function physicalMetaKey(
  dataId: number,
  position: number,
  bucket: number,
  slot: number,
  key: Uint8Array,
): Buffer {
  const bytes = begin(spaces.meta, metaHeader + dataIdLength + key.length);
  setU32(bytes, 1, dataId);
  return fillMeta(bytes, 1 + dataIdLength, position, bucket, slot, key);
}

/** Where a physical META key has its slot, one byte; the key itself follows. */
export const physicalMetaSlotAt = dataIdLength + metaHeader - 1;

/** Inverse of `physicalKey`. */
export function logicalKey(physical: Buffer): Buffer {
  const bytes = begin(physical[0] as number, physical.length - dataIdLength);
  physical.copy(bytes, 1, 1 + dataIdLength);
  return bytes;
}

/** The dataId (u32) of a physical key. */
export function dataIdOf(physical: Buffer): number {
  return physical.readUInt32BE(1);
}

/**
 * The value as it is stored: followed by the CRC-32 over its logical key and itself, because
 * iterators of the engine's binding do not verify blocks.
 */
export function withChecksum(logical: Uint8Array, value: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafe(value.length + checksumLength);
  stored.set(value);
  setU32(stored, value.length, crc32(value, crc32(logical)));
  return stored;
}

/** The value inside `stored`, a view of it; DamagedError when its checksum does not fit. */
export function checkedValue(logical: Buffer, stored: Buffer): Buffer {
  return verified(crc32(logical), logical, stored);
}

/** `checkedValue` for a physical key: its dataId is not part of the checksum. */
export function checkedPhysicalValue(physical: Buffer, stored: Buffer): Buffer {
  const space = crc32(physical.subarray(0, 1));
  return verified(crc32(physical.subarray(1 + dataIdLength), space), physical, stored);
}

function verified(keyCrc: number, key: Buffer, stored: Buffer): Buffer {
  const value = stored.subarray(0, Math.max(0, stored.length - checksumLength));
  if (
    stored.length < checksumLength ||
    stored.readUInt32BE(value.length) !== crc32(value, keyCrc)
  ) {
    throw new DamagedError(
      "a stored value fails its checksum",
      `key ${key.toString("hex", 0, 64)}`,
    );
  }
  return value;
}
