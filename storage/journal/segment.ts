// Segments: the entries of one region that were still live when their journal file rolled over, in
// a file under `raft/region_<id>/wal/`. Written once and synced before the journal file goes, so
// any bad byte in one is damage. Decides nothing about when.

import type { Disk } from "../disk.ts";
import { DamagedError } from "../errors.ts";
import {
  decodeFileHead,
  encodeFileHead,
  FILE_HEAD_BYTES,
  newIdentity,
  regionFolder,
  segmentName,
  segmentPath,
} from "./file-header.ts";
import { GroupBuffer, groupHeadAt, groupIntact, GROUP_HEAD_BYTES } from "./group.ts";
import { RECORD, RecordCursor, viewOf } from "./record.ts";
import type { RegionLog, Segment } from "./region-log.ts";

/** A group of a segment, and how much is written between two syncs. */
const GROUP_BYTES = 1024 * 1024;

/** Offset of a moved entry in its segment. */
interface Moved {
  readonly index: number;
  readonly offset: number;
}

/** Writes one segment; `finish` makes it and its folders durable. */
export class SegmentWriter {
  readonly path: string;
  readonly moved: Moved[] = [];
  size = FILE_HEAD_BYTES;
  readonly #disk: Disk;
  readonly #log: RegionLog;
  readonly #identity;
  readonly #group = new GroupBuffer();

  constructor(disk: Disk, log: RegionLog, sequence: number) {
    this.#disk = disk;
    this.#log = log;
    this.#identity = newIdentity(sequence, log.regionId, log.replicaId);
    this.path = segmentPath(log.regionId, log.replicaId, sequence);
  }

  /** `next` gives the records in index order, undefined at the end. */
  async write(next: () => Promise<{ index: number; record: Buffer } | undefined>): Promise<void> {
    const folder = regionFolder(this.#log.regionId);
    await this.#disk.makeFolder(folder);
    await this.#disk.makeFolder(`${folder}/wal`);
    const file = await this.#disk.open(this.path, "create");
    try {
      await file.write(encodeFileHead(this.#identity), 0);
      for (let entry = await next(); entry !== undefined; entry = await next()) {
        const offset = this.size + this.#group.addSealed(entry.record);
        this.moved.push({ index: entry.index, offset });
        if (this.#group.length < GROUP_BYTES) continue;
        await this.#flush(file);
        await file.sync();
      }
      if (this.#group.count > 0) await this.#flush(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.syncFolder(`${folder}/wal`);
    await this.#disk.syncFolder(folder);
    await this.#disk.syncFolder("raft");
  }

  async #flush(file: { write(bytes: Buffer, position: number): Promise<void> }): Promise<void> {
    const bytes = this.#group.seal(this.#identity, 0, 0);
    await file.write(bytes, this.size);
    this.size += bytes.length;
    this.#group.clear();
  }
}

/** Segments on disk by region, ascending by sequence. */
export async function listSegments(
  disk: Disk,
): Promise<{ regionId: number; replicaId: number; sequence: number }[]> {
  const found: { regionId: number; replicaId: number; sequence: number }[] = [];
  for (const folder of await disk.list("raft")) {
    const match = /^region_(\d+)$/.exec(folder);
    if (match === null) continue;
    const regionId = Number(match[1]);
    for (const name of await disk.list(`raft/${folder}/wal`)) {
      const parsed = segmentName(name);
      if (parsed !== undefined) found.push({ regionId, ...parsed });
    }
  }
  return found.toSorted((x, y) => x.sequence - y.sequence);
}

/**
 * Reads a segment and gives the log's entries their addresses. Throws DamagedError when any byte of
 * it is not what was written.
 */
export async function loadSegment(
  disk: Disk,
  log: RegionLog,
  sequence: number,
  endBase: number,
): Promise<Segment> {
  const path = segmentPath(log.regionId, log.replicaId, sequence);
  const file = await disk.open(path, "read");
  const bytes = await file.read(0, await file.size());
  await file.close();
  const view = viewOf(bytes);
  const identity = decodeFileHead(bytes);
  if (identity?.regionId !== log.regionId || identity.replicaId !== log.replicaId) {
    throw new DamagedError("segment header is not what was written", `${path}:0`);
  }
  const base = endBase - bytes.length;
  const record = new RecordCursor();
  let last = 0;
  for (let at = FILE_HEAD_BYTES; at < bytes.length;) {
    const head = groupHeadAt(bytes, view, at, identity);
    if (head === undefined || !groupIntact(bytes, view, head)) {
      throw new DamagedError("segment is not what was written", `${path}:${at}`);
    }
    for (let from = at + GROUP_HEAD_BYTES; record.load(view, from, head.recordsEnd);) {
      from += record.length;
      if (record.type !== RECORD.entry) continue;
      last = record.a;
      if (last <= log.prevIndex || last > log.lastIndex) continue;
      log.move(last, base + record.at, record.length, record.b);
    }
    at += head.length;
  }
  // What an older segment gave beyond this one was removed by this one's entries.
  for (let index = Math.max(last, log.prevIndex) + 1; index <= log.lastIndex; index++) {
    log.move(index, 0, 0, log.termAt(index));
  }
  return { path, sequence, base, size: bytes.length };
}
