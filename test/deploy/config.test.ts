// Settings: which source wins, what each kind of value accepts, and that nothing unknown passes.
// Pure over texts and one file; no data directory, no process.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";

import { createProgram } from "../../deploy/command-line.ts";
import { printConfig, resolveConfig } from "../../deploy/config.ts";
import { settings } from "../../deploy/settings.ts";
import { byteSize, duration, ValueError } from "../../deploy/values.ts";

const folder = mkdtempSync(join(tmpdir(), "spiredb-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, "node.toml");
  writeFileSync(path, text);
  return path;
}

const resolve = (flags: Record<string, string>, environment: Record<string, string> = {}) =>
  resolveConfig({ flags, environment });

describe("settings", () => {
  it("take a flag over the environment over the file over the default", () => {
    const config = file("port = 1\nhttp-port = 1\nnum-regions = 1\n");
    const { config: got, sources } = resolve(
      { config, port: "3" },
      { SPIRE_PORT: "2", SPIRE_HTTP_PORT: "2" },
    );
    expect([got.port, got.httpPort, got.numRegions, got.maxClients]).toEqual([3, 2, 1, 10_000]);
    expect([sources.port, sources.httpPort, sources.numRegions, sources.maxClients]).toEqual([
      "flag",
      "SPIRE_HTTP_PORT",
      config,
      "default",
    ]);
  });

  it("are frozen, and the defaults are those of the README", () => {
    const { config } = resolve({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(config).toMatchObject({ bind: "127.0.0.1", port: 6379, httpPort: 9090, numRegions: 16 });
  });

  it("understand the names the original documents", () => {
    const { config } = resolve(
      {},
      {
        SPIRE_RESP_PORT: "7000",
        SPIRE_RESP_MAX_CONNECTIONS: "5",
        SPIRE_RESP_CONNECTION_TIMEOUT: "60000",
        SPIRE_ROCKSDB_PATH: "/x",
        SPIRE_NUM_REGIONS: "4",
        SPIRE_LOG_LEVEL: "warn",
      },
    );
    expect(config).toMatchObject({
      port: 7000,
      maxClients: 5,
      idleTimeoutMs: 60_000,
      dataDir: "/x",
      numRegions: 4,
      logLevel: "warning",
    });
  });

  it("tell once which known variables mean nothing here", () => {
    const { warnings } = resolve({}, { SPIRE_DISCOVERY: "gossip", SPIRE_RAFT_DATA_DIR: "/y" });
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).toContain("SPIRE_DISCOVERY has no meaning here: nodes find each other");
  });

  it("treat an empty variable as absent, as compose files pass them", () => {
    expect(resolve({}, { SPIRE_PORT: "" }).sources.port).toBe("default");
  });

  it.each([
    [{ flags: {}, environment: { SPIRE_PORTT: "1" } }, "SPIRE_PORTT is not a setting (did you"],
    [{ flags: {}, environment: { SPIRE_LABELS: "x" } }, "SPIRE_LABELS is not a setting"],
    [
      { flags: {}, environment: { SPIRE_PORT: "1", SPIRE_RESP_PORT: "2" } },
      "set the same thing to different values",
    ],
    [{ flags: { port: "65536" }, environment: {} }, '--port "65536": must be a whole number'],
    [{ flags: { "num-regions": "0" }, environment: {} }, "from 1 to 65536"],
    [{ flags: { "num-regions": "65537" }, environment: {} }, "from 1 to 65536"],
    [{ flags: { "node-id": "a.b" }, environment: {} }, "--node-id"],
    [{ flags: { port: "9090" }, environment: {} }, "--port and --http-port are both 9090"],
    [{ flags: { config: "/nowhere.toml" }, environment: {} }, "cannot read the settings file"],
  ])("refuse %j", (input, message) => {
    expect(() => resolveConfig(input as Parameters<typeof resolveConfig>[0])).toThrow(message);
  });

  it("of a cluster are read from every source", () => {
    const { config } = resolve(
      { nats: "a:4222, nats://b:4222,tls://[::1]:4222", "initial-nodes": "n1,n2, n3" },
      { SPIRE_NODE_ID: "n2", SPIRE_READ_MODE: "quorum", SPIRE_REPLICAS: "5" },
    );
    expect(config).toMatchObject({
      nats: ["nats://a:4222", "nats://b:4222", "tls://[::1]:4222"],
      initialNodes: ["n1", "n2", "n3"],
      nodeId: "n2",
      readMode: "quorum",
      replicas: 5,
    });
    const fromFile = resolve({ config: file('nats = ["a", "b"]\nbootstrap-expect = 3\n') }).config;
    expect(fromFile).toMatchObject({ nats: ["nats://a", "nats://b"], bootstrapExpect: 3 });
    const named = resolve({ nats: "a" }, { SPIRE_CLUSTER_NODES: "n1,n2,n3" });
    expect(named.config.initialNodes).toEqual(["n1", "n2", "n3"]);
  });

  it("warn where a cluster would be weaker than it looks, or a name means nothing alone", () => {
    expect(resolve({ nats: "a", "bootstrap-expect": "2" }).warnings.join()).toContain("two nodes");
    expect(resolve({ replicas: "4" }).warnings.join()).toContain("4 replicas stand no more");
    expect(resolve({}, { SPIRE_CLUSTER_NODES: "a,b" }).warnings.join()).toContain("without --nats");
    expect(resolve({ nats: "a", "bootstrap-expect": "3" }).warnings).toEqual([]);
  });

  it.each([
    [{ "bootstrap-expect": "3" }, "--bootstrap-expect needs --nats"],
    [{ "initial-nodes": "a,b" }, "--initial-nodes needs --nats"],
    [{ "nats-user": "u" }, "--nats-user needs --nats"],
    [{ "nats-creds": "f" }, "--nats-creds needs --nats"],
    [{ nats: "a", "bootstrap-expect": "3", "initial-nodes": "a,b" }, "give one"],
    [{ nats: "a", "initial-nodes": "a,b,c", "node-id": "d" }, "does not name this node, d"],
    [{ nats: "a", "initial-nodes": "a,b,a" }, "names a twice"],
    [{ nats: "a", "initial-nodes": "x@host,b" }, "a node id must be"],
    [{ nats: "a,,b" }, "must be a list with a comma"],
    [{ nats: "http://a" }, "must be URLs such as"],
    [{ nats: "nats://a/path" }, "must be URLs such as"],
    [{ nats: "a", "nats-user": "u" }, "go together"],
    [{ nats: "a", "nats-tls-cert": "f" }, "go together"],
    [{ nats: "nats://u:p@a,nats://u:q@b" }, "different users"],
    [{ nats: "nats://u:p@a", "nats-creds": "f" }, "more than one identity"],
    [{ nats: "a", "nats-creds": "/nowhere" }, "--nats-creds /nowhere: no such file"],
    [{ nats: "a", "read-mode": "dirty" }, "must be one of lease, quorum, stale"],
    [{ replicas: "0" }, "from 1 to 9"],
  ])("refuse %j", (flags, message) => {
    expect(() => resolve(flags as unknown as Record<string, string>)).toThrow(message);
  });

  it.each([
    ["RAFT_ELECTION_TIMEOUT", "1500", "silent", /^$/u],
    ["RAFT_ELECTION_TIMEOUT", "3s", "told", /is not used: .* fixed at 1500 ms/u],
    ["RAFT_ELECTION_TIMEOUT", "1000", "refused", /within the lease of 1000 ms/u],
    ["RAFT_ELECTION_TIMEOUT", "soon", "refused", /must be a duration/u],
    ["RAFT_HEARTBEAT_INTERVAL", "500", "silent", /^$/u],
    ["RAFT_HEARTBEAT_INTERVAL", "150", "told", /is not used: .* fixed at 500 ms/u],
    ["RAFT_HEARTBEAT_INTERVAL", "1000", "refused", /would run out between heartbeats/u],
  ])("judge SPIRE_%s=%s by the lease: %s", (name, text, judgement, message) => {
    const judge = () => resolve({}, { [`SPIRE_${name}`]: text }).warnings.join();
    if (judgement === "refused") expect(judge).toThrow(message);
    else expect(judge()).toMatch(message);
  });

  it.each([
    ["prot = 1", "prot is not a setting (did you mean port?)"],
    ["port = [1]", "port must be a text, a number or a boolean"],
    ["port = ", "line 1"],
    ['port = "x"', "port from"],
  ])("refuse a file with %s", (text, message) => {
    expect(() => resolve({ config: file(text) })).toThrow(message);
  });

  it("never show a secret in a message or in --print-config", () => {
    const nats = "nats://me:hunter4@a:4222,nats://me:hunter4@b";
    const resolved = resolve({ requirepass: "hunter2", "http-token": "hunter3", nats });
    const byName = resolve({ nats: "a", "nats-user": "me", "nats-password": "hunter5" });
    expect(printConfig(resolved) + printConfig(byName)).not.toContain("hunter");
    expect(printConfig(resolved)).toContain("nats://********@a:4222");
    expect(() => resolve({ requirepass: "hunter2\n" })).toThrow(/^(?!.*hunter)/u);
    expect(() => resolve({ nats: "nats://me:hunter4@a/path" })).toThrow(/^(?!.*hunter)/u);
  });

  it("print as a file that gives the same settings again", () => {
    const first = resolve({
      "journal-file-size": "8MiB",
      "pure-actors": "on",
      "shutdown-timeout": "2m",
      nats: "a,b",
      "initial-nodes": "x,node1,z",
    });
    expect(resolve({ config: file(printConfig(first)) }).config).toEqual(first.config);
  });
});

describe("values with units", () => {
  it("read sizes and durations, and plain numbers as bytes and ms", () => {
    const size = byteSize(0, 2 ** 40);
    expect(["64MiB", "1.5GiB", "100kB", "7", "8 kib"].map(size)).toEqual([
      67_108_864, 1_610_612_736, 100_000, 7, 8192,
    ]);
    const time = duration(1e9);
    expect(["500ms", "30s", "2m", "1h", "9"].map(time)).toEqual([500, 30_000, 120_000, 3.6e6, 9]);
  });

  it("refuse everything else without ever giving a wrong number", () => {
    const size = byteSize(0, 2 ** 40);
    for (const text of ["", "-1", "1e3", "0.5", "MiB", "64 MiB x", "1XB", "NaN", "0x10"]) {
      expect(() => size(text)).toThrow(ValueError);
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const value = size(text);
          return Number.isInteger(value) && value >= 0;
        } catch (error) {
          return error instanceof ValueError;
        }
      }),
    );
  });
});

