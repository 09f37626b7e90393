// The shared journal: queues what replicas want durable, writes it in groups, one in flight, and
// tells each when it is safe. Sits between the log actor and the disk; recovery, roll-over and
// reading back live in their own files. Takes no Raft decision.

import type { Disk } from "../disk.ts";
import { DamagedError, DiskError, NoSpaceError } from "../errors.ts";
import { encodeCheckpoint } from "./checkpoint.ts";
import { FILE_HEAD_BYTES, JOURNAL_FOLDER } from "./file-header.ts";
import { GroupQueue } from "./group-queue.ts";
import { IdleMark } from "./idle-mark.ts";
import { placeInFile, readEntries, type Place } from "./log-reader.ts";
import type { LogTable } from "./log-table.ts";
import { NextFile } from "./next-file.ts";
import { RECORD, RecordCursor, viewOf } from "./record.ts";
import { recover, type Recovery } from "./recovery.ts";
import type { RegionLog } from "./region-log.ts";
import { removeReplicaFiles, RollOver, writePosition } from "./roll-over.ts";
import {
  prepareFile,
  removeFiles,
  removeUnprepared,
  storageError,
  type JournalFile,
} from "./stored-file.ts";
import { systemTimers, type JournalTimers } from "./timers.ts";
import type {
  Journal,
  JournalOptions,
  JournalStatistics,
  JournalWrite,
  LogEntry,
  OnDurable,
  RecoveredLog,
} from "./types.ts";

/**
 * Opens the journal under the disk's `raft/` and makes what it recovered durable. Rejects with
 * DamagedError when durable bytes were changed, NoSpaceError or DiskError when the disk refuses.
 */
export async function openJournal(
  disk: Disk,
  options: JournalOptions,
  timers: JournalTimers = systemTimers,
): Promise<Journal> {
  try {
    await disk.makeFolder("raft");
    await disk.makeFolder(JOURNAL_FOLDER);
    await disk.syncFolder("raft");
    await disk.syncFolder("");
    await removeUnprepared(disk, await disk.list(JOURNAL_FOLDER));
    const recovery = await recover(disk);
    const journal = new SharedJournal(disk, options, timers, recovery);
    await journal.start(recovery);
    return journal;
  } catch (error) {
    throw storageError("journal cannot be opened", error);
  }
}

class SharedJournal implements Journal {
  recovered: readonly RecoveredLog[] = [];
  onLanded: (() => void) | undefined;
  readonly #disk: Disk;
  readonly #options: JournalOptions;
  readonly #table: LogTable;
  readonly #files: JournalFile[];
  readonly #next: NextFile;
  readonly #rollOver: RollOver;
  #nextSequence: number;

  readonly #queue: GroupQueue;
  readonly #idle: IdleMark;
  /** A group is wanted as soon as the one in flight ends or a file is ready. */
  #wanted = false;
  #stopped = false;
  #closing = false;
  #onQuiet: (() => void) | undefined;
  /** Gives up a roll-over that waits for its checkpoint. */
  #abandonRollOver: ((reason: Error) => void) | undefined;
  #compacted = false;

  readonly #counters = { groupsTotal: 0, recordsTotal: 0, bytesTotal: 0, lastWriteSeconds: 0 };

