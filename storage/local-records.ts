// The records a store keeps for itself in the engine, beside the replicated data: what its regions
// are, how far they have applied, what is still to be cleared. Sits between the store's actors and
// the engine; nothing here is ever sent to another node. Each value checks itself: version, kind
// and a CRC-32 over both and the content (`safety.md` 9 of the design).

import { crc32 } from "node:zlib";

import { DamagedError } from "./errors.ts";
import { spaces } from "./keys.ts";

const version = 1;
const headBytes = 2;
const crcBytes = 4;
const deadOidBytes = 1 + 4 + 4 + 6;
const allSlots = 0xffff;

/** One contiguous range of positions (inclusive) of a replica, and where its data is. */
export interface Extent {
  readonly fromPosition: number;
  readonly toPosition: number;
  /** Prefixes META, SUB and TTL; a flush replaces it. */
  readonly dataId: number;
  /** Prefixes TXN and REGION; changes only when a snapshot is installed. */
  readonly controlDataId: number;
}

/** What one region replica on this store is (`safety.md` 29 of the design). */
export interface RegionMeta {
  readonly regionId: number;
  /** Allocated by region 0, never reused (u48). */
  readonly replicaId: number;
  /** Ascending by position. */
  readonly extents: readonly Extent[];
  /** `version` grows with the range, `confVersion` with the membership. */
  readonly epoch: { readonly version: number; readonly confVersion: number };
  /** Replica ids of who takes part, as of log index `membershipIndex` (0 = since it was created). */
  readonly membership: { readonly voters: readonly number[]; readonly learners: readonly number[] };
  readonly membershipIndex: number;
  /** Which node each of them lives on. */
  readonly peers: readonly Peer[];
}

/** Where a replica lives. */
export interface Peer {
  readonly replicaId: number;
  /** At most 255 bytes. */
  readonly nodeId: string;
}

/** A log position (both u48). */
export interface AppliedPosition {
  readonly index: number;
  readonly term: number;
}

/** Data that a flush hid and a worker has to delete: a whole dataId, or one slot (u8) of it. */
export interface PendingClear {
  readonly dataId: number;
  readonly slot?: number;
}

/** An object whose chunks are dead: nothing names its oid any more. */
export interface DeadOid {
  readonly dataId: number;
  readonly position: number;
  readonly oid: number;
}

/** Where this store's next dataId (u32) comes from. */
export interface Allocator {
  readonly nextDataId: number;
}

export function regionMetaKey(regionId: number): Buffer {
  return regionKey(spaces.regionMeta, regionId);
}

/** The key of how far a region has applied; its value goes into the same batch as the data. */
export function appliedKey(regionId: number): Buffer {
  return regionKey(spaces.applied, regionId);
}

/** The key of how far a region had applied at the last synced batch. */
export function markerKey(regionId: number): Buffer {
  return regionKey(spaces.marker, regionId);
}

/** The same clear has the same key, so that recording it twice is recording it once. */
export function pendingClearKey(clear: PendingClear): Buffer {
  const key = Buffer.alloc(7);
  key[0] = spaces.pendingClear;
  key.writeUInt32BE(clear.dataId, 1);
  key.writeUInt16BE(clear.slot ?? allSlots, 5);
  return key;
}

/** Everything is in this key, so it ends with its own CRC-32; its value is empty. */
export function deadOidKey(dead: DeadOid): Buffer {
  const key = Buffer.alloc(deadOidBytes + crcBytes);
  key[0] = spaces.deadOid;
  key.writeUInt32BE(dead.dataId, 1);
  key.writeUInt32BE(dead.position, 5);
  key.writeUIntBE(dead.oid, 9, 6);
  key.writeUInt32BE(crc32(key.subarray(0, deadOidBytes)), deadOidBytes);
  return key;
}

