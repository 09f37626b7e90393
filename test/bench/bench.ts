// `npm run bench [-- --cluster --runs 5 --seconds 5 --dir FOLDER --only set --quick]`: SpireDB beside a
// Redis that fsyncs every write, or three nodes beside etcd and a replicated Redis, on this machine, in
// turns so that all see the same noise. Prints the tables and writes its part of docs/benchmarks.md
// unless it was a quick or partial run. With `--against DIST`, three nodes beside three of another build.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";

import { Option } from "commander";

import { npmScript, number } from "../options.ts";
import { compareBuilds } from "./against.ts";
import { compareClusters, warmUpSeconds } from "./cluster.ts";
import { comparisons, judge, limits, median, type Comparison, type Limit } from "./goals.ts";
import {
  buildGenerator,
  dataFolder,
  fill,
  measure,
  processorPercent,
  residentMib,
  startRedis,
  startSpire,
  type Sample,
} from "./processes.ts";

interface Options {
  readonly runs: number;
  readonly seconds: number;
  /** Keys of the comparison. */
  readonly keys: number;
  /** Keys of the memory and restart measurements. */
  readonly manyKeys: number;
  readonly folder: string;
  readonly only: string;
  readonly parts: ReadonlySet<"compare" | "limits">;
}

interface Row {
  readonly comparison: Comparison;
  readonly redis: readonly Sample[];
  readonly spire: readonly Sample[];
}

const say = (line: string): void => console.log(line);

