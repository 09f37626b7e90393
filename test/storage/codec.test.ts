// Log entries: what was encoded comes back, and nothing else is taken for an entry.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { encodeEntry, EntryEncoder, EntryReader, operations } from "../../storage/codec.ts";
import { DamagedError } from "../../storage/errors.ts";
import type { Effect, EffectsEntry, RegionState } from "../../storage/keyspace/effects.ts";
import { checkedValue, physicalKey } from "../../storage/keys.ts";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const u8 = fc.integer({ min: 0, max: 255 });
const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
const key = bytes(1, 300);
const effect: fc.Arbitrary<Effect> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key, value: bytes(0, 400) }),
  fc.record({ type: fc.constant("del" as const), key }),
  fc.record({
    type: fc.constant("drop" as const),
    position: fc.integer({ min: 0, max: 0xffffffff }),
    oid: u48,
  }),
  fc.constant({ type: "flushAll" as const }),
  fc.record({
    type: fc.constant("flushDb" as const),
    db: fc.integer({ min: 0, max: 15 }),
    slot: u8,
  }),
);
const state: fc.Arbitrary<RegionState> = fc.record({
  nextOid: u48,
  counts: fc.array(u48, { minLength: 16, maxLength: 16 }),
  slots: fc.array(u8, { minLength: 16, maxLength: 16 }),
  maxNowMs: u48,
});
const entry: fc.Arbitrary<EffectsEntry> = fc.oneof(
  fc.record({ nowMs: u48, effects: fc.array(effect, { maxLength: 12 }), state }),
  fc.record({ nowMs: u48, effects: fc.array(effect, { maxLength: 12 }) }),
);

function decode(payload: Buffer): EffectsEntry {
  const reader = new EntryReader(payload);
  const effects: Effect[] = [];
  let read: RegionState | undefined;
  for (let code = reader.next(); code !== operations.end; code = reader.next()) {
    if (code === operations.put) {
      expect(reader.physicalKey(0xa1b2c3d4)).toEqual(physicalKey(reader.key, 0xa1b2c3d4));
      const value = checkedValue(reader.key, reader.stored);
      effects.push({ type: "put", key: reader.key, value });
    } else if (code === operations.del) effects.push({ type: "del", key: reader.key });
    else if (code === operations.drop) {
      effects.push({ type: "drop", position: reader.position, oid: reader.oid });
    } else if (code === operations.flushAll) effects.push({ type: "flushAll" });
    else if (code === operations.flushDb) {
      effects.push({ type: "flushDb", db: reader.db, slot: reader.slot });
    } else read = reader.state;
  }
  return { nowMs: reader.nowMs, effects, ...(read === undefined ? {} : { state: read }) };
}

describe("an entry", () => {
  test("comes back as it was encoded", () => {
    fc.assert(
      fc.property(entry, (e) => {
        expect(decode(encodeEntry(e))).toEqual(e);
      }),
    );
  });

  test("does not depend on what the encoder held before", () => {
    const encoder = new EntryEncoder();
    fc.assert(
      fc.property(entry, entry, (unfinished, e) => {
        encoder.reset(unfinished.nowMs);
        for (const each of unfinished.effects) encoder.effect(each);
        encoder.reset(e.nowMs);
        for (const each of e.effects) encoder.effect(each);
        if (e.state !== undefined) encoder.state(e.state);
        expect(encoder.operations).toBe(e.effects.length + (e.state === undefined ? 0 : 1));
        const finished = encoder.finish();
        expect(encoder.bytes).toBe(finished.length);
        expect(finished).toEqual(encodeEntry(e));
      }),
    );
  });

  test("is a copy: the encoder's next entry does not show in it", () => {
    const encoder = new EntryEncoder();
    encoder.reset(1);
    encoder.put(Buffer.from("key"), Buffer.from("first"));
    const first = encoder.finish();
    const before = Buffer.from(first);
    encoder.reset(2);
    encoder.put(Buffer.from("key"), Buffer.from("other"));
    encoder.finish();
    expect(first).toEqual(before);
  });

  test("may be larger than the encoder's scratch, and the scratch is given back", () => {
    const encoder = new EntryEncoder();
    encoder.reset(3);
    const value = Buffer.alloc(700_000, 7);
    encoder.put(Buffer.from("a"), value);
    encoder.put(Buffer.from("b"), value);
    expect(decode(encoder.finish()).effects).toHaveLength(2);
    encoder.reset(4);
    encoder.del(Buffer.from("c"));
    expect(decode(encoder.finish())).toEqual({
      nowMs: 4,
      effects: [{ type: "del", key: Buffer.from("c") }],
    });
  });

  test("has a layout that does not change", () => {
    const payload = encodeEntry({
      nowMs: 0x010203040506,
      effects: [
        { type: "put", key: Buffer.from("1234"), value: Buffer.from("56789") },
        { type: "del", key: Buffer.from("k") },
        { type: "drop", position: 1, oid: 2 },
        { type: "flushAll" },
        { type: "flushDb", db: 3, slot: 4 },
      ],
    });
    expect(payload.toString("hex")).toBe(
      "01010203040506" +
        "010405313233343536373839cbf43926" +
        "02016b" +
        "0300000001000000000002" +
        "04" +
        "050304",
    );
  });
});

describe("is refused as damaged:", () => {
  const whole = encodeEntry({
    nowMs: 5,
    effects: [
      { type: "put", key: Buffer.from("key"), value: Buffer.from("value") },
      { type: "drop", position: 1, oid: 2 },
    ],
    state: {
      nextOid: 9,
      counts: Array.from({ length: 16 }, () => 1),
      slots: Array.from({ length: 16 }, (_, db) => db),
      maxNowMs: 5,
    },
  });

  test("another version", () => {
    const other = Buffer.from(whole);
    other[0] = 2;
    expect(() => decode(other)).toThrow(DamagedError);
  });

  test("an unknown operation, 0 included", () => {
    for (const code of [0, 7, 255]) {
      expect(() => decode(Buffer.concat([whole, Buffer.from([code])]))).toThrow(DamagedError);
    }
  });

  test("a key of no bytes, and lengths beyond the end", () => {
    const head = whole.subarray(0, 7);
    for (const tail of ["0200", "020561", "0201", "01017f61", "02ffffffffffffffffff01"]) {
      expect(() => decode(Buffer.concat([head, Buffer.from(tail, "hex")])), tail).toThrow(
        DamagedError,
      );
    }
  });

  test("every cut that is not between two operations", () => {
    const ends = new Set([7, 7 + 3 + 3 + 5 + 4, 7 + 15 + 11, whole.length]);
    for (let length = 0; length <= whole.length; length++) {
      const cut = whole.subarray(0, length);
      if (ends.has(length)) expect(() => decode(cut)).not.toThrow();
      else expect(() => decode(cut), `cut at ${length}`).toThrow(DamagedError);
    }
  });

  test("never any other error, whatever the bytes", () => {
    fc.assert(
      fc.property(bytes(0, 60), (noise) => {
        const reader = (): unknown => {
          const r = new EntryReader(Buffer.concat([Buffer.from([1]), noise]));
          while (r.next() !== operations.end);
          return undefined;
        };
        try {
          reader();
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedError);
        }
      }),
    );
  });
});
