// The filter that spares a leader reads of keys that were never written: whatever it is given and
// however it ends, it never says that a key is absent which is there.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { KeyFilter } from "../../../actors/store/key-filter.ts";
import { keyBucket, physicalMetaKey } from "../../../storage/keys.ts";

const physical = (slot: number, key: Buffer): Buffer =>
  physicalMetaKey(77, 123_456, keyBucket(key), slot, key);

const add = (filter: KeyFilter, slot: number, name: string): void =>
  filter.add(physical(slot, Buffer.from(name, "latin1")));

describe("a filter of keys", () => {
  it("holds every key it was given, of any bytes and in any slot", () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((key) => Buffer.from(key));
    const keys = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), bytes), { maxLength: 400 });
    fc.assert(
      fc.property(keys, (given) => {
        const filter = new KeyFilter();
        for (const [slot, key] of given) filter.add(physical(slot, key));
        for (const [slot, key] of given) {
          expect(filter.mayHold(slot, key.toString("latin1"))).toBe(true);
        }
      }),
    );
  });

  it("knows of nearly all others that they are absent, and of the same key in another slot", () => {
    const filter = new KeyFilter();
    for (let i = 0; i < 10_000; i++) add(filter, 3, `key:${i}`);
    let held = 0;
    for (let i = 0; i < 10_000; i++) {
      if (filter.mayHold(3, `other:${i}`) || filter.mayHold(4, `key:${i}`)) held++;
    }
    expect(held).toBeLessThan(3);
    expect(new KeyFilter().mayHold(0, "")).toBe(false);
  });

  it("says yes to everything when there are more than it takes", () => {
    const filter = new KeyFilter();
    for (let i = 0; i < 262_144; i++) add(filter, 0, `k${i}`);
    expect(filter.mayHold(0, "never")).toBe(false);
    // Two keys may have one fingerprint: a few more are needed than the bound.
    for (let i = 262_144; i < 262_344; i++) add(filter, 0, `k${i}`);
    expect(filter.mayHold(0, "never")).toBe(true);
  });

  it("says yes to everything rather than search long among keys chosen to meet", () => {
    const filter = new KeyFilter();
    const near = [0, 1, 2, 3].flatMap((place) => namesAt(place, 50));
    for (const name of near) add(filter, 0, name);
    expect(filter.mayHold(0, "never")).toBe(true);
    for (const name of near) expect(filter.mayHold(0, name)).toBe(true);
  });

  it("loses none when they meet only in a larger table", () => {
    // They fit a table of 256, round its end; put into one of 512 in the order they stand there, one
    // finds 128 others in its way.
    const filter = new KeyFilter();
    const names = [...namesAt(510, 10), ...namesAt(511, 119)];
    for (const name of names) add(filter, 0, name);
    // What they lost would still be hidden behind the others; in the next table there is room between
    // them again, which keys from elsewhere bring about.
    for (let place = 200; place < 400; place++) add(filter, 0, namesAt(place, 1)[0]!);
    expect(names.filter((name) => !filter.mayHold(0, name))).toEqual([]);
  });
});

/** So many keys that the filter looks for from this place on, in a table of 512. */
function namesAt(place: number, count: number): string[] {
  const names: string[] = [];
  for (let i = 0; names.length < count; i++) if (placeIn512(`${i}`) === place) names.push(`${i}`);
  return names;
}

/** Where the filter begins to look, in a table of 512: FNV-1a and MurmurHash3's finalizer. */
function placeIn512(name: string): number {
  let hash = Math.imul(0x811c9dc5, 0x01000193);
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) & 511;
}