/** What the command line makes of these arguments. */
async function run(...args: string[]) {
  const calls: unknown[] = [];
  const program = createProgram({
    start: async (flags, asked) => void calls.push([asked, flags]),
    cluster: async (options) => void calls.push(["cluster", options]),
    demo: async (seconds) => void calls.push(["demo", seconds]),
    layout: async (flags) => void calls.push(["layout", flags]),
  });
  let errors = "";
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeErr: (text) => (errors += text) });
  }
  await program.parseAsync(args, { from: "user" }).catch(() => undefined);
  return { calls, errors };
}

const noop = async (): Promise<void> => undefined;

describe("the command line", () => {
  it("starts a node when only flags are given, or none", async () => {
    expect((await run()).calls).toEqual([["run", {}]]);
    expect((await run("--num-regions", "4")).calls).toEqual([["run", { "num-regions": "4" }]]);
    expect((await run("start", "--port", "0")).calls).toEqual([["run", { port: "0" }]]);
  });

  it("knows every setting as a flag and in --help", () => {
    const program = createProgram({ start: noop, cluster: noop, demo: noop, layout: noop });
    const start = program.commands.find((command) => command.name() === "start")!;
    for (const { flag } of settings) expect(start.helpInformation()).toContain(`--${flag} `);
  });

  it("takes --pure-actors with and without a value", async () => {
    expect((await run("--pure-actors")).calls).toEqual([["run", { "pure-actors": "on" }]]);
    expect((await run("--pure-actors", "off")).calls).toEqual([["run", { "pure-actors": "off" }]]);
  });

  it("tells --check-config and --print-config apart from a run", async () => {
    expect((await run("--check-config")).calls).toEqual([["check", {}]]);
    expect((await run("--print-config")).calls).toEqual([["print", {}]]);
  });

  it.each([
    [["--tls-cert", "x"], "unknown option '--tls-cert'"],
    [["--labels", "zone=a"], "unknown option '--labels'"],
    [["--port", "1", "--port", "2"], "--port is given twice"],
    [["clutser"], "unknown command 'clutser'"],
    [["--port"], "argument missing"],
  ])("refuses %j", async (args, message) => {
    const { calls, errors } = await run(...args);
    expect(errors).toContain(message);
    expect(calls).toEqual([]);
  });
});
