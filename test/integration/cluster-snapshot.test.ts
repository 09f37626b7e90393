// A replica that needs a region of 50 MB anew, over a wire that loses one in fifty of the messages which
// bring it: no stream is ever whole, and the region arrives all the same, because each goes on where the
// one before broke.

import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";

import { Cluster } from "./cluster-harness.ts";
import { ask } from "./cluster-view.ts";
import { Connection } from "./connection.ts";

const keys = 500;
/** More than 256 MiB in all: so much of the log is kept for a replica that is behind. */
const writes = 2800;
const lostOneOf = 50;

let cluster: Cluster;
let evidence: "remove" | "keep" = "remove";

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 3, args: ["--num-regions", "1"] });
});
afterEach(({ task }) => {
  if (task.result?.state === "fail") evidence = "keep";
});
afterAll(async () => {
  if (evidence === "keep") console.log(`data and logs are kept in ${cluster.folder}`);
  await cluster.end(evidence);
});

const valueOf = (key: number): string => String(key).padStart(100_000, `${key % 10}.`);

it("a large region arrives in pieces of many streams, whole", async () => {
  await cluster.drainStop("n3");
  await cluster.waitForLeader("all");
  const connection = await Connection.open(cluster.port("n1"));
  for (let write = 0; write < writes; write++) {
    const key = write % keys;
    expect(await connection.call("SET", `key${key}`, valueOf(key))).toBe("OK");
  }
  connection.close();
  let chunks = 0;
  let lost = 0;
  const loses = (subject: string): boolean => {
    if (!subject.includes(".bulk.n3") || ++chunks % lostOneOf !== 0) return false;
    lost++;
    return true;
  };
  for (const nodeId of ["n1", "n2"]) cluster.wire(nodeId, { loses });
  await cluster.restart("n3");
  const deadline = performance.now() + 60_000;
  for (let quiet = 0, seen = -1; quiet < 8; await delay(250)) {
    expect(performance.now(), `${chunks} chunks, ${lost} of them lost`).toBeLessThan(deadline);
    // Marks of an idle stream are few; while the region travels there are more all the time.
    quiet = chunks === seen ? quiet + 1 : 0;
    seen = chunks;
    if (lost < 3) quiet = 0;
  }
  cluster.heal();
  const leader = (await cluster.regions("n1"))[0]?.leader ?? "";
  const other = leader === "n1" ? "n2" : "n1";
  // Of two, one of which lacks the last write, only n3 can lead then: what it answers is its own.
  await cluster.kill(other);
  expect(await ask(cluster.port(leader), ["SET", "last", "1"], 10_000)).toBe("OK");
  if (leader !== "n3") await cluster.kill(leader);
  await cluster.restart(other);
  await cluster.waitForLeader("all");
  expect(await cluster.regions("n3")).toMatchObject([{ leader: "n3" }]);
  const reader = await Connection.open(cluster.port("n3"));
  for (let key = 0; key < keys; key++) {
    const found = await reader.call("GET", `key${key}`);
    expect(found === valueOf(key), `key${key}`).toBe(true);
  }
  expect(await reader.call("DBSIZE")).toBe(keys + 1);
  reader.close();
});
