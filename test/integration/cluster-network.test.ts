// Three real processes under load whose network breaks: nats-server goes away, one node is cut off,
// falls silent, hears nothing, or cannot reach one other. Every scenario ends with the same questions
// (`trial.ts`).

import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Cluster } from "./cluster-harness.ts";
import { ask } from "./cluster-view.ts";
import { ErrorText } from "./connection.ts";
import type { WireFaults } from "./nats-proxy.ts";
import { regionTags } from "./regions.ts";
import { byLeaders, others, report, underLoad } from "./trial.ts";

const recoveryMs = 4500;

let cluster: Cluster;
let evidence: "remove" | "keep" = "remove";

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 3 });
});
afterEach(({ task }) => {
  if (task.result?.state === "fail") evidence = "keep";
});
afterAll(async () => {
  if (evidence === "keep") console.log(`data and logs are kept in ${cluster.folder}`);
  await cluster.end(evidence);
});

describe("three processes lose nothing, stay linearizable and count once", () => {
  it("when NATS restarts: clear errors soon, and service by itself", async () => {
    await underLoad(cluster, async ({ outage }) => {
      await cluster.natsStop();
      await delay(2500);
      const askedAt = performance.now();
      const replies = await Promise.all(
        regionTags.map((tag) => ask(cluster.port("n1"), ["SET", `${tag}down`, "x"], 8000)),
      );
      console.log(`an error after ${Math.round(performance.now() - askedAt)} ms`);
      for (const reply of replies) {
        if (!(reply instanceof ErrorText)) throw new Error("a write without a majority");
        expect(reply.text).toMatch(/^(CLUSTERDOWN |UNKNOWN outcome: )/u);
      }
      const times = await outage(cluster.all(), () => cluster.natsStart());
      report("NATS is back", times);
      expect(Math.max(...times)).toBeLessThan(10_000);
    });
  });

  // Who hears nothing is still heard: it has to notice by itself that nobody follows.
  const wires: [string, WireFaults, number][] = [
    ["is cut off", { cut: true }, recoveryMs],
    ["neither hears nor is heard", { holdIn: true, holdOut: true }, recoveryMs],
    ["is not heard", { holdOut: true }, recoveryMs],
    ["hears nothing", { holdIn: true }, 2 * recoveryMs],
  ];
  it.each(wires)("when the node that leads most %s for 4 s", async (name, faults, limitMs) => {
    await underLoad(cluster, async ({ outage, workload }) => {
      const [victim = ""] = await byLeaders(cluster);
      const times = await outage(others(cluster, victim), async () => {
        cluster.wire(victim, faults);
        await delay(2500);
        workload.readAllThrough({ nodeId: victim, port: cluster.port(victim) });
        await delay(1500);
      });
      report(`a leader that ${name}`, times);
      expect(Math.max(...times)).toBeLessThan(limitMs);
      cluster.heal();
      await delay(1000);
    });
  });

  it.each([
    ["two nodes do not hear each other", false],
    ["one node does not hear another", true],
  ])("when %s, and the third hears both", async (name, oneWay) => {
    await underLoad(cluster, async ({ outage }) => {
      const [first = "", second = ""] = await byLeaders(cluster);
      const times = await outage(cluster.all(), async () => {
        cluster.partition(first, second, oneWay);
        await delay(4000);
        cluster.heal();
      });
      report(name, times);
      expect(Math.max(...times)).toBeLessThan(4000 + recoveryMs);
      await delay(500);
    });
  });
});
