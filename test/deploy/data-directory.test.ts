// Whose data a folder holds, and who may use it: identity, lock, refusals.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { MembershipError } from "../../actors/cluster/protocol.ts";
import { resolveConfig } from "../../deploy/config.ts";
import { openDataDirectory, previewConfig } from "../../deploy/data-directory.ts";
import { describeFailure, SetupError } from "../../deploy/failure.ts";
import { readIdent } from "../../deploy/ident.ts";
import { DamagedError } from "../../storage/errors.ts";

let parent: string;
let folder: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "spiredb-directory-"));
  folder = join(parent, "some", "data");
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const settingsOf = (flags: Record<string, string> = {}) =>
  resolveConfig({ flags: { "data-dir": folder, ...flags }, environment: {} });
const open = (flags: Record<string, string> = {}) => openDataDirectory(settingsOf(flags));

describe("a data directory", () => {
  it("gets its folders and an identity at the first start and keeps both", () => {
    const first = open({ "num-regions": "4", "hash-tags": "off", "node-id": "alpha" });
    expect(first.fresh).toBe(true);
    first.release();
    const second = open();
    expect(second.fresh).toBe(false);
    expect(second.ident).toEqual({ ...first.ident, epoch: 2 });
    expect(second.ident.incarnation).toMatch(/^[0-9a-f]{32}$/u);
    expect(second.resolved.config).toMatchObject({
      numRegions: 4,
      hashTags: false,
      nodeId: "alpha",
    });
    expect(second.resolved.sources.numRegions).toBe("data directory");
    for (const path of [second.layout.engine, second.layout.journal]) {
      expect(existsSync(path)).toBe(true);
    }
    second.release();
  });

  it("draws another incarnation for another folder", () => {
    const first = open();
    folder = join(parent, "other");
    const second = open();
    expect(second.ident.incarnation).not.toBe(first.ident.incarnation);
    first.release();
    second.release();
  });

  it.each([
    ["node-id", "other", "belongs to node node1, but other is asked for (flag)"],
    ["cluster", "other", "belongs to cluster spiredb, but other is asked for"],
    ["num-regions", "8", "was created with num-regions 16, but 8 is asked for"],
    ["hash-tags", "off", "was created with hash-tags on, but off is asked for"],
  ])("refuses another %s that is asked for", (flag, value, message) => {
    open().release();
    expect(() => open({ [flag]: value })).toThrow(message);
    expect(() => previewConfig(settingsOf({ [flag]: value }))).toThrow(SetupError);
    open().release();
  });

  it("refuses a newer format before it looks at anything else", () => {
    open().release();
    writeFileSync(join(folder, "ident.json"), '{"format":3,"unknown":true}');
    expect(() => open()).toThrow(/data format 3, written by a newer SpireDB/u);
  });

  it("calls a changed byte of the identity damage, wherever it is", () => {
    const directory = open();
    directory.markInitialized();
    directory.release();
    const path = join(folder, "ident.json");
    const bytes = readFileSync(path);
    let harmless = 0;
    for (let position = 0; position < bytes.length; position++) {
      const flipped = Buffer.from(bytes);
      flipped[position] = (bytes[position] ?? 0) ^ 1;
      writeFileSync(path, flipped);
      try {
        // Only white space of the JSON may change without changing the identity.
        expect(readIdent(folder)).toEqual(readIdentFrom(bytes));
        harmless += 1;
        expect(" \n").toContain(String.fromCodePoint(bytes[position] ?? 0));
      } catch (error) {
        if (!(error instanceof SetupError)) expect(error).toBeInstanceOf(DamagedError);
      }
    }
    expect(harmless).toBeLessThan(bytes.length / 4);
  });

  it("refuses data without an identity as damage, and foreign files as a mistake", () => {
    mkdirSync(join(folder, "data"), { recursive: true });
    expect(() => open()).toThrow(DamagedError);
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    writeFileSync(join(folder, "thesis.doc"), "");
    expect(() => open()).toThrow("not empty and not a SpireDB data directory");
    expect(existsSync(join(folder, "lock"))).toBe(false);
  });

  it("starts over when the first start was cut before the identity was in place", () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "ident.json.new"), '{"form');
    mkdirSync(join(folder, "lost+found"));
    const directory = open();
    expect(directory.fresh).toBe(true);
    directory.release();
  });

  it("refuses a file in its place and a path through a file", () => {
    mkdirSync(join(parent, "some"));
    writeFileSync(folder, "");
    expect(() => open()).toThrow("it is a file, not a folder");
    folder = join(folder, "below");
    expect(() => open()).toThrow("cannot use the data directory");
  });
});

