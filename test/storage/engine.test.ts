// The engine port as a contract: the same cases against RocksDB in a temporary folder and against
// its twin in memory.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Engine, EngineOpener, IterateOptions, WriteOperation } from "../../storage/engine.ts";
import { DamagedError, DiskError } from "../../storage/errors.ts";
import { createMemoryOpener } from "../../storage/memory.ts";
import { createRocksOpener } from "../../storage/rocks.ts";

const b = (text: string): Buffer => Buffer.from(text);
const put = (key: string, value: string): WriteOperation => ({
  type: "put",
  key: b(key),
  value: b(value),
});
const del = (key: string): WriteOperation => ({ type: "del", key: b(key) });
const unsynced = { sync: false };
const synced = { sync: true };
const everything = { gte: b("\0"), lt: b("\xff") };
const numbered = (n: number): string => `k${String(n).padStart(6, "0")}`;

async function read(engine: Engine, ...keys: string[]): Promise<Array<string | undefined>> {
  return (await engine.getMany(keys.map(b))).map((value) => value?.toString());
}

async function walk(engine: Engine, options: IterateOptions, slice = 7): Promise<string[]> {
  const iterator = engine.iterate(options);
  const found: string[] = [];
  for (;;) {
    const pairs = await iterator.next(slice);
    expect(pairs.length).toBeLessThanOrEqual(slice);
    for (const { key, value } of pairs) found.push(`${key.toString()}=${value.toString()}`);
    if (pairs.length === 0) break;
  }
  await iterator.end();
  return found;
}

let folder = "";
const path = (): string => join(folder, "db");
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "engine-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const twins: Array<[string, () => EngineOpener]> = [
  ["RocksDB", () => createRocksOpener(path())],
  ["memory", () => createMemoryOpener()],
];

describe.each(twins)("the engine in %s", (_name, createOpener) => {
  let opener: EngineOpener;
  let engine: Engine;
  beforeEach(async () => {
    opener = createOpener();
    engine = await opener.open();
  });
  afterEach(() => engine.close());

  test("reads what was written, in the order asked, undefined where nothing is", async () => {
    await engine.write([put("a", "1"), put("b", ""), put("c", "3")], unsynced);
    expect(await read(engine, "c", "x", "b", "a", "a")).toEqual(["3", undefined, "", "1", "1"]);
    expect(await engine.getMany([])).toEqual([]);
  });

  test("applies a batch in order: the last operation on a key wins", async () => {
    await engine.write([put("a", "1"), put("b", "1")], synced);
    await engine.write([del("a"), put("b", "2"), del("b"), put("b", "3"), del("z")], unsynced);
    expect(await read(engine, "a", "b")).toEqual([undefined, "3"]);
  });

  test("keeps its own copy: buffers are the caller's again after the write", async () => {
    const key = b("key");
    const value = b("value");
    await engine.write([{ type: "put", key, value }], unsynced);
    key.fill(0);
    value.fill(0);
    const [found] = await engine.getMany([b("key")]);
    expect(found?.toString()).toBe("value");
    found?.fill(0);
    expect(await read(engine, "key")).toEqual(["value"]);
  });

  test("takes an empty unsynced batch, and refuses an empty synced one: it marks nothing", async () => {
    await engine.write([], unsynced);
    await expect(engine.write([], synced)).rejects.toThrow(RangeError);
  });

  test("walks a half-open range in byte order, both ways, in slices", async () => {
    const operations = Array.from({ length: 3000 }, (_, n) => put(numbered(n), String(n)));
    await engine.write(operations, unsynced);
    const range = { gte: b(numbered(10)), lt: b(numbered(2990)) };
    const wanted = Array.from({ length: 2980 }, (_, n) => `${numbered(n + 10)}=${n + 10}`);
    expect(await walk(engine, range, 700)).toEqual(wanted);
    expect(await walk(engine, { ...range, reverse: true }, 701)).toEqual(wanted.toReversed());
    expect(await walk(engine, { ...range, limit: 20 })).toEqual(wanted.slice(0, 20));
    expect(await walk(engine, { ...range, limit: 3, reverse: true })).toEqual(
      wanted.slice(-3).toReversed(),
    );
    expect(await walk(engine, { gte: b("x"), lt: b("y") })).toEqual([]);
  });

  test("orders keys as unsigned bytes, a prefix before what it begins", async () => {
    const keys = [[0], [0, 0], [1], [0x7f], [0x80], [0x80, 0xff], [0xff]].map((k) =>
      Buffer.from(k),
    );
    const shuffled = keys.toReversed();
    await engine.write(
      shuffled.map((key) => ({ type: "put", key, value: key })),
      unsynced,
    );
    const iterator = engine.iterate({ gte: Buffer.from([0]), lt: Buffer.from([0xff, 0]) });
    expect((await iterator.next(100)).map(({ key }) => key)).toEqual(keys);
    await iterator.end();
  });

  test("leaves values out when only keys are wanted", async () => {
    await engine.write([put("a", "1"), put("b", "2")], unsynced);
    expect(await walk(engine, { ...everything, keysOnly: true })).toEqual(["a=", "b="]);
  });

  test("shows an iterator only what was there when it was made", async () => {
    await engine.write([put("a", "1"), put("b", "1"), put("d", "1")], unsynced);
    const iterator = engine.iterate(everything);
    await engine.write([put("a", "2"), del("b"), put("c", "2")], unsynced);
    const pairs = await iterator.next(10);
    expect(pairs.map(({ key, value }) => `${key.toString()}=${value.toString()}`)).toEqual([
      "a=1",
      "b=1",
      "d=1",
    ]);
    expect(await iterator.next(10)).toEqual([]);
    expect(await iterator.next(10)).toEqual([]);
    await iterator.end();
    expect(await walk(engine, everything)).toEqual(["a=2", "c=2", "d=1"]);
  });

  test("clears a half-open range and nothing beside it", async () => {
    await engine.write(
      Array.from({ length: 500 }, (_, n) => put(numbered(n), "x")),
      unsynced,
    );
    await engine.clear({ gte: b(numbered(100)), lt: b(numbered(450)) });
    const left = await walk(engine, everything, 1000);
    expect(left).toHaveLength(150);
    expect(left[99]).toBe(`${numbered(99)}=x`);
    expect(left[100]).toBe(`${numbered(450)}=x`);
  });

  test("answers sizes and properties", async () => {
    const size = await engine.approximateSize(everything);
    expect(size).toBeGreaterThanOrEqual(0);
    expect(typeof engine.property("rocksdb.stats")).toBe("string");
    expect(engine.property("no such property")).toBe("");
  });

  test("finishes what is in flight before it closes, and refuses everything afterwards", async () => {
    await engine.write(
      Array.from({ length: 2000 }, (_, n) => put(numbered(n), "x".repeat(100))),
      unsynced,
    );
    const iterator = engine.iterate(everything);
    const walking = iterator.next(100_000).catch((error: unknown) => error);
    const writing = engine.write([put("late", "1")], unsynced);
    const closing = engine.close();
    await writing;
    await closing;
    const walked = await walking;
    // All or an error: a short answer would look like the end of the range.
    if (Array.isArray(walked)) expect(walked.length).toBeGreaterThanOrEqual(2000);
    else expect(walked).toBeInstanceOf(Error);
    await iterator.end();
    await iterator.end();
    await engine.close();
    await expect(iterator.next(1)).rejects.toThrow("ended");
    await expect(engine.getMany([b("a")])).rejects.toThrow("closed");
    await expect(engine.write([put("a", "1")], unsynced)).rejects.toThrow("closed");
    await expect(engine.clear(everything)).rejects.toThrow("closed");
    await expect(engine.approximateSize(everything)).rejects.toThrow("closed");
    expect(() => engine.iterate(everything)).toThrow("closed");
    expect(engine.property("rocksdb.stats")).toBe("");
    engine = await opener.open();
    expect(await read(engine, "late", numbered(1999))).toEqual(["1", "x".repeat(100)]);
  });

  test("opened again closes its former incarnation first and keeps the data", async () => {
    await engine.write([put("a", "1")], unsynced);
    const next = await opener.open();
    await expect(engine.getMany([b("a")])).rejects.toThrow("closed");
    engine = next;
    expect(await read(engine, "a")).toEqual(["1"]);
  });
});

