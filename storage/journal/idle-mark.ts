// Notices silence: after a quiet moment one mark says that everything before it is durable, so that
// damage of the last group can be told from a torn write (`safety.md` 5). Costs an idle store
// nothing: no timer runs once the mark is written.

import type { JournalTimers } from "./timers.ts";

const QUIET_DELAY_MS = 100;

export class IdleMark {
  readonly #timers: JournalTimers;
  readonly #write: () => void;
  #cancel: (() => void) | undefined;
  #busy = false;
  #stopped = false;

  /** `write` queues the mark and flushes. */
  constructor(timers: JournalTimers, write: () => void) {
    this.#timers = timers;
    this.#write = write;
  }

  /** Something was queued or written: the mark waits for the next silence. */
  touch(): void {
    this.#busy = true;
    if (this.#cancel !== undefined || this.#stopped) return;
    this.#busy = false;
    this.#cancel = this.#timers.after(QUIET_DELAY_MS, () => {
      this.#cancel = undefined;
      if (this.#busy) this.touch();
      else this.#write();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
