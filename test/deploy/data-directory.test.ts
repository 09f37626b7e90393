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
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

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
    expect(second.ident).toEqual(first.ident);
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
    writeFileSync(join(folder, "ident.json"), '{"format":2,"unknown":true}');
    expect(() => open()).toThrow(/data format 2, written by a newer SpireDB/u);
  });

  it("calls a changed byte of the identity damage, wherever it is", () => {
    open().release();
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

function readIdentFrom(bytes: Buffer): unknown {
  const { checksum: _, ...ident } = JSON.parse(bytes.toString()) as Record<string, unknown>;
  return ident;
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
