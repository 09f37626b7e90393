// `npm run soak -- --minutes 60 [--nodes 5] [--replicas 5] [--seed N]`: a cluster of real processes under
// load, one fault after the other, and after each the questions of `verify.ts` about everything done
// since the last time. Memory stays bounded: what is verified is forgotten, but for a sample that is
// read again at the end. Ends with code 1 and keeps the data when anything is wrong.

import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";

import { npmScript, number } from "../options.ts";
import { Cluster } from "./cluster-harness.ts";
import { seeded } from "./load.ts";
import { nextFault, type Fault } from "./nemesis.ts";
import { verify } from "./verify.ts";
import { Record, Workload } from "./workload.ts";
import { percentiles, WriteProber } from "./write-prober.ts";

/** What a soak does. */
export interface SoakOptions {
  readonly minutes: number;
  readonly nodes: number;
  readonly replicas: number;
  readonly seed: number;
  readonly report: (line: string) => void;
}

/** What it found. */
export interface SoakResult {
  readonly complaints: readonly string[];
  readonly answered: number;
  readonly acknowledged: number;
  readonly faults: number;
  /** Per region and kill the ms until a write sent after it had succeeded. */
  readonly killed: readonly number[];
  /** The slowest of those, with what had happened shortly before. */
  readonly slowestKill: string;
  /** Per region and drain the longest stretch without a successful write, ms. */
  readonly drained: readonly number[];
}

/** Writes to every region must succeed again this long after a fault is over. */
const recoveryMs = 20_000;
/** Acknowledged writes of each stretch that are read again at the end. */
const sampleSize = 200;
const progressMs = 10_000;

/** Runs until the time is over or something is wrong. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const args = ["--replicas", String(options.replicas), "--log-level", "warning"];
  const cluster = await Cluster.start({ nodes: options.nodes, args });
  const run = new Soak(cluster, options);
  let isClean = false;
  try {
    const result = await run.run();
    isClean = result.complaints.length === 0;
    return result;
  } finally {
    if (!isClean) options.report(`data and logs are kept in ${cluster.folder}`);
    await cluster.end(isClean ? "remove" : "keep");
  }
}

class Soak {
  readonly #cluster: Cluster;
  readonly #options: SoakOptions;
  readonly #random: () => number;
  readonly #workload: Workload;
  readonly #sample = new Record();
  readonly #complaints: string[] = [];
  readonly #killed: number[] = [];
  readonly #drained: number[] = [];
  #slowestKill = "";
  readonly #startedAt = performance.now();
  #acknowledged = 0;
  #operations = 0;
  #faults = 0;
  #doing = "";

  constructor(cluster: Cluster, options: SoakOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#random = seeded(options.seed);
    const endpoints = cluster.all();
    this.#workload = new Workload({
      name: "soak",
      endpoints,
      clientsPerNode: Math.ceil(12 / endpoints.length),
      thinkMs: 5,
      // Its own dice: how many commands it sends between two faults no seed repeats.
      random: seeded(options.seed + 1),
    });
  }

  async run(): Promise<SoakResult> {
    const progress = setInterval(() => this.#report(), progressMs);
    this.#workload.start();
    try {
      const untilMs = this.#startedAt + this.#options.minutes * 60_000;
      while (performance.now() < untilMs && this.#complaints.length === 0) await this.#round();
      await this.#finish();
    } catch (error) {
      this.#complaints.push(`during "${this.#doing}": ${String(error)}`);
    } finally {
      clearInterval(progress);
    }
    this.#report();
    return {
      complaints: this.#complaints,
      answered: this.#workload.answered,
      acknowledged: this.#acknowledged,
      faults: this.#faults,
      killed: this.#killed,
      slowestKill: this.#slowestKill,
      drained: this.#drained,
    };
  }

  async #round(): Promise<void> {
    await delay(this.#random() * 2000);
    const before = this.#doing;
    const fault = await nextFault({
      cluster: this.#cluster,
      random: this.#random,
      atItsLoneliest: (endpoint) => this.#workload.readAllThrough(endpoint),
    });
    this.#doing = fault.name;
    await this.#endure(fault, before);
    this.#doing = `after ${fault.name}`;
    this.#faults += 1;
    await this.#recovered();
    await this.#cluster.waitForLeader("all");
    const record = this.#workload.rotate();
    while (record.underWay > 0) await delay(20);
    await this.#judge(record);
  }

  /** Lets the fault happen, with a look at how long writes stop where that has a meaning. */
  async #endure(fault: Fault, before: string): Promise<void> {
    const gone = fault.killed ?? fault.drained;
    if (gone === undefined) return fault.run();
    const others = this.#cluster.all().filter(({ nodeId }) => nodeId !== gone);
    const prober = new WriteProber(others.map(({ port }) => port));
    prober.start();
    await prober.allRecovered(performance.now(), recoveryMs);
    const since = performance.now();
    const ran = fault.run();
    const recoveries = await prober.allRecovered(since, recoveryMs);
    await ran;
    if (fault.killed === gone) {
      if (Math.max(...recoveries) > Math.max(...this.#killed, 0)) {
        this.#slowestKill = `${fault.name}, ${before}`;
      }
      this.#killed.push(...recoveries);
    } else this.#drained.push(...prober.gaps(since, performance.now()));
    prober.stop();
  }

  async #recovered(): Promise<void> {
    const prober = new WriteProber(this.#cluster.all().map(({ port }) => port));
    prober.start();
    const times = await prober.allRecovered(performance.now(), recoveryMs);
    prober.stop();
    if (times.every(Number.isFinite)) return;
    const regions = times.flatMap((ms, index) => (Number.isFinite(ms) ? [] : [index + 1]));
    throw new Error(`${recoveryMs} ms later no write succeeds in regions ${regions.join(", ")}`);
  }

  async #judge(record: Record): Promise<void> {
    this.#acknowledged += record.acknowledged.length;
    this.#operations += record.operations.length;
    this.#complaints.push(...(await verify(record, this.#cluster.all())));
    for (const problem of this.#workload.unexpected()) {
      this.#complaints.push(`an answer that the contract does not know: ${problem}`);
    }
    const kept = record.acknowledged.map((each) => ({ each, order: this.#random() }));
    kept.sort((a, b) => a.order - b.order);
    this.#sample.acknowledged.push(...kept.slice(0, sampleSize).map(({ each }) => each));
  }

  async #finish(): Promise<void> {
    this.#doing = "the end";
    await this.#judge(await this.#workload.stop());
    this.#complaints.push(...(await verify(this.#sample, this.#cluster.all())));
  }

  #report(): void {
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
    const { answered, problems } = this.#workload;
    const count = (start: string): number =>
      [...problems].reduce((sum, [text, times]) => sum + (text.startsWith(start) ? times : 0), 0);
    const errors = `unknown=${count("UNKNOWN")} refused=${count("CLUSTERDOWN")}`;
    const checked = `checked=${this.#operations} acknowledged=${this.#acknowledged}`;
    const rate = Math.round(answered / Math.max(1, seconds));
    this.#options.report(
      `${seconds} s: faults=${this.#faults} answered=${answered} (${rate}/s) ${checked} ${errors} ` +
        `wrong=${this.#complaints.length} | ${this.#doing}`,
    );
  }
}

