// Random writes around and above what one entry holds, against a plain model: what they answer, what
// is read behind them at once, from memory, and what the engine has after a restart or a power loss.
// Nothing of a finished write is left beside the strings themselves. LARGE_WRITE_RUNS=600 runs it hard.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { spaces } from "../../../storage/keys.ts";
import { chunkBytes, maxInlineBytes } from "../../../storage/keyspace/strings.ts";
import { plain, StoreWorld } from "../../simulation/store-world.ts";
import { imagine, wordsOf, type Field, type Model, type Write } from "./bytes-model.ts";

/** Two of them at one position, so that strings of one command compete for what is staged there. */
const names = ["a", "b", "{t}c", "{t}d"];
/** … and those of MSET, which together do not fit an entry even where each of them is short. */
const manyFrom = names.length;
const manyKeys = 70;
const nameOf = (key: number): string => names[key] ?? `{${key % 5}}m${key}`;

type Step =
  | { readonly do: "send"; readonly writes: readonly Write[] }
  | { readonly do: "expire"; readonly key: number }
  | { readonly do: "settle" }
  | { readonly do: "restart"; readonly powerLoss: boolean };

const size = fc.oneof(
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: maxInlineBytes - 3, max: maxInlineBytes + 3 }) },
  { weight: 2, arbitrary: fc.integer({ min: 128 * 1024 - 3, max: 128 * 1024 + 3 }) },
  { weight: 3, arbitrary: fc.integer({ min: 200_000, max: 700_000 }) },
);

/** Bytes of this length: a letter, zeros, no chunk like another, or zeros in every second chunk. */
const bytes = fc.tuple(size, fc.nat(3), fc.nat(250)).map(([length, kind, seed]) => {
  if (kind === 0) return Buffer.alloc(length, seed);
  const value = Buffer.alloc(length);
  for (let i = 0; i < length; i++) {
    if (kind === 1) break;
    if (kind === 3 && Math.floor(i / chunkBytes) % 2 === 0) continue;
    value[i] = (i * 31 + Math.floor(i / chunkBytes) + seed) % 251;
  }
  return value;
});

const key = fc.nat(names.length - 1);
const at = fc.oneof(fc.nat(40), size, fc.constant(chunkBytes - 1), fc.constant(chunkBytes));

/** Fields spread over many chunks, often several in one, and across the border of two. */
const fields: fc.Arbitrary<readonly Field[]> = fc
  .record({
    count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 20, max: 160 })),
    stride: fc.oneof(fc.constant(chunkBytes), fc.constant(chunkBytes / 2), fc.nat(3 * chunkBytes)),
    first: fc.nat(2 * chunkBytes),
    bits: fc.integer({ min: 1, max: 31 }),
    hows: fc.array(fc.constantFrom("GET" as const, "SET" as const, "INCRBY" as const), {
      minLength: 1,
      maxLength: 4,
    }),
    seed: fc.nat(1000),
  })
  .map(({ count, stride, first, bits, hows, seed }) =>
    Array.from({ length: count }, (_, i) => ({
      how: hows[i % hows.length]!,
      at: (first + i * stride) * 8 + ((seed * i) % 9),
      bits,
      operand: (seed * (i + 1)) % 2 ** bits,
    })),
  );

