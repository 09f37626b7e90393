// Whether threads of a node may take the processor from others when they wake, as the kernel has it.

import { afterAll, afterEach, describe, expect, it } from "vitest";

import { Connection } from "./connection.ts";
import { newFolder, removeFolders, startNode, type ReadyNode } from "./harness.ts";
import { killLaunched, Launched, until } from "./launched.ts";
import { threadPolicies } from "./thread-policies.ts";

afterEach(killLaunched);
afterAll(removeFolders);

/** What the processes of this test inherit. */
const own = threadPolicies(process.pid);

/** All threads that a node has once it has written. */
async function policiesOfBusy({ port, process: { pid } }: ReadyNode): Promise<string[]> {
  const connection = await Connection.open(port);
  expect(await connection.call("SET", "k", "v")).toBe("OK");
  connection.close();
  return threadPolicies(pid);
}

const batch = ["--scheduling", "batch"];

describe("a node's threads", () => {
  it("are scheduled as a batch, those that came before the start's end too", async () => {
    const node = await startNode({ dataDir: newFolder(), args: batch });
    expect(await policiesOfBusy(node)).toEqual(["batch"]);
    await node.process.stop();
  });

  it("are scheduled so unasked where it is one of several, and not where it is alone", async () => {
    const alone = await startNode({ dataDir: newFolder() });
    expect(await policiesOfBusy(alone)).toEqual(own);
    await alone.process.stop();
    const program = [process.execPath, "dist/deploy/cli.js", "start", "--node-id", "a"];
    const nats = ["--nats", "nats://127.0.0.1:1", "--initial-nodes", "a,b,c"];
    const launched = new Launched([...program, ...nats, "--data-dir", newFolder()]);
    const isBatch = (): boolean => threadPolicies(launched.pid).join() === "batch";
    await until(isBatch, "it does not ask for it");
  });

  it("stay as they were when that is asked for, and where there is no chrt", async () => {
    const asked = await startNode({ dataDir: newFolder(), args: ["--scheduling", "inherit"] });
    expect(await policiesOfBusy(asked)).toEqual(own);
    await asked.process.stop();
    const env = { PATH: "/nowhere" };
    const without = await startNode({ dataDir: newFolder(), args: batch, env });
    expect(await policiesOfBusy(without)).toEqual(own);
    expect((await without.process.stop()).stderr).not.toContain("chrt");
  });

  it("stay as somebody chose before", async () => {
    const command = ["chrt", "--idle", "0", process.execPath, "dist/deploy/cli.js", "start"];
    const places = ["--port", "0", "--http-port", "0", "--data-dir", newFolder()];
    const launched = new Launched([...command, ...batch, ...places]);
    await launched.waitFor(/^ready /mu);
    expect(threadPolicies(launched.pid)).toEqual(["idle"]);
    launched.signal("SIGTERM");
    expect(await launched.waitEnd()).toBe(0);
  });
});