function timesText(what: string, times: readonly number[]): string {
  const { p50, p99, max } = percentiles(times);
  return `${what}: p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${times.length} regions)`;
}

async function main(): Promise<void> {
  const { minutes, nodes, replicas, seed } = npmScript(
    "soak",
    "Processes under load with one fault after another; every answer is checked.",
  )
    .option("--minutes <n>", "how long", number, 60)
    .option("--nodes <n>", "processes", number, 3)
    .option("--replicas <n>", "of every region", number, 3)
    .option("--seed <n>", "of load and faults", number, Date.now() % 2 ** 32)
    .parse()
    .opts<Omit<SoakOptions, "report">>();
  const builder = createRequire(import.meta.url)("../../deploy/build.cjs") as {
    isStale(): boolean;
    build(): void;
  };
  if (process.env["SPIREDB_FROM_SOURCE"] !== "1" && builder.isStale()) builder.build();
  console.log(`soak: ${minutes} minutes, ${nodes} nodes, ${replicas} replicas, seed ${seed}`);
  const result = await soak({
    minutes,
    nodes,
    replicas,
    seed,
    report: (line) => console.log(line),
  });
  for (const each of result.complaints.slice(0, 20)) console.log(each);
  console.log(timesText("writes succeed again after kill -9", result.killed));
  console.log(`slowest: ${result.slowestKill}`);
  console.log(timesText("writes stop at a drain for", result.drained));
  const { faults, answered, acknowledged, complaints } = result;
  const counts = `faults=${faults} answered=${answered} acknowledged=${acknowledged}`;
  console.log(`${counts} wrong=${complaints.length} (seed ${seed})`);
  process.exitCode = complaints.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) {
  // The harness ends its processes when this one exits; a signal alone would not run that.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => process.exit(130));
  await main();
}