const oneWrite: fc.Arbitrary<Write> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, bytes }),
  fc.record({ do: fc.constant("append" as const), key, bytes }),
  fc.record({ do: fc.constant("setrange" as const), key, at, bytes }),
  fc.record({
    do: fc.constant("setbit" as const),
    key,
    at: at.map((byte) => byte * 8 + 3),
    bit: fc.constantFrom(0 as const, 1 as const),
  }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant("bitfield" as const), key, fields }) },
  fc.record({
    do: fc.constant("bitop" as const),
    how: fc.constantFrom("AND" as const, "OR" as const, "XOR" as const),
    key,
    from: fc.array(key, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    do: fc.constant("bitop" as const),
    how: fc.constant("NOT" as const),
    key,
    from: key.map((from) => [from]),
  }),
  fc
    .record({ do: fc.constant("copy" as const), key, to: key })
    .filter((copy) => copy.key !== copy.to),
  fc.record({
    do: fc.constant("mset" as const),
    keys: fc
      .integer({ min: 2, max: manyKeys })
      .map((count) => Array.from({ length: count }, (_, i) => manyFrom + i)),
    bytes: fc.tuple(fc.integer({ min: 200, max: 17_000 }), fc.nat(2)).map(([length, kind]) => {
      return kind === 0 ? Buffer.alloc(length) : Buffer.alloc(length, `many${length}`);
    }),
  }),
  fc.record({ do: fc.constant("del" as const), key }),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      writes: fc.array(oneWrite, { minLength: 1, maxLength: 4 }),
    }),
  },
  fc.record({ do: fc.constant("expire" as const), key }),
  fc.record({ do: fc.constant("settle" as const) }),
  fc.record({ do: fc.constant("restart" as const), powerLoss: fc.boolean() }),
);

async function expectAll(world: StoreWorld, model: Model, keys: Iterable<number>): Promise<void> {
  for (const index of keys) {
    const value = (await world.ask(`GET ${nameOf(index)}`)) as string | null;
    const wanted = model.get(index)?.toString("latin1") ?? null;
    // Showing where long strings differ takes the matcher seconds.
    expect([index, value?.length, value === wanted]).toEqual([index, wanted?.length, true]);
  }
}

async function perform(world: StoreWorld, model: Model, one: Step): Promise<void> {
  if (one.do === "settle") return world.settle();
  if (one.do === "restart") {
    world.crash(one.powerLoss);
    await world.start();
    world.store.setActiveExpire(false);
    return;
  }
  if (one.do === "expire") {
    await world.ask(`PEXPIRE ${nameOf(one.key)} 1`);
    world.clock.advance(10);
    model.delete(one.key);
    return;
  }
  const sent = one.writes.map((write) => world.send(wordsOf(write, nameOf), { session: 1 }));
  const wanted = one.writes.map((write) => imagine(model, write));
  await world.until(() => sent.every(({ reply }) => reply !== undefined), "the replies", 5000);
  expect(sent.map(({ reply }) => plain(reply!))).toEqual(wanted);
  const touched = one.writes.flatMap((write): readonly number[] => {
    if (write.do === "mset") return write.keys;
    return write.do === "copy" ? [write.key, write.to] : [write.key];
  });
  await expectAll(world, model, new Set(touched));
}

test("large writes do what a plain model says, in memory and after a restart", async () => {
  const runs = Number(process.env["LARGE_WRITE_RUNS"] ?? 12);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(1_000_000),
      fc.array(step, { minLength: 1, maxLength: 8 }),
      async (seed, steps) => {
        const options = { regions: 1, cacheBytes: 1_000_000, journalFileBytes: 4 * 1024 * 1024 };
        const world = await new StoreWorld({ seed, ...options }).start();
        world.store.setActiveExpire(false);
        const model: Model = new Map();
        for (const one of steps) await perform(world, model, one);
        expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
        await world.settle();
        await perform(world, model, { do: "restart", powerLoss: seed % 2 === 0 });
        await expectAll(world, model, [...names.keys(), ...model.keys()]);
        expect((await world.keys()).toSorted()).toEqual([...model.keys()].map(nameOf).toSorted());
        expect(await world.askWhole(world.regions[0]!, "dbsize")).toBe(model.size);
        await world.settle(1000);
        expect(await world.stored(spaces.staging)).toEqual([]);
        expect(await world.stored(spaces.deadOid)).toEqual([]);
        let chunks = 0;
        for (const { length } of model.values()) chunks += Math.ceil(length / chunkBytes);
        expect((await world.stored(spaces.sub)).length).toBeLessThanOrEqual(chunks);
      },
    ),
    { numRuns: runs },
  );
}, 3_600_000);
