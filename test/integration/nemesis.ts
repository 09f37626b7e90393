// Faults by the dice: each has a name and does its harm for a while, then takes back what would not
// heal by itself, so that the cluster is whole again when it resolves. Everything is drawn from the
// given random numbers; the scheduler and the disk add what no seed repeats.

import { setTimeout as delay } from "node:timers/promises";

import type { Cluster, Endpoint } from "./cluster-harness.ts";
import { seeded } from "./load.ts";
import type { WireFaults } from "./nats-proxy.ts";

/** One fault, ready to happen. */
export interface Fault {
  readonly name: string;
  /** Resolves when every process runs and every wire is whole. */
  run(): Promise<void>;
  /** The one node that is gone without a farewell, for measuring how long writes stop. */
  readonly killed?: string;
  /** The one node that leaves in order. */
  readonly drained?: string;
}

/** What draws a fault. */
export interface NemesisOptions {
  readonly cluster: Cluster;
  readonly random: () => number;
  /** Called when a node is asleep or out of touch, shortly before that ends: to ask it something. */
  readonly atItsLoneliest: (endpoint: Endpoint) => void;
}

type Draw = (options: NemesisOptions) => Promise<Fault>;

/** Draws the next fault. The whole cluster runs at this time. */
export async function nextFault(options: NemesisOptions): Promise<Fault> {
  const draw = pick(draws, options.random);
  if (options.random() > 0.2) return draw(options);
  // Two at once may hit the same node: then the second finds it as the first left it.
  const both = [
    await wire(options),
    await pick([pause, slow, flaky, pair], options.random)(options),
  ];
  return {
    name: both.map(({ name }) => name).join(" + "),
    run: async () => {
      await Promise.all(both.map((fault) => fault.run()));
      options.cluster.heal();
    },
  };
}

const killLeader: Draw = async ({ cluster, random }) => {
  const counts = [...(await cluster.leaders())].toSorted((a, b) => b[1] - a[1]);
  const nodeId = counts[0]![0];
  const downMs = between(random, 0, 4000);
  return {
    name: `kill -9 ${nodeId}, who led most`,
    killed: nodeId,
    run: () => killFor(cluster, nodeId, downMs),
  };
};

const killAny: Draw = async ({ cluster, random }) => {
  const nodeId = anyNode(cluster, random);
  const downMs = between(random, 0, 8000);
  return { name: `kill -9 ${nodeId}`, killed: nodeId, run: () => killFor(cluster, nodeId, downMs) };
};

const killInTurn: Draw = async ({ cluster, random }) => {
  const [first = "", second = ""] = shuffled(cluster, random);
  const betweenMs = between(random, 0, 1500);
  return {
    name: `kill -9 ${first}, then ${second}`,
    run: async () => {
      await killFor(cluster, first, 0);
      await delay(betweenMs);
      await killFor(cluster, second, 0);
    },
  };
};

const killMany: Draw = async ({ cluster, random }) => {
  const nodes = shuffled(cluster, random);
  const victims = nodes.slice(0, random() < 0.5 ? nodes.length : Math.ceil(nodes.length / 2));
  const downMs = between(random, 0, 3000);
  return {
    name: `kill -9 ${victims.join(", ")} at once`,
    run: async () => {
      await Promise.all(victims.map((nodeId) => cluster.kill(nodeId)));
      await delay(downMs);
      await Promise.all(victims.map((nodeId) => cluster.restart(nodeId)));
    },
  };
};

const killTwiceAtStart: Draw = async ({ cluster, random }) => {
  const nodeId = anyNode(cluster, random);
  const aliveMs = between(random, 0, 1500);
  return {
    name: `kill -9 ${nodeId}, again ${Math.round(aliveMs)} ms into its start`,
    run: async () => {
      await cluster.kill(nodeId);
      cluster.launch(nodeId);
      await delay(aliveMs);
      await cluster.kill(nodeId);
      await cluster.restart(nodeId);
    },
  };
};

const drain: Draw = async ({ cluster, random }) => {
  const nodeId = anyNode(cluster, random);
  return {
    name: `SIGTERM ${nodeId}`,
    drained: nodeId,
    run: async () => {
      const { code, signal } = await cluster.drainStop(nodeId);
      if (code !== 0) throw new Error(`the drain of ${nodeId} ended with ${code ?? signal}`);
      await cluster.restart(nodeId);
    },
  };
};

