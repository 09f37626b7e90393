// A real process as an operator meets it: the ready line, real clients, signals and exit codes, and
// one clear line for everything that keeps it from starting.

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, describe, expect, it } from "vitest";

import { Connection } from "./connection.ts";
import { newFolder, removeFolders, SpireProcess, startAndWait, startNode } from "./harness.ts";

afterAll(removeFolders);

/** The one line of standard error that says why, as text. */
function reason(stderr: string): string {
  return stderr.trim().split("\n").at(-1) ?? "";
}

describe("a started node", () => {
  it("prints exactly one line on stdout and only JSON on stderr", async () => {
    const node = await startNode({ dataDir: newFolder(), args: ["--node-id", "alpha"] });
    expect(node.nodeId).toBe("alpha");
    const end = await node.process.stop();
    expect(end.stdout).toMatch(/^ready node=alpha resp=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+\n$/u);
    for (const line of end.stderr.trim().split("\n")) {
      expect(JSON.parse(line)).toMatchObject({ msg: expect.any(String) });
    }
  });

  it("serves ioredis and node-redis", async () => {
    const node = await startNode({ dataDir: newFolder() });
    const io = new Redis(node.port, "127.0.0.1");
    expect(await io.set("a", "1")).toBe("OK");
    expect(await io.incr("a")).toBe(2);
    const other = createClient({ url: `redis://127.0.0.1:${node.port}` });
    await other.connect();
    expect(await other.get("a")).toBe("2");
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    await io.set("bytes", bytes);
    expect(await io.getBuffer("bytes")).toEqual(bytes);
    io.disconnect();
    other.destroy();
    expect((await node.process.stop()).code).toBe(0);
  });

  it("answers health checks and metrics over HTTP", async () => {
    const node = await startNode({ dataDir: newFolder() });
    const get = (path: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${node.httpPort}${path}`);
    expect((await get("/livez")).status).toBe(200);
    expect((await get("/readyz?verbose")).status).toBe(200);
    expect(await (await get("/health")).json()).toEqual({ status: "ok" });
    expect(await (await get("/metrics")).text()).toMatch(/^spire_/mu);
    expect((await get("/nowhere")).status).toBe(404);
    await node.process.stop();
  });

  it("asks for the HTTP token where one is set, health checks excepted", async () => {
    const node = await startNode({ dataDir: newFolder(), args: ["--http-token", "hush"] });
    const get = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
      (await fetch(`http://127.0.0.1:${node.httpPort}${path}`, { headers })).status;
    expect([await get("/livez"), await get("/metrics")]).toEqual([200, 401]);
    expect(await get("/metrics", { authorization: "Bearer hush" })).toBe(200);
    await node.process.stop();
  });

  it("answers what was sent before SIGTERM, exits 0 and has it all after a restart", async () => {
    const dataDir = newFolder();
    const node = await startNode({ dataDir });
    const connection = await Connection.open(node.port);
    let acknowledged = 0;
    for (let index = 0; index < 2000; index++) {
      connection.send(["INCR", "count"], (reply) => {
        if (typeof reply === "number") acknowledged += 1;
      });
    }
    const end = await node.process.stop();
    await connection.whenClosed();
    expect(end.code).toBe(0);
    const again = await startNode({ dataDir });
    const reader = await Connection.open(again.port);
    const count = Number(await reader.call("GET", "count"));
    expect(count).toBeGreaterThanOrEqual(acknowledged);
    expect(count).toBeLessThanOrEqual(2000);
    reader.close();
    expect((await again.process.stop()).code).toBe(0);
  });

  it("exits 0 on SIGINT and drains on SHUTDOWN too", async () => {
    const dataDir = newFolder();
    const first = await startNode({ dataDir });
    first.process.signal("SIGINT");
    expect((await first.process.waitEnd()).code).toBe(0);
    const second = await startNode({ dataDir });
    const connection = await Connection.open(second.port);
    connection.send(["SHUTDOWN"], () => undefined);
    expect((await second.process.waitEnd()).code).toBe(0);
  });

  it("uses a thread pool with room for the journal beside RocksDB", async () => {
    const node = await startNode({ dataDir: newFolder() });
    const connection = await Connection.open(node.port);
    const sets = Array.from({ length: 200 }, (_, index) =>
      connection.call("SET", `k${index}`, "v"),
    );
    await Promise.all(sets);
    const status = readFileSync(`/proc/${node.process.pid}/status`, "utf8");
    const threads = Number(/^Threads:\s+(\d+)$/mu.exec(status)?.[1]);
    expect(threads).toBeGreaterThanOrEqual(16 + 6);
    connection.close();
    await node.process.kill();
  });
});

describe("a start that cannot succeed exits 1 with one clear line", () => {
  it("when another process has the data directory, which goes on undisturbed", async () => {
    const dataDir = newFolder();
    const node = await startNode({ dataDir });
    const end = await startAndWait({ dataDir });
    expect(end.code).toBe(1);
    expect(reason(end.stderr)).toContain(`in use by process ${node.process.pid}`);
    const connection = await Connection.open(node.port);
    expect(await connection.call("PING")).toBe("PONG");
    connection.close();
    await node.process.kill();
  });

  it("when the data belongs to another node or was made with other regions", async () => {
    const dataDir = newFolder();
    const node = await startNode({ dataDir, args: ["--node-id", "one", "--num-regions", "4"] });
    await node.process.stop();
    const foreign = await startAndWait({ dataDir, args: ["--node-id", "two"] });
    expect([foreign.code, reason(foreign.stderr)]).toEqual([
      1,
      expect.stringContaining("belongs to node one, but two is asked for"),
    ]);
    const regions = await startAndWait({ dataDir, env: { SPIRE_NUM_REGIONS: "8" } });
    expect([regions.code, reason(regions.stderr)]).toEqual([
      1,
      expect.stringContaining("created with num-regions 4, but 8 is asked for"),
    ]);
    const same = await startNode({ dataDir });
    expect(same.nodeId).toBe("one");
    await same.process.kill();
  });

  it("when the data is from a newer version", async () => {
    const dataDir = newFolder();
    const node = await startNode({ dataDir });
    await node.process.stop();
    const path = join(dataDir, "ident.json");
    const ident = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...ident, format: 99, somethingNew: true }));
    const end = await startAndWait({ dataDir });
    expect([end.code, reason(end.stderr)]).toEqual([1, expect.stringContaining("newer SpireDB")]);
  });

  it("when the port is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const end = await startAndWait({ dataDir: newFolder(), args: ["--port", String(port)] });
    server.close();
    expect([end.code, reason(end.stderr)]).toEqual([
      1,
      expect.stringContaining(`cannot listen on 127.0.0.1:${port}: the port is already in use`),
    ]);
    expect(end.stdout).toBe("");
  });

  it("when the data directory is a file or cannot be written", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "x");
    const end = await startAndWait({ dataDir: file });
    expect([end.code, reason(end.stderr)]).toEqual([1, expect.stringContaining("not a folder")]);
    if (process.getuid?.() === 0) return;
    const locked = newFolder();
    chmodSync(locked, 0o500);
    const refused = await startAndWait({ dataDir: locked });
    expect([refused.code, reason(refused.stderr)]).toEqual([
      1,
      expect.stringContaining("permission denied"),
    ]);
  });

  it("when a flag, a variable or a line of the file is not a setting", async () => {
    const dataDir = newFolder();
    const file = join(newFolder(), "node.toml");
    writeFileSync(file, "prot = 7000\n");
    for (const [options, text] of [
      [{ args: ["--sentinel", "yes"] }, "unknown option '--sentinel'"],
      [{ args: ["--log-level", "loud"] }, '--log-level "loud": must be one of'],
      [{ env: { SPIRE_PROT: "7000" } }, "SPIRE_PROT is not a setting"],
      [{ args: ["--config", file] }, "prot is not a setting"],
    ] as const) {
      const end = await startAndWait({ dataDir, ...options });
      expect([end.code, reason(end.stderr)]).toEqual([1, expect.stringContaining(text)]);
    }
  });
});

describe("debug layout", () => {
  it("says where each region's log lies, also beside a running node", async () => {
    const dataDir = newFolder();
    const node = await startNode({ dataDir, args: ["--num-regions", "3"] });
    const end = await new SpireProcess("debug layout", { dataDir }).waitEnd();
    expect(end.code).toBe(0);
    expect(end.stdout).toMatch(/^ {5}3 {2}shared journal/mu);
    await node.process.kill();
  });
});
