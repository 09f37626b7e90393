// Long strings as chunks of 4 KiB under an object id: reading ranges, writing whole values and
// patching in place. Sits between `keyspace.ts` and the chunks in memory; a missing or short chunk
// reads as zeros. It emits chunks only: metas, expiry and counts are the keyspace's.

import type { ChunkedString, InlineString } from "./records.ts";

/** Bytes of a full chunk. */
export const chunkBytes = 4096;
/** Longest string that lies whole in its meta record. */
export const maxInlineBytes = 16 * 1024;
/** Longest string at all (proto-max-bulk-len). */
export const maxStringBytes = 64 * 1024 * 1024;

const zeros = Buffer.alloc(chunkBytes);

/** Where chunks come from and go to; the position is that of the string's key. */
export interface ChunkStore {
  /** Null = no such chunk. Undefined = not in memory: noted as missing. */
  chunk(position: number, oid: number, chunkNo: number): Buffer | null | undefined;
  putChunk(position: number, oid: number, chunkNo: number, bytes: Buffer): void;
  /** Throws `Miss` when a chunk asked for was not in memory. */
  expectAll(): void;
}

/** Bytes [start, end) as pieces, each a view of a chunk or of zeros. */
export function readChunks(
  store: ChunkStore,
  position: number,
  oid: number,
  start: number,
  end: number,
): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = start; at < end;) {
    const chunkNo = Math.floor(at / chunkBytes);
    const from = at - chunkNo * chunkBytes;
    const to = Math.min(chunkBytes, end - chunkNo * chunkBytes);
    const chunk = store.chunk(position, oid, chunkNo) ?? zeros.subarray(0, 0);
    if (from < chunk.length) pieces.push(chunk.subarray(from, Math.min(to, chunk.length)));
    if (to > chunk.length) pieces.push(zeros.subarray(Math.max(from, chunk.length), to));
    at = chunkNo * chunkBytes + to;
  }
  store.expectAll();
  return pieces;
}

/** Writes a value under a fresh oid. Chunks are views of `value`; pieces of zeros are left out. */
export function writeChunks(
  store: ChunkStore,
  position: number,
  oid: number,
  value: Buffer,
  from = 0,
): void {
  for (let at = from; at < value.length; at += chunkBytes) {
    const chunk = value.subarray(at, Math.min(at + chunkBytes, value.length));
    if (zeros.compare(chunk, 0, chunk.length, 0, chunk.length) === 0) continue;
    store.putChunk(position, oid, at / chunkBytes, chunk);
  }
}

/** Where the bytes before a patch are read from. */
export interface PatchSource {
  /** Bytes of the old string. */
  readonly length: number;
  /** The old chunk, shorter or null where it ends; undefined = missing in memory. */
  chunk(chunkNo: number): Buffer | null | undefined;
}

/**
 * Lays `bytes` over the old string at `offset`, into chunks under `oid`. With `everything` every
 * old chunk is written again (a new oid), else only those that change.
 */
export function patchChunks(
  store: ChunkStore,
  position: number,
  oid: number,
  old: PatchSource,
  offset: number,
  bytes: Buffer,
  everything: boolean,
): void {
  const end = offset + bytes.length;
  const first = Math.floor(offset / chunkBytes);
  const last = Math.floor((end - 1) / chunkBytes);
  const lastOld = Math.ceil(old.length / chunkBytes) - 1;
  const from = everything ? 0 : first;
  const to = everything ? Math.max(last, lastOld) : last;
  const before: (Buffer | null)[] = [];
  for (let no = from; no <= to; no += 1) {
    before.push(covers(old.length, offset, end, no) ? null : (old.chunk(no) ?? null));
  }
  store.expectAll();
  for (let no = from; no <= to; no += 1) {
    const was = before[no - from] ?? null;
    if (no < first || no > last) {
      if (was !== null) store.putChunk(position, oid, no, was);
      continue;
    }
    const start = no * chunkBytes;
    const patchFrom = Math.max(0, offset - start);
    const patchTo = Math.min(chunkBytes, end - start);
    const chunk = Buffer.alloc(Math.max(was?.length ?? 0, patchTo));
    if (was !== null) chunk.set(was);
    bytes.copy(chunk, patchFrom, start + patchFrom - offset, start + patchTo - offset);
    store.putChunk(position, oid, no, chunk);
  }
}

/** Whether the patch [offset, end) replaces all old bytes of this chunk. */
function covers(oldLength: number, offset: number, end: number, chunkNo: number): boolean {
  const start = chunkNo * chunkBytes;
  const oldEnd = Math.min(start + chunkBytes, oldLength);
  return oldEnd <= start || (offset <= start && end >= oldEnd);
}

/** The chunks of a string that is whole in its record (or absent). */
export function inlineSource(record: InlineString | undefined): PatchSource {
  const bytes = record?.bytes ?? zeros.subarray(0, 0);
  return {
    length: bytes.length,
    chunk: (no) => bytes.subarray(no * chunkBytes, Math.min((no + 1) * chunkBytes, bytes.length)),
  };
}

/** The chunks of a chunked string. */
export function chunkedSource(
  store: ChunkStore,
  position: number,
  record: ChunkedString,
): PatchSource {
  return {
    length: record.length,
    chunk: (no) =>
      no * chunkBytes >= record.length ? null : store.chunk(position, record.oid, no),
  };
}