const oldIncarnation = "0123456789abcdef0123456789abcdef";

/** ident.json as the release before this one wrote it. */
function writeFormat1(initialized: boolean): void {
  mkdirSync(folder, { recursive: true });
  const [cluster, nodeId, numRegions, hashTags] = ["spiredb", "node1", 16, true];
  const fields = [1, cluster, nodeId, oldIncarnation, numRegions, hashTags, initialized];
  const checksum = crc32(JSON.stringify(fields)).toString(16).padStart(8, "0");
  const known = { format: 1, cluster, nodeId, incarnation: oldIncarnation, numRegions, hashTags };
  writeFileSync(join(folder, "ident.json"), JSON.stringify({ ...known, initialized, checksum }));
  if (initialized) writeParts();
}

/** What has to be there once a directory is initialized. */
function writeParts(): void {
  for (const part of ["data/CURRENT", "raft/journal/1.journal"]) {
    mkdirSync(dirname(join(folder, part)), { recursive: true });
    writeFileSync(join(folder, part), "");
  }
}

const nats = { nats: "127.0.0.1:4222" };
const founders = (...nodeIds: string[]) =>
  nodeIds.map((nodeId) => ({ nodeId, incarnation: oldIncarnation }));
const proposal = (regionCount = 16) => ({
  clusterId: "c".repeat(32),
  members: founders("a", "b", "c"),
  regionCount,
  hashTags: true,
  replicas: 3,
});

describe("the membership in a data directory", () => {
  it("counts the starts", () => {
    for (const epoch of [1, 2, 3]) {
      const directory = open();
      expect(directory.ident.epoch).toBe(epoch);
      expect(readIdent(folder)?.epoch).toBe(epoch);
      directory.release();
    }
  });

  it("of a node alone is a cluster of one, from the moment there can be data", () => {
    const first = open();
    expect(first.membership.read()).toEqual({ pledge: undefined, formed: undefined });
    first.markInitialized();
    const { formed } = first.membership.read();
    const { incarnation } = first.ident;
    expect(formed).toMatchObject({ members: [{ nodeId: "node1", incarnation }], replicas: 1 });
    expect(formed?.clusterId).toMatch(/^[0-9a-f]{32}$/u);
    expect(readIdent(folder)?.formed).toEqual(formed);
    first.release();
  });

  it("of format 1 is a cluster of one when there is data, and is read once more as format 2", () => {
    writeFormat1(true);
    const directory = open(nats);
    expect(directory.ident).toMatchObject({ incarnation: oldIncarnation, epoch: 1 });
    const { formed } = directory.membership.read();
    expect(formed?.members).toEqual(founders("node1"));
    directory.release();
    expect(readIdent(folder)).toMatchObject({ format: 2, formed });
  });

  it("of format 1 without data is open", () => {
    writeFormat1(false);
    const directory = open(nats);
    expect(directory.membership.read().formed).toBeUndefined();
    directory.release();
  });

  it("of a node that expects others stays open until it is written, also with a log", async () => {
    const first = open({ ...nats, "initial-nodes": "a,b,c", "node-id": "a" });
    first.markInitialized();
    expect(first.membership.read()).toEqual({ pledge: undefined, formed: undefined });
    await first.membership.write({ pledge: proposal(), formed: undefined });
    first.release();
    const pledged = readIdent(folder);
    expect(pledged).toMatchObject({ initialized: true, pledge: proposal(), formed: undefined });
    writeParts();
    expect(() => open()).toThrow("belongs to a node of a cluster (with b, c): --nats is missing");
    const second = open(nats);
    expect(second.membership.read()).toEqual({ pledge: proposal(), formed: undefined });
    await second.membership.write({ pledge: proposal(), formed: proposal() });
    second.release();
    expect(readIdent(folder)).toMatchObject({ epoch: 2, formed: proposal() });
  });

  it("gives a joiner the cluster's regions, unless others were asked for", async () => {
    const first = open({ ...nats, "num-regions": "8" });
    const record = { pledge: undefined, formed: proposal(4) };
    await expect(first.membership.write(record)).rejects.toThrow(MembershipError);
    expect(first.membership.read().formed).toBeUndefined();
    first.release();
    const second = open({ ...nats });
    await second.membership.write(record);
    second.release();
    const third = open({ ...nats });
    expect(third.resolved.config.numRegions).toBe(4);
    third.release();
    expect(() => open({ ...nats, "num-regions": "8" })).toThrow("created with num-regions 4");
  });

  it("needs a name of its own where there are others", () => {
    const first = open(nats);
    const { nodeId } = first.resolved.config;
    expect(nodeId).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]*-[0-9a-f]{8}$/u);
    expect(first.ident.nodeId).toBe(nodeId);
    first.release();
    expect(previewConfig(settingsOf(nats)).config.nodeId).toBe(nodeId);
    folder = join(parent, "other");
    expect(previewConfig(settingsOf(nats)).config.nodeId).toMatch(/-\?{8}$/u);
    expect(() => open({ ...nats, "initial-nodes": "a,b,c" })).toThrow("give it its --node-id");
    const second = open(nats);
    expect(second.resolved.config.nodeId).not.toBe(nodeId);
    second.release();
  });
});

