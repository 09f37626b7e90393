// `npm run bench -- --cluster`: three SpireDB nodes beside an etcd of three members and a Redis with two
// replicas and WAIT 1, in turns on this machine. It prints its tables and hands them back; the page
// they go to is `bench.ts`'s.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { startEtcd, startReplicatedRedis, startSpireCluster, type Group } from "./cluster-peers.ts";
import { median } from "./goals.ts";
import { processorPercent, sampleOf, type Sample } from "./processes.ts";

const run = promisify(execFile);

/** One load as every group gets it. */
export interface Row {
  readonly name: string;
  readonly operation: "set" | "get";
  /** Requests in flight, and over how many connections; etcd multiplexes, so it does with fewer. */
  readonly inFlight: number;
  readonly connections: number;
  readonly etcdConnections: number;
  /** [floor, aim] of SpireDB over the peer. */
  readonly overEtcd?: readonly [number, number];
  readonly overRedis?: readonly [number, number];
}

export const rows: readonly Row[] = [
  {
    name: "SET, 1 client",
    operation: "set",
    inFlight: 1,
    connections: 1,
    etcdConnections: 1,
    overEtcd: [0.6, 1],
  },
  {
    name: "SET, 50 clients",
    operation: "set",
    inFlight: 50,
    connections: 50,
    etcdConnections: 10,
    overEtcd: [1.2, 2],
    overRedis: [0.6, 1.1],
  },
  {
    name: "SET, 200 clients",
    operation: "set",
    inFlight: 200,
    connections: 200,
    etcdConnections: 20,
    overEtcd: [1.1, 2],
    overRedis: [0.6, 1.1],
  },
  {
    name: "SET, 800 in flight",
    operation: "set",
    inFlight: 800,
    connections: 50,
    etcdConnections: 50,
    overEtcd: [2.5, 4.5],
  },
  { name: "GET, 1 client", operation: "get", inFlight: 1, connections: 1, etcdConnections: 1 },
  {
    name: "GET, 50 clients",
    operation: "get",
    inFlight: 50,
    connections: 50,
    etcdConnections: 10,
    overEtcd: [3, 6],
  },
];

/**
 * Each group gets each load so long before it is measured: the keys are there then, and what compiles
 * itself while it runs has compiled itself. It is the long run that is compared.
 */
export const warmUpSeconds = 5;

export interface ClusterOptions {
  readonly runs: number;
  readonly seconds: number;
  readonly keys: number;
  readonly folder: string;
  readonly only: string;
}

type Samples = Record<Group["name"], Sample[]>;

/** Redis answers linearizable reads only at the primary and etcd only with a quorum round. */
const operationOf = (group: Group, { operation }: Row): string => {
  if (group.name === "etcd") return operation === "set" ? "put" : "get";
  return group.name === "redis" && operation === "set" ? "setwait" : operation;
};

/** One load on one group. */
export async function measure(
  generator: string,
  group: Group,
  row: Row,
  options: ClusterOptions,
): Promise<Sample> {
  const connections = group.name === "etcd" ? row.etcdConnections : row.connections;
  const [first = 0, ...others] = group.ports;
  const window = Math.ceil(row.inFlight / connections);
  const numbers = [first, connections, window, options.seconds, 100, options.keys, ...others];
  const operation = operationOf(group, row);
  const { stdout } = await run(generator, [group.protocol, operation, ...numbers.map(String)]);
  return sampleOf(group.name, stdout.trim());
}