const pause: Draw = async ({ cluster, random, atItsLoneliest }) => {
  const nodeId = anyNode(cluster, random);
  const ms = between(random, 300, 5000);
  return {
    name: `SIGSTOP ${nodeId} for ${Math.round(ms)} ms`,
    run: async () => {
      cluster.pause(nodeId);
      await delay(ms);
      atItsLoneliest({ nodeId, port: cluster.port(nodeId) });
      await delay(20);
      cluster.resume(nodeId);
    },
  };
};

const wire: Draw = async ({ cluster, random, atItsLoneliest }) => {
  const nodeId = anyNode(cluster, random);
  const ms = between(random, 300, 6000);
  const kinds: [string, WireFaults][] = [
    ["cut off", { cut: true }],
    ["silent and deaf", { holdIn: true, holdOut: true }],
    ["not heard", { holdOut: true }],
    ["deaf", { holdIn: true }],
  ];
  const [kind, faults] = pick(kinds, random);
  return {
    name: `${nodeId} ${kind} for ${Math.round(ms)} ms`,
    run: async () => {
      cluster.wire(nodeId, faults);
      await delay(ms * 0.8);
      atItsLoneliest({ nodeId, port: cluster.port(nodeId) });
      await delay(ms * 0.2);
      cluster.heal();
    },
  };
};

const pair: Draw = async ({ cluster, random }) => {
  const [first = "", second = ""] = shuffled(cluster, random);
  const oneWay = random() < 0.5;
  const name = oneWay ? `${first} not heard by ${second}` : `${first} and ${second} apart`;
  return wired(cluster, name, between(random, 500, 6000), () =>
    cluster.partition(first, second, oneWay),
  );
};

const flaky: Draw = async ({ cluster, random }) => {
  const share = between(random, 0.02, 0.25);
  const effect = random() < 0.5 ? "loses" : "doubles";
  const name = `the wire ${effect} ${Math.round(share * 100)} % of all messages`;
  return wired(cluster, name, between(random, 1000, 5000), () => {
    // Dice of their own: how many messages there are must not change which fault comes next.
    const hits = seeded(Math.floor(share * 2 ** 32));
    for (const { nodeId } of cluster.all())
      cluster.wire(nodeId, { [effect]: () => hits() < share });
  });
};

const slow: Draw = async ({ cluster, random }) => {
  const nodeId = anyNode(cluster, random);
  const delayMs = between(random, 5, 300);
  const name = `${nodeId} ${Math.round(delayMs)} ms away`;
  return wired(cluster, name, between(random, 1000, 5000), () => cluster.wire(nodeId, { delayMs }));
};

const nats: Draw = async ({ cluster, random }) => {
  const isFrozen = random() < 0.5;
  const ms = between(random, 0, 5000);
  return {
    name: `nats-server ${isFrozen ? "frozen" : "killed"} for ${Math.round(ms)} ms`,
    run: async () => {
      if (isFrozen) cluster.natsFreeze(true);
      else await cluster.natsStop();
      await delay(ms);
      if (isFrozen) cluster.natsFreeze(false);
      else await cluster.natsStart();
    },
  };
};

const draws: readonly Draw[] = [
  killLeader,
  killLeader,
  killAny,
  killInTurn,
  killMany,
  killTwiceAtStart,
  drain,
  drain,
  pause,
  pause,
  wire,
  wire,
  pair,
  flaky,
  slow,
  nats,
];

async function killFor(cluster: Cluster, nodeId: string, downMs: number): Promise<void> {
  await cluster.kill(nodeId);
  await delay(downMs);
  await cluster.restart(nodeId);
}

function wired(cluster: Cluster, name: string, ms: number, start: () => void): Fault {
  return {
    name: `${name} for ${Math.round(ms)} ms`,
    run: async () => {
      start();
      await delay(ms);
      cluster.heal();
    },
  };
}

function between(random: () => number, from: number, to: number): number {
  return from + random() * (to - from);
}

function pick<T>(all: readonly T[], random: () => number): T {
  return all[Math.floor(random() * all.length)]!;
}

function anyNode(cluster: Cluster, random: () => number): string {
  return pick(cluster.all(), random).nodeId;
}

function shuffled(cluster: Cluster, random: () => number): string[] {
  return cluster
    .all()
    .map(({ nodeId }) => ({ nodeId, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ nodeId }) => nodeId);
}
