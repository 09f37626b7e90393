// Runs random histories over the pure core from the command line, one seed after the other: `tsx
// raft-histories.ts <first seed> <seconds>`. Prints one line of JSON: the first seed that breaks a
// rule and which one, or how many were good. A single bad seed is replayed with it too.

import { Broken } from "./raft-rules.ts";
import { runHistory } from "./raft-history.ts";

const [, , first = "1", seconds = "10"] = process.argv;
const used = (): number => process.cpuUsage().user / 1e6;
const startedAt = used();
let seed = Number(first);
let found: { rule: string; message: string } | undefined;
while (found === undefined && used() - startedAt < Number(seconds)) {
  try {
    runHistory(seed);
    seed++;
  } catch (error) {
    const rule = error instanceof Broken ? error.rule : "crash";
    found = { rule, message: error instanceof Error ? error.message : String(error) };
  }
}
const cpuSeconds = used() - startedAt;
console.log(JSON.stringify({ seed, ...found, histories: seed - Number(first), cpuSeconds }));
process.exitCode = found === undefined ? 0 : 1;
