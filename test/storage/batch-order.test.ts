// The order in which a batch goes to RocksDB: every operation once, those on one key as given, and
// neighbours together.

import { describe, expect, test } from "vitest";

import { visitNearby } from "../../storage/batch-order.ts";
import type { WriteOperation } from "../../storage/engine.ts";
import { physicalMetaKey } from "../../storage/keys.ts";
import { seededRandom } from "../simulation/disk.ts";

const put = (key: Buffer): WriteOperation => ({ type: "put", key, value: Buffer.from("value") });

function visited(operations: readonly WriteOperation[]): WriteOperation[] {
  const order: WriteOperation[] = [];
  visitNearby(operations, (operation) => order.push(operation));
  return order;
}

/** Keys of a few regions, most of them several times, and a local record now and then. */
function randomBatch(count: number, seed: number): WriteOperation[] {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  return Array.from({ length: count }, () => {
    const position = below(count / 4) * 0x1234567;
    const key = physicalMetaKey(below(3) + 1, position % 0x100000000, 7, 0, Buffer.from("key"));
    return put(below(50) === 0 ? Buffer.from([3, 0, 0, 0, below(4)]) : key);
  });
}

describe("a batch for RocksDB", () => {
  test.each([0, 1, 63, 64, 1000, 8192, 8193, 20_000])(
    "of %d operations has each of them once, those on one key in order",
    (count) => {
      const operations = randomBatch(count, count + 1);
      const order = visited(operations);
      expect(new Set(order)).toEqual(new Set(operations));
      expect(order).toHaveLength(count);
      const seen = new Map<string, number>();
      const numbers = new Map(operations.map((operation, number) => [operation, number]));
      for (const operation of order) {
        const key = operation.key.toString("latin1");
        const number = numbers.get(operation) ?? -1;
        expect(number).toBeGreaterThan(seen.get(key) ?? -1);
        seen.set(key, number);
      }
    },
  );

  test("comes in the order of positions", () => {
    const keys = visited(randomBatch(1000, 7)).map(({ key }) => key);
    const long = keys.filter(({ length }) => length > 8).map((key) => key.readUIntBE(3, 5));
    expect(long).toEqual(long.toSorted((a, b) => a - b));
  });
});
