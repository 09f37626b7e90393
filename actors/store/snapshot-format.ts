// A region snapshot as bytes between nodes: a header that says what it is, chunks of records in their
// logical form, and an end that counts them. Each part carries its own CRC-32. It stands between the
// sender and the installer; where the records come from and go to is theirs.

import { crc32 } from "node:zlib";
import { pack, unpack } from "msgpackr";
import type { RegionState } from "../../storage/keyspace/effects.ts";
import type { Extent, RegionMeta } from "../../storage/local-records.ts";

const version = 2;
/** version u8, regionId u32, crc u32 over the rest. */
const headerHeadBytes = 9;
/** crc u32 over the rest, snapshotId u48, sequence u32, kind u8. */
const chunkHeadBytes = 15;
/** key length u32, value length u32. */
const recordHeadBytes = 8;
const kinds = { records: 1, end: 2 } as const;

/** A chunk is closed before it grows beyond this, unless a single record does. */
export const chunkBytesMax = 256 * 1024;

/** What a snapshot is, and the state of the region beside its records. */
export interface SnapshotHeader {
  readonly regionId: number;
  /** replicaIds of the leader that sends it and of the replica it is for. */
  readonly from: number;
  readonly to: number;
  /** The leader's term. */
  readonly term: number;
  /** Names this stream in each of its chunks (u48). */
  readonly snapshotId: number;
  /** The last entry whose effects it holds. */
  readonly index: number;
  readonly indexTerm: number;
  readonly membership: RegionMeta["membership"];
  readonly membershipIndex: number;
  readonly peers: RegionMeta["peers"];
  readonly epoch: RegionMeta["epoch"];
  readonly counters: RegionState;
  /** The ranges that the region consists of. */
  readonly extents: ReadonlyArray<Pick<Extent, "fromPosition" | "toPosition">>;
  /** Slots that a flush has left, whose keys are among the records and have to be cleared. */
  readonly unclearedSlots: readonly number[];
  /** Number of the first chunk that this stream brings; above 0 it goes on where another one broke. */
  readonly firstChunk: number;
}

/** How long both ends keep what a broken stream has left for the next one, ms; it holds room on the disk. */
export const keptForMs = 30_000;

/** The reason with which a receiver ends a stream that goes on with what it has not got. */
export const cannotGoOn = "the beginning of the snapshot is not here";

/** A record as the region holds it: logical key, value with its checksum behind it. */
export interface SnapshotRecord {
  readonly key: Buffer;
  readonly stored: Buffer;
}

/** What arrived is not a snapshot of this version, is broken, or is not the expected part. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

export function encodeSnapshotHeader(header: SnapshotHeader): Buffer {
  const { membership, epoch, counters } = header;
  const body = pack([
    header.from,
    header.to,
    header.term,
    header.snapshotId,
    header.index,
    header.indexTerm,
    membership.voters,
    membership.learners,
    header.membershipIndex,
    header.peers.map(({ replicaId, nodeId }) => [replicaId, nodeId]),
    [epoch.version, epoch.confVersion],
    [counters.nextOid, counters.maxNowMs, counters.counts, counters.slots],
    header.extents.map(({ fromPosition, toPosition }) => [fromPosition, toPosition]),
    header.unclearedSlots,
    header.firstChunk,
  ]);
  const head = Buffer.alloc(headerHeadBytes);
  head[0] = version;
  head.writeUInt32BE(header.regionId, 1);
  head.writeUInt32BE(crc32(body, crc32(head.subarray(0, 5))), 5);
  return Buffer.concat([head, body]);
}

/** The region a snapshot is of; undefined when the bytes are no whole header of this version. */
export function snapshotRegionOf(header: Buffer): number | undefined {
  if (header.length < headerHeadBytes || header[0] !== version) return undefined;
  const body = header.subarray(headerHeadBytes);
  if (header.readUInt32BE(5) !== crc32(body, crc32(header.subarray(0, 5)))) return undefined;
  return header.readUInt32BE(1);
}

type PackedHeader = [
  from: number,
  to: number,
  term: number,
  snapshotId: number,
  index: number,
  indexTerm: number,
  voters: number[],
  learners: number[],
  membershipIndex: number,
  peers: Array<[number, string]>,
  epoch: [number, number],
  counters: [number, number, number[], number[]],
  extents: Array<[number, number]>,
  unclearedSlots: number[],
  firstChunk: number,
];

/** Inverse of `encodeSnapshotHeader`; throws SnapshotError. */
export function decodeSnapshotHeader(header: Buffer): SnapshotHeader {
  const regionId = snapshotRegionOf(header);
  if (regionId === undefined) {
    throw new SnapshotError(`a snapshot's header is broken, or its version ${header[0]} unknown`);
  }
  const packed = unpack(header.subarray(headerHeadBytes)) as PackedHeader;
  const [from, to, term, snapshotId, index, indexTerm, voters, learners, ...rest] = packed;
  const [membershipIndex, peers, [epochVersion, confVersion], counters, extents, ...last] = rest;
  const [unclearedSlots, firstChunk] = last;
  return {
    regionId,
    from,
    to,
    term,
    snapshotId,
    index,
    indexTerm,
    membership: { voters, learners },
    membershipIndex,
    peers: peers.map(([replicaId, nodeId]) => ({ replicaId, nodeId })),
    epoch: { version: epochVersion, confVersion },
    counters: {
      nextOid: counters[0],
      maxNowMs: counters[1],
      counts: counters[2],
      slots: counters[3],
    },
    extents: extents.map(([fromPosition, toPosition]) => ({ fromPosition, toPosition })),
    unclearedSlots,
    firstChunk,
  };
}

