// The shared journal: queues what replicas want durable, writes it in groups, one in flight, and
// tells each when it is safe. Sits between the log actor and the disk; recovery, roll-over and
// reading back live in their own files. Takes no Raft decision.

import type { Disk } from "../disk.ts";
import { DamagedError, DiskError, NoSpaceError } from "../errors.ts";
import { encodeCheckpoint } from "./checkpoint.ts";
import { FILE_HEAD_BYTES, JOURNAL_FOLDER } from "./file-header.ts";
import { GroupBuffer } from "./group.ts";
import { readEntries, segmentSource, type Place } from "./log-reader.ts";
import type { LogTable } from "./log-table.ts";
import { NextFile } from "./next-file.ts";
import { RECORD, RecordCursor, viewOf } from "./record.ts";
import { recover, type Recovery } from "./recovery.ts";
import type { RegionLog } from "./region-log.ts";
import { removeReplicaFiles, RollOver, writePosition } from "./roll-over.ts";
import { isNoSpace, prepareFile, removeUnprepared, type JournalFile } from "./stored-file.ts";
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

/** Quiet time after which one mark says that everything before it is durable. */
const IDLE_MARK_DELAY_MS = 100;

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
    throw openError(error);
  }
}

function openError(error: unknown): unknown {
  if (error instanceof DamagedError || !(error instanceof Error)) return error;
  const message = `journal cannot be opened: ${error.message}`;
  if (isNoSpace(error)) return new NoSpaceError(message, { cause: error });
  return new DiskError(message, { cause: error });
}

class SharedJournal implements Journal {
  recovered: readonly RecoveredLog[] = [];
  readonly #disk: Disk;
  readonly #options: JournalOptions;
  readonly #timers: JournalTimers;
  readonly #table: LogTable;
  readonly #files: JournalFile[];
  readonly #next: NextFile;
  readonly #rollOver: RollOver;
  #nextSequence: number;

  #build = new GroupBuffer();
  #buildAddress: number;
  #buildCallbacks: OnDurable[] = [];
  #flying: GroupBuffer | undefined;
  #flyingAddress = 0;
  #flyingCallbacks: OnDurable[] = [];
  #spare = new GroupBuffer();
  /** A group is wanted as soon as the one in flight ends or a file is ready. */
  #wanted = false;
  #durableLsn: number;
  #stopped = false;
  #closing = false;
  #onQuiet: (() => void) | undefined;
  #cancelIdle: (() => void) | undefined;
  #compacted = false;
  /** The last record queued is a mark, so silence needs no other. */
  #marked = false;

  #groups = 0;
  #records = 0;
  #bytes = 0;
  #lastWriteSeconds = 0;

