// Starts the two servers that are compared: a real redis-server and SpireDB, both on a free loopback
// port with a directory of their own that goes away afterwards. SPIREDB_ADDRESS=host:port uses a
// running SpireDB; CONFORMANCE_SELF=1 puts a second redis-server in its place, which proves the
// harness. This file compares nothing. A running SpireDB serves one test file at a time, so add
// --no-file-parallelism then.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Address } from "./client.ts";

/** A server under comparison. */
export interface Peer {
  readonly name: string;
  readonly address: Address;
  /** Ends the process and waits for it. */
  stop(): Promise<void>;
}

/** True when a second redis-server stands in for SpireDB. */
export const SELF = process.env["CONFORMANCE_SELF"] === "1";

const START_TIMEOUT_MS = 30_000;
const DIST = resolve(import.meta.dirname, "../../dist/deploy");

/** Starts the reference. `extra` are more arguments of redis-server. */
export async function startRedis(extra: readonly string[] = []): Promise<Peer> {
  const dir = mkdtempSync(join(tmpdir(), "conformance-redis-"));
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir];
  const plain = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"];
  const child = spawn("redis-server", [...args, ...plain, ...extra], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await line(child, /Ready to accept connections/);
  return peer("redis", { host: "127.0.0.1", port }, child, dir);
}

/**
 * Starts what is compared with the reference: SpireDB, unless the environment says otherwise.
 * `extra` are more arguments, the same for both servers.
 */
export async function startSpire(extra: readonly string[] = []): Promise<Peer> {
  if (SELF) return startRedis(extra);
  const running = process.env["SPIREDB_ADDRESS"];
  if (running !== undefined && extra.length === 0) {
    return { name: "spiredb", address: parseAddress(running), stop: () => Promise.resolve() };
  }
  const cli = ["cli.js", "cli.cjs"]
    .map((name) => join(DIST, name))
    .find((path) => existsSync(path));
  if (cli === undefined) throw new Error(`${DIST} has no cli: run "npm run build" first`);
  const dir = mkdtempSync(join(tmpdir(), "conformance-spiredb-"));
  const args = [cli, "start", "--port", "0", "--http-port", "0", "--data-dir", dir, ...extra];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ready = await line(child, /^ready .*\bresp=(\S+)\s/m);
  return peer("spiredb", parseAddress(ready[1] ?? ""), child, dir);
}

function peer(name: string, address: Address, child: ChildProcess, dir: string): Peer {
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = async () => {
    const hard = setTimeout(() => child.kill("SIGKILL"), 10_000);
    if (child.exitCode === null) child.kill("SIGTERM");
    await ended;
    clearTimeout(hard);
    rmSync(dir, { recursive: true, force: true });
  };
  return { name, address, stop };
}

/** Waits until the standard output of `child` matches. Rejects with all it said otherwise. */
function line(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((found, failed) => {
    let out = "";
    let all = "";
    const fail = (why: string) => failed(new Error(`${child.spawnfile}: ${why}\n${all}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("not ready in time");
    }, START_TIMEOUT_MS);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      all += text;
      const match = pattern.exec(out);
      if (match === null) return;
      clearTimeout(timer);
      found(match);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      all = (all + text).slice(-20_000);
    });
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with code ${code}`);
    });
  });
}

function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => found(address !== null && typeof address === "object" ? address.port : 0));
    });
  });
}
