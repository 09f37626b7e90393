// Random histories of whole groups over the pure core: every invariant of Raft after every step, whatever
// network, disks, crashes and people do, and afterwards a group that works
// (`test/simulation/raft-history.ts`).

import { expect, test } from "vitest";
import { runHistory, type RaftReport } from "../../simulation/raft-history.ts";

/** Histories that are known to bite: each finds one of the mutants of `test/simulation/raft-mutants.ts`. */
const biting = [
  20, 22, 23, 26, 27, 31, 33, 39, 112, 123, 133, 418, 851, 1249, 1456, 2869, 3317, 3889, 3996,
];
const fresh = 500;

test("whatever happens, every rule holds and the group works again", { timeout: 120_000 }, () => {
  const first = Math.floor(Math.random() * 1e9);
  const sums: Record<string, number> = {};
  const run = (seed: number): void => {
    let report: RaftReport;
    try {
      report = runHistory(seed);
    } catch (error) {
      const replay = `npx tsx test/simulation/raft-histories.ts ${seed} 1`;
      throw new Error(`seed ${seed} (${replay})`, { cause: error });
    }
    for (const [name, value] of Object.entries(report)) sums[name] = (sums[name] ?? 0) + value;
  };
  for (const seed of biting) run(seed);
  for (let seed = first; seed < first + fresh; seed++) run(seed);
  // Histories in which nothing happens prove nothing.
  expect(sums["leaders"]).toBeGreaterThan(1000);
  expect(sums["committed"]).toBeGreaterThan(50_000);
  expect(sums["snapshots"]).toBeGreaterThan(100);
  expect(sums["memberships"]).toBeGreaterThan(1000);
  expect(sums["leaseReads"]).toBeGreaterThan(100_000);
  expect(sums["roundReads"]).toBeGreaterThan(1000);
});

test("the same seed is the same history", () => {
  expect(runHistory(4711)).toEqual(runHistory(4711));
});