  constructor(disk: Disk, options: JournalOptions, timers: JournalTimers, recovery: Recovery) {
    this.#disk = disk;
    this.#options = options;
    this.#table = recovery.table;
    this.#files = recovery.files;
    this.#queue = new GroupQueue(recovery.endAddress, recovery.durableLsn);
    this.#idle = new IdleMark(timers, () => this.#addMark());
    this.#nextSequence = recovery.lastSequence + 1;
    const onFatal = (error: unknown): void => this.#fail(error);
    this.#next = new NextFile(disk, options.fileBytes, timers, {
      onReady: () => this.#startWanted(),
      onFull: options.onFull,
      onFatal,
    });
    this.#rollOver = new RollOver(disk, options.fileBytes, {
      table: this.#table,
      files: this.#files,
      checkpoint: (sequence) => this.#checkpoint(sequence),
      onFatal,
    });
    if (recovery.prepared !== undefined) this.#next.offer(recovery.prepared);
  }

  /** `safety.md` 4: what was recovered is made durable before it counts. */
  async start(recovery: Recovery): Promise<void> {
    this.#requeue(recovery);
    // Refused before the first byte is changed.
    this.#table.refuseGaps();
    const last = this.#files.at(-1);
    if (recovery.lastMark !== undefined && last !== undefined) {
      // The mark holds nothing to lose: the same bytes at the same place are enough.
      const { bytes, position } = recovery.lastMark;
      await last.handle.writeSync(bytes, position);
      last.position = position + bytes.length;
      this.#queue.nextAddress = last.endAddress;
      this.#queue.durableLsn++;
    } else {
      await this.#rewriteTail();
    }
    await removeFiles(this.#disk, recovery.garbage);
    this.recovered = this.#table.describe();
    this.#prepareNext();
    this.#rollOver.consider();
  }

  /** Queues what was recovered behind the last durable group, as if it were new. */
  #requeue(recovery: Recovery): void {
    const record = new RecordCursor();
    for (const bytes of recovery.tail) {
      record.load(viewOf(bytes), 0, bytes.length);
      const address = this.#queue.addSealed(bytes);
      if (!this.#table.apply(record, address, recovery.tailInBase)) {
        throw new DamagedError("journal's last records contradict each other", JOURNAL_FOLDER);
      }
    }
  }

  /** Writes what is queued into a fresh file, then cuts the old ones behind their durable groups. */
  async #rewriteTail(): Promise<void> {
    const old = [...this.#files];
    if (!this.#next.isReady) {
      const sequence = this.#nextSequence++;
      this.#next.offer(await prepareFile(this.#disk, sequence, this.#options.fileBytes));
    }
    const file = this.#switchFile();
    if (file === undefined) return;
    const bytes = this.#queue.launch(file.identity);
    await file.handle.writeSync(bytes, file.position);
    this.#landed(file, bytes.length);
    for (const cut of old) {
      if (cut.size <= cut.position) continue;
      await cut.handle.truncate(cut.position);
      await cut.handle.sync();
      cut.size = cut.position;
    }
  }

  append(write: JournalWrite, onDurable: OnDurable): void {
    if (this.#closing) throw new Error("journal is closed");
    if (this.#stopped) return;
    const { regionId, replicaId, hardState, reset, entries } = write;
    const queue = this.#queue;
    if (hardState === undefined && reset === undefined && entries === undefined) {
      queue.add(RECORD.mark, 0, 0, 0, 0, 0, undefined);
      queue.notify(onDurable);
      return;
    }
    const log = this.#table.writableLog(regionId, replicaId);
    if (hardState !== undefined) {
      const { term, vote } = hardState;
      queue.add(RECORD.hardState, 0, regionId, replicaId, term, vote, undefined);
      log.term = term;
      log.vote = vote;
    }
    if (reset !== undefined) {
      queue.add(RECORD.reset, 0, regionId, replicaId, reset.index, reset.term, undefined);
      log.reset(reset.index, reset.term);
    }
    if (entries !== undefined) {
      for (const { index, term, kind, payload } of entries) {
        if (!log.accepts(index)) {
          throw new RangeError(
            `entry ${index} of region ${regionId} does not follow ${log.lastIndex}`,
          );
        }
        const address = queue.add(RECORD.entry, kind, regionId, replicaId, index, term, payload);
        log.put(index, address, queue.endAddress - address, term);
      }
    }
    queue.notify(onDurable);
    this.#idle.touch();
  }

  logOf(regionId: number): RecoveredLog | undefined {
    return this.#table.logs.get(regionId)?.describe();
  }

  flush(): void {
    this.#wanted = true;
    this.#startWanted();
  }

  async read(regionId: number, from: number, to: number, maxBytes: number): Promise<LogEntry[]> {
    const log = this.#table.logs.get(regionId);
    if (log === undefined) throw new RangeError(`region ${regionId} has no log`);
    return readEntries(log, from, to, maxBytes, this.#place);
  }

  compact(regionId: number, index: number, term: number): void {
    const log = this.#table.logs.get(regionId);
    if (this.#stopped || log === undefined || index <= log.prevIndex) return;
    if (index > log.lastIndex) {
      throw new RangeError(`region ${regionId} has no entry ${index} to compact to`);
    }
    this.#queue.add(RECORD.compact, 0, regionId, log.replicaId, index, term, undefined);
    log.compact(index, term);
    this.#compacted = true;
    this.#idle.touch();
  }

  async tombstone(regionId: number, replicaId: number): Promise<void> {
    if (this.#stopped) return;
    await new Promise<void>((resolve) => {
      this.#queue.add(RECORD.tombstone, 0, regionId, replicaId, 0, 0, undefined);
      this.#table.bury(regionId, replicaId);
      this.#queue.notify(resolve);
      this.#idle.touch();
      this.flush();
    });
    await this.#rollOver.exclusively(() =>
      removeReplicaFiles(this.#disk, this.#table, regionId, replicaId),
    );
  }

  liveBytes(): number {
    const end = this.#queue.endAddress;
    let bytes = end - this.#table.oldestAddress(end);
    for (const log of this.#table.logs.values()) {
      for (const segment of log.segments) bytes += segment.size;
    }
    return bytes;
  }

  get full(): boolean {
    return this.#next.full || this.#options.isSpaceLow?.() === true;
  }

  get isWriting(): boolean {
    return this.#queue.isFlying;
  }

  statistics(): JournalStatistics {
    let fileBytes = this.#next.fileBytes;
    for (const file of this.#files) fileBytes += file.size;
    return {
      ...this.#counters,
      rollOversTotal: this.#rollOver.rolled,
      fileBytes,
    };
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#idle.stop();
    if (this.#next.full) this.#abandonRollOver?.(new NoSpaceError("journal closed while full"));
    await this.#rollOver.stop();
    await this.#quiet();
    if (!this.#stopped && !this.#next.full) {
      this.#addMark();
      await this.#quiet();
      for (const log of this.#table.logs.values()) await writePosition(this.#disk, log);
    }
    this.#stopped = true;
    await this.#next.stop();
    for (const file of this.#files) await file.retire();
  }

  /** Starts the next group when one is wanted, none is in flight and a file has room. */
  #startWanted(): void {
    if (!this.#wanted || this.#queue.isFlying || this.#stopped) return;
    if (this.#queue.isEmpty) {
      this.#wanted = false;
      return;
    }
    let file = this.#files.at(-1);
    const need = this.#queue.sealedLength;
    if (file === undefined || file.position + need > file.size) {
      file = this.#switchFile();
      this.#prepareNext();
      if (file === undefined) return;
    }
    this.#wanted = false;
    this.#launch(file);
  }

  /** Takes the prepared file; its first group ends with the state of all logs. */
  #switchFile(): JournalFile | undefined {
    const file = this.#next.take();
    if (file === undefined) return undefined;
    file.base = this.#queue.nextAddress - FILE_HEAD_BYTES;
    file.position = FILE_HEAD_BYTES;
    this.#files.push(file);
    this.#nextSequence = Math.max(this.#nextSequence, file.identity.sequence + 1);
    this.#addCheckpoint(0);
    return file;
  }

  #launch(file: JournalFile): void {
    const bytes = this.#queue.launch(file.identity);
    const startedAt = performance.now();
    file.handle.writeSync(bytes, file.position).then(
      () => {
        if (this.#stopped) return;
        this.#counters.lastWriteSeconds = (performance.now() - startedAt) / 1000;
        const callbacks = this.#landed(file, bytes.length);
        this.#startWanted();
        for (const onDurable of callbacks) onDurable();
        this.onLanded?.();
        this.#afterGroup();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #landed(file: JournalFile, length: number): OnDurable[] {
    const before = this.#queue.durableLsn;
    const callbacks = this.#queue.land();
    file.position += length;
    file.size = Math.max(file.size, file.position);
    this.#counters.groupsTotal++;
    this.#counters.recordsTotal += this.#queue.durableLsn - before;
    this.#counters.bytesTotal += length;
    return callbacks;
  }

  #afterGroup(): void {
    if (this.#compacted || this.#files.length > 2) {
      this.#compacted = false;
      this.#rollOver.consider();
    }
    if (this.#queue.isFlying || this.#wanted) return;
    const onQuiet = this.#onQuiet;
    this.#onQuiet = undefined;
    onQuiet?.();
  }

  #addMark(): void {
    if (this.#stopped) return;
    this.#queue.add(RECORD.mark, 0, 0, 0, 0, 0, undefined);
    this.flush();
  }

  #addCheckpoint(rolledSequence: number): void {
    const payload = encodeCheckpoint(this.#table.logs, this.#table.tombstones);
    const lsn = this.#queue.nextLsn;
    this.#queue.add(RECORD.checkpoint, 0, 0, 0, rolledSequence, lsn, payload);
  }

  #checkpoint(rolledSequence: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#abandonRollOver = reject;
      this.#addCheckpoint(rolledSequence);
      this.#queue.notify(resolve);
      this.flush();
    });
  }

  #prepareNext(): void {
    if (this.#closing) return;
    this.#next.prepare(this.#nextSequence);
  }

  /** Resolves when nothing is queued or in flight, or nothing can move. */
  #quiet(): Promise<void> {
    this.flush();
    if (this.#stopped || !this.#queue.isFlying) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  readonly #place = (log: RegionLog, address: number, length: number): Place => {
    const bytes = this.#queue.copyAt(address, length);
    return bytes === undefined ? placeInFile(this.#disk, this.#files, log, address) : { bytes };
  };

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#idle.stop();
    this.#onQuiet?.();
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#abandonRollOver?.(cause);
    this.#options.onFatal(new DiskError(`journal write failed: ${cause.message}`, { cause }));
  }
}
