// The processes of the benchmark: a redis-server that fsyncs every write, SpireDB, and the load
// generator, plus what /proc says about their memory and processor time. It knows nothing of goals.

import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

import { Connection } from "../integration/connection.ts";
import { startNode } from "../integration/harness.ts";

const run = promisify(execFile);

/** A server under load. */
export interface Server {
  readonly name: "redis" | "spiredb";
  readonly pid: number;
  readonly port: number;
  /** From spawn to ready, in ms. */
  readonly readyMs: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Result of one run of the load generator. */
export interface Sample {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What to send. */
export interface Load {
  readonly operation: "set" | "get";
  readonly connections: number;
  /** Commands in flight per connection. */
  readonly window: number;
}

/** A folder for data on the disk of `parent`. */
export function dataFolder(parent: string): string {
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, "bench-"));
}

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves when the process is over. */
export function ended(child: ChildProcess): Promise<void> {
  return child.exitCode === null && child.signalCode === null
    ? new Promise((resolve_) => child.once("exit", () => resolve_()))
    : Promise.resolve();
}

/** redis-server --appendonly yes --appendfsync always, nothing else changed but snapshots off. */
export async function startRedis(parent: string): Promise<Server> {
  const folder = dataFolder(parent);
  const port = await freePort();
  const startedAt = performance.now();
  const settings = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, ...settings];
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise<void>((ready, fail) => {
    child.once("exit", () => fail(new Error("redis-server did not start")));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("Ready to accept connections")) ready();
    });
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const readyMs = performance.now() - startedAt;
  const stop = (): Promise<void> => end("SIGTERM");
  return { name: "redis", pid: child.pid ?? 0, port, readyMs, stop, kill: () => end("SIGKILL") };
}

/** A SpireDB with its default settings in this folder. */
export async function startSpire(dataDir: string): Promise<Server> {
  const node = await startNode({ dataDir, timeoutMs: 120_000 });
  const { pid, readyMs } = node.process;
  return {
    name: "spiredb",
    pid,
    port: node.port,
    readyMs,
    stop: async () => void (await node.process.stop(60_000)),
    kill: async () => void (await node.process.kill()),
  };
}

/** Compiles the load generator; needs a C compiler. */
export function buildGenerator(folder: string): string {
  const program = join(folder, "load-generator");
  const source = resolve(import.meta.dirname, "load-generator.c");
  execFileSync("gcc", ["-O2", "-w", "-o", program, source]);
  return program;
}

/** One run against one server. Throws when any reply was an error. */
export async function measure(
  generator: string,
  server: Server,
  load: Load,
  limits: { readonly seconds: number; readonly keys: number },
): Promise<Sample> {
  const { operation, connections, window } = load;
  const numbers = [server.port, connections, window, limits.seconds, 100, limits.keys];
  const { stdout } = await run(generator, ["resp", operation, ...numbers.map(String)]);
  return sampleOf(server.name, stdout.trim());
}

/** Reads the generator's line. Throws when any reply was an error. */
export function sampleOf(server: string, line: string): Sample {
  const fields = line.split(",");
  const field = (name: string): number =>
    Number(fields.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1));
  if (field("errs") !== 0) throw new Error(`${server}: ${line}`);
  return { perSecond: Number(fields[4]), p50Ms: field("p50"), p99Ms: field("p99") };
}

/** Writes keys 0 … count-1 with 100 B values, named as the load generator names them. */
export async function fill(server: Server, count: number): Promise<void> {
  const connection = await Connection.open(server.port);
  const value = "v".repeat(100);
  await new Promise<void>((done, fail) => {
    let sent = 0;
    let answered = 0;
    const send = (): void => {
      const key = `key:${String(sent++).padStart(12, "0")}`;
      connection.send(["SET", key, value], (reply) => {
        if (reply !== "OK") fail(new Error(`SET answered ${JSON.stringify(reply)}`));
        answered += 1;
        if (answered === count) done();
        else if (sent < count) send();
      });
    };
    for (let slot = 0; slot < Math.min(2000, count); slot++) send();
  });
  connection.close();
}

/** Resident memory in MiB. */
export function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/mu.exec(status)?.[1]) / 1024;
}

/** Processor use over that time, in percent of one core. */
export async function processorPercent(pid: number, seconds: number): Promise<number> {
  const before = processorTicks(pid);
  await new Promise((passed) => {
    setTimeout(passed, seconds * 1000);
  });
  // Linux reports 100 ticks per second to user space on every architecture Node runs on.
  return (processorTicks(pid) - before) / seconds;
}

/** Ticks of 10 ms this process has run. */
export function processorTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
