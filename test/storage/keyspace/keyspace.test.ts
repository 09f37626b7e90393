// The view of a region's keys against a plain model: values, expiry, counts, the TTL index, chunks
// that outlive nothing; and that a cold region (Miss and run again) does exactly what a warm one does.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Effect } from "../../../storage/keyspace/effects.ts";
import type { KeyspaceView } from "../../../storage/keyspace/view.ts";
import { MemoryRegion } from "./memory-region.ts";

const keys = ["a", "b", "{t}c"].map((key) => Buffer.from(key));
const start = 1_000_000;

type Step =
  | { readonly do: "set"; readonly key: number; readonly size: number; readonly ttl: number }
  | { readonly do: "patch"; readonly key: number; readonly at: number; readonly size: number }
  | { readonly do: "expire"; readonly key: number; readonly ttl: number }
  | { readonly do: "remove"; readonly key: number }
  | { readonly do: "read"; readonly key: number; readonly from: number; readonly size: number }
  | { readonly do: "flushDb" }
  | { readonly do: "flushAll" }
  | { readonly do: "wait"; readonly ms: number };

const size = fc.oneof(
  { weight: 4, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.integer({ min: 16_380, max: 16_390 }) },
  { weight: 1, arbitrary: fc.nat(40_000) },
  { weight: 1, arbitrary: fc.constant(140_000) },
);
const key = fc.nat(keys.length - 1);
const ttl = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }));
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("set" as const), key, size, ttl }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("patch" as const), key, at: size, size }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("expire" as const), key, ttl }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), key }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), key, from: size, size }) },
  { weight: 1, arbitrary: fc.constant({ do: "flushDb" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "flushAll" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(60) }),
  },
);

const bytesOf = (length: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + seed) % 251;
  return bytes;
};

/** Runs a step on a view; what it returns is what a client could see. */
function perform(view: KeyspaceView, step: Step, seed: number): unknown {
  if (step.do === "flushDb") return view.flushDb();
  if (step.do === "flushAll") return view.flushAll();
  if (step.do === "wait") return view.size();
  const name = keys[step.key]!;
  if (step.do === "remove") return view.remove(name);
  const at = step.do === "set" || step.do === "expire" ? step.ttl && view.nowMs + step.ttl : 0;
  if (step.do === "set") {
    return view.setString(name, bytesOf(step.size, seed), { expireAtMs: at });
  }
  const record = view.find(name);
  if (step.do === "patch") return view.patchString(name, record, step.at, bytesOf(step.size, seed));
  if (record === undefined) return undefined;
  if (step.do === "expire") return view.setExpiry(name, record, at);
  const from = Math.min(step.from, view.stringLength(record));
  const to = Math.min(from + step.size, view.stringLength(record));
  return view.readString(name, record, from, to).toString("latin1");
}

interface Held {
  value: Buffer;
  expireAtMs: number;
}

/** The same on a Map. */
function imagine(model: Map<number, Held>, step: Step, seed: number, nowMs: number): unknown {
  for (const [held, { expireAtMs }] of model) {
    if (expireAtMs !== 0 && expireAtMs <= nowMs) model.delete(held);
  }
  if (step.do === "flushDb" || step.do === "flushAll") {
    model.clear();
    return step.do === "flushDb" ? true : undefined;
  }
  if (step.do === "wait") return undefined;
  if (step.do === "remove") return model.delete(step.key);
  const at = step.do === "set" || step.do === "expire" ? step.ttl && nowMs + step.ttl : 0;
  const held = model.get(step.key);
  if (step.do === "set") {
    model.set(step.key, { value: bytesOf(step.size, seed), expireAtMs: at });
  } else if (step.do === "patch") {
    const before = held?.value ?? Buffer.alloc(0);
    const value = Buffer.alloc(Math.max(before.length, step.at + step.size));
    before.copy(value);
    bytesOf(step.size, seed).copy(value, step.at);
    model.set(step.key, { value, expireAtMs: held?.expireAtMs ?? 0 });
  } else if (step.do === "expire") {
    if (held !== undefined) held.expireAtMs = at;
  } else if (held !== undefined) {
    const from = Math.min(step.from, held.value.length);
    return held.value.toString("latin1", from, Math.min(from + step.size, held.value.length));
  }
  return undefined;
}