function readIdentFrom(bytes: Buffer): unknown {
  const { checksum: _, ...ident } = JSON.parse(bytes.toString()) as Record<string, unknown>;
  return { ...ident, pledge: undefined };
}

describe("the lock", () => {
  it("keeps out while the process named in it lives, also through a symbolic link", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    open().release();
    const owner = { pid: child.pid, host: hostname(), startTick: "", bootId: bootId() };
    writeFileSync(join(folder, "lock"), JSON.stringify(owner));
    expect(() => open()).toThrow(`in use by process ${child.pid}`);
    const link = join(parent, "link");
    symlinkSync(folder, link);
    folder = link;
    expect(() => open()).toThrow("in use");
    child.kill("SIGKILL");
    await once(child, "exit");
    open().release();
  });

  it.each([
    [
      "a dead process",
      () => ({ pid: 2 ** 22 + 1, host: hostname(), startTick: "1", bootId: bootId() }),
    ],
    [
      "a reused pid",
      () => ({ pid: process.ppid, host: hostname(), startTick: "1", bootId: bootId() }),
    ],
    [
      "an earlier boot",
      () => ({ pid: process.ppid, host: hostname(), startTick: "", bootId: "x" }),
    ],
    ["our own pid, as pid 1 of a restarted container", () => ({ pid: process.pid, host: "other" })],
  ])("of %s is taken over", (_, owner) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "lock"), JSON.stringify(owner()));
    const directory = open();
    expect(JSON.parse(readFileSync(join(folder, "lock"), "utf8"))).toMatchObject({
      pid: process.pid,
    });
    directory.release();
    expect(existsSync(join(folder, "lock"))).toBe(false);
  });

  it("that cannot be read is taken over: it was never whole", () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "lock"), "{");
    open().release();
  });

  it("of a successor is not removed by a late release", () => {
    const first = open();
    const stolen = '{"pid":1,"host":"x","startTick":"","bootId":""}';
    writeFileSync(join(folder, "lock"), stolen);
    first.release();
    expect(readFileSync(join(folder, "lock"), "utf8")).toBe(stolen);
  });
});

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

describe("a failure", () => {
  it("is told in one plain sentence with its exit code", () => {
    const listen = Object.assign(new Error("listen EADDRINUSE"), {
      code: "EADDRINUSE",
      syscall: "listen",
      address: "127.0.0.1",
      port: 6379,
    });
    expect(describeFailure(new Error("outer", { cause: listen }))).toEqual({
      message: "cannot listen on 127.0.0.1:6379: the port is already in use",
      exitCode: 1,
    });
    expect(describeFailure(new DamagedError("bad checksum", "journal/1 at 512"))).toEqual({
      message: "damaged data: bad checksum (journal/1 at 512)",
      exitCode: 2,
    });
    const full = Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" });
    expect(describeFailure(full).message).toBe("no space left on the disk");
    const outer = new Error("writing to RocksDB failed", { cause: full });
    expect(describeFailure(outer).message).toBe(
      "writing to RocksDB failed: no space left on the disk",
    );
  });
});
