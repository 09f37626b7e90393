// `spiredb cluster` and `spiredb demo` as somebody at a terminal meets them: what they print, whom
// they leave behind, and what becomes of the data.

import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { freePorts, isPortFree } from "../../deploy/local/ports.ts";
import { Connection, type Reply } from "./connection.ts";
import { newFolder, removeFolders } from "./harness.ts";
import { isAlive, killLaunched, Launched, until } from "./launched.ts";
import { threadPolicies } from "./thread-policies.ts";

const spiredb = [process.execPath, "dist/deploy/cli.js"];

afterEach(killLaunched);
afterAll(removeFolders);

/** A base with so many free ports behind it. */
async function freeBase(count: number): Promise<number> {
  for (;;) {
    const [base = 0] = await freePorts(1);
    const all = Array.from({ length: count }, (_, index) => base + index);
    const free = await Promise.all(all.map((port) => isPortFree(port)));
    if (base + count < 65_536 && free.every(Boolean)) return base;
  }
}

/** A running `spiredb cluster` of three. */
async function startCluster(folder: string) {
  // One run for both: two of their own may overlap.
  const base = await freeBase(6);
  const httpBase = base + 3;
  const args = ["--base-port", String(base), "--http-base-port", String(httpBase)];
  const small = ["--data-dir", folder, "--num-regions", "4", "--journal-file-size", "4MiB"];
  const launched = new Launched([...spiredb, "cluster", ...args, ...small]);
  await launched.waitFor(/The cluster serves[\s\S]*Ctrl-C stops/u);
  const nodes = [...launched.output.matchAll(/(node-\d)\s+redis:.*:(\d+)\s+http:.* pid (\d+)/gu)];
  const pids = nodes.map((match) => Number(match[3]));
  const natsPort = Number(/nats:\/\/127\.0\.0\.1:(\d+)/u.exec(launched.output)?.[1]);
  return { launched, base, nodes, pids, natsPort };
}

async function ask(port: number, ...args: string[]): Promise<Reply> {
  const connection = await Connection.open(port);
  try {
    return await connection.call(...args);
  } finally {
    connection.close();
  }
}

/** Holds a port until called. */
async function holdPort(port: number): Promise<() => void> {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  return () => void server.close();
}

/** The process of nats-server with that port on its command line. */
function natsPid(port: number): number {
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/u.test(each))) {
    let words: string[];
    try {
      words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
    } catch {
      continue;
    }
    const isServer = words[0]?.endsWith("nats-server") === true;
    if (isServer && words[words.indexOf("-p") + 1] === String(port)) return Number(name);
  }
  throw new Error(`no nats-server with -p ${port}`);
}

describe("spiredb cluster", () => {
  it("forms, serves on base + i, and has its data again after Ctrl-C", async () => {
    const folder = newFolder();
    const first = await startCluster(folder);
    expect(first.nodes.map((match) => [match[1], Number(match[2])])).toEqual([
      ["node-1", first.base],
      ["node-2", first.base + 1],
      ["node-3", first.base + 2],
    ]);
    expect(await ask(first.base, "SET", "k", "v")).toBe("OK");
    expect(await ask(first.base + 2, "GET", "k")).toBe("v");
    first.launched.signal("SIGINT");
    expect(await first.launched.waitEnd()).toBe(0);
    expect(first.pids.filter((pid) => isAlive(pid))).toEqual([]);
    expect(await isPortFree(first.natsPort)).toBe(true);
    expect(readdirSync(folder).toSorted()).toEqual([
      "cluster-name",
      "logs",
      "node-1",
      "node-2",
      "node-3",
    ]);

    const second = await startCluster(folder);
    expect(await ask(second.base + 1, "GET", "k")).toBe("v");
  });

  it("says that a node ended and how to start it again, and goes on without it", async () => {
    const { launched, base, pids } = await startCluster(newFolder());
    await ask(base, "SET", "k", "v");
    process.kill(pids[1] ?? 0, "SIGKILL");
    const [, command = ""] = await launched.waitFor(
      /node-2 ended \(signal SIGKILL\); the others go on\n.*\n\s+(\S.*)\n/u,
    );
    await until(async () => (await ask(base, "GET", "k")) === "v", "the others do not go on");
    const again = new Launched(command.split(" "));
    await again.waitFor(/^ready node=node-2/mu);
    expect(await ask(base + 1, "GET", "k")).toBe("v");
    again.signal("SIGTERM");
    expect(await again.waitEnd()).toBe(0);
  });

  it("leaves no process behind when it is killed itself", async () => {
    const { launched, pids, natsPort } = await startCluster(newFolder());
    expect(pids.every((pid) => isAlive(pid))).toBe(true);
    await launched.kill();
    await until(() => !pids.some((pid) => isAlive(pid)), "nodes live on");
    await until(() => isPortFree(natsPort), "nats-server lives on");
  });

  it("has all of its processes scheduled as a batch", async () => {
    const { pids, natsPort } = await startCluster(newFolder());
    const policies = [natsPid(natsPort), ...pids].map((pid) => threadPolicies(pid));
    expect(policies).toEqual([["batch"], ["batch"], ["batch"], ["batch"]]);
  });

  it("starts nats-server again and says so", async () => {
    const { launched, base, natsPort } = await startCluster(newFolder());
    await ask(base, "SET", "k", "v");
    process.kill(natsPid(natsPort), "SIGKILL");
    await launched.waitFor(/nats-server ended \(.*\); it keeps no data and is started again/u);
    await until(async () => (await ask(base + 1, "GET", "k")) === "v", "service does not resume");
  });

  it("starts nothing when a port is taken or nats-server is missing", async () => {
    const base = await freeBase(3);
    const folder = join(newFolder(), "never");
    const release = await holdPort(base + 1);
    const args = ["--base-port", String(base), "--data-dir", folder];
    const taken = new Launched([...spiredb, "cluster", ...args]);
    expect(await taken.waitEnd()).toBe(1);
    expect(taken.output).toContain(`port ${base + 1} is already in use on 127.0.0.1`);
    const without = new Launched([...spiredb, "cluster", ...args], { env: { PATH: "/nowhere" } });
    expect(await without.waitEnd()).toBe(1);
    expect(without.output).toContain("nats-server is not on the PATH: sudo apt-get install");
    expect(existsSync(folder)).toBe(false);
    release();
  });
});

describe("spiredb demo", () => {
  it("kills leaders, loses nothing, and removes what it made", async () => {
    const demo = new Launched([...spiredb, "demo", "--seconds", "6"]);
    const [, folder = ""] = await demo.waitFor(/nats-server in (\S+)/u);
    expect(folder.startsWith(tmpdir()) && statSync(folder).isDirectory()).toBe(true);
    expect(await demo.waitEnd(120_000)).toBe(0);
    expect(demo.output).toMatch(/kill -9 node-\d \(pid \d+\), leader of \d+ regions/u);
    expect(demo.output.match(/through node-\d: all there/gu)).toHaveLength(3);
    expect(demo.output).toMatch(/PASSED: 0 of [\d,]+ acknowledged writes lost in [1-9]\d* kills/u);
    expect(existsSync(folder)).toBe(false);
  });
});
