// Watches the free space of the data directory's file system and says when it is low, early enough
// for writes to be refused while the log and RocksDB still have room for what they already took.
// It sits between the operating system and start.ts; it refuses nothing itself.

import { statfs, statfsSync, type StatsFs } from "node:fs";

const pollMs = 1000;
/** … and while writes are refused: they are taken again soon after there is room. */
const lowPollMs = 250;
/** Near the reserve it is looked at as often as this fast a writer asks for, bytes per ms. */
const fillBytesPerMs = 4 * 1024 * 1024;
const busyPollMs = 10;
/** Once low, this much more than the reserve must be free: no flapping at the edge. */
const resumeFactor = 1.1;

/** The present judgement. */
export interface SpaceWatch {
  readonly isLow: boolean;
}

/** Free bytes for processes without privileges. */
const freeOf = (stats: StatsFs): number => stats.bavail * stats.bsize;

/**
 * Starts watching, and never keeps the process alive. `isLow` is true from less than `reserveBytes`
 * free on. A file system that cannot be asked keeps the last judgement.
 */
export function watchSpace(
  folder: string,
  reserveBytes: number,
  onChange: (isLow: boolean, freeBytes: number) => void,
): SpaceWatch {
  const watch = { isLow: false };
  const judge = (freeBytes: number): void => {
    const isLow = freeBytes < reserveBytes * (watch.isLow ? resumeFactor : 1);
    if (isLow === watch.isLow) return;
    watch.isLow = isLow;
    onChange(isLow, freeBytes);
  };
  const ask = (): void => {
    statfs(folder, (error, stats) => {
      if (error === null) judge(freeOf(stats));
      const headroomBytes = error === null ? freeOf(stats) - reserveBytes : Infinity;
      const untilFullMs = watch.isLow
        ? lowPollMs
        : Math.max(busyPollMs, headroomBytes / fillBytesPerMs);
      setTimeout(ask, Math.min(pollMs, untilFullMs)).unref();
    });
  };
  judge(freeOf(statfsSync(folder)));
  setTimeout(ask, pollMs).unref();
  return watch;
}