/** Fills chunks with records. What it gives out is its taker's. */
export class ChunkEncoder {
  readonly #snapshotId: number;
  #chunk: Buffer | undefined;
  #length = 0;
  #sequence = 0;
  #records = 0;

  constructor(snapshotId: number) {
    this.#snapshotId = snapshotId;
  }

  /** Adds a record; returns the chunk that had no room for it, if there was one. */
  add({ key, stored }: SnapshotRecord): Buffer | undefined {
    const bytes = recordHeadBytes + key.length + stored.length;
    let full: Buffer | undefined;
    if (this.#chunk !== undefined && this.#length + bytes > this.#chunk.length) full = this.flush();
    const chunk = (this.#chunk ??= this.#begin(kinds.records, bytes));
    let at = chunk.writeUInt32BE(key.length, this.#length);
    at = chunk.writeUInt32BE(stored.length, at);
    at += key.copy(chunk, at);
    this.#length = at + stored.copy(chunk, at);
    this.#records++;
    return full;
  }

  /** The chunk begun; undefined when it would be empty. */
  flush(): Buffer | undefined {
    const chunk = this.#chunk?.subarray(0, this.#length);
    this.#chunk = undefined;
    return chunk === undefined ? undefined : seal(chunk);
  }

  /** The last chunk of all, after what `flush` gives. */
  end(): Buffer {
    const chunk = this.#begin(kinds.end, 0).subarray(0, chunkHeadBytes + 6);
    chunk.writeUIntBE(this.#records, chunkHeadBytes, 6);
    return seal(chunk);
  }

  #begin(kind: number, recordBytes: number): Buffer {
    const size = kind === kinds.end ? 64 : Math.max(chunkBytesMax, chunkHeadBytes + recordBytes);
    const chunk = Buffer.allocUnsafe(size);
    chunk.writeUIntBE(this.#snapshotId, 4, 6);
    chunk.writeUInt32BE(this.#sequence++, 10);
    chunk[14] = kind;
    this.#length = chunkHeadBytes;
    return chunk;
  }
}

function seal(chunk: Buffer): Buffer {
  chunk.writeUInt32BE(crc32(chunk.subarray(4)), 0);
  return chunk;
}

/** Takes the chunks of one snapshot apart, in their order. Every method throws SnapshotError. */
export class ChunkDecoder {
  readonly #snapshotId: number;
  /** Of the next chunk to be taken. */
  #sequence = 0;
  /** Of the next chunk to come: lower while a stream repeats what has been taken. */
  #coming = 0;
  #records = 0;
  #ended = false;

  constructor(snapshotId: number) {
    this.#snapshotId = snapshotId;
  }

  /** Another stream begins with this chunk; false when what lies between is missing. */
  goOnAt(sequence: number): boolean {
    if (sequence > this.#sequence) return false;
    this.#coming = sequence;
    return true;
  }

  /**
   * The records of the next chunk, views of it, none when they were taken before; undefined for the
   * end, whose count is right.
   */
  take(chunk: Buffer): SnapshotRecord[] | undefined {
    if (chunk.length < chunkHeadBytes || chunk.readUInt32BE(0) !== crc32(chunk.subarray(4))) {
      throw new SnapshotError("a chunk of a snapshot fails its checksum");
    }
    const isNext = chunk.readUInt32BE(10) === this.#coming;
    const isKnown = this.#coming < this.#sequence;
    if (chunk.readUIntBE(4, 6) !== this.#snapshotId || !isNext || (this.#ended && !isKnown)) {
      throw new SnapshotError("a chunk of a snapshot is not the one that follows");
    }
    this.#coming++;
    if (isKnown) return [];
    this.#sequence++;
    if (chunk[14] === kinds.records) return this.#recordsOf(chunk);
    if (chunk[14] !== kinds.end || chunk.length !== chunkHeadBytes + 6) {
      throw new SnapshotError(`a chunk of a snapshot has the unknown kind ${chunk[14]}`);
    }
    if (chunk.readUIntBE(chunkHeadBytes, 6) !== this.#records) {
      throw new SnapshotError("a snapshot ends with another number of records than have come");
    }
    this.#ended = true;
    return undefined;
  }

  /** Nothing more comes: throws when the end has not. */
  finish(): void {
    if (!this.#ended) throw new SnapshotError("a snapshot stops before its end");
  }

  #recordsOf(chunk: Buffer): SnapshotRecord[] {
    const records: SnapshotRecord[] = [];
    for (let at = chunkHeadBytes; at < chunk.length;) {
      const keyStart = at + recordHeadBytes;
      const isWhole = keyStart <= chunk.length;
      const keyEnd = isWhole ? keyStart + chunk.readUInt32BE(at) : Infinity;
      const end = isWhole ? keyEnd + chunk.readUInt32BE(at + 4) : Infinity;
      if (end > chunk.length) throw new SnapshotError("a chunk of a snapshot ends inside a record");
      records.push({ key: chunk.subarray(keyStart, keyEnd), stored: chunk.subarray(keyEnd, end) });
      at = end;
    }
    this.#records += records.length;
    return records;
  }
}
