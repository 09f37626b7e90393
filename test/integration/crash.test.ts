// Crashes of a real process: what was acknowledged is there after kill -9 and a restart, what
// expired stays gone, and damaged files are refused with exit code 2 instead of being served.

import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { Connection } from "./connection.ts";
import { newFolder, removeFolders, startAndWait, startNode } from "./harness.ts";
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

describe("damaged data", () => {
  it("in the middle of the journal is refused with exit code 2 and the place", async () => {
    const dataDir = await filled();
    const { path, bytes } = usedPart(join(dataDir, "raft/journal"));
    flipBit(path, Math.floor(bytes / 2));
    const end = await startAndWait({ dataDir });
    expect(end.code).toBe(2);
    expect(end.stderr).toContain("damaged");
    expect(end.stderr).toContain("journal");
    expect(end.stdout).toBe("");
  });

  it("in RocksDB's manifest is refused with exit code 2", async () => {
    const dataDir = await filled();
    const name = readdirSync(join(dataDir, "data")).find((each) => each.startsWith("MANIFEST"));
    flipBit(join(dataDir, "data", name!), 20);
    const end = await startAndWait({ dataDir });
    expect(end.code).toBe(2);
    expect(end.stderr).toContain("damaged");
  });

  it("in the identity is refused with exit code 2", async () => {
    const dataDir = await filled();
    flipBit(join(dataDir, "ident.json"), 30);
    const end = await startAndWait({ dataDir });
    expect(end.code).toBe(2);
    expect(end.stderr).toContain("ident.json");
  });
});
