// A scenario under load with everything that must be true afterwards: no error the contract does not
// know, answers within bounded time, and what `verify.ts` asks of histories, ledger and counters.
// It stands between a test and the cluster; what goes wrong in between is the scenario's.

import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";

import type { Cluster, Endpoint } from "./cluster-harness.ts";
import { seeded } from "./load.ts";
import { verify } from "./verify.ts";
import { Workload, type Record } from "./workload.ts";
import { percentiles, WriteProber } from "./write-prober.ts";

/** What a scenario works with. */
export interface Trial {
  readonly cluster: Cluster;
  readonly workload: Workload;
  /**
   * Does `fault` while writes to every region go through the given nodes. Returns per region the ms
   * until a write sent after the fault began had succeeded.
   */
  readonly outage: Measure;
  /** The same, with the longest stretch per region in which no write succeeded. */
  readonly gaps: Measure;
}

type Measure = (through: readonly Endpoint[], fault: () => Promise<void>) => Promise<number[]>;

/** Trials of one cluster use keys of their own. */
let trials = 0;

/** Nothing under load may take longer than this, whatever happened, ms. */
const boundedMs = 10_000;

const recoveryTimeoutMs = 30_000;

/** Runs a scenario with clients on all nodes, heals, waits until all is served, and verifies. */
export async function underLoad(
  cluster: Cluster,
  scenario: (trial: Trial) => Promise<void>,
): Promise<void> {
  const seed = Date.now() % 2 ** 32;
  const endpoints = cluster.all();
  const workload = new Workload({
    name: `trial${trials++}`,
    endpoints,
    clientsPerNode: Math.ceil(12 / endpoints.length),
    thinkMs: 5,
    random: seeded(seed),
  });
  let record: Record;
  workload.start();
  try {
    await delay(500);
    await scenario(trial(cluster, workload));
    await cluster.waitForLeader("all");
    await delay(300);
  } finally {
    // What a failed scenario leaves behind is no trouble of the next one.
    await cluster.repair();
    record = await workload.stop();
  }
  const complaints = await verify(record, cluster.running());
  const { slowest } = workload;
  expect({ seed, complaints, unexpected: workload.unexpected() }).toEqual({
    seed,
    complaints: [],
    unexpected: [],
  });
  expect(slowest.ms, slowest.what).toBeLessThan(boundedMs);
  expect(record.acknowledged.length).toBeGreaterThan(20);
}

function trial(cluster: Cluster, workload: Workload): Trial {
  return {
    cluster,
    workload,
    outage: (through, fault) =>
      probing(through, async (prober) => {
        const since = performance.now();
        await fault();
        return await prober.allRecovered(since, recoveryTimeoutMs);
      }),
    gaps: (through, fault) =>
      probing(through, async (prober) => {
        await prober.allRecovered(performance.now(), recoveryTimeoutMs);
        const since = performance.now();
        await fault();
        await prober.allRecovered(performance.now(), recoveryTimeoutMs);
        return prober.gaps(since, performance.now());
      }),
  };
}

async function probing(
  through: readonly Endpoint[],
  run: (prober: WriteProber) => Promise<number[]>,
): Promise<number[]> {
  const prober = new WriteProber(through.map(({ port }) => port));
  prober.start();
  const times = await run(prober);
  prober.stop();
  return times;
}

/** Prints measured times beside the test's name. */
export function report(what: string, times: readonly number[]): void {
  const { p50, p99, max } = percentiles(times);
  console.log(`${what}: p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${times.length} regions)`);
}

/** Every node but these. */
export function others(cluster: Cluster, ...nodeIds: string[]): Endpoint[] {
  return cluster.running().filter(({ nodeId }) => !nodeIds.includes(nodeId));
}

/** The running nodes by the number of regions they lead, most first. */
export async function byLeaders(cluster: Cluster): Promise<string[]> {
  const counts = await cluster.leaders();
  return [...counts].toSorted((a, b) => b[1] - a[1]).map(([nodeId]) => nodeId);
}
