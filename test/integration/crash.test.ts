// Crashes of a real process: what was acknowledged is there after kill -9 and a restart, what
// expired stays gone, and damaged files are refused with exit code 2 instead of being served.

import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { Connection } from "./connection.ts";
import { newFolder, removeFolders, SpireProcess, startAndWait, startNode } from "./harness.ts";
import { torture } from "./torture.ts";

afterAll(removeFolders);

/** Flips one bit of a file. */
function flipBit(path: string, position: number): void {
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, position);
  writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, position);
  closeSync(file);
}

/** The oldest file of the folder, and how far into it there is anything but zeros. */
function usedPart(folder: string): { path: string; bytes: number } {
  const [name] = readdirSync(folder)
    .filter((each) => statSync(join(folder, each)).size > 0)
    .toSorted();
  const path = join(folder, name!);
  const content = Buffer.alloc(statSync(path).size);
  const file = openSync(path, "r");
  readSync(file, content, 0, content.length, 0);
  closeSync(file);
  let bytes = content.length;
  while (bytes > 0 && content[bytes - 1] === 0) bytes--;
  return { path, bytes };
}

/** A cleanly stopped data directory with some keys. */
async function filled(): Promise<string> {
  const dataDir = newFolder();
  const node = await startNode({ dataDir });
  const connection = await Connection.open(node.port);
  for (let index = 0; index < 200; index++) {
    await connection.call("SET", `key${index}`, "v".repeat(200));
  }
  connection.close();
  await node.process.stop();
  return dataDir;
}

describe("kill -9", () => {
  it("loses no acknowledged write in 10 rounds under load", { timeout: 240_000 }, async () => {
    const seed = Date.now() % 2 ** 32;
    const result = await torture({ rounds: 10, seed, connections: 4, report: () => undefined });
    expect({ seed, lost: result.lost, wrong: result.wrong }).toEqual({ seed, lost: [], wrong: [] });
    expect(result.acknowledged).toBeGreaterThan(100);
  });

  it("right behind an OK keeps the value", async () => {
    const dataDir = newFolder();
    for (let round = 0; round < 3; round++) {
      const node = await startNode({ dataDir });
      const connection = await Connection.open(node.port);
      expect(await connection.call("SET", `key${round}`, `value${round}`)).toBe("OK");
      await node.process.kill();
    }
    const node = await startNode({ dataDir });
    const connection = await Connection.open(node.port);
    for (let round = 0; round < 3; round++) {
      expect(await connection.call("GET", `key${round}`)).toBe(`value${round}`);
    }
    connection.close();
    await node.process.kill();
  });

  it("brings nothing back that had expired, and keeps the time of what had not", async () => {
    const dataDir = newFolder();
    const first = await startNode({ dataDir });
    const before = await Connection.open(first.port);
    expect(await before.call("SET", "gone", "x", "PX", "1")).toBe("OK");
    const at = String(Date.now() + 3_600_000);
    expect(await before.call("SET", "later", "x", "PXAT", at)).toBe("OK");
    while ((await before.call("GET", "gone")) !== null);
    await first.process.kill();
    const second = await startNode({ dataDir });
    const after = await Connection.open(second.port);
    expect(await after.call("GET", "gone")).toBeNull();
    expect(await after.call("EXISTS", "gone")).toBe(0);
    expect(await after.call("PEXPIRETIME", "later")).toBe(Number(at));
    after.close();
    await second.process.kill();
  });

  it("keeps a value larger than one log entry whole", async () => {
    const dataDir = newFolder();
    const first = await startNode({ dataDir });
    const before = await Connection.open(first.port);
    const value = "0123456789abcdef".repeat(200_000);
    expect(await before.call("SET", "large", value)).toBe("OK");
    await first.process.kill();
    const second = await startNode({ dataDir });
    const after = await Connection.open(second.port);
    expect((await after.call("GET", "large")) === value).toBe(true);
    after.close();
    await second.process.kill();
  });
});

/** The start is refused: code 2, nothing on stdout, no restarts tried, and one line that says where. */
async function expectRefused(dataDir: string, ...words: string[]): Promise<void> {
  const end = await startAndWait({ dataDir });
  const last = end.stderr.trim().split("\n").at(-1) ?? "";
  expect({ code: end.code, stdout: end.stdout, last }).toEqual({
    code: 2,
    stdout: "",
    last: expect.stringContaining("damaged data: "),
  });
  for (const word of words) expect(last).toContain(word);
  expect(end.stderr).not.toContain("restart");
}

