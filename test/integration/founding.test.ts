// How processes become a cluster, or say why not: by count and by name, a node that was alone before,
// a node that comes later, and every refusal with its exit code.

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { NatsServer } from "../transport/nats-server.ts";
import { Connection, type Reply } from "./connection.ts";
import { newFolder, removeFolders } from "./harness.ts";
import { killLaunched, Launched, until } from "./launched.ts";

let nats: NatsServer;
beforeAll(async () => {
  nats = await NatsServer.create();
  await nats.start();
});
afterEach(killLaunched);
afterAll(async () => {
  await nats.dispose();
  removeFolders();
});

const small = ["--num-regions", "4", "--journal-file-size", "4MiB"];

/** Starts a node on free ports; each test has a cluster name of its own. */
function start(folder: string, ...args: string[]): Launched {
  const ports = ["--port", "0", "--http-port", "0", "--data-dir", folder];
  return new Launched([process.execPath, "dist/deploy/cli.js", "start", ...ports, ...args]);
}

const others = (cluster: string): string[] => ["--nats", nats.url, "--cluster", cluster];

async function portOf(node: Launched): Promise<number> {
  const [, port] = await node.waitFor(/^ready node=\S+ resp=127\.0\.0\.1:(\d+)/mu);
  return Number(port);
}

async function ask(port: number, ...args: string[]): Promise<Reply> {
  const connection = await Connection.open(port);
  try {
    return await connection.call(...args);
  } finally {
    connection.close();
  }
}

describe("nodes", () => {
  it("form a cluster by count, under names of their own, and a later one serves every key", async () => {
    const founders = Array.from({ length: 3 }, () =>
      start(newFolder(), ...others("count"), "--bootstrap-expect", "3", ...small),
    );
    const ports = await Promise.all(founders.map((node) => portOf(node)));
    await until(async () => (await ask(ports[0] ?? 0, "SET", "k", "v")) === "OK", "no writes");
    // It asks for nothing, and takes the four regions of the cluster over its default.
    const folder = newFolder();
    const late = start(folder, ...others("count"));
    const port = await portOf(late);
    await until(async () => (await ask(port, "GET", "k")) === "v", "the late one does not serve");
    await late.kill();
    const again = await portOf(start(folder, ...others("count")));
    await until(async () => (await ask(again, "GET", "k")) === "v", "not after its restart");
  });

  it("that were alone take others in after a restart with --nats, and keep their data", async () => {
    const folder = newFolder();
    const alone = start(folder, ...small, "--cluster", "grown");
    expect(await ask(await portOf(alone), "SET", "k", "v")).toBe("OK");
    alone.signal("SIGTERM");
    await alone.waitEnd();
    const port = await portOf(start(folder, ...others("grown")));
    expect(await ask(port, "GET", "k")).toBe("v");
    const joiner = await portOf(start(newFolder(), ...others("grown"), "--bootstrap-expect", "2"));
    await until(async () => (await ask(joiner, "GET", "k")) === "v", "the joiner does not serve");
    expect(await ask(joiner, "SET", "k", "w")).toBe("OK");
    expect(await ask(port, "GET", "k")).toBe("w");
  });

  it("stop at once at SIGTERM while they wait for others", async () => {
    const named = ["--node-id", "a", "--initial-nodes", "a,b,c"];
    const node = start(newFolder(), ...others("waiting"), ...named);
    await node.waitFor(/waiting for b, c/u);
    node.signal("SIGTERM");
    expect(await node.waitEnd()).toBe(0);
  });
});

describe("a node ends with exit code 1 and says why when", () => {
  it("it asks for other regions than the cluster has", async () => {
    const one = start(newFolder(), ...others("shape"), "--bootstrap-expect", "1", ...small);
    await portOf(one);
    const other = start(newFolder(), ...others("shape"), "--num-regions", "8");
    expect(await other.waitEnd()).toBe(1);
    expect(other.output).toContain("the cluster has num-regions 4, but 8 is asked for (flag)");
  });

  it("its directory belongs to a cluster and --nats is missing", async () => {
    const folders = [newFolder(), newFolder()];
    const [one, two] = folders.map((folder, index) =>
      start(
        folder,
        ...others("pair"),
        "--node-id",
        `n${index}`,
        "--initial-nodes",
        "n0,n1",
        ...small,
      ),
    );
    await Promise.all([one?.waitFor(/^ready /mu), two?.waitFor(/^ready /mu)]);
    await one?.kill();
    const alone = start(folders[0] ?? "");
    expect(await alone.waitEnd()).toBe(1);
    expect(alone.output).toContain("belongs to a node of a cluster (with n1): --nats is missing");
  });

  it("another node of the cluster has its name, whichever of the two that ends", async () => {
    const named = [...others("twins"), "--node-id", "same"];
    const one = start(newFolder(), ...named, "--bootstrap-expect", "1", ...small);
    await portOf(one);
    const other = start(newFolder(), ...named);
    const first = await Promise.race([one, other].map((node) => node.waitEnd().then(() => node)));
    expect(await first.waitEnd()).toBe(1);
    expect(first.output).toContain("node id same is in use: another process");
  });

  it("NATS refuses its password", async () => {
    const locked = await NatsServer.create(() => "authorization { user: u, password: p }");
    await locked.start();
    const args = ["--nats", locked.url, "--nats-user", "u", "--nats-password", "hunter2"];
    const node = start(newFolder(), ...args, "--bootstrap-expect", "1");
    expect(await node.waitEnd()).toBe(1);
    expect(node.output).toMatch(/[Aa]uthor/u);
    expect(node.output).not.toContain("hunter2");
    await locked.dispose();
  });
});
