// The lies of the memory engine: exactly those that an unsynced RocksDB can tell, no more.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Engine, WriteOperation } from "../../storage/engine.ts";
import { createMemoryOpener, type MemoryOpener } from "../../storage/memory.ts";
import { SortedPairs } from "../../storage/sorted-pairs.ts";

const b = (text: string): Buffer => Buffer.from(text);
const put = (key: string, value = key): WriteOperation => ({
  type: "put",
  key: b(key),
  value: b(value),
});
const everything = { gte: b("\0"), lt: b("\xff") };

async function keysOf(opener: MemoryOpener): Promise<string[]> {
  const engine = await opener.open();
  const iterator = engine.iterate(everything);
  const keys = (await iterator.next(100_000)).map(({ key }) => key.toString());
  await iterator.end();
  await engine.close();
  return keys;
}

/** A schedule whose tasks wait until they are run by number. */
function heldSchedule(): { schedule: (task: () => void) => void; run(index: number): void } {
  const tasks: Array<() => void> = [];
  return { schedule: (task) => void tasks.push(task), run: (index) => tasks[index]?.() };
}

describe("a power loss", () => {
  test("keeps all synced batches and any combination of the later ones, and no other", async () => {
    const seen = new Set<string>();
    for (let mask = 0; mask < 8; mask++) {
      const opener = createMemoryOpener();
      const engine = await opener.open();
      await engine.write([put("a")], { sync: false });
      await engine.write([put("b")], { sync: true });
      for (const key of ["c", "d", "e"]) await engine.write([put(key)], { sync: false });
      let bit = 0;
      const survivor = opener.crash(() => ((mask >> bit++) & 1 ? 0.1 : 0.9));
      expect(bit).toBe(3);
      const keys = await keysOf(survivor);
      expect(keys.slice(0, 2)).toEqual(["a", "b"]);
      seen.add(keys.slice(2).join(""));
    }
    expect([...seen].toSorted()).toEqual(["", "c", "cd", "cde", "ce", "d", "de", "e"]);
  });

  test("keeps a batch whole or not at all, later ones over earlier ones", async () => {
    for (let mask = 0; mask < 4; mask++) {
      const opener = createMemoryOpener();
      const engine = await opener.open();
      await engine.write([put("x", "0")], { sync: true });
      await engine.write([put("x", "1"), put("y", "1")], { sync: false });
      await engine.write([{ type: "del", key: b("y") }, put("x", "2")], { sync: false });
      let bit = 0;
      const survivor = await opener.crash(() => ((mask >> bit++) & 1 ? 0 : 1)).open();
      const [x, y] = await survivor.getMany([b("x"), b("y")]);
      const expected = [["0"], ["1", "1"], ["2"], ["2"]][mask]!;
      expect([x?.toString(), y?.toString()]).toEqual([expected[0], expected[1]]);
    }
  });

  test("what survived one is durable in the next", async () => {
    const opener = createMemoryOpener();
    const engine = await opener.open();
    await engine.write([put("a")], { sync: false });
    const survivor = opener.crash(() => 0).crash(() => 1);
    expect(await keysOf(survivor)).toEqual(["a"]);
  });

  test("may keep or lose a synced batch that was not answered, and never answers it", async () => {
    for (const chance of [0, 1]) {
      const held = heldSchedule();
      const opener = createMemoryOpener({ schedule: held.schedule });
      const engine = await opener.open();
      let answers = 0;
      const count = (): void => void answers++;
      engine.write([put("a")], { sync: true }).then(count, count);
      const survivor = opener.crash(() => chance);
      held.run(0);
      await new Promise(setImmediate);
      expect(answers).toBe(0);
      const reading = survivor.open().then((next) => next.getMany([b("a")]));
      await new Promise(setImmediate);
      held.run(1);
      expect((await reading)[0]?.toString()).toBe(chance === 0 ? "a" : undefined);
    }
  });

  test("may stop a clear half way", async () => {
    const opener = createMemoryOpener();
    const engine = await opener.open();
    const keys = Array.from({ length: 300 }, (_, n) => `k${1000 + n}`);
    await engine.write(
      keys.map((key) => put(key)),
      { sync: true },
    );
    await engine.clear(everything);
    let calls = 0;
    const left = await keysOf(opener.crash(() => (calls++ % 2 === 0 ? 0 : 1)));
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(300);
  });
});