/** The first file of RocksDB's folder with this name or ending. */
function databaseFile(dataDir: string, name: RegExp): string {
  const found = readdirSync(join(dataDir, "data")).find((each) => name.test(each));
  if (found === undefined) throw new Error(`no file ${name} in ${dataDir}/data`);
  return join(dataDir, "data", found);
}

describe("damaged data", () => {
  it("in the middle of the journal is refused with exit code 2 and the place", async () => {
    const dataDir = await filled();
    const { path, bytes } = usedPart(join(dataDir, "raft/journal"));
    flipBit(path, Math.floor(bytes / 2));
    await expectRefused(dataDir, "journal", ".journal:");
  });

  it("in RocksDB's manifest is refused with exit code 2", async () => {
    const dataDir = await filled();
    flipBit(databaseFile(dataDir, /^MANIFEST/u), 20);
    await expectRefused(dataDir, "RocksDB");
  });

  it("in RocksDB's pointer to its manifest is refused with exit code 2", async () => {
    const dataDir = await filled();
    flipBit(databaseFile(dataDir, /^CURRENT$/u), 12);
    await expectRefused(dataDir, "RocksDB");
  });

  it("in a table of RocksDB is refused at the start, or ends the process that meets it", async () => {
    const dataDir = await filled();
    // A second start turns the records of RocksDB's own log into a table.
    await (await startNode({ dataDir })).process.stop();
    const path = databaseFile(dataDir, /\.sst$/u);
    flipBit(path, Math.floor(statSync(path).size / 3));
    const spire = new SpireProcess("start", { dataDir, args: ["--port", "0", "--http-port", "0"] });
    const line = await spire.waitReady().catch(() => undefined);
    const port = /resp=\S+:(\d+)/u.exec(line ?? "")?.[1];
    if (port !== undefined) {
      const connection = await Connection.open(Number(port));
      const reads = Array.from({ length: 200 }, (_, index) =>
        connection.call("GET", `key${index}`).then((value) => {
          expect(value).toBe("v".repeat(200));
        }),
      );
      // Nothing wrong is ever answered: a read that meets the damage gets no answer at all.
      await Promise.allSettled(reads);
      for (const read of await Promise.allSettled(reads)) {
        if (read.status === "rejected") expect(String(read.reason)).toContain("closed");
      }
    }
    const end = await spire.waitEnd();
    expect([end.code, end.stderr]).toEqual([2, expect.stringContaining("damaged data: ")]);
  });

  it("is a missing table of RocksDB too", async () => {
    const dataDir = await filled();
    await (await startNode({ dataDir })).process.stop();
    rmSync(databaseFile(dataDir, /\.sst$/u));
    await expectRefused(dataDir, "RocksDB");
  });

  it("in the identity is refused with exit code 2", async () => {
    const dataDir = await filled();
    flipBit(join(dataDir, "ident.json"), 30);
    await expectRefused(dataDir, "ident.json");
  });

  it.each([
    ["data", "the data that was here is gone"],
    ["raft", "the log that was here is gone"],
    ["raft/journal", "the log that was here is gone"],
    ["ident.json", "there is data but no identity"],
  ])("is not taken for a new node when %s is gone", async (part, words) => {
    const dataDir = await filled();
    rmSync(join(dataDir, part), { recursive: true });
    await expectRefused(dataDir, words, part.split("/")[0] ?? part);
  });

  it("is a database that knows nothing of what the log holds", async () => {
    const dataDir = await filled();
    // The first look of a process, 0.2 s after its start, cuts the log: what the database has to know.
    const again = await startNode({ dataDir });
    await new Promise((passed) => {
      setTimeout(passed, 1500);
    });
    await again.process.stop();
    const other = newFolder();
    await (await startNode({ dataDir: other })).process.stop();
    rmSync(join(other, "ident.json"));
    rmSync(join(dataDir, "data"), { recursive: true });
    cpSync(join(other, "data"), join(dataDir, "data"), { recursive: true });
    await expectRefused(dataDir, "region ");
  });
});