/** Comparing long buffers through the matcher takes seconds. */
const textOf = (effects: readonly Effect[]): string =>
  effects
    .flatMap((effect) => Object.values(effect))
    .map((part) => (Buffer.isBuffer(part) ? part.toString("latin1") : String(part)))
    .join(" ");

/** Everything on "disk" must follow from the live metas. */
function expectConsistent(region: MemoryRegion): void {
  const records = [...region.records()].filter(([name]) =>
    region.state.slots.includes(Number(name.split("/")[0])),
  );
  expect(records.length).toBe(region.state.counts.reduce((sum, count) => sum + count, 0));
  const visible = new Set(records.flatMap(([, record]) => ("oid" in record ? [record.oid] : [])));
  if (region.state.slots[0] === 0) {
    expect(region.keysOf(0x30).length).toBe(
      records.filter(([, { expireAtMs }]) => expireAtMs !== 0).length,
    );
    for (const chunk of region.keysOf(0x20)) {
      expect(visible.has(Buffer.from(chunk, "latin1").readUIntBE(5, 6))).toBe(true);
    }
  }
}

/** What database 0 holds, whatever its slot and object ids are. */
const liveOf = (region: MemoryRegion): string => {
  const slot = `${region.state.slots[0]}/`;
  const live = [...region.records()].filter(([name]) => name.startsWith(slot));
  return live
    .map(([name, { expireAtMs, raw, ...value }]) => {
      const content = "bytes" in value ? value.bytes.toString("latin1") : value.length;
      return `${name.slice(slot.length)} ${expireAtMs} ${raw} ${content}`;
    })
    .toSorted()
    .join("\n");
};

