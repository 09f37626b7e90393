// Placement of keys: bit-exactness with Erlang's phash2 and the algebra of positions.

import { readFileSync } from "node:fs";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { bitReverse32, createPositions, phash2, phash2Binary } from "../../storage/position.ts";

interface Vector {
  readonly key: string;
  readonly r16: number;
  readonly r1024: number;
  readonly r32bit: number;
}

const { vectors } = JSON.parse(
  readFileSync(new URL("phash2-vectors.json", import.meta.url), "utf8"),
) as { vectors: Vector[] };

const regionCounts = [1, 2, 3, 7, 10, 16, 100, 1000, 65536];
const u32 = fc.integer({ min: 0, max: 0xffffffff });

describe("phash2", () => {
  test("is what OTP 25 computes, for all 500 vectors", () => {
    expect(vectors).toHaveLength(500);
    for (const { key, r16, r1024, r32bit } of vectors) {
      const bytes = Buffer.from(key, "hex");
      expect([phash2(bytes, 16), phash2(bytes, 1024), phash2(bytes, 2 ** 32)], key).toEqual([
        r16,
        r1024,
        r32bit,
      ]);
      expect(phash2Binary(bytes)).toBe(r32bit);
    }
  });

  test("without a range is 27 bits; with one it reduces all 32", () => {
    expect(phash2(Buffer.from("hello"))).toBe(47480723);
    expect(phash2(Buffer.alloc(0))).toBe(13708901);
    expect(phash2(Buffer.alloc(0), 10)).toBe(9);
  });

  test("of a part of a buffer is that of its copy", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(9), fc.nat(9), (bytes, head, tail) => {
        const around = Buffer.concat([Buffer.alloc(head, 1), bytes, Buffer.alloc(tail, 2)]);
        expect(phash2Binary(around, head, head + bytes.length)).toBe(phash2Binary(bytes));
      }),
    );
  });

  test("refuses ranges outside 1..2^32", () => {
    for (const range of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
      expect(() => phash2(Buffer.from("a"), range)).toThrow(RangeError);
    }
  });
});

test("bitReverse32 mirrors every bit and is its own inverse", () => {
  for (let bit = 0; bit < 32; bit++) expect(bitReverse32(2 ** bit)).toBe(2 ** (31 - bit));
  fc.assert(fc.property(u32, (x) => bitReverse32(bitReverse32(x)) === x));
});

describe.each(regionCounts)("positions of %i regions", (regionCount) => {
  const positions = createPositions(regionCount, false);
  const regions = positions.initialRegions();
  const width = Math.floor(2 ** 32 / regionCount);
  const usedBits = Math.floor(Math.log2(width));

  test("the initial regions cover all positions without a gap", () => {
    expect(regions).toHaveLength(regionCount);
    expect(regions[0]?.fromPosition).toBe(0);
    expect(regions.at(-1)?.toPosition).toBe(0xffffffff);
    const follows = regions.every(
      ({ regionId, fromPosition }, i) =>
        regionId === i + 1 && (i === 0 || fromPosition === regions[i - 1]!.toPosition + 1),
    );
    expect(follows).toBe(true);
  });

  test("region i holds exactly the keys with phash2(key, M) + 1 == i", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (key) => {
        const position = positions.positionOf(key);
        const region = regions[phash2(key, regionCount)]!;
        expect(Number.isInteger(position)).toBe(true);
        expect(position).toBeGreaterThanOrEqual(region.fromPosition);
        expect(position).toBeLessThanOrEqual(region.toPosition);
      }),
    );
  });

  test("a cut in the middle of a class doubles the modulus, and so does the next one", () => {
    const edges = [0, 1, 0xffffffff, 0x80000000, regionCount, regionCount - 1, width];
    const check = (hash: number): void => {
      const position = positions.positionOfHash(hash);
      const residue = hash % regionCount;
      const offset = position - residue * width;
      const half = usedBits === 0 ? 0 : Math.floor(offset / 2 ** (usedBits - 1));
      expect(hash % (2 * regionCount)).toBe(residue + half * regionCount);
      if (usedBits < 2) return;
      const quarter = Math.floor(offset / 2 ** (usedBits - 2)) % 2;
      expect(hash % (4 * regionCount)).toBe(residue + (half + 2 * quarter) * regionCount);
    };
    for (const hash of edges) check(hash);
    fc.assert(fc.property(u32, check), { numRuns: 2000 });
  });
});

describe("hash tags", () => {
  const tagged = createPositions(16, true);
  const plain = createPositions(16, false);
  const whole = (text: string): number => plain.positionOf(Buffer.from(text));

  // The examples of the Redis Cluster specification, "Hash tags".
  test.each([
    ["{user1000}.following", "user1000"],
    ["foo{bar}{zap}", "bar"],
    ["foo{{bar}}zap", "{bar"],
    ["foo{}{bar}", "foo{}{bar}"],
    ["}a{b}", "b"],
    ["a{b", "a{b"],
    ["a}b{", "a}b{"],
    ["{}", "{}"],
  ])("%s is placed by %s", (key, part) => {
    expect(tagged.positionOf(Buffer.from(key))).toBe(whole(part));
  });

  test("count for nothing when they are off", () => {
    expect(whole("{a}1")).not.toBe(whole("{a}2"));
  });
});

test("the number of regions must be in 1..65536", () => {
  for (const count of [0, -1, 65537, 1.5, Number.NaN]) {
    expect(() => createPositions(count, true)).toThrow(RangeError);
  }
});
