// The byte layout of keys: order, inverses, ranges, and checksums behind values.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DamagedError } from "../../storage/errors.ts";
import {
  dataIdRange,
  metaRange,
  metaRangeFrom,
  spaceRange,
  subPositionRange,
  subRange,
  ttlRange,
} from "../../storage/key-ranges.ts";
import {
  checkedPhysicalValue,
  checkedValue,
  chunkKey,
  dataIdOf,
  keyBucket,
  logicalKey,
  metaKey,
  parseChunkKey,
  parseMetaKey,
  parsePhysicalMetaKey,
  parsePhysicalTtlKey,
  parseRegionStateKey,
  parseStagingKey,
  parseTtlKey,
  physicalKey,
  physicalMetaKey,
  placementKey,
  positionOfLogicalKey,
  regionStateKey,
  spaces,
  stagingKey,
  ttlKey,
  withChecksum,
} from "../../storage/keys.ts";
import type { KeyRange } from "../../storage/engine.ts";

const edge = (max: number) =>
  fc.oneof(fc.integer({ min: 0, max }), fc.constantFrom(0, 1, 0xff, max - 1, max));
const u8 = edge(0xff);
const u16 = edge(0xffff);
const u32 = edge(0xffffffff);
const u48 = edge(2 ** 48 - 1);
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const holds = (range: KeyRange, key: Buffer): boolean =>
  range.gte.compare(key) <= 0 && key.compare(range.lt) < 0;
const compareTuples = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : Math.sign(a[at]! - b[at]!);
};

describe("keyBucket", () => {
  test("is the CRC16 of the Redis Cluster specification, all 16 bits", () => {
    expect(keyBucket(Buffer.from("123456789"))).toBe(0x31c3);
    expect(keyBucket(Buffer.from("foo")) & 16383).toBe(12182);
    expect(keyBucket(Buffer.alloc(0))).toBe(0);
  });
});

describe("parsers are the inverse of the encoders", () => {
  test("for META and TTL keys, logical and physical", () => {
    fc.assert(
      fc.property(u32, u32, u16, u8, u48, bytes, (dataId, position, bucket, slot, at, key) => {
        const meta = metaKey(position, bucket, slot, key);
        const ttl = ttlKey(at, position, bucket, slot, key);
        const parts = { position, bucket, slot, key };
        expect(parseMetaKey(meta)).toEqual(parts);
        expect(parseTtlKey(ttl)).toEqual({ expireAtMs: at, ...parts });
        expect(parsePhysicalMetaKey(physicalKey(meta, dataId))).toEqual(parts);
        expect(parsePhysicalTtlKey(physicalKey(ttl, dataId))).toEqual({ expireAtMs: at, ...parts });
        expect(physicalMetaKey(dataId, position, bucket, slot, key)).toEqual(
          physicalKey(meta, dataId),
        );
        for (const logical of [meta, ttl]) {
          expect(logicalKey(physicalKey(logical, dataId))).toEqual(logical);
          expect(dataIdOf(physicalKey(logical, dataId))).toBe(dataId);
          expect(positionOfLogicalKey(logical)).toBe(position);
        }
      }),
    );
  });

  test("for chunk, staging and region keys", () => {
    fc.assert(
      fc.property(u32, u48, u32, (position, oid, chunkNo) => {
        expect(parseChunkKey(chunkKey(position, oid, chunkNo))).toEqual({ position, oid, chunkNo });
        expect(positionOfLogicalKey(chunkKey(position, oid, chunkNo))).toBe(position);
        expect(parseStagingKey(stagingKey(position, oid))).toEqual({ position, oid });
        expect(positionOfLogicalKey(stagingKey(position, oid))).toBe(position);
        expect(parseRegionStateKey(regionStateKey(chunkNo))).toBe(chunkNo);
      }),
    );
  });

  test("and refuse what is no such key", () => {
    const meta = metaKey(1, 2, 3, Buffer.from("k"));
    expect(() => parseTtlKey(meta)).toThrow(DamagedError);
    expect(() => parseMetaKey(meta.subarray(0, 7))).toThrow(DamagedError);
    expect(() => parseChunkKey(meta)).toThrow(DamagedError);
    expect(() => positionOfLogicalKey(regionStateKey(1))).toThrow(DamagedError);
    expect(() => positionOfLogicalKey(Buffer.alloc(0))).toThrow(DamagedError);
  });
});

const hex = (b: Buffer): string => b.toString("hex");

test("the layout of version 1 on disk does not change", () => {
  const key = Buffer.from("k");
  expect(hex(metaKey(0x01020304, 0x0506, 7, key))).toBe("10010203040506076b");
  expect(hex(physicalMetaKey(9, 0x01020304, 0x0506, 7, key))).toBe("1000000009010203040506076b");
  expect(hex(chunkKey(0x01020304, 5, 6))).toBe("200102030400000000000500000006");
  expect(hex(ttlKey(0x010203040506, 7, 8, 9, key))).toBe("30010203040506000000070008096b");
  expect(hex(regionStateKey(16))).toBe("5000000010");
  expect(hex(placementKey(1))).toBe("6000000001");
  expect(hex(stagingKey(1, 2))).toBe("7000000001000000000002");
  expect(hex(withChecksum(Buffer.from("1234"), Buffer.from("56789")))).toBe("3536373839cbf43926");
});