describe("keyspace", () => {
  test("behaves as a map with expiry, in memory or not, staged or not", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 16 }), (steps) => {
        const warm = new MemoryRegion();
        const cold = new MemoryRegion(true);
        const staging = new MemoryRegion();
        staging.cap = 20_000;
        const model = new Map<number, Held>();
        let nowMs = start;
        for (const [seed, one] of steps.entries()) {
          if (one.do === "wait") nowMs += one.ms;
          const seen = warm.run(nowMs, 0, (view) => perform(view, one, seed));
          const wanted = imagine(model, one, seed, nowMs);
          if (one.do !== "wait") expect(seen).toEqual(wanted);
          expect(cold.run(nowMs, 0, (view) => perform(view, one, seed))).toEqual(seen);
          expect(textOf(cold.effects)).toBe(textOf(warm.effects));
          expect(cold.state).toEqual(warm.state);
          expect(staging.run(nowMs, 0, (view) => perform(view, one, seed))).toEqual(seen);
          expectConsistent(warm);
          expectConsistent(staging);
        }
        for (const [index, name] of keys.entries()) {
          for (const region of [warm, staging]) {
            const value = region.run(nowMs, 0, (view) => {
              const record = view.find(name);
              if (record === undefined) return undefined;
              return view.readString(name, record, 0, view.stringLength(record));
            });
            const held = model.get(index);
            const alive = held && (held.expireAtMs === 0 || held.expireAtMs > nowMs);
            expect(value?.equals(held!.value) ?? false).toBe(alive ?? false);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test("gives several commands of one batch the same end as one entry each", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), (steps) => {
        const single = new MemoryRegion();
        const batched = new MemoryRegion(true);
        const keyspace = batched.keyspace(start);
        for (const [seed, one] of steps.entries()) {
          const wanted = single.run(start, 0, (view) => perform(view, one, seed));
          expect(batched.attempt(keyspace, 0, (view) => perform(view, one, seed))).toEqual(wanted);
        }
        batched.apply(keyspace.effects);
        batched.state = keyspace.changedState() ?? batched.state;
        expect(batched.state.counts).toEqual(single.state.counts);
        expect(liveOf(batched)).toBe(liveOf(single));
      }),
      { numRuns: 40 },
    );
  });

  test("hides an expired key, removes it with its index entry, and says so", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    region.run(start, 0, (view) =>
      view.setString(name, Buffer.from("v"), { expireAtMs: start + 5 }),
    );
    region.run(start + 4, 0, (view) => expect(view.find(name)).toBeDefined());
    expect(region.hidExpired).toBe(false);
    region.run(start + 5, 0, (view) => expect(view.find(name)).toBeUndefined());
    expect(region.hidExpired).toBe(true);
    expect(region.effects.map(({ type }) => type)).toEqual(["del", "del"]);
    expect(region.state.counts[0]).toBe(0);
    expect(region.store.size).toBe(0);
  });

  test("touches one chunk to change one byte of a long string", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    region.run(start, 0, (view) => view.setString(name, bytesOf(1_000_000, 1), { expireAtMs: 0 }));
    const patch = (view: KeyspaceView): void =>
      view.patchString(name, view.find(name), 500_000, Buffer.from("x"));
    region.run(start, 0, patch);
    region.cold = true;
    region.run(start, 0, patch);
    expect(region.effects.length).toBe(1);
    expect(region.attempts).toBe(3);
  });

  test("keeps a far write sparse", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    region.run(start, 0, (view) => view.patchString(name, undefined, 60_000_000, Buffer.from("x")));
    expect(region.keysOf(0x20).length).toBe(1);
    const value = region.run(start, 0, (view) =>
      view.readString(name, view.find(name)!, 59_999_998, 60_000_001),
    );
    expect(value).toEqual(Buffer.from("\0\0x"));
  });

  test("stages a write under oids that nothing else gets, and leaves only metas for its entry", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    const value = bytesOf(2_000_000, 3);
    const keyspace = region.keyspace(start);
    const body = (view: KeyspaceView): void => view.setString(name, value, { expireAtMs: 0 });
    region.attempt(keyspace, 0, body);
    expect(keyspace.commandBytes).toBeGreaterThan(512 * 1024);
    const staged = keyspace.stage();
    expect(keyspace.effects).toEqual([]);
    const fragments = [...staged.fragments(512 * 1024)];
    expect(fragments.length).toBeGreaterThan(3);
    for (const fragment of fragments) region.apply(fragment);
    region.state = keyspace.changedState()!;
    const other = region.run(start, 0, (view) => {
      view.setString(keys[1]!, value, { expireAtMs: 0 });
      return view.find(keys[1]!);
    });
    expect(other).not.toMatchObject({ oid: staged.strings[0]!.oid });
    region.run(start, 0, () => undefined);
    const again = region.keyspace(start);
    region.runIn(again, 0, body, staged);
    expect(region.effects.map(({ type }) => type)).toEqual(["put"]);
    expect(region.records().get(`0/${name.toString()}`)).toMatchObject({ length: 2_000_000 });
  });

  test("corrects what was staged when the command comes out differently", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    const run = (value: Buffer | undefined) => (view: KeyspaceView) => {
      if (value !== undefined) view.setString(name, value, { expireAtMs: 0 });
    };
    for (const second of [bytesOf(30_000, 9), undefined]) {
      const keyspace = region.keyspace(start);
      region.attempt(keyspace, 0, run(bytesOf(60_000, 1)));
      const staged = keyspace.stage();
      for (const fragment of staged.fragments(10_000)) region.apply(fragment);
      region.state = keyspace.changedState()!;
      region.runIn(region.keyspace(start), 0, run(second), staged);
      expectConsistent(region);
    }
    const value = region.run(start, 0, (view) =>
      view.readString(name, view.find(name)!, 0, 30_000),
    );
    expect(value.equals(bytesOf(30_000, 9))).toBe(true);
  });

  test("stages a chunk that one command puts twice as it is in the end", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    const patches = [
      [600_000, "z"],
      [599_999, "y"],
    ] as const;
    const body = (view: KeyspaceView): void => {
      for (const [at, letter] of patches) {
        view.patchString(name, view.find(name), at, Buffer.from(letter));
      }
    };
    region.cap = 1000;
    region.run(start, 0, body);
    expect(region.staged).toBe(1);
    expect(region.effects.map(({ type }) => type)).toEqual(["put"]);
    const value = region.run(start, 0, (view) =>
      view.readString(name, view.find(name)!, 599_998, 600_001),
    );
    expect(value.toString()).toBe("\0yz");
  });

  test("shows nothing of a staged chunk that the command did not put again", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    const value = bytesOf(60_000, 1);
    const keyspace = region.keyspace(start);
    region.attempt(keyspace, 0, (view) => view.setString(name, value, { expireAtMs: 0 }));
    const staged = keyspace.stage();
    for (const fragment of staged.fragments(10_000)) region.apply(fragment);
    region.state = keyspace.changedState()!;
    const again = region.keyspace(start);
    const sparse = Buffer.concat([Buffer.alloc(40_960), value.subarray(40_960)]);
    region.attempt(again, 0, (view) => view.setString(name, sparse, { expireAtMs: 0 }), staged);
    again.finishStaged();
    // The next command of the same batch: the engine still holds what was staged.
    const read = region.attempt(again, 0, (view) =>
      view.readString(name, view.find(name)!, 0, sparse.length),
    );
    expect(read.equals(sparse)).toBe(true);
  });

  test("does not go back to a slot that the same batch has left", () => {
    const region = new MemoryRegion();
    const keyspace = region.keyspace(start);
    const [name] = keys as [Buffer];
    const steps = [
      (view: KeyspaceView): unknown => view.select(1).setString(name, name, { expireAtMs: 0 }),
      (view: KeyspaceView): unknown => view.setString(name, name, { expireAtMs: 0 }),
      (view: KeyspaceView): unknown => view.flushDb(),
      (view: KeyspaceView): unknown => view.setString(name, name, { expireAtMs: 0 }),
      (view: KeyspaceView): unknown => view.flushDb(),
    ];
    for (const one of steps) region.attempt(keyspace, 0, one);
    expect(keyspace.changedState()?.slots[0]).toBe(17);
  });

  test("flushes what is empty without an effect, and what is alone as a whole", () => {
    const region = new MemoryRegion();
    const [name] = keys as [Buffer];
    const set = (view: KeyspaceView): void => view.setString(name, name, { expireAtMs: 0 });
    const types = (db: number, body: (view: KeyspaceView) => unknown): string[] => {
      region.run(start, db, body);
      return region.effects.map(({ type }) => type);
    };
    expect(types(0, (view) => view.flushDb())).toEqual([]);
    expect(types(0, (view) => view.flushAll())).toEqual([]);
    region.run(start, 0, set);
    expect(types(1, (view) => view.flushDb())).toEqual([]);
    expect(types(0, (view) => view.flushDb())).toEqual(["flushAll"]);
    region.run(start, 0, set);
    region.run(start, 1, set);
    expect(types(0, (view) => view.flushDb())).toEqual(["flushDb"]);
    expectConsistent(region);
    expect(types(2, (view) => view.flushAll())).toEqual(["flushAll"]);
    expect(types(1, (view) => view.flushDb())).toEqual([]);
  });

  test("refuses a flush when no slot is clean", () => {
    const region = new MemoryRegion();
    region.state.slots = Array.from({ length: 16 }, (_, db) => db + 24);
    for (let slot = 0; slot < 24; slot += 1) region.state.slots.push(slot);
    region.state.counts.fill(1);
    expect(region.run(start, 0, (view) => view.flushDb())).toBe(false);
    expect(region.effects).toEqual([]);
  });
});
