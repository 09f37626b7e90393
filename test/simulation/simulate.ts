// `npm run simulate`: runs seeds of the simulated cluster and prints what came of them. A failure
// prints its seed and the command that runs it again.

import { parseArgs } from "node:util";
import { profiles, type ProfileName } from "./profiles.ts";
import { againCommand, runSeed } from "./run.ts";

const { values } = parseArgs({
  options: {
    /** The first seed. */
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    /** How many from there on. */
    seeds: { type: "string", default: "1" },
    nodes: { type: "string", default: "5" },
    profile: { type: "string", default: "storm" },
    /** Simulated hours of each seed; default: one round of faults and healing. */
    hours: { type: "string" },
    /** Goes on after a failure. */
    all: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const { profile } = values;
const isProfile = (name: string): name is ProfileName => name in profiles;
if (!isProfile(profile)) {
  console.error(`--profile is one of ${Object.keys(profiles).join(", ")}`);
  process.exit(1);
}
const nodes = Number(values.nodes);
const length = values.hours === undefined ? {} : { hours: Number(values.hours) };
const first = Number(values.seed);
let groupHours = 0;
let seconds = 0;
const failed: number[] = [];
const sums: Record<string, number> = {};

for (let seed = first; seed < first + Number(values.seeds); seed++) {
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