  constructor(disk: Disk, options: JournalOptions, timers: JournalTimers, recovery: Recovery) {
    this.#disk = disk;
    this.#options = options;
    this.#timers = timers;
    this.#table = recovery.table;
    this.#files = recovery.files;
    this.#buildAddress = recovery.endAddress;
    this.#durableLsn = recovery.durableLsn;
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
    const last = this.#files.at(-1);
    if (recovery.lastMark !== undefined && last !== undefined) {
      // The mark holds nothing to lose: the same bytes at the same place are enough.
      const { bytes, position } = recovery.lastMark;
      await last.handle.writeSync(bytes, position);
      last.position = position + bytes.length;
      this.#buildAddress = last.endAddress;
      this.#durableLsn++;
    } else {
      await this.#rewriteTail(recovery);
    }
    await this.#removeAll(recovery.garbage);
    for (const log of this.#table.logs.values()) refuseGaps(log);
    this.recovered = [...this.#table.logs.values()]
      .map(describe)
      .toSorted((x, y) => x.regionId - y.regionId);
    this.#prepareNext();
    this.#rollOver.consider();
  }

  async #rewriteTail(recovery: Recovery): Promise<void> {
    const record = new RecordCursor();
    for (const bytes of recovery.tail) {
      record.load(viewOf(bytes), 0, bytes.length);
      const address = this.#buildAddress + this.#build.addSealed(bytes);
      if (!this.#table.apply(record, address, recovery.tailInBase)) {
        throw new DamagedError("journal's last records contradict each other", JOURNAL_FOLDER);
      }
    }
    const old = [...this.#files];
    if (!this.#next.isReady) {
      const sequence = this.#nextSequence++;
      this.#next.offer(await prepareFile(this.#disk, sequence, this.#options.fileBytes));
    }
    const file = this.#switchFile();
    if (file === undefined) return;
    const bytes = this.#sealBuild(file);
    await file.handle.writeSync(bytes, file.position);
    this.#landed(file, bytes.length);
    for (const cut of old) {
      if (cut.size <= cut.position) continue;
      await cut.handle.truncate(cut.position);
      await cut.handle.sync();
      cut.size = cut.position;
    }
  }

  async #removeAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) await this.#disk.remove(path);
    if (paths.length > 0) await this.#disk.syncFolder(JOURNAL_FOLDER);
  }

  append(write: JournalWrite, onDurable: OnDurable): void {
    if (this.#closing) throw new Error("journal is closed");
    if (this.#stopped) return;
    const { regionId, replicaId, hardState, reset, entries } = write;
    if (hardState === undefined && reset === undefined && entries === undefined) {
      this.#build.add(RECORD.mark, 0, 0, 0, 0, 0, undefined);
      this.#buildCallbacks.push(onDurable);
      return;
    }
    const log = this.#logFor(regionId, replicaId);
    this.#marked = false;
    this.#buildCallbacks.push(onDurable);
    const build = this.#build;
    if (hardState !== undefined) {
      const { term, vote } = hardState;
      build.add(RECORD.hardState, 0, regionId, replicaId, term, vote, undefined);
      log.term = term;
      log.vote = vote;
    }
    if (reset !== undefined) {
      build.add(RECORD.reset, 0, regionId, replicaId, reset.index, reset.term, undefined);
      log.reset(reset.index, reset.term);
    }
    if (entries !== undefined) {
      for (const { index, term, kind, payload } of entries) {
        if (!log.accepts(index)) {
          throw new RangeError(
            `entry ${index} of region ${regionId} does not follow ${log.lastIndex}`,
          );
        }
        const at = build.add(RECORD.entry, kind, regionId, replicaId, index, term, payload);
        log.put(index, this.#buildAddress + at, build.length - at, term);
      }
    }
  }

  logOf(regionId: number): RecoveredLog | undefined {
    const log = this.#table.logs.get(regionId);
    return log === undefined ? undefined : describe(log);
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
    this.#build.add(RECORD.compact, 0, regionId, log.replicaId, index, term, undefined);
    log.compact(index, term);
    this.#compacted = true;
    this.#marked = false;
    this.#armIdle();
  }

  async tombstone(regionId: number, replicaId: number): Promise<void> {
    if (this.#stopped) return;
    await new Promise<void>((resolve) => {
      this.#build.add(RECORD.tombstone, 0, regionId, replicaId, 0, 0, undefined);
      this.#marked = false;
      this.#table.bury(regionId, replicaId);
      this.#buildCallbacks.push(resolve);
      this.flush();
    });
    await this.#rollOver.exclusively(() =>
      removeReplicaFiles(this.#disk, this.#table, regionId, replicaId),
    );
  }

  liveBytes(): number {
    const end = this.#buildAddress + this.#build.length;
    let bytes = end - this.#table.oldestAddress(end);
    for (const log of this.#table.logs.values()) {
      for (const segment of log.segments) bytes += segment.size;
    }
    return bytes;
  }

  get full(): boolean {
    return this.#next.full;
  }

  statistics(): JournalStatistics {
    let fileBytes = this.#next.fileBytes;
    for (const file of this.#files) fileBytes += file.size;
    return {
      groupsTotal: this.#groups,
      recordsTotal: this.#records,
      bytesTotal: this.#bytes,
      rollOversTotal: this.#rollOver.rolled,
      fileBytes,
      lastWriteSeconds: this.#lastWriteSeconds,
    };
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#cancelIdle?.();
    await this.#rollOver.stop();
    await this.#quiet();
    if (!this.#stopped && !this.full) {
      this.#addMark();
      await this.#quiet();
      for (const log of this.#table.logs.values()) await writePosition(this.#disk, log);
    }
    this.#stopped = true;
    await this.#next.stop();
    for (const file of this.#files) await file.retire();
  }

  /** The log of a live replica; writing for a dead one is a bug of the caller. */
  #logFor(regionId: number, replicaId: number): RegionLog {
    const known = this.#table.logs.get(regionId);
    if (known !== undefined && known.replicaId === replicaId) return known;
    const log = known === undefined ? this.#table.logFor(regionId, replicaId) : undefined;
    if (log === undefined) {
      throw new RangeError(`replica ${replicaId} of region ${regionId} may not write: not alive`);
    }
    return log;
  }

  /** Starts the next group when one is wanted, none is in flight and a file has room. */
  #startWanted(): void {
    if (!this.#wanted || this.#flying !== undefined || this.#stopped) return;
    if (this.#build.count === 0) {
      this.#wanted = false;
      return;
    }
    let file = this.#files.at(-1);
    const need = this.#build.sealedLength;
    if (file === undefined || file.position + need > file.size) {
      file = this.#switchFile();
      if (file === undefined) {
        this.#prepareNext();
        return;
      }
      this.#prepareNext();
    }
    this.#wanted = false;
    this.#launch(file);
  }

  /** Takes the prepared file; its first group ends with the state of all logs. */
  #switchFile(): JournalFile | undefined {
    const file = this.#next.take();
    if (file === undefined) return undefined;
    file.base = this.#buildAddress - FILE_HEAD_BYTES;
    file.position = FILE_HEAD_BYTES;
    this.#files.push(file);
    this.#nextSequence = Math.max(this.#nextSequence, file.identity.sequence + 1);
    this.#addCheckpoint(0);
    return file;
  }

  #sealBuild(file: JournalFile): Buffer {
    const group = this.#build;
    const bytes = group.seal(file.identity, this.#durableLsn + 1, this.#durableLsn);
    this.#flying = group;
    this.#flyingAddress = this.#buildAddress;
    const callbacks = this.#flyingCallbacks;
    this.#flyingCallbacks = this.#buildCallbacks;
    this.#buildCallbacks = callbacks;
    this.#build = this.#spare;
    this.#buildAddress += bytes.length;
    return bytes;
  }

  #launch(file: JournalFile): void {
    const bytes = this.#sealBuild(file);
    const startedAt = performance.now();
    file.handle.writeSync(bytes, file.position).then(
      () => {
        if (this.#stopped) return;
        this.#lastWriteSeconds = (performance.now() - startedAt) / 1000;
        const callbacks = this.#flyingCallbacks;
        this.#flyingCallbacks = [];
        this.#landed(file, bytes.length);
        this.#startWanted();
        for (const onDurable of callbacks) onDurable();
        this.#afterGroup();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #landed(file: JournalFile, length: number): void {
    const group = this.#flying;
    if (group === undefined) return;
    file.position += length;
    file.size = Math.max(file.size, file.position);
    this.#durableLsn += group.count;
    this.#groups++;
    this.#records += group.count;
    this.#bytes += length;
    group.clear();
    this.#spare = group;
    this.#flying = undefined;
  }

  #afterGroup(): void {
    if (this.#compacted || this.#files.length > 2) {
      this.#compacted = false;
      this.#rollOver.consider();
    }
    if (this.#flying !== undefined || this.#wanted) return;
    const onQuiet = this.#onQuiet;
    this.#onQuiet = undefined;
    onQuiet?.();
    this.#armIdle();
  }

  /** One timer while there is work; none in an idle node. */
  #armIdle(): void {
    if (this.#cancelIdle !== undefined || this.#closing) return;
    if (this.#marked && this.#build.count === 0) return;
    const seen = this.#groups;
    this.#cancelIdle = this.#timers.after(IDLE_MARK_DELAY_MS, () => {
      this.#cancelIdle = undefined;
      if (this.#stopped || this.#closing) return;
      if (this.#groups === seen && this.#flying === undefined && !this.#wanted) this.#addMark();
      else this.#armIdle();
    });
  }

  #addMark(): void {
    this.#build.add(RECORD.mark, 0, 0, 0, 0, 0, undefined);
    this.#marked = true;
    this.flush();
  }

  #addCheckpoint(rolledSequence: number): void {
    const payload = encodeCheckpoint(this.#table.logs, this.#table.tombstones);
    const lsn = this.#durableLsn + this.#build.count + 1;
    this.#build.add(RECORD.checkpoint, 0, 0, 0, rolledSequence, lsn, payload);
    this.#marked = false;
  }

  #checkpoint(rolledSequence: number): Promise<void> {
    return new Promise((resolve) => {
      this.#addCheckpoint(rolledSequence);
      this.#buildCallbacks.push(resolve);
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
    if (this.#stopped || this.#flying === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  readonly #place = (log: RegionLog, address: number, length: number): Place => {
    if (address < 0) {
      const segment = log.segmentOf(address);
      if (segment === undefined) throw new Error(`no segment holds address ${address}`);
      const source = segmentSource(this.#disk, segment.path);
      return { source, position: address - segment.base };
    }
    if (address >= this.#buildAddress) {
      return { bytes: copyOf(this.#build, address - this.#buildAddress, length) };
    }
    if (this.#flying !== undefined && address >= this.#flyingAddress) {
      return { bytes: copyOf(this.#flying, address - this.#flyingAddress, length) };
    }
    const source = this.#files.findLast((file) => address >= file.base + FILE_HEAD_BYTES);
    if (source === undefined) throw new Error(`no journal file holds address ${address}`);
    return { source, position: address - source.base };
  };

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelIdle?.();
    this.#onQuiet?.();
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#options.onFatal(new DiskError(`journal write failed: ${cause.message}`, { cause }));
  }
}

function copyOf(group: GroupBuffer, at: number, length: number): Buffer {
  return Buffer.from(group.bytes.subarray(at, at + length));
}

function refuseGaps(log: RegionLog): void {
  const missing = log.firstMissing();
  if (missing === 0) return;
  throw new DamagedError(
    `entry ${missing} of region ${log.regionId} is missing`,
    `raft/region_${log.regionId}/wal`,
  );
}

function describe(log: RegionLog): RecoveredLog {
  const { regionId, replicaId, prevIndex, prevTerm, lastIndex, lastTerm } = log;
  const hardState = { term: log.term, vote: log.vote };
  return { regionId, replicaId, hardState, prevIndex, prevTerm, lastIndex, lastTerm };
}
