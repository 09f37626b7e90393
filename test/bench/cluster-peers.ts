// Three-node peers of the cluster benchmark, each on this machine with its data on the same disk: three
// SpireDB nodes over one nats-server, an etcd of three members, and a Redis with two replicas whose
// every SET is followed by WAIT 1. It starts and stops them; what is compared is `cluster.ts`.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { Connection } from "../integration/connection.ts";
import { dataFolder, ended, freePort } from "./processes.ts";

/** A group of three under load. */
export interface Group {
  readonly name: "spiredb" | "etcd" | "redis";
  readonly protocol: "resp" | "grpc";
  /** Where clients connect, in turns. */
  readonly ports: readonly number[];
  /** Processes whose idle cost counts. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

const host = "127.0.0.1";

/** Resolves when a line of the child's output matches; rejects when it ends before. */
function whenSaid(child: ChildProcess, pattern: RegExp, what: string): Promise<void> {
  return new Promise((ready, fail) => {
    let text = "";
    const hear = (chunk: Buffer): void => {
      text = (text + chunk.toString()).slice(-8192);
      if (pattern.test(text)) ready();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("exit", () => fail(new Error(`${what} ended before it was ready:\n${text}`)));
  });
}

async function stopAll(children: readonly ChildProcess[], folder: string): Promise<void> {
  for (const child of children) {
    child.kill("SIGTERM");
    await ended(child);
  }
  rmSync(folder, { recursive: true, force: true });
}

const pidsOf = (children: readonly ChildProcess[]): number[] => children.map(({ pid }) => pid ?? 0);

/** Three members, each of which fsyncs its log before it answers; nothing else changed. */
export async function startEtcd(parent: string): Promise<Group> {
  const folder = dataFolder(parent);
  const peers = await Promise.all(
    ["e1", "e2", "e3"].map(async (name) => {
      return { name, client: await freePort(), peer: await freePort() };
    }),
  );
  const initial = peers.map(({ name, peer }) => `${name}=http://${host}:${peer}`).join(",");
  const children = peers.map(({ name, client, peer }) => {
    const settings = {
      name,
      "data-dir": join(folder, name),
      "listen-client-urls": `http://${host}:${client}`,
      "advertise-client-urls": `http://${host}:${client}`,
      "listen-peer-urls": `http://${host}:${peer}`,
      "initial-advertise-peer-urls": `http://${host}:${peer}`,
      "initial-cluster": initial,
      "log-level": "info",
    };
    const args = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]);
    return spawn("etcd", args, { stdio: ["ignore", "pipe", "pipe"] });
  });
  await Promise.all(
    children.map((child) => whenSaid(child, /ready to serve client requests/u, "etcd")),
  );
  const ports = peers.map(({ client }) => client);
  const stop = (): Promise<void> => stopAll(children, folder);
  return { name: "etcd", protocol: "grpc", ports, pids: pidsOf(children), stop };
}

/** A primary and two replicas, all with appendfsync always. */
export async function startReplicatedRedis(parent: string): Promise<Group> {
  const folder = dataFolder(parent);
  const ports = [await freePort(), await freePort(), await freePort()];
  const children: ChildProcess[] = [];
  for (const [i, port] of ports.entries()) {
    const dir = join(folder, String(i));
    execFileSync("mkdir", ["-p", dir]);
    const settings = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
    const replica = i === 0 ? [] : ["--replicaof", host, String(ports[0])];
    const args = ["--port", String(port), "--bind", host, "--dir", dir, ...settings, ...replica];
    const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    await whenSaid(child, /Ready to accept connections/u, "redis-server");
    child.stdout?.resume();
  }
  await waitForReplicas(ports[0] ?? 0);
  const stop = (): Promise<void> => stopAll(children, folder);
  const pids = pidsOf(children);
  return { name: "redis", protocol: "resp", ports: ports.slice(0, 1), pids, stop };
}

async function waitForReplicas(port: number): Promise<void> {
  const connection = await Connection.open(port);
  for (let i = 0; i < 300; i++) {
    const info = await new Promise<string>((told) => {
      connection.send(["INFO", "replication"], (reply) => told(JSON.stringify(reply)));
    });
    if ((info.match(/state=online/gu) ?? []).length === 2) {
      connection.close();
      return;
    }
    await new Promise((passed) => {
      setTimeout(passed, 100);
    });
  }
  throw new Error("the replicas of redis-server did not come online");
}

const ownDist = resolve(import.meta.dirname, "../../dist");

/** Three nodes of the build in that folder, with their default settings, over one nats-server. */
export async function startSpireCluster(parent: string, dist = ownDist): Promise<Group> {
  const folder = dataFolder(parent);
  const nats = await freePort();
  const config = join(folder, "nats.conf");
  writeFileSync(config, `listen: "${host}:${nats}"\n`);
  // As `spiredb cluster` has it: nobody's turn is broken off by who wakes.
  const command = ["--batch", "0", "nats-server", "-c", config];
  const server = spawn("chrt", command, { stdio: ["ignore", "pipe", "pipe"] });
  await whenSaid(server, /Server is ready/u, "nats-server");
  const names = ["n1", "n2", "n3"];
  const cli = join(dist, "deploy/cli.js");
  const ports: number[] = [];
  const nodes: ChildProcess[] = [];
  for (const name of names) {
    const port = await freePort();
    ports.push(port);
    const settings = ["--node-id", name, "--nats", `nats://${host}:${nats}`];
    const places = ["--port", String(port), "--http-port", "0", "--data-dir", join(folder, name)];
    const args = [cli, "start", ...settings, ...places, "--initial-nodes", names.join(",")];
    nodes.push(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }));
  }
  const children = [...nodes, server];
  const stop = (): Promise<void> => stopAll(children, folder);
  try {
    await Promise.all(nodes.map((node) => whenSaid(node, /^ready /mu, "spiredb")));
    for (const port of ports) await waitForLeaders(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { name: "spiredb", protocol: "resp", ports, pids: pidsOf(children), stop };
}

/** Until every region answers a write through this node. */
async function waitForLeaders(port: number): Promise<void> {
  const connection = await Connection.open(port);
  for (let i = 0; i < 256; i++) {
    const reply = await new Promise<unknown>((told) => {
      connection.send(["SET", `warm:${i}`, "x"], told);
    });
    if (reply !== "OK") throw new Error(`SET answered ${JSON.stringify(reply)}`);
  }
  connection.close();
}
