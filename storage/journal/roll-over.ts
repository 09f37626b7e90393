// Retires journal files, oldest first: live entries move to segments, a synced checkpoint says so,
// only then the file goes (`safety.md` 6). Every prefix of these steps recovers, because segments
// count only when their journal file is gone. Never touches the current file.

import type { Disk } from "../disk.ts";
import { JOURNAL_FOLDER, regionFolder, segmentName } from "./file-header.ts";
import { FileWindow } from "./file-window.ts";
import type { LogTable } from "./log-table.ts";
import type { RegionLog, Segment } from "./region-log.ts";
import { SegmentWriter } from "./segment.ts";
import { isNoSpace, type JournalFile } from "./stored-file.ts";

/** Small files (cut by recoveries) are rolled at the latest when this many are closed. */
const MAX_CLOSED_FILES = 8;

interface RollOverHost {
  readonly table: LogTable;
  /** Oldest first; the last is the current one. */
  readonly files: JournalFile[];
  /** Queues a checkpoint naming `sequence` as rolled; resolves when it is durable. */
  checkpoint(sequence: number): Promise<void>;
  onFatal(error: unknown): void;
}

export class RollOver {
  rolled = 0;
  readonly #disk: Disk;
  readonly #fileBytes: number;
  readonly #host: RollOverHost;
  /** Lowest address given to a segment. */
  #segmentBase: number;
  #tail: Promise<void> = Promise.resolve();
  #busy = false;
  #stopped = false;

  constructor(disk: Disk, fileBytes: number, host: RollOverHost) {
    this.#disk = disk;
    this.#fileBytes = fileBytes;
    this.#host = host;
    this.#segmentBase = -1;
    for (const log of host.table.logs.values()) {
      for (const { base } of log.segments) this.#segmentBase = Math.min(this.#segmentBase, base);
    }
  }

  /** Rolls the oldest file when nothing in it is live, or when closed files have piled up. */
  consider(): void {
    const oldest = this.#host.files[0];
    if (this.#busy || this.#stopped || oldest === undefined) return;
    if (this.#host.files.length < 2 || !(this.#isDead(oldest) || this.#pileUp())) return;
    this.#busy = true;
    void this.exclusively(() => this.#roll(oldest)).then((again) => {
      this.#busy = false;
      if (again === true) this.consider();
    });
  }

  /** Runs a task between roll-overs; a failure is fatal. Undefined when it failed. */
  exclusively<T>(task: () => Promise<T>): Promise<T | undefined> {
    const run = this.#tail.then(task).catch((error: unknown) => {
      this.#host.onFatal(error);
      return undefined;
    });
    this.#tail = run.then(() => undefined);
    return run;
  }

  /** Lets the roll-over under way end, starts no other. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#tail;
  }

  #isDead(file: JournalFile): boolean {
    return this.#host.table.oldestAddress(file.endAddress) >= file.endAddress;
  }

  #pileUp(): boolean {
    const closed = this.#host.files.slice(0, -1);
    let bytes = 0;
    for (const file of closed) bytes += file.size;
    return bytes > this.#fileBytes * 1.5 || closed.length >= MAX_CLOSED_FILES;
  }

  /** True when the file is gone; false when there was no room to move its live entries. */
  async #roll(file: JournalFile): Promise<boolean> {
    const moved: RegionLog[] = [];
    try {
      for (const log of this.#host.table.logs.values()) {
        if (await this.#moveLive(log, file)) moved.push(log);
      }
    } catch (error) {
      if (isNoSpace(error)) return false;
      throw error;
    }
    const dead = this.#deadSegments();
    await this.#host.checkpoint(file.identity.sequence);
    this.#host.files.shift();
    await this.#disk.remove(file.path);
    await this.#disk.syncFolder(JOURNAL_FOLDER);
    await file.retire();
    for (const { path } of dead) await this.#disk.remove(path);
    for (const log of moved) await writePosition(this.#disk, log);
    this.rolled++;
    return true;
  }

  /** True when the file held live entries of the log, which now have a segment. */
  async #moveLive(log: RegionLog, file: JournalFile): Promise<boolean> {
    const from = log.firstIndexFrom(1);
    const isIn = (index: number): boolean =>
      index > log.prevIndex && index <= log.lastIndex && addressIn(file, log.addressAt(index));
    if (!isIn(from)) return false;
    const { sequence } = file.identity;
    const writer = new SegmentWriter(this.#disk, log, sequence);
    const window = new FileWindow(file);
    let index = from - 1;
    await writer.write(async () => {
      index = Math.max(index, log.prevIndex) + 1;
      if (!isIn(index)) return undefined;
      const position = log.addressAt(index) - file.base;
      const length = log.lengthAt(index);
      return {
        index,
        record: window.peek(position, length) ?? (await window.read(position, length)),
      };
    });
    this.#segmentBase -= writer.size;
    const base = this.#segmentBase;
    const { path, size } = writer;
    log.segments.push({ path, sequence, base, size });
    for (const moved of writer.moved) {
      // Removed or replaced while the segment was being written: the journal knows better.
      if (!isIn(moved.index)) continue;
      const length = log.lengthAt(moved.index);
      log.move(moved.index, base + moved.offset, length, log.termAt(moved.index));
    }
    return true;
  }

  #deadSegments(): Segment[] {
    const dead: Segment[] = [];
    for (const log of this.#host.table.logs.values()) {
      if (log.segments.length === 0) continue;
      const live = log.liveSegments();
      dead.push(...log.segments.filter((segment) => !live.has(segment)));
      log.segments = log.segments.filter((segment) => live.has(segment));
    }
    return dead;
  }
}

/** Removes the files of buried replicas; the folder too when no replica of the region is left. */
export async function removeReplicaFiles(
  disk: Disk,
  table: LogTable,
  regionId: number,
  replicaId: number,
): Promise<void> {
  const folder = regionFolder(regionId);
  for (const name of await disk.list(`${folder}/wal`)) {
    const parsed = segmentName(name);
    if (parsed === undefined || parsed.replicaId > replicaId) continue;
    await disk.remove(`${folder}/wal/${name}`);
  }
  if (table.logs.has(regionId) || (await disk.list(folder)).length === 0) return;
  await disk.removeFolder(folder);
}

/**
 * Tells people where a region's log lies. Recovery never reads it, so it is not synced, and a full
 * disk merely leaves it out.
 */
export async function writePosition(disk: Disk, log: RegionLog): Promise<void> {
  const folder = regionFolder(log.regionId);
  const { replicaId, prevIndex, lastIndex } = log;
  const journalFrom = log.firstIndexFrom(1);
  const segments = log.segments.map((segment) => segment.path);
  const span = { replicaId, firstIndex: prevIndex + 1, lastIndex, journalFrom, segments };
  try {
    await disk.makeFolder(folder);
    const file = await disk.open(`${folder}/position`, "create");
    try {
      await file.write(Buffer.from(`${JSON.stringify(span)}\n`), 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isNoSpace(error)) throw error;
  }
}

function addressIn(file: JournalFile, address: number): boolean {
  return address >= file.base && address < file.endAddress;
}