/** Inverse of `deadOidKey`; DamagedError when its checksum does not fit. */
export function parseDeadOidKey(key: Buffer): DeadOid {
  const isWhole = key.length === deadOidBytes + crcBytes && key[0] === spaces.deadOid;
  if (!isWhole || key.readUInt32BE(deadOidBytes) !== crc32(key.subarray(0, deadOidBytes))) {
    throw new DamagedError("a record of a dropped object is broken", `key ${key.toString("hex")}`);
  }
  return {
    dataId: key.readUInt32BE(1),
    position: key.readUInt32BE(5),
    oid: key.readUIntBE(9, 6),
  };
}

export function allocatorKey(): Buffer {
  return Buffer.from([spaces.allocator]);
}

/**
 * The key of the position at which a snapshot was installed, in the batch that did it; it stands
 * until the log has been restarted there. The value is `encodeApplied`'s.
 */
export function installedKey(regionId: number): Buffer {
  return regionKey(spaces.installed, regionId);
}

function regionKey(space: number, regionId: number): Buffer {
  const key = Buffer.alloc(5);
  key[0] = space;
  key.writeUInt32BE(regionId, 1);
  return key;
}

export function encodeRegionMeta(meta: RegionMeta): Buffer {
  const { extents, epoch, membership } = meta;
  const members = encodeMembers(meta);
  const rangeBytes = 4 + 6 + 6 + 6 + 2 + extents.length * 16 + 2 + membership.voters.length * 6;
  const { bytes, body } = begin(spaces.regionMeta, rangeBytes + members.length);
  let at = body.writeUInt32BE(meta.regionId, 0);
  at = body.writeUIntBE(meta.replicaId, at, 6);
  at = body.writeUIntBE(epoch.version, at, 6);
  at = body.writeUIntBE(epoch.confVersion, at, 6);
  at = body.writeUInt16BE(extents.length, at);
  for (const extent of extents) {
    at = body.writeUInt32BE(extent.fromPosition, at);
    at = body.writeUInt32BE(extent.toPosition, at);
    at = body.writeUInt32BE(extent.dataId, at);
    at = body.writeUInt32BE(extent.controlDataId, at);
  }
  at = body.writeUInt16BE(membership.voters.length, at);
  for (const voter of membership.voters) at = body.writeUIntBE(voter, at, 6);
  members.copy(body, at);
  return seal(bytes);
}

/** Learners, where the membership comes from, and the nodes: what a region of one node has not. */
function encodeMembers({ membership, membershipIndex, peers }: RegionMeta): Buffer {
  const head = Buffer.alloc(2 + membership.learners.length * 6 + 6 + 2);
  let at = head.writeUInt16BE(membership.learners.length, 0);
  for (const learner of membership.learners) at = head.writeUIntBE(learner, at, 6);
  at = head.writeUIntBE(membershipIndex, at, 6);
  head.writeUInt16BE(peers.length, at);
  const named = peers.map(({ replicaId, nodeId }) => {
    const name = Buffer.from(nodeId);
    const bytes = Buffer.alloc(7);
    bytes.writeUIntBE(replicaId, 0, 6);
    bytes.writeUInt8(name.length, 6);
    return Buffer.concat([bytes, name]);
  });
  return Buffer.concat([head, ...named]);
}

/** Records of the first release end before this part: their region has one voter, on this node. */
function decodeMembers(body: Buffer, start: number) {
  if (start === body.length) return { learners: [], membershipIndex: 0, peers: [] };
  let at = start + 2;
  const learners = Array.from({ length: body.readUInt16BE(start) }, (_, i) =>
    body.readUIntBE(at + i * 6, 6),
  );
  at += learners.length * 6;
  const membershipIndex = body.readUIntBE(at, 6);
  const peerCount = body.readUInt16BE(at + 6);
  at += 8;
  const peers: Peer[] = [];
  for (let i = 0; i < peerCount; i++) {
    const end = at + 7 + body.readUInt8(at + 6);
    peers.push({ replicaId: body.readUIntBE(at, 6), nodeId: body.toString("utf8", at + 7, end) });
    at = end;
  }
  return { learners, membershipIndex, peers };
}

