// `npm run bench -- --against DIST`: three nodes of this build beside three of another (a copy of its
// `dist` folder with a `node_modules` beside it), both up at once, equally warm, loaded in short turns.
// Single runs on a shared machine differ by 40 %; what two runs a second apart differ by tells more.

import { readFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";

import { startSpireCluster, type Group } from "./cluster-peers.ts";
import { measure, rows, warmUpSeconds, type ClusterOptions, type Row } from "./cluster.ts";
import { median } from "./goals.ts";
import { processorTicks, type Sample } from "./processes.ts";

/** What one short load of one build came to. */
interface Round extends Sample {
  /** Processor time of the nodes and of nats-server for each operation, microseconds. */
  readonly processorUs: number;
  readonly switches: number;
}

/** The table of this build over the other; medians of the ratios of neighbouring rounds. */
export async function compareBuilds(
  options: ClusterOptions,
  other: string,
  generator: string,
  say: (line: string) => void,
): Promise<string> {
  const groups: Group[] = [];
  try {
    const ours = await startSpireCluster(options.folder);
    groups.push(ours);
    const theirs = await startSpireCluster(options.folder, resolve(other));
    groups.push(theirs);
    const wanted = rows.filter(({ name }) => name.toLowerCase().includes(options.only));
    say(`warming up, ${warmUpSeconds * rows.length} s a build`);
    // All of them, whatever is wanted: a key that was never written is another work than one that was.
    for (const row of rows) {
      for (const group of groups) {
        await measure(generator, group, row, { ...options, seconds: warmUpSeconds });
      }
    }
    const lines: string[] = [];
    for (const row of wanted) {
      const pairs: Array<[Round, Round]> = [];
      for (let i = 0; i < options.runs; i++) {
        // Who goes first alternates, so that neither has all of the better moments.
        const first = await round(generator, i % 2 === 0 ? ours : theirs, row, options);
        const second = await round(generator, i % 2 === 0 ? theirs : ours, row, options);
        pairs.push(i % 2 === 0 ? [first, second] : [second, first]);
      }
      lines.push(lineOf(row, pairs));
      say(`${row.name}: done`);
    }
    return [
      "| load | this build / the other | p50 ms | p99 ms | processor us/op | switches/op |",
      "|---|---:|---:|---:|---:|---:|",
      ...lines,
    ].join("\n");
  } finally {
    for (const group of groups) await group.stop();
  }
}

async function round(
  generator: string,
  group: Group,
  row: Row,
  options: ClusterOptions,
): Promise<Round> {
  const before = spent(group);
  const sample = await measure(generator, group, row, options);
  const after = spent(group);
  const operations = sample.perSecond * options.seconds;
  return {
    ...sample,
    processorUs: ((after.ticks - before.ticks) * 10_000) / operations,
    switches: (after.switches - before.switches) / operations,
  };
}

/** Processor ticks of 10 ms and context switches of all threads so far. */
function spent({ pids }: Group): { readonly ticks: number; readonly switches: number } {
  let [ticks, switches] = [0, 0];
  for (const pid of pids) {
    ticks += processorTicks(pid);
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
      for (const [, count] of status.matchAll(/ctxt_switches:\s+(\d+)/gu))
        switches += Number(count);
    }
  }
  return { ticks, switches };
}

function lineOf({ name }: Row, pairs: ReadonlyArray<readonly [Round, Round]>): string {
  const cell = (field: keyof Round, digits: number): string => {
    const of = (side: 0 | 1): string =>
      median(pairs.map((pair) => pair[side][field])).toFixed(digits);
    const ratio = median(pairs.map(([one, two]) => one[field] / two[field])).toFixed(2);
    return `${ratio}x (${of(0)} / ${of(1)})`;
  };
  const cells = [cell("perSecond", 0), cell("p50Ms", 2), cell("p99Ms", 1), cell("processorUs", 0)];
  return `| ${name} | ${[...cells, cell("switches", 2)].join(" | ")} |`;
}
