// The simulated cluster as a test: seeds that once failed, and as many fresh ones as fit into
// SIM_SECONDS (default 20; 0 = none). A failure names the command that runs it again.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { pastSeeds } from "./past-seeds.ts";
import { againCommand, runSeed, type SeedOptions } from "./run.ts";

const freshSeconds = Number(process.env["SIM_SECONDS"] ?? 20);
const firstSeed = Number(process.env["SIM_SEED"] ?? Math.floor(Date.now() / 1000) % 1_000_000_000);
/** Every so many seeds another size or weather; storm over five nodes otherwise. */
const variants: ReadonlyArray<Omit<SeedOptions, "seed">> = [
  {},
  { nodes: 3 },
  { profile: "waves" },
  { profile: "clocks" },
];

async function run(options: SeedOptions): Promise<void> {
  try {
    await runSeed(options);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`${text}\nagain: ${againCommand(options)}`, { cause: error });
  }
}

describe("the simulated cluster", () => {
  test.each(pastSeeds)("seed $seed: $bug", (past) => run(past));

  test("two quiet minutes", () => run({ seed: firstSeed, profile: "quiet" }));

  test(`fresh seeds from ${firstSeed} for ${freshSeconds} s`, { timeout: 600_000 }, async () => {
    const untilMs = performance.now() + freshSeconds * 1000;
    let seed = firstSeed;
    for (; performance.now() < untilMs; seed++) await run({ seed, ...variants[seed % 4] });
    console.log(`fresh seeds ${firstSeed}..${seed - 1}: ${seed - firstSeed} runs`);
  });

  test("the charts change nothing", async () => {
    const hot = await runSeed({ seed: firstSeed });
    const pure = await runSeed({ seed: firstSeed, pureActors: true });
    expect(pure.hash).toBe(hot.hash);
  });

  test("a seed is the same run in every process", async () => {
    const script = join(import.meta.dirname, "simulate.ts");
    const hashOf = async (seed: number): Promise<string> => {
      const args = ["--import", "tsx", script, "--seed", String(seed), "--json"];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      return (JSON.parse(stdout) as { hash: string }).hash;
    };
    const here = await runSeed({ seed: firstSeed });
    // Whatever ran before in this process must not matter either.
    const again = await runSeed({ seed: firstSeed });
    const there = await Promise.all([hashOf(firstSeed), hashOf(firstSeed)]);
    expect([again.hash, ...there]).toEqual([here.hash, here.hash, here.hash]);
    expect((await runSeed({ seed: firstSeed + 1 })).hash).not.toBe(here.hash);
  });
});
