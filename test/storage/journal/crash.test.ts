// Whatever moment the power goes or the process dies, the journal comes back with an exact prefix of
// what was asked that holds everything acknowledged. Breaking the code turned these red: see the
// table in `faults.test.ts`.

import { describe, expect, it } from "vitest";
import { openJournal } from "../../../storage/journal/journal.ts";
import { everyStop, seededRandom, SimulatedDisk } from "../../simulation/disk.ts";
import { digestOf, expectPrefix, ManualTimers, play, quietOptions, settle } from "./scenario.ts";

const FILE_BYTES = 6 * 512;

async function recovered(files: Map<string, Buffer>): Promise<[string, SimulatedDisk]> {
  const disk = new SimulatedDisk(files);
  const journal = await openJournal(disk, quietOptions(FILE_BYTES), new ManualTimers());
  return [await digestOf(journal), disk];
}

/** A preparing file has no name that recovery reads: a few of its bytes stand for all. */
function isWorthStopping(path: string, bytes: number): boolean {
  return !path.endsWith("/preparing") || bytes % 64 === 0;
}

describe("a journal that stops at every byte", () => {
  it("recovers an exact prefix with everything acknowledged", { timeout: 60_000 }, async () => {
    const random = seededRandom(1);
    const run = await play(new SimulatedDisk(), random, 11, FILE_BYTES, false);
    expect(run.rollOvers).toBeGreaterThanOrEqual(2);
    expect(run.disk.trace.some((s) => s.type === "write" && s.path.endsWith(".segment"))).toBe(
      true,
    );
    let stops = 0;
    for (const { step, bytes, image } of everyStop(run.disk.trace, run.disk.initial)) {
      const next = run.disk.trace[step];
      if (next?.type === "write" && !isWorthStopping(next.path, bytes)) continue;
      const powerLoss = random() < 0.75;
      const [digest] = await recovered(image(powerLoss ? random : undefined));
      expectPrefix(run, step, digest, `step ${step} byte ${bytes} power ${powerLoss}`);
      stops++;
    }
    expect(stops).toBeGreaterThan(10_000);
  });

  it("recovers at sampled bytes of other runs", { timeout: 60_000 }, async () => {
    for (let seed = 100; seed < 115; seed++) {
      const random = seededRandom(seed);
      const run = await play(new SimulatedDisk(), random, 30, FILE_BYTES, seed % 2 === 0);
      let skip = 0;
      for (const { step, bytes, image } of everyStop(run.disk.trace, run.disk.initial)) {
        if (skip-- > 0) continue;
        skip = Math.floor(random() * 1200);
        const [digest] = await recovered(image(random));
        expectPrefix(run, step, digest, `seed ${seed} step ${step} byte ${bytes}`);
      }
    }
  });

  it("recovers when recovery itself is stopped, any number of times", async () => {
    for (const seed of [5, 6, 7]) {
      const random = seededRandom(seed);
      const run = await play(new SimulatedDisk(), random, 22, FILE_BYTES, false);
      let skip = 0;
      for (const { step, image } of everyStop(run.disk.trace, run.disk.initial)) {
        if (skip-- > 0) continue;
        skip = Math.floor(random() * 4000);
        let files = image(random);
        const [first] = await recovered(files);
        expectPrefix(run, step, first, `step ${step}`);
        for (let round = 0; round < 4; round++) {
          // What was opened once counts as durable: no later stop may take it back.
          const [now, disk] = await recovered(files);
          expect(now).toBe(first);
          await settle();
          files = someImage(disk, random);
          const [again] = await recovered(files);
          expect(again, `step ${step} round ${round}`).toBe(first);
        }
      }
    }
  });

  it("writes on after a recovery, and recovers that too", async () => {
    const random = seededRandom(9);
    let files = new Map<string, Buffer>();
    let expected: string | undefined;
    for (let life = 0; life < 25; life++) {
      const disk = new SimulatedDisk(files);
      const run = await play(disk, random, 6, FILE_BYTES, life % 3 === 0);
      if (expected !== undefined) expect(run.digests[0]).toBe(expected);
      const stops = run.disk.trace.length;
      const stopAt = Math.floor(stops / 2 + (random() * stops) / 2);
      for (const { step, image } of everyStop(disk.trace, disk.initial)) {
        if (step !== stopAt) continue;
        files = image(random);
        break;
      }
      [expected] = await recovered(files);
      expectPrefix(run, stopAt, expected, `life ${life}`);
    }
  });
});

/** What a stop at a random byte of a disk's trace leaves. */
function someImage(disk: SimulatedDisk, random: () => number): Map<string, Buffer> {
  let count = 0;
  for (const step of disk.trace) count += step.type === "write" ? step.bytes.length + 1 : 1;
  let left = Math.floor(random() * count);
  for (const stop of everyStop(disk.trace, disk.initial)) {
    if (left-- === 0) return stop.image(random);
  }
  throw new Error("the trace is shorter than itself");
}
