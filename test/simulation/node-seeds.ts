// Runs seeds of the simulated cluster from the command line until one fails or the time is over: `tsx
// node-seeds.ts <first seed> <seconds>`. Prints one line of JSON, as `raft-histories.ts` does.

import { runSeed } from "./run.ts";

const [, , first = "1", seconds = "10"] = process.argv;
const used = (): number => process.cpuUsage().user / 1e6;
const startedAt = used();
let seed = Number(first);
let found: { rule: string; message: string } | undefined;
while (found === undefined && used() - startedAt < Number(seconds)) {
  try {
    // Three nodes every other time: fewer to lose, and every region is everywhere.
    const nodes = seed % 2 === 0 ? 5 : 3;
    await runSeed({ seed, nodes });
    // Beside the storm, not instead of it: what a seed is there stays the same.
    if (seed % 3 === 0) await runSeed({ seed, nodes, profile: "clocks" });
    seed++;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // What is common to all violations of a kind: no names, no numbers.
    const rule = message
      .split("\n", 1)[0]!
      .replace(/^n\d+[: ]*/, "")
      .replaceAll(/\d+/g, "#");
    found = { rule: rule.slice(0, 90), message };
  }
}
const cpuSeconds = used() - startedAt;
console.log(JSON.stringify({ seed, ...found, histories: seed - Number(first), cpuSeconds }));
process.exitCode = found === undefined ? 0 : 1;
