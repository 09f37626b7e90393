// `npm run mutants`: breaks one rule of the Raft core, or of the node around it, at a time in a copy of
// the sources, lets random histories run over it for at most a minute of CPU, and prints a table of
// what was found. Fails when a mutant survives. `npm run mutants -- word` runs only those whose name
// holds the word; `core` and `nodes` are words for all of a kind.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { npmScript } from "../options.ts";
import { nodeMutants } from "./node-mutants.ts";
import { mutants as coreMutants } from "./raft-mutants.ts";

const cpuSecondsMax = 60;
const root = join(import.meta.dirname, "../..");

/** A change of one place, and what has to find it. */
interface Mutant {
  readonly kind: "core" | "nodes";
  readonly name: string;
  readonly rule: string;
  readonly file: string;
  readonly search: string;
  readonly replacement: string;
  readonly firstSeed?: number;
}

const mutants: readonly Mutant[] = [
  ...coreMutants.map((mutant): Mutant => ({
    ...mutant,
    kind: "core",
    file: join("actors/raft", mutant.file),
  })),
  ...nodeMutants.map((mutant): Mutant => ({ ...mutant, kind: "nodes" })),
];
const scripts = { core: "raft-histories.ts", nodes: "node-seeds.ts" };

interface Outcome {
  readonly seed: number;
  readonly rule?: string;
  readonly message?: string;
  readonly cpuSeconds: number;
}

function runIn(copy: string, kind: Mutant["kind"], firstSeed: number): Outcome {
  const tsx = join(root, "node_modules/tsx/dist/cli.mjs");
  const script = join(copy, "test/simulation", scripts[kind]);
  const start = () =>
    spawnSync(process.execPath, [tsx, script, String(firstSeed), String(cpuSecondsMax)], {
      encoding: "utf8",
    });
  let child = start();
  // Node itself crashes now and then when it is started some hundred times; that kills no mutant.
  for (let again = 0; again < 3 && child.signal !== null; again++) child = start();
  if (!child.stdout.startsWith("{")) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Outcome;
}

function tryMutant(copy: string, mutant: Mutant): Outcome {
  const { kind, file, search, replacement, firstSeed = 1 } = mutant;
  const path = join(copy, file);
  const source = readFileSync(path, "utf8");
  if (source.split(search).length !== 2) {
    console.error(`not once in ${file}: ${search}`);
    return { seed: 0, cpuSeconds: 0 };
  }
  writeFileSync(
    path,
    source.replace(search, () => replacement),
  );
  try {
    return runIn(copy, kind, firstSeed);
  } finally {
    writeFileSync(path, source);
  }
}

const isMeant = ({ kind, name }: Mutant, word: string): boolean =>
  kind === word || name.includes(word);

const { args: words } = npmScript("mutants", "Breaks one rule at a time; something has to notice.")
  .argument("[word...]", "only those whose name holds one of these; core, nodes: all of a kind")
  .parse();

const rooms = ["actors", "resp", "storage", "transport", "test/simulation", "test/linearizability"];
const copy = mkdtempSync(join(tmpdir(), "spiredb-mutants-"));
let survivors = 0;
try {
  for (const room of rooms) {
    cpSync(join(root, room), join(copy, room), { recursive: true });
  }
  cpSync(join(root, "package.json"), join(copy, "package.json"));
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  console.log("| mutant | rule | killed by | seed | CPU s |\n|---|---|---|---|---|");
  for (const mutant of mutants) {
    if (words.length > 0 && !words.some((word) => isMeant(mutant, word))) continue;
    const { rule, seed, cpuSeconds } = tryMutant(copy, mutant);
    if (rule === undefined) survivors++;
    const killed = rule === undefined ? "**survives**" : rule;
    const at = rule === undefined ? "" : seed;
    console.log(
      `| ${mutant.name} | ${mutant.rule} | ${killed} | ${at} | ${cpuSeconds.toFixed(1)} |`,
    );
  }
} finally {
  rmSync(copy, { recursive: true });
}
process.exitCode = survivors === 0 ? 0 : 1;
