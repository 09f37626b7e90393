// The order in which a batch's operations are put into RocksDB: near their neighbours. A memtable is
// a list that is searched from where the last insertion was, so that keys that come sorted cost half
// of what keys that come at random do. It compares no whole keys: nearly sorted is enough.

import type { WriteOperation } from "./engine.ts";

/** Fewer are not worth it. */
const minOperations = 64;
/** What fits beside 40 bits of a key into the 53 bits of a double. */
const runOperations = 8192;
/** Of a physical key: the low half of its `dataId`, and then what it is ordered by. */
const firstByte = 3;
const prefixBytes = 5;

const ranks = new Float64Array(runOperations);

/**
 * Calls `visit` once for each operation. Those on one key come in the order given, so that the last of
 * them counts; others may change places, which nobody sees: a batch is written as a whole.
 */
export function visitNearby(
  operations: readonly WriteOperation[],
  visit: (operation: WriteOperation) => void,
): void {
  if (operations.length < minOperations) {
    for (const operation of operations) visit(operation);
    return;
  }
  for (let from = 0; from < operations.length; from += runOperations) {
    const count = Math.min(runOperations, operations.length - from);
    for (let i = 0; i < count; i++) {
      const operation = operations[from + i];
      if (operation !== undefined) ranks[i] = rankOf(operation.key) * runOperations + i;
    }
    const sorted = ranks.subarray(0, count).toSorted();
    for (let i = 0; i < count; i++) {
      const operation = operations[from + ((sorted[i] ?? 0) % runOperations)];
      if (operation !== undefined) visit(operation);
    }
  }
}

/** Equal for equal keys, and nearly in the order of keys. Local records are short, and few. */
function rankOf(key: Buffer): number {
  return key.length < firstByte + prefixBytes ? 0 : key.readUIntBE(firstByte, prefixBytes);
}