describe("byte order is", () => {
  test("position, bucket, slot, key for META", () => {
    const part = fc.tuple(u32, u16, u8, bytes);
    fc.assert(
      fc.property(part, part, (a, b) => {
        const numbers = compareTuples([a[0], a[1], a[2]], [b[0], b[1], b[2]]);
        expect(Math.sign(metaKey(...a).compare(metaKey(...b)))).toBe(
          numbers === 0 ? Math.sign(a[3].compare(b[3])) : numbers,
        );
      }),
    );
  });

  test("expiry first for TTL, chunk number last for SUB", () => {
    fc.assert(
      fc.property(fc.tuple(u48, u32), fc.tuple(u48, u32), (a, b) => {
        const k = Buffer.from("k");
        expect(ttlKey(a[0], a[1], 0, 0, k).compare(ttlKey(b[0], b[1], 0, 0, k))).toBe(
          compareTuples(a, b),
        );
        expect(chunkKey(7, a[0], a[1]).compare(chunkKey(7, b[0], b[1]))).toBe(compareTuples(a, b));
      }),
    );
  });
});

describe("ranges hold exactly", () => {
  test("the positions, from a cursor on, of one dataId (META)", () => {
    const cursor = fc.tuple(u32, u16);
    fc.assert(
      fc.property(u32, u32, u32, u32, cursor, u32, (dataId, other, from, to, at, bucketSeed) => {
        const bucket = bucketSeed & 0xffff;
        const key = physicalMetaKey(dataId, at[0], bucket, 255, Buffer.alloc(3, 0xff));
        expect(holds(metaRange(dataId, from, to), key)).toBe(from <= at[0] && at[0] <= to);
        const start = from * 65536 + at[1];
        const isIn = at[0] * 65536 + bucket >= start && at[0] <= to;
        expect(holds(metaRangeFrom(dataId, start, to), key)).toBe(isIn);
        if (other !== dataId) expect(holds(metaRange(other, 0, 0xffffffff), key)).toBe(false);
      }),
    );
  });

  test("the chunks of one object, or of a range of positions", () => {
    fc.assert(
      fc.property(u32, u32, u48, u48, u32, (dataId, position, oid, otherOid, chunkNo) => {
        const key = physicalKey(chunkKey(position, oid, chunkNo), dataId);
        expect(holds(subRange(dataId, position, oid), key)).toBe(true);
        expect(holds(subPositionRange(dataId, position, position), key)).toBe(true);
        if (otherOid !== oid) expect(holds(subRange(dataId, position, otherOid), key)).toBe(false);
      }),
    );
  });

  test("what is due at an instant (TTL)", () => {
    fc.assert(
      fc.property(u32, u48, u48, u32, (dataId, until, at, position) => {
        const key = physicalKey(ttlKey(at, position, 0xffff, 255, Buffer.alloc(2, 0xff)), dataId);
        expect(holds(ttlRange(dataId, until), key)).toBe(at <= until);
      }),
    );
  });

  test("one space of one dataId, or one local space", () => {
    fc.assert(
      fc.property(u32, u32, bytes, (dataId, other, key) => {
        const physical = physicalMetaKey(dataId, 0xffffffff, 0xffff, 255, key);
        expect(holds(dataIdRange(spaces.meta, dataId), physical)).toBe(true);
        expect(holds(dataIdRange(spaces.sub, dataId), physical)).toBe(false);
        if (other !== dataId) expect(holds(dataIdRange(spaces.meta, other), physical)).toBe(false);
        expect(holds(spaceRange(spaces.meta), physical)).toBe(true);
      }),
    );
  });
});

describe("a stored value", () => {
  const logical = metaKey(0xdeadbeef, 0x1234, 3, Buffer.from("key"));

  test("gives back what was put in, by its logical and its physical key", () => {
    fc.assert(
      fc.property(bytes, u32, (value, dataId) => {
        const stored = withChecksum(logical, value);
        expect(checkedValue(logical, stored)).toEqual(value);
        expect(checkedPhysicalValue(physicalKey(logical, dataId), stored)).toEqual(value);
      }),
    );
  });

  test("betrays every single flipped bit, in key or value, and every cut", () => {
    const stored = withChecksum(logical, Buffer.from("a value of some length"));
    const physical = physicalKey(logical, 77);
    for (let bit = 0; bit < stored.length * 8; bit++) {
      const flipped = Buffer.from(stored);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => checkedValue(logical, flipped)).toThrow(DamagedError);
      expect(() => checkedPhysicalValue(physical, flipped)).toThrow(DamagedError);
    }
    for (let bit = 0; bit < logical.length * 8; bit++) {
      const flipped = Buffer.from(logical);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => checkedValue(flipped, stored)).toThrow(DamagedError);
      expect(() => checkedPhysicalValue(physicalKey(flipped, 77), stored)).toThrow(DamagedError);
    }
    for (let length = 0; length < stored.length; length++) {
      expect(() => checkedValue(logical, stored.subarray(0, length))).toThrow(DamagedError);
    }
  });
});
