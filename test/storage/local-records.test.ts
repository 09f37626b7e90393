// The store's own records: what was written comes back, and a flipped bit is never believed.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DamagedError } from "../../storage/errors.ts";
import {
  allocatorKey,
  appliedKey,
  deadOidKey,
  decodeAllocator,
  decodeApplied,
  decodePendingClear,
  decodeRegionMeta,
  encodeAllocator,
  encodeApplied,
  encodePendingClear,
  encodeRegionMeta,
  markerKey,
  parseDeadOidKey,
  pendingClearKey,
  regionMetaKey,
  type RegionMeta,
} from "../../storage/local-records.ts";
import { decodeRegionState, encodeRegionState } from "../../storage/region-state.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const regionMeta: fc.Arbitrary<RegionMeta> = fc.record({
  regionId: u32,
  replicaId: u48,
  extents: fc.array(
    fc.record({ fromPosition: u32, toPosition: u32, dataId: u32, controlDataId: u32 }),
    { maxLength: 5 },
  ),
  epoch: fc.record({ version: u48, confVersion: u48 }),
  membership: fc.record({
    voters: fc.array(u48, { maxLength: 5 }),
    learners: fc.array(u48, { maxLength: 3 }),
  }),
  membershipIndex: u48,
  peers: fc.array(
    fc.record({ replicaId: u48, nodeId: fc.string({ unit: "grapheme", maxLength: 30 }) }),
    { maxLength: 6 },
  ),
});

const meta: RegionMeta = {
  regionId: 16,
  replicaId: 17,
  extents: [{ fromPosition: 1, toPosition: 2, dataId: 3, controlDataId: 4 }],
  epoch: { version: 1, confVersion: 2 },
  membership: { voters: [17], learners: [] },
  membershipIndex: 0,
  peers: [{ replicaId: 17, nodeId: "a" }],
};

describe("local records", () => {
  test("come back as they were written", () => {
    fc.assert(
      fc.property(regionMeta, (m) => {
        expect(decodeRegionMeta(encodeRegionMeta(m))).toEqual(m);
      }),
    );
    fc.assert(
      fc.property(u48, u48, (index, term) => {
        expect(decodeApplied(encodeApplied(index, term))).toEqual({ index, term });
        expect(decodeAllocator(encodeAllocator({ nextDataId: index }))).toEqual({
          nextDataId: index,
        });
      }),
    );
    for (const clear of [
      { dataId: 7 },
      { dataId: 7, slot: 0 },
      { dataId: 0xffffffff, slot: 255 },
    ]) {
      expect(decodePendingClear(encodePendingClear(clear))).toEqual(clear);
    }
  });

  test("betray every flipped bit and every cut", () => {
    const cases: Array<[Buffer, (stored: Buffer) => unknown]> = [
      [encodeRegionMeta(meta), decodeRegionMeta],
      [encodeApplied(5, 6), decodeApplied],
      [encodePendingClear({ dataId: 1, slot: 2 }), decodePendingClear],
      [encodeAllocator({ nextDataId: 9 }), decodeAllocator],
      [deadOidKey({ dataId: 1, position: 2, oid: 3 }), parseDeadOidKey],
    ];
    for (const [stored, decode] of cases) {
      for (let bit = 0; bit < stored.length * 8; bit++) {
        const flipped = Buffer.from(stored);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        expect(() => decode(flipped)).toThrow(DamagedError);
      }
      for (let length = 0; length < stored.length; length++) {
        expect(() => decode(stored.subarray(0, length))).toThrow(DamagedError);
      }
    }
  });

  test("of one kind are never read as another", () => {
    expect(() => decodeAllocator(encodePendingClear({ dataId: 1 }))).toThrow(DamagedError);
    expect(() => decodeRegionMeta(encodeApplied(1, 1))).toThrow(DamagedError);
  });
});

test("keys of local records differ by kind and by what they are about", () => {
  const keys = [
    regionMetaKey(1),
    regionMetaKey(2),
    appliedKey(1),
    markerKey(1),
    pendingClearKey({ dataId: 1 }),
    pendingClearKey({ dataId: 1, slot: 0 }),
    pendingClearKey({ dataId: 1, slot: 255 }),
    pendingClearKey({ dataId: 2 }),
    deadOidKey({ dataId: 1, position: 1, oid: 1 }),
    allocatorKey(),
  ].map((key) => key.toString("hex"));
  expect(new Set(keys).size).toBe(keys.length);
});

test("a dropped object's key says which object", () => {
  fc.assert(
    fc.property(u32, u32, u48, (dataId, position, oid) => {
      expect(parseDeadOidKey(deadOidKey({ dataId, position, oid }))).toEqual({
        dataId,
        position,
        oid,
      });
    }),
  );
});

test("a region's counters come back, and only from their own form", () => {
  const state = {
    nextOid: 2 ** 48 - 1,
    counts: Array.from({ length: 16 }, (_, db) => db * 1e9),
    slots: Array.from({ length: 16 }, (_, db) => 255 - db),
    maxNowMs: 1_700_000_000_000,
  };
  const encoded = encodeRegionState(state);
  expect(decodeRegionState(encoded)).toEqual(state);
  expect(() => decodeRegionState(encoded.subarray(1))).toThrow(DamagedError);
  const newer = Buffer.from(encoded);
  newer[0] = 9;
  expect(() => decodeRegionState(newer)).toThrow(DamagedError);
});