async function compare(options: Options, generator: string): Promise<Row[]> {
  const dataDir = dataFolder(options.folder);
  const redis = await startRedis(options.folder);
  const spire = await startSpire(dataDir);
  try {
    await fill(redis, options.keys);
    await fill(spire, options.keys);
    const rows = comparisons
      .filter(({ name }) => name.toLowerCase().includes(options.only))
      .map((comparison) => ({ comparison, redis: [] as Sample[], spire: [] as Sample[] }));
    for (let round = 0; round < options.runs; round++) {
      for (const row of rows) {
        const load = async (server: typeof redis): Promise<Sample> =>
          measure(generator, server, row.comparison, options);
        // Who goes first alternates, so that neither always runs on the warmer machine.
        if (round % 2 === 0) row.redis.push(await load(redis));
        row.spire.push(await load(spire));
        if (round % 2 === 1) row.redis.push(await load(redis));
      }
      say(`run ${round + 1} of ${options.runs} done`);
    }
    return rows;
  } finally {
    await redis.stop();
    await spire.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function checkLimits(options: Options): Promise<Array<[Limit, number]>> {
  const dataDir = dataFolder(options.folder);
  const starts: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const folder = dataFolder(options.folder);
    const once = await startSpire(folder);
    starts.push(once.readyMs);
    await once.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  let spire = await startSpire(dataDir);
  // Idle begins when the start's own work (compiling, the first markers) is over.
  await processorPercent(spire.pid, 5);
  const idleProcessor = await processorPercent(spire.pid, 10);
  const idleMemory = residentMib(spire.pid);
  say(`filling ${options.manyKeys} keys`);
  await fill(spire, options.manyKeys);
  const fullMemory = residentMib(spire.pid);
  const restarts: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    await spire.kill();
    spire = await startSpire(dataDir);
    restarts.push(spire.readyMs);
  }
  await spire.kill();
  rmSync(dataDir, { recursive: true, force: true });
  return [
    [limits.emptyReady, median(starts)],
    [limits.idleProcessor, idleProcessor],
    [limits.idleMemory, idleMemory],
    [limits.fullMemory, fullMemory],
    // The first restart after the kill is the honest one: later ones find less to redo.
    [limits.crashReady, restarts[0] ?? Number.NaN],
  ];
}

/** The median of one field over all runs. */
const of = (samples: readonly Sample[], field: keyof Sample): number =>
  median(samples.map((sample) => sample[field]));

/** Two cells: operations per second, and latencies. */
function cells(samples: readonly Sample[]): string {
  const [p50, p99] = [of(samples, "p50Ms").toFixed(2), of(samples, "p99Ms").toFixed(2)];
  return `${Math.round(of(samples, "perSecond"))} | ${p50} / ${p99}`;
}

function comparisonTable(rows: readonly Row[]): string {
  const lines = rows.map(({ comparison, redis, spire }) => {
    const rate = of(spire, "perSecond") / of(redis, "perSecond");
    const p50 = of(spire, "p50Ms") / of(redis, "p50Ms");
    const { goal } = comparison;
    const asked =
      goal === undefined ? "" : `${goal.of === "p50" ? "p50 " : ""}${goal.floor}x / ${goal.aim}x`;
    const verdict = judge(comparison, rate, p50);
    const ratios = `${rate.toFixed(2)}x | ${p50.toFixed(2)}x`;
    const measured = `${cells(redis)} | ${cells(spire)} | ${ratios}`;
    return `| ${comparison.name} | ${measured} | ${asked} | ${verdict} |`;
  });
  return [
    "| load | Redis ops/s | p50 / p99 ms | SpireDB ops/s | p50 / p99 ms " +
      "| ops ratio | p50 ratio | floor / aim | verdict |",
    "|---|---:|---:|---:|---:|---:|---:|---|---|",
    ...lines,
  ].join("\n");
}

function limitTable(values: ReadonlyArray<[Limit, number]>): string {
  const lines = values.map(([limit, value]) => {
    const verdict = value < limit.most ? "reached" : "**missed**";
    const goal = `under ${limit.most} ${limit.unit}`;
    return `| ${limit.name} | ${value.toFixed(1)} ${limit.unit} | ${goal} | ${verdict} |`;
  });
  return [
    "| one node by itself | measured | goal | verdict |",
    "|---|---:|---:|---|",
    ...lines,
  ].join("\n");
}

function machine(folder: string): string {
  const [cpu] = cpus();
  const fileSystem = execFileSync("stat", ["-f", "-c", "%T", folder], { encoding: "utf8" }).trim();
  const redis = execFileSync("redis-server", ["--version"], { encoding: "utf8" });
  return [
    `${cpus().length} processors (${cpu?.model.trim() ?? "unknown"})`,
    `${Math.round(totalmem() / 1024 ** 3)} GiB of memory`,
    `Linux ${release()}, ${fileSystem}`,
    `Node ${process.versions.node}`,
    `Redis ${/v=(\S+)/u.exec(redis)?.[1] ?? "?"}`,
  ].join(", ");
}

/** The part about one node. */
function singlePart(options: Options, tables: readonly string[]): string {
  const command = `npm run bench -- --runs ${options.runs} --seconds ${options.seconds}`;
  const { runs, seconds, keys } = options;
  const date = new Date().toISOString().slice(0, 10);
  return `## One node

Measured ${date} by \`${command}\` on ${machine(options.folder)}.
Client and servers share the processors. The peer is \`redis-server --appendonly yes
--appendfsync always\`; both sync before they answer. Each number of the comparison is the median
of ${runs} runs of ${seconds} s, taken in turns; values are 100 B, over ${keys} keys. Ratios are SpireDB
over Redis: more is better for ops, less for p50. Differences under about 30 % between two rows are
noise, and absolute numbers of this machine say nothing about another.

${tables.join("\n\n")}
`;
}

/** The part about three nodes. */
function clusterPart(options: Options, tables: readonly string[]): string {
  const command = `npm run bench -- --cluster --runs ${options.runs} --seconds ${options.seconds}`;
  const { runs, seconds, keys } = options;
  const date = new Date().toISOString().slice(0, 10);
  return `## Three nodes

Measured ${date} by \`${command}\` on ${machine(options.folder)}.
Everything shares the processors: three SpireDB nodes and one nats-server under SCHED_BATCH, as
\`spiredb cluster\` starts them (each write synced on a majority before it is answered, linearizable reads
by lease, clients spread over all nodes), an etcd of
three members (the same two promises), and a Redis with two replicas, all with appendfsync always,
whose every SET is followed by WAIT 1 (and whose GETs promise less). Medians of ${runs} runs of
${seconds} s taken in turns, 100 B values, ${keys} keys. Each group has had each load for ${warmUpSeconds} s
before: code that is compiled while it runs needs that.

${tables.join("\n\n")}
`;
}

const pagePath = resolve(import.meta.dirname, "../../docs/benchmarks.md");

/** Replaces one part of the page and leaves the other. */
function writePart(part: string): void {
  const title = part.slice(0, part.indexOf("\n"));
  const [head = "", ...parts] = readFileSync(pagePath, "utf8").split(/^(?=## )/mu);
  const others = parts.filter((other) => !other.startsWith(`${title}\n`));
  const ordered = [...others, part].toSorted().map((each) => each.trimEnd());
  writeFileSync(pagePath, `${[head.trimEnd(), ...ordered].join("\n\n")}\n`);
  say("written to docs/benchmarks.md");
}

interface Asked {
  readonly options: Options;
  readonly whole: boolean;
  readonly cluster: boolean;
  /** The `dist` folder of another build to compare with. */
  readonly against: string | undefined;
}

interface Values {
  readonly cluster: boolean;
  readonly against?: string;
  readonly runs: number;
  readonly seconds: number;
  readonly only: string;
  readonly part?: "compare" | "limits";
  readonly quick: boolean;
  readonly dir: string;
}

function readOptions(): Asked {
  const values = npmScript(
    "bench",
    "SpireDB beside its peers on this machine; writes docs/benchmarks.md.",
  )
    .option("--cluster", "three nodes, beside etcd and a replicated Redis", false)
    .option("--against <dist>", "three nodes beside three of another build: its `dist` folder")
    .option("--runs <n>", "how often each load is measured", number, 5)
    .option("--seconds <n>", "how long each time", number, 5)
    .option("--only <text>", "loads whose name holds this; writes no page", "")
    .addOption(
      new Option("--part <name>", "one node: only this; writes no page").choices([
        "compare",
        "limits",
      ]),
    )
    .option("--quick", "once, 2 s; writes no page", false)
    .option("--dir <folder>", "where the data lies meanwhile", tmpdir())
    .parse()
    .opts<Values>();
  const { quick } = values;
  const parts = new Set(["compare", "limits"] as const);
  if (values.part === "compare") parts.delete("limits");
  if (values.part === "limits") parts.delete("compare");
  const options: Options = {
    runs: quick ? 1 : values.runs,
    seconds: quick ? 2 : values.seconds,
    keys: 100_000,
    manyKeys: 1_000_000,
    folder: resolve(values.dir),
    only: values.only.toLowerCase(),
    parts,
  };
  const whole =
    values.against === undefined &&
    !quick &&
    parts.size === 2 &&
    options.only === "" &&
    options.runs >= 5;
  return { options, whole, cluster: values.cluster, against: values.against };
}

async function main(): Promise<void> {
  const { options, whole, cluster, against } = readOptions();
  const builder = createRequire(import.meta.url)("../../deploy/build.cjs") as {
    isStale(): boolean;
    build(): void;
  };
  if (process.env["SPIREDB_FROM_SOURCE"] !== "1" && builder.isStale()) builder.build();
  const tools = mkdtempSync(join(tmpdir(), "spiredb-bench-"));
  const tables: string[] = [];
  try {
    if (against !== undefined) {
      say(`\n${await compareBuilds(options, against, buildGenerator(tools), say)}\n`);
    } else if (cluster) {
      tables.push(...(await compareClusters(options, buildGenerator(tools), say)));
      say(`\n${tables.join("\n\n")}\n`);
    } else if (options.parts.has("compare")) {
      tables.push(comparisonTable(await compare(options, buildGenerator(tools))));
      say(`\n${tables.at(-1) ?? ""}\n`);
    }
    if (against === undefined && !cluster && options.parts.has("limits")) {
      tables.push(limitTable(await checkLimits(options)));
      say(`\n${tables.at(-1) ?? ""}\n`);
    }
  } finally {
    rmSync(tools, { recursive: true, force: true });
  }
  if (whole) writePart(cluster ? clusterPart(options, tables) : singlePart(options, tables));
}

await main();