async function fill(): Promise<void> {
  const engine = await createRocksOpener(path()).open();
  await engine.write([put("a", "1")], synced);
  await engine.close();
  // A second opening moves the log's content into a table.
  await (await createRocksOpener(path()).open()).close();
}

function fileOf(part: string): string {
  const name = readdirSync(path()).find((each) => each.includes(part));
  return join(path(), name ?? `no ${part}`);
}

describe("RocksDB in a folder", () => {
  test("that somebody else has open is refused as in use", async () => {
    const engine = await createRocksOpener(path()).open();
    const second = createRocksOpener(path()).open();
    await expect(second).rejects.toThrow(DiskError);
    await expect(second).rejects.toThrow("in use");
    await engine.close();
  });

  test("that cannot be made is a disk error, and the opener can be used again", async () => {
    writeFileSync(path(), "a file stands where the folder should be");
    const opener = createRocksOpener(path());
    await expect(opener.open()).rejects.toThrow(DiskError);
    rmSync(path());
    await (await opener.open()).close();
  });

  test.each(["CURRENT", "MANIFEST"])("is damaged when its %s is cut short", async (part) => {
    await fill();
    truncateSync(fileOf(part), 5);
    await expect(createRocksOpener(path()).open()).rejects.toThrow(DamagedError);
  });

  test("is damaged when its manifest was changed or is gone", async () => {
    await fill();
    const manifest = fileOf("MANIFEST");
    const bytes = readFileSync(manifest);
    cpSync(path(), `${path()}-copy`, { recursive: true });
    bytes[bytes.length - 3]! ^= 0x10;
    writeFileSync(manifest, bytes);
    await expect(createRocksOpener(path()).open()).rejects.toThrow(DamagedError);
    rmSync(manifest);
    await expect(createRocksOpener(path()).open()).rejects.toThrow(DamagedError);
    const copy = await createRocksOpener(`${path()}-copy`).open();
    expect(await read(copy, "a")).toEqual(["1"]);
    await copy.close();
  });
});
