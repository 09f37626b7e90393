// Prepares the next journal file ahead of need, and waits for room when the disk is full: the one
// place where ENOSPC is not the end (`safety.md` 3). Does not decide when a file is taken.

import type { Disk } from "../disk.ts";
import { isNoSpace, prepareFile, type JournalFile } from "./stored-file.ts";
import type { JournalTimers } from "./timers.ts";

const RETRY_DELAY_MS = 500;

interface NextFileHost {
  onReady(): void;
  onFull(full: boolean): void;
  onFatal(error: unknown): void;
}

export class NextFile {
  full = false;
  readonly #disk: Disk;
  readonly #fileBytes: number;
  readonly #timers: JournalTimers;
  readonly #host: NextFileHost;
  #ready: JournalFile | undefined;
  #running: Promise<void> | undefined;
  #cancelRetry: (() => void) | undefined;
  #stopped = false;

  constructor(disk: Disk, fileBytes: number, timers: JournalTimers, host: NextFileHost) {
    this.#disk = disk;
    this.#fileBytes = fileBytes;
    this.#timers = timers;
    this.#host = host;
  }

  /** Gives a file that recovery found ready. */
  offer(file: JournalFile): void {
    this.#ready = file;
  }

  /** Hands the ready file over; undefined while there is none. */
  take(): JournalFile | undefined {
    const file = this.#ready;
    this.#ready = undefined;
    return file;
  }

  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  get fileBytes(): number {
    return this.#ready?.size ?? 0;
  }

  /** Starts preparing file number `sequence` unless one is ready or under way. */
  prepare(sequence: number): void {
    const busy = this.#running !== undefined || this.#cancelRetry !== undefined;
    if (this.#ready !== undefined || busy || this.#stopped) return;
    this.#running = prepareFile(this.#disk, sequence, this.#fileBytes).then(
      (file) => {
        this.#running = undefined;
        this.#ready = file;
        this.#setFull(false);
        this.#host.onReady();
      },
      (error: unknown) => {
        this.#running = undefined;
        if (!isNoSpace(error)) {
          this.#host.onFatal(error);
          return;
        }
        this.#setFull(true);
        if (this.#stopped) return;
        this.#cancelRetry = this.#timers.after(RETRY_DELAY_MS, () => {
          this.#cancelRetry = undefined;
          this.prepare(sequence);
        });
      },
    );
  }

  /** Ends retries and waits for a preparation under way; closes the ready file. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await this.#running;
    await this.#ready?.retire();
  }

  #setFull(full: boolean): void {
    if (this.full === full) return;
    this.full = full;
    this.#host.onFull(full);
  }
}