/** Inverse of `encodeRegionMeta`; DamagedError for anything else, as of all `decode…` here. */
export function decodeRegionMeta(stored: Buffer): RegionMeta {
  const body = open(spaces.regionMeta, stored);
  let at = 24;
  const extents = Array.from({ length: body.readUInt16BE(22) }, () => {
    const extent = {
      fromPosition: body.readUInt32BE(at),
      toPosition: body.readUInt32BE(at + 4),
      dataId: body.readUInt32BE(at + 8),
      controlDataId: body.readUInt32BE(at + 12),
    };
    at += 16;
    return extent;
  });
  const voterCount = body.readUInt16BE(at);
  at += 2;
  const voters = Array.from({ length: voterCount }, (_, i) => body.readUIntBE(at + i * 6, 6));
  const { learners, membershipIndex, peers } = decodeMembers(body, at + voterCount * 6);
  return {
    regionId: body.readUInt32BE(0),
    replicaId: body.readUIntBE(4, 6),
    extents,
    epoch: { version: body.readUIntBE(10, 6), confVersion: body.readUIntBE(16, 6) },
    membership: { voters, learners },
    membershipIndex,
    peers,
  };
}

/** The value under `appliedKey`, `markerKey` and `installedKey`. */
export function encodeApplied(index: number, term: number): Buffer {
  const { bytes, body } = begin(spaces.applied, 12);
  body.writeUIntBE(index, 0, 6);
  body.writeUIntBE(term, 6, 6);
  return seal(bytes);
}

export function decodeApplied(stored: Buffer): AppliedPosition {
  const body = open(spaces.applied, stored);
  return { index: body.readUIntBE(0, 6), term: body.readUIntBE(6, 6) };
}

export function encodePendingClear(clear: PendingClear): Buffer {
  const { bytes, body } = begin(spaces.pendingClear, 6);
  body.writeUInt32BE(clear.dataId, 0);
  body.writeUInt16BE(clear.slot ?? allSlots, 4);
  return seal(bytes);
}

export function decodePendingClear(stored: Buffer): PendingClear {
  const body = open(spaces.pendingClear, stored);
  const dataId = body.readUInt32BE(0);
  const slot = body.readUInt16BE(4);
  return slot === allSlots ? { dataId } : { dataId, slot };
}

export function encodeAllocator(allocator: Allocator): Buffer {
  const { bytes, body } = begin(spaces.allocator, 6);
  body.writeUIntBE(allocator.nextDataId, 0, 6);
  return seal(bytes);
}

export function decodeAllocator(stored: Buffer): Allocator {
  return { nextDataId: open(spaces.allocator, stored).readUIntBE(0, 6) };
}

/** A new value and the part of it that the content goes into. */
function begin(kind: number, bodyBytes: number): { bytes: Buffer; body: Buffer } {
  const bytes = Buffer.allocUnsafe(headBytes + bodyBytes + crcBytes);
  bytes[0] = version;
  bytes[1] = kind;
  return { bytes, body: bytes.subarray(headBytes, headBytes + bodyBytes) };
}

function seal(bytes: Buffer): Buffer {
  const end = bytes.length - crcBytes;
  bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end);
  return bytes;
}

/** The content of a sealed value. */
function open(kind: number, stored: Buffer): Buffer {
  const end = stored.length - crcBytes;
  if (end < headBytes || stored.readUInt32BE(end) !== crc32(stored.subarray(0, end))) {
    throw new DamagedError("a local record fails its checksum", `space ${kind}`);
  }
  if (stored[0] !== version || stored[1] !== kind) {
    const found = `version ${stored[0]}, kind ${stored[1]}`;
    throw new DamagedError(`a local record has the unknown form ${found}`, `space ${kind}`);
  }
  return stored.subarray(headBytes, end);
}
