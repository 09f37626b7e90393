// The two delays the journal knows: the idle mark and the retry while the disk is full. A port, so
// that a simulation moves time by hand.

export interface JournalTimers {
  /** Runs `task` once after `delayMs`; the answer cancels it. Never keeps the process alive. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemTimers: JournalTimers = {
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
