// `npm run simulate`: runs seeds of the simulated cluster and prints what came of them. A failure
// prints its seed and the command that runs it again.

import { Option } from "commander";
import { npmScript, number } from "../options.ts";
import { profiles, type ProfileName } from "./profiles.ts";
import { againCommand, runSeed } from "./run.ts";

interface Asked {
  readonly seed: number;
  readonly seeds: number;
  readonly nodes: number;
  readonly profile: ProfileName;
  readonly hours?: number;
  readonly all: boolean;
  readonly json: boolean;
}

const values = npmScript("simulate", "Seeds of the simulated cluster, and what came of them.")
  .option("--seed <n>", "the first seed", number, Date.now() % 1_000_000)
  .option("--seeds <n>", "how many from there on", number, 1)
  .option("--nodes <n>", "nodes of the cluster", number, 5)
  .addOption(
    new Option("--profile <name>", "what happens to it")
      .choices(Object.keys(profiles))
      .default("storm"),
  )
  .option(
    "--hours <n>",
    "simulated, of each seed; without: one round of faults and healing",
    number,
  )
  .option("--all", "go on after a failure", false)
  .option("--json", "one line of JSON for each seed", false)
  .parse()
  .opts<Asked>();
const { profile } = values;
const { nodes } = values;
const length = values.hours === undefined ? {} : { hours: values.hours };
const first = values.seed;
let groupHours = 0;
let seconds = 0;
const failed: number[] = [];
const sums: Record<string, number> = {};

for (let seed = first; seed < first + values.seeds; seed++) {
  const startedAt = process.cpuUsage();
  try {
    const report = await runSeed({ seed, nodes, profile, ...length });
    const { user, system } = process.cpuUsage(startedAt);
    const took = (user + system) / 1e6;
    seconds += took;
    groupHours += report.groupHours;
    for (const [name, count] of Object.entries(report.figures)) {
      sums[name] = (sums[name] ?? 0) + count;
    }
    if (values.json) console.log(JSON.stringify({ ...report, seconds: took }));
    else {
      const simulated = (report.simulatedMs / 1000).toFixed(1);
      console.log(
        `seed ${seed}  hash ${report.hash}  ${simulated} s simulated in ${took.toFixed(2)} core-seconds`,
      );
    }
  } catch (error) {
    failed.push(seed);
    console.error(error);
    const again = againCommand({ seed, nodes, profile, ...length });
    console.error(`seed ${seed} failed; again: ${again}`);
    if (!values.all) process.exit(1);
  }
}
if (!values.json) {
  console.log(
    Object.entries(sums)
      .map(([name, count]) => `${name} ${count}`)
      .join(", "),
  );
  const perCoreHour = (groupHours * 3600) / seconds;
  console.log(`${perCoreHour.toFixed(0)} group-hours per core-hour (${profile})`);
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(" ")}`);
  process.exit(1);
}
