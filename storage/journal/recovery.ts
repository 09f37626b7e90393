// Reads a journal as a crash left it and rebuilds the logs (`safety.md` 4-6): an exact prefix that
// holds everything acknowledged, or DamagedError. Only reads; what must be rewritten or cut is in
// its answer.

import type { Disk } from "../disk.ts";
import { DamagedError } from "../errors.ts";
import { decodeCheckpoint } from "./checkpoint.ts";
import {
  decodeFileHead,
  FILE_HEAD_BYTES,
  JOURNAL_FOLDER,
  journalPath,
  journalSequence,
  segmentPath,
} from "./file-header.ts";
import { FileWindow, WINDOW_BYTES } from "./file-window.ts";
import {
  groupHeadAt,
  groupIntact,
  GROUP_HEAD_BYTES,
  SECTOR_BYTES,
  type GroupHead,
} from "./group.ts";
import { LogTable } from "./log-table.ts";
import { RECORD, RECORD_HEAD_BYTES, RecordCursor, viewOf } from "./record.ts";
import { RegionLog } from "./region-log.ts";
import { listSegments, loadSegment } from "./segment.ts";
import { JournalFile } from "./stored-file.ts";

const ZEROS = Buffer.alloc(WINDOW_BYTES);

/** What was found, and what has to be done before any of it counts as durable. */
export interface Recovery {
  readonly table: LogTable;
  /** Oldest first; `position` is behind the last durable group. */
  readonly files: JournalFile[];
  /** A file at the end that holds no group and only zeros. */
  readonly prepared: JournalFile | undefined;
  /** Records behind the last durable mark: valid, not known to be durable. Not yet in the table. */
  readonly tail: Buffer[];
  /** True when the table's checkpoint already contains the tail (nothing older is left). */
  readonly tailInBase: boolean;
  /** The last group when it is a lone mark before nothing but zeros: may be rewritten in place. */
  readonly lastMark: { readonly bytes: Buffer; readonly position: number } | undefined;
  readonly durableLsn: number;
  /** Address behind the last durable group. */
  readonly endAddress: number;
  /** Highest number a journal file has; 0 when there is none. */
  readonly lastSequence: number;
  /** Paths that nothing needs. */
  readonly garbage: string[];
}

interface Found {
  readonly file: JournalFile;
  /** Where the group begins in the file. */
  readonly position: number;
  /** The group's bytes; `head` and records count from their start. */
  readonly bytes: Buffer;
  readonly head: GroupHead;
  /** The oldest group there is: its checkpoint already holds what its other records do. */
  readonly isBase: boolean;
}

/** Recovers the journal under `raft/journal`. Rejects with DamagedError or the disk's error. */
export async function recover(disk: Disk): Promise<Recovery> {
  const recovery = new Recoverer(disk);
  return recovery.run();
}

