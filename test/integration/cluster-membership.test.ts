// Who belongs to a cluster of real processes: a node that comes late serves every key, one whose disk
// was wiped is refused, and five processes bear the loss of two at once.

import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { Cluster } from "./cluster-harness.ts";
import { ask } from "./cluster-view.ts";
import { regionTags } from "./regions.ts";
import { byLeaders, others, report, underLoad } from "./trial.ts";

let cluster: Cluster | undefined;
let evidence: "remove" | "keep" = "remove";

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") evidence = "keep";
  if (evidence === "keep") console.log(`data and logs are kept in ${cluster?.folder}`);
});
afterAll(() => cluster?.end(evidence));

async function start(nodes: number, ...args: string[]): Promise<Cluster> {
  await cluster?.end(evidence);
  evidence = "remove";
  cluster = await Cluster.start({ nodes, args });
  return cluster;
}

describe("three founders", () => {
  it("let a fourth node join, which serves every key", async () => {
    const three = await start(3);
    for (const tag of regionTags) await ask(three.port("n1"), ["SET", `${tag}early`, tag], 5000);
    await three.join("n4");
    await three.waitForLeader("all");
    for (const tag of regionTags) {
      expect(await ask(three.port("n4"), ["GET", `${tag}early`], 5000)).toBe(tag);
      expect(await ask(three.port("n4"), ["SET", `${tag}late`, "x"], 5000)).toBe("OK");
      expect(await ask(three.port("n2"), ["GET", `${tag}late`], 5000)).toBe("x");
    }
    await underLoad(three, async () => {
      await three.kill("n4");
      await three.restart("n4");
    });
  });

  it("refuse a node of theirs whose disk was wiped, which ends with code 1 and says so", async () => {
    const three = cluster!;
    await three.kill("n2");
    three.wipe("n2");
    three.launch("n2");
    const { code, stderr, stdout } = await three.waitEnd("n2", 30_000);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const last = JSON.parse(stderr.trim().split("\n").at(-1)!) as { msg: string };
    expect(last.msg).toContain("n2");
    const survivor = three.port("n1");
    expect(await ask(survivor, ["GET", `${regionTags[0]}early`], 5000)).toBe(regionTags[0]);
  });
});

describe("five processes with five replicas", () => {
  it("lose nothing when two are killed at once, and write again within 3 s", async () => {
    const five = await start(5, "--replicas", "5");
    await underLoad(five, async ({ outage }) => {
      const [first = "", second = ""] = await byLeaders(five);
      const times = await outage(others(five, first, second), () =>
        Promise.all([five.kill(first), five.kill(second)]).then(() => undefined),
      );
      report("kill -9 of two of five", times);
      expect(Math.max(...times)).toBeLessThan(4500);
      await Promise.all([five.restart(first), five.restart(second)]);
      await delay(1000);
    });
  });

  it("lose nothing when one sleeps, one is cut off and both come back", async () => {
    const five = cluster!;
    await underLoad(five, async ({ outage }) => {
      const [first = "", second = ""] = await byLeaders(five);
      const times = await outage(others(five, first, second), async () => {
        five.pause(first);
        five.wire(second, { cut: true });
        await delay(3000);
        five.resume(first);
        five.heal();
      });
      report("one of five asleep, one cut off", times);
      expect(Math.max(...times)).toBeLessThan(4500);
      await delay(1000);
    });
  });
});
