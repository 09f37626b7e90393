// One flipped bit anywhere: the journal gives everything that was acknowledged, or refuses and says
// where. The one exception is the window that the design names: inside the very last group, while no
// later mark exists, a flip looks like a torn write.

import { describe, expect, it } from "vitest";
import { DamagedError } from "../../../storage/errors.ts";
import { openJournal } from "../../../storage/journal/journal.ts";
import type { JournalWrite } from "../../../storage/journal/types.ts";
import { seededRandom, SimulatedDisk } from "../../simulation/disk.ts";
import { digestOf, ManualTimers, play, quietOptions, type Run } from "./scenario.ts";

const FILE_BYTES = 12 * 512;

interface Place {
  readonly path: string;
  readonly at: number;
}

/** The digest after one bit of `place` was flipped, or undefined when the journal refuses. */
async function flipped(run: Run, place: Place, bit: number): Promise<string | undefined> {
  const files = run.disk.files();
  const bytes = files.get(place.path)!;
  bytes[place.at] = bytes[place.at]! ^ (1 << bit);
  const disk = new SimulatedDisk(files);
  try {
    const journal = await openJournal(disk, quietOptions(FILE_BYTES), new ManualTimers());
    return await digestOf(journal);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    expect(error.where).toMatch(/^raft\/.*:\d+$|^raft\/region_\d+\/wal$/);
    return undefined;
  }
}

/** Where group writes went, newest first, in files that still exist. */
function groupWrites(run: Run): { path: string; at: number; length: number; step: number }[] {
  const files = run.disk.files();
  return run.disk.trace
    .map((step, i) => ({ step, i }))
    .toReversed()
    .flatMap(({ step, i }) =>
      step.type === "write" && step.sync && files.has(step.path)
        ? [{ path: step.path, at: step.at, length: step.bytes.length, step: i }]
        : [],
    );
}

function last4KiB(run: Run): Place[] {
  const places: Place[] = [];
  for (const { path, at, length } of groupWrites(run)) {
    for (let i = length - 1; i >= 0 && places.length < 4096; i--) places.push({ path, at: at + i });
  }
  return places;
}

function somewhere(run: Run, random: () => number, count: number): Place[] {
  const files = [...run.disk.files()].filter(([path]) => !path.endsWith("/position"));
  const total = files.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  return Array.from({ length: count }, () => {
    let at = Math.floor(random() * total);
    for (const [path, bytes] of files) {
      if (at < bytes.length) return { path, at };
      at -= bytes.length;
    }
    throw new Error("the files are shorter than themselves");
  });
}

function entry(index: number, payload: Buffer): JournalWrite {
  return { regionId: 1, replicaId: 1, entries: [{ index, term: 1, kind: 1, payload }] };
}

describe("a journal with a flipped bit", { timeout: 60_000 }, () => {
  it("after a mark loses nothing or refuses, wherever the bit is", async () => {
    const random = seededRandom(21);
    const run = await play(new SimulatedDisk(), random, 40, FILE_BYTES, true);
    const final = run.digests.at(-1);
    let refused = 0;
    const places = [...last4KiB(run), ...somewhere(run, random, 1000)];
    expect(places.length).toBe(5096);
    expect(places.some((p) => p.path.endsWith(".segment"))).toBe(true);
    for (const place of places) {
      const digest = await flipped(run, place, Math.floor(random() * 8));
      if (digest === undefined) refused++;
      else expect(digest, `${place.path}:${place.at}`).toBe(final);
    }
    expect(refused).toBeGreaterThan(2000);
  });

  it("without a mark may lose the very last group, and nothing else", async () => {
    const random = seededRandom(22);
    const run = await play(new SimulatedDisk(), random, 30, FILE_BYTES, false);
    const final = run.digests.at(-1)!;
    const [window] = groupWrites(run);
    let before = 0;
    for (const [i, at] of run.ackedAt.entries()) if (at <= window!.step) before = i;
    const allowed = run.digests.slice(before);
    let lost = 0;
    for (const place of [...last4KiB(run), ...somewhere(run, random, 200)]) {
      const digest = await flipped(run, place, Math.floor(random() * 8));
      const from = place.at - window!.at;
      const isInside = place.path === window!.path && from >= 0 && from < window!.length;
      if (digest === undefined || digest === final) continue;
      expect(isInside, `${place.path}:${place.at} is outside the last group`).toBe(true);
      expect(allowed).toContain(digest);
      lost++;
    }
    // The window is real: the whole last group, padding included, and it is one group long.
    expect(lost).toBeGreaterThanOrEqual(window!.length);
  });

  it("does not take a payload that imitates a group for one", async () => {
    const disk = new SimulatedDisk();
    const first = await openJournal(disk, quietOptions(64 * 512), new ManualTimers());
    await new Promise<void>((resolve) => {
      first.append(entry(1, Buffer.from("one")), resolve);
      first.flush();
    });
    const [path] = [...disk.files().keys()];
    const group = disk.files().get(path!)!.subarray(512, 2048);
    const fake = Buffer.concat([Buffer.alloc(1024 - 88), group]);
    // Another journal's group, at a sector boundary inside a group that tears at its first sector.
    const other = new SimulatedDisk();
    const second = await openJournal(other, quietOptions(64 * 512), new ManualTimers());
    await new Promise<void>((resolve) => {
      second.append(entry(1, fake), resolve);
      second.flush();
    });
    const files = other.files();
    const [name] = [...files.keys()];
    files.get(name!)!.fill(0, 1024, 1536);
    const torn = new SimulatedDisk(files);
    const again = await openJournal(torn, quietOptions(64 * 512), new ManualTimers());
    expect(again.recovered).toEqual([]);
  });
});