class Recoverer {
  readonly #disk: Disk;
  readonly #table = new LogTable();
  readonly #files: JournalFile[] = [];
  readonly #garbage: string[] = [];
  readonly #record = new RecordCursor();
  #prepared: JournalFile | undefined;
  /** Valid groups that no later group has declared durable. */
  #pending: Found[] = [];
  #expectedLsn = 0;
  #durableLsn = 0;
  #endAddress = FILE_HEAD_BYTES;
  /** True when the last file holds anything but zeros behind its last group. */
  #litter = false;
  #started = false;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async run(): Promise<Recovery> {
    const files = await this.#openAll();
    const supersededFrom = await firstLsns(files);
    for (const [i, file] of files.entries()) {
      await this.#scan(file, files.slice(i + 1), supersededFrom[i] ?? Infinity);
    }
    const tail = this.#tailRecords();
    const lastMark = this.#loneMark();
    await this.#finish(files[0]?.identity.sequence ?? 1);
    return {
      table: this.#table,
      files: this.#files,
      prepared: this.#prepared,
      tail,
      tailInBase: this.#pending[0]?.isBase === true,
      lastMark,
      durableLsn: this.#durableLsn,
      endAddress: this.#endAddress,
      lastSequence: files.at(-1)?.identity.sequence ?? 0,
      garbage: this.#garbage,
    };
  }

  async #openAll(): Promise<JournalFile[]> {
    const files: JournalFile[] = [];
    const sequences: number[] = [];
    for (const name of await this.#disk.list(JOURNAL_FOLDER)) {
      const sequence = journalSequence(name);
      if (sequence !== undefined) sequences.push(sequence);
    }
    for (const sequence of sequences) {
      const path = journalPath(sequence);
      const handle = await this.#disk.open(path, "write");
      const size = await handle.size();
      const identity = decodeFileHead(await handle.read(0, Math.min(size, FILE_HEAD_BYTES)));
      if (identity?.sequence !== sequence) {
        throw new DamagedError("journal file header is not what was written", `${path}:0`);
      }
      files.push(new JournalFile(identity, handle, size));
    }
    return files;
  }

  /** Follows the groups of one file and applies those that are known durable. */
  async #scan(file: JournalFile, later: JournalFile[], supersededFrom: number): Promise<void> {
    const window = new FileWindow(file);
    let at = FILE_HEAD_BYTES;
    file.base = this.#endAddress - FILE_HEAD_BYTES;
    for (;;) {
      const group = await groupAt(file, window, at);
      if (group === undefined || group.head.firstLsn >= supersededFrom) break;
      const { head, bytes } = group;
      if (this.#started && head.firstLsn !== this.#expectedLsn) {
        throw new DamagedError(`journal lacks record ${this.#expectedLsn}`, `${file.path}:${at}`);
      }
      const isBase = !this.#started;
      const found = { file, position: at, bytes, head, isBase };
      if (isBase) await this.#loadBase(found);
      this.#settle(head.durableLsn);
      this.#pending.push(found);
      this.#expectedLsn = head.firstLsn + head.count;
      at += head.length;
      this.#endAddress = file.base + at;
      file.position = at;
    }
    await this.#judgeRest(file, window, at, later, supersededFrom);
  }

  /** Rule 5: what follows the last good group is litter of a torn write, or damage. */
  async #judgeRest(
    file: JournalFile,
    window: FileWindow,
    at: number,
    later: JournalFile[],
    supersededFrom: number,
  ): Promise<void> {
    const isVoid = supersededFrom !== Infinity;
    const litter = await this.#isLittered(file, window, at, isVoid);
    if (at > FILE_HEAD_BYTES) {
      this.#files.push(file);
      this.#litter = litter;
      return;
    }
    if (!litter && later.length === 0 && file.size > FILE_HEAD_BYTES) {
      this.#prepared = file;
      return;
    }
    // A file whose first group tore, or that a recovery emptied: nothing of it is needed.
    this.#litter ||= litter;
    this.#garbage.push(file.path);
    await file.retire();
  }

  /**
   * True when anything but zeros lies from `from` on. Unless that is void, throws when a group in it
   * knew records as durable that were not found.
   */
  async #isLittered(
    file: JournalFile,
    window: FileWindow,
    from: number,
    isVoid: boolean,
  ): Promise<boolean> {
    let litter = false;
    for (let at = from; at < file.size; at += WINDOW_BYTES) {
      const bytes = await window.read(at, WINDOW_BYTES);
      if (bytes.compare(ZEROS, 0, bytes.length) === 0) continue;
      litter = true;
      if (isVoid) break;
      this.#refuseIfDurable(file, bytes, `${file.path}:${from}`);
    }
    return litter;
  }

  #refuseIfDurable(file: JournalFile, bytes: Buffer, where: string): void {
    const view = viewOf(bytes);
    for (let at = 0; at + SECTOR_BYTES <= bytes.length; at += SECTOR_BYTES) {
      const head = groupHeadAt(bytes, view, at, file.identity);
      if (head === undefined || head.durableLsn < Math.max(this.#expectedLsn, 1)) continue;
      throw new DamagedError(`journal record ${this.#expectedLsn} is damaged`, where);
    }
  }

  /** Applies pending groups that ended at or before `durableLsn`. */
  #settle(durableLsn: number): void {
    this.#durableLsn = Math.max(this.#durableLsn, durableLsn);
    let next = this.#pending[0];
    while (next !== undefined && next.head.firstLsn + next.head.count - 1 <= durableLsn) {
      this.#applyGroup(next);
      this.#pending.shift();
      next = this.#pending[0];
    }
  }

  #applyGroup({ file, position, bytes, head, isBase }: Found): void {
    const view = viewOf(bytes);
    const record = this.#record;
    for (let at = GROUP_HEAD_BYTES; record.load(view, at, head.recordsEnd);) {
      if (!this.#table.apply(record, file.base + position + at, isBase)) {
        throw new DamagedError("journal records contradict each other", `${file.path}:${position}`);
      }
      at += record.length;
    }
  }

  /** The checkpoint that ends the oldest group, and the segments of files older than it. */
  async #loadBase({ file, position, bytes, head }: Found): Promise<void> {
    this.#started = true;
    this.#expectedLsn = head.firstLsn;
    const view = viewOf(bytes);
    const record = this.#record;
    let last: Buffer | undefined;
    for (let at = GROUP_HEAD_BYTES; record.load(view, at, head.recordsEnd);) {
      const isCheckpoint = record.type === RECORD.checkpoint;
      if (isCheckpoint) last = bytes.subarray(at + RECORD_HEAD_BYTES, at + record.length);
      at += record.length;
    }
    const checkpoint = last === undefined ? undefined : decodeCheckpoint(last);
    if (checkpoint === undefined) {
      throw new DamagedError("journal file lacks its checkpoint", `${file.path}:${position}`);
    }
    this.#table.tombstones = new Map(checkpoint.tombstones);
    for (const span of checkpoint.logs) {
      this.#table.logs.set(span.regionId, RegionLog.fromSpan(span));
    }
    let endBase = -1;
    for (const found of await listSegments(this.#disk)) {
      const log = this.#table.logs.get(found.regionId);
      if (found.sequence >= file.identity.sequence || log?.replicaId !== found.replicaId) continue;
      const segment = await loadSegment(this.#disk, log, found.sequence, endBase);
      log.segments.push(segment);
      endBase = segment.base;
    }
  }

  #tailRecords(): Buffer[] {
    const records: Buffer[] = [];
    const record = this.#record;
    for (const { bytes, head } of this.#pending) {
      const view = viewOf(bytes);
      for (let at = GROUP_HEAD_BYTES; record.load(view, at, head.recordsEnd);) {
        if (record.type !== RECORD.mark && record.type !== RECORD.checkpoint) {
          records.push(Buffer.from(bytes.subarray(at, at + record.length)));
        }
        at += record.length;
      }
    }
    return records;
  }

  #loneMark(): { bytes: Buffer; position: number } | undefined {
    const [only] = this.#pending;
    if (this.#litter || this.#pending.length !== 1 || only === undefined) return undefined;
    const { bytes, head, file, position } = only;
    const isMark = this.#record.load(viewOf(bytes), GROUP_HEAD_BYTES, head.recordsEnd);
    if (!isMark || head.count !== 1 || this.#record.type !== RECORD.mark) return undefined;
    return file === this.#files.at(-1) ? { bytes: Buffer.from(bytes), position } : undefined;
  }

  /** Puts the end of the journal behind the last durable group. */
  async #finish(sequence: number): Promise<void> {
    const [first] = this.#pending;
    if (first !== undefined) {
      this.#endAddress = first.file.base + first.position;
      for (const { file } of this.#pending) file.position = FILE_HEAD_BYTES;
      first.file.position = first.position;
    }
    if (!this.#started) await this.#refuseOrphans(sequence);
    const oldest = this.#files[0]?.identity.sequence ?? Infinity;
    for (const found of await listSegments(this.#disk)) {
      const { regionId, replicaId } = found;
      const log = this.#table.logs.get(regionId);
      if (log?.replicaId === replicaId && found.sequence < oldest) continue;
      this.#garbage.push(segmentPath(regionId, replicaId, found.sequence));
    }
  }

  /** A journal that holds no group is a new one only when nothing was ever rolled out of it. */
  async #refuseOrphans(sequence: number): Promise<void> {
    if (sequence === 1 && (await listSegments(this.#disk)).length === 0) return;
    throw new DamagedError("journal files are missing or empty", `${JOURNAL_FOLDER}:0`);
  }
}

/**
 * For each file the lowest LSN that a later file starts with: a recovery rewrote from there, so
 * what this file holds of it is void.
 */
async function firstLsns(files: readonly JournalFile[]): Promise<number[]> {
  const bounds: number[] = [];
  let lowest = Infinity;
  for (const file of files.toReversed()) {
    bounds.push(lowest);
    lowest = Math.min(lowest, (await firstLsn(file)) ?? Infinity);
  }
  return bounds.toReversed();
}

async function firstLsn(file: JournalFile): Promise<number | undefined> {
  return (await groupAt(file, new FileWindow(file), FILE_HEAD_BYTES))?.head.firstLsn;
}

/** The whole and intact group at a position; undefined when there is none. */
async function groupAt(
  file: JournalFile,
  window: FileWindow,
  at: number,
): Promise<{ head: GroupHead; bytes: Buffer } | undefined> {
  if (at + SECTOR_BYTES > file.size) return undefined;
  const sector = window.peek(at, SECTOR_BYTES) ?? (await window.read(at, SECTOR_BYTES));
  const head = groupHeadAt(sector, viewOf(sector), 0, file.identity);
  if (head === undefined || at + head.length > file.size) return undefined;
  const bytes = window.peek(at, head.length) ?? (await window.read(at, head.length));
  return groupIntact(bytes, viewOf(bytes), head) ? { head, bytes } : undefined;
}