/** The tables of a whole run. */
export async function compareClusters(
  options: ClusterOptions,
  generator: string,
  say: (line: string) => void,
): Promise<string[]> {
  const groups: Group[] = [];
  try {
    groups.push(await startSpireCluster(options.folder));
    const idle = await idleTable(groups[0]);
    groups.push(await startEtcd(options.folder), await startReplicatedRedis(options.folder));
    say(`warming up, ${warmUpSeconds * rows.length} s a group`);
    for (const group of groups) {
      for (const row of rows) {
        await measure(generator, group, row, { ...options, seconds: warmUpSeconds });
      }
    }
    const wanted = rows.filter(({ name }) => name.toLowerCase().includes(options.only));
    const results = wanted.map((row): Result => ({
      row,
      samples: { spiredb: [], etcd: [], redis: [] },
    }));
    for (let round = 0; round < options.runs; round++) {
      const order = round % 2 === 0 ? groups : groups.toReversed();
      for (const { row, samples } of results) {
        for (const group of order) {
          samples[group.name].push(await measure(generator, group, row, options));
        }
      }
      say(`run ${round + 1} of ${options.runs} done`);
    }
    return [comparisonTable(results), figuresTable(results), idle];
  } finally {
    for (const group of groups) await group.stop();
  }
}

const of = (samples: readonly Sample[], field: keyof Sample): number =>
  median(samples.map((sample) => sample[field]));

function cell(samples: readonly Sample[]): string {
  const [p50, p99] = [of(samples, "p50Ms").toFixed(2), of(samples, "p99Ms").toFixed(2)];
  return `${Math.round(of(samples, "perSecond"))} (${p50} / ${p99})`;
}

function verdict(ratio: number, goal: readonly [number, number] | undefined): string {
  if (goal === undefined) return `${ratio.toFixed(2)}x`;
  const [floor, aim] = goal;
  const reached = ratio >= floor ? "floor" : "**below floor**";
  return `${ratio.toFixed(2)}x of ${floor} / ${aim}: ${ratio >= aim ? "aim" : reached}`;
}

interface Result {
  readonly row: Row;
  readonly samples: Samples;
}

function comparisonTable(results: readonly Result[]): string {
  const lines = results.map(({ row, samples }) => {
    const ours = of(samples.spiredb, "perSecond");
    const etcd = verdict(ours / of(samples.etcd, "perSecond"), row.overEtcd);
    const redis = verdict(ours / of(samples.redis, "perSecond"), row.overRedis);
    const cells = [samples.spiredb, samples.etcd, samples.redis].map(cell).join(" | ");
    return `| ${row.name} | ${cells} | ${etcd} | ${redis} |`;
  });
  return [
    "| load | SpireDB, 3 nodes: ops/s (p50 / p99 ms) | etcd, 3 members | Redis 1 + 2, WAIT 1 " +
      "| over etcd, floor / aim | over Redis, floor / aim |",
    "|---|---:|---:|---:|---|---|",
    ...lines,
  ].join("\n");
}

/** The figures of the project's brief: latency at one client and at fifty. */
function figuresTable(results: readonly Result[]): string {
  const figures = [
    { name: "SET, 1 client", most: 1.5 },
    { name: "GET, 1 client", most: 0.3 },
    { name: "SET, 50 clients", most: 3 },
    { name: "GET, 50 clients", most: 1 },
  ];
  const lines = figures.flatMap(({ name, most }) => {
    const result = results.find(({ row }) => row.name === name);
    if (result === undefined) return [];
    const p50 = of(result.samples.spiredb, "p50Ms");
    return [`| ${name} | ${p50.toFixed(2)} ms | ${most} ms | ${p50 <= most ? "yes" : "**no**"} |`];
  });
  return [
    "| p50 of three nodes | measured | at most | kept |",
    "|---|---:|---:|---|",
    ...lines,
  ].join("\n");
}

/** Processor use of the three nodes and of nats-server while nobody asks anything. */
async function idleTable(group: Group | undefined): Promise<string> {
  const pids = group?.pids ?? [];
  // The work of the start (compiling, first markers, leaders that move) is over by then.
  await Promise.all(pids.map((pid) => processorPercent(pid, 15)));
  const percents = await Promise.all(pids.map((pid) => processorPercent(pid, 15)));
  const names = ["n1", "n2", "n3", "nats-server"];
  const lines = percents.map((percent, i) => `| ${names[i] ?? ""} | ${percent.toFixed(1)} % |`);
  return ["| idle, 16 regions | processor |", "|---|---:|", ...lines].join("\n");
}