test("two writes in flight land in the order the schedule says, as on RocksDB's threads", async () => {
  const held = heldSchedule();
  const engine = await createMemoryOpener({ schedule: held.schedule }).open();
  const first = engine.write([put("a", "1")], { sync: false });
  const second = engine.write([put("a", "2")], { sync: false });
  held.run(1);
  await second;
  held.run(0);
  await first;
  const reading = engine.getMany([b("a")]);
  held.run(2);
  expect((await reading)[0]?.toString()).toBe("1");
});

test("a failing disk fails every later write; what became of it is open", async () => {
  for (const chance of [0, 1]) {
    const opener = createMemoryOpener();
    const engine: Engine = await opener.open();
    await engine.write([put("a")], { sync: true });
    opener.failWrites(new Error("EIO"));
    await expect(engine.write([put("b")], { sync: true })).rejects.toThrow("EIO");
    await expect(engine.write([put("c")], { sync: false })).rejects.toThrow("EIO");
    await expect(engine.clear(everything)).rejects.toThrow("EIO");
    const [a, lost] = await engine.getMany([b("a"), b("b")]);
    expect([a?.toString(), lost]).toEqual(["a", undefined]);
    expect(await keysOf(opener.crash(() => chance))).toEqual(
      chance === 0 ? ["a", "b", "c"] : ["a"],
    );
  }
});

const listed = (pairs: SortedPairs): string[] =>
  [...pairs.range(Buffer.from([0]), Buffer.from([0xff, 0xff, 0xff]), false)].map(
    ({ key: k, value }) => `${k.toString("hex")}=${value.toString("hex")}`,
  );
const sorted = (model: Map<string, string>): string[] =>
  [...model]
    .map(([k, value]) => `${k}=${value}`)
    .toSorted((x, y) =>
      Buffer.from(x.split("=")[0]!, "hex").compare(Buffer.from(y.split("=")[0]!, "hex")),
    );

describe("sorted pairs", () => {
  test("agree with a plain sorted map, in snapshots too", () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 2 }).map((bytes) => Buffer.from(bytes));
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ act: fc.constant("set" as const), key }) },
      { weight: 3, arbitrary: fc.record({ act: fc.constant("delete" as const), key }) },
      { weight: 1, arbitrary: fc.record({ act: fc.constant("snapshot" as const), key }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), key, key, (steps, from, to) => {
        const pairs = new SortedPairs();
        const model = new Map<string, string>();
        const snapshots: Array<[SortedPairs, string[]]> = [];
        for (const [n, { act, key: k }] of steps.entries()) {
          const value = Buffer.from([n]);
          if (act === "snapshot") snapshots.push([pairs.snapshot(), sorted(model)]);
          else if (act === "delete") {
            pairs.delete(k);
            model.delete(k.toString("hex"));
          } else {
            pairs.set(k, value);
            model.set(k.toString("hex"), value.toString("hex"));
          }
          const found = pairs.get(k)?.toString("hex");
          expect(found).toBe(model.get(k.toString("hex")));
        }
        expect(listed(pairs)).toEqual(sorted(model));
        for (const [snapshot, wanted] of snapshots) expect(listed(snapshot)).toEqual(wanted);
        const up = [...pairs.range(from, to, false)];
        expect([...pairs.range(from, to, true)].toReversed()).toEqual(up);
        for (const { key: k } of up) expect(from.compare(k) <= 0 && k.compare(to) < 0).toBe(true);
      }),
    );
  });

  test("hold 100,000 keys, inserted in random order, and shrink back to none", () => {
    const pairs = new SortedPairs();
    const keys = Array.from({ length: 100_000 }, (_, n) => {
      const key = Buffer.alloc(8);
      key.writeUInt32BE(Math.imul(n, 0x9e3779b1) >>> 0);
      return key;
    });
    for (const key of keys) pairs.set(key, key);
    const before = pairs.snapshot();
    let last: Buffer = Buffer.alloc(0);
    let count = 0;
    for (const { key } of pairs.range(Buffer.alloc(1), Buffer.alloc(9, 0xff), false)) {
      if (last.compare(key) >= 0) throw new Error("out of order");
      last = key;
      count++;
    }
    expect(count).toBe(100_000);
    for (const key of keys) pairs.delete(key);
    expect([...pairs.range(Buffer.alloc(1), Buffer.alloc(9, 0xff), false)]).toEqual([]);
    expect(before.get(keys[77_777]!)).toEqual(keys[77_777]);
  });
});
