// What the replicas of a region hold, compared byte for byte once all have applied the same: the
// replicated spaces without the dataIds, which are each store's own.

import { isDeepStrictEqual } from "node:util";
import { emptyCounters } from "../../actors/store/recover.ts";
import type { RegionMeta } from "../../storage/local-records.ts";
import { spaceRange } from "../../storage/key-ranges.ts";
import { checksumLength, spaces } from "../../storage/keys.ts";
import { decodeRegionState } from "../../storage/region-state.ts";
import type { NodeProcess, SimulatedNode } from "./process.ts";
import { kinds, type Timeline } from "./timeline.ts";

/** Chunks of dropped objects go when each store finds the time; they are not compared. */
const compared = [spaces.meta, spaces.ttl, spaces.region, spaces.placement];

type Until = (done: () => boolean, what: string) => void;

/** Where two replicas of a region differ. */
export function findDifference(
  timeline: Timeline,
  nodes: readonly SimulatedNode[],
  until: Until,
): string | undefined {
  const first = new Map<number, { nodeId: string; contents: Map<string, string> }>();
  for (const { process, nodeId } of nodes) {
    if (process === undefined) continue;
    const pairs = read(timeline, process, until);
    for (const region of process.store.directory.replicas()) {
      const contents = contentsOf(region.applied.meta, pairs);
      const other = first.get(region.regionId);
      if (other === undefined) first.set(region.regionId, { nodeId, contents });
      else {
        const difference = compare(region.regionId, other, { nodeId, contents });
        if (difference !== undefined) return difference;
      }
    }
  }
  return undefined;
}

interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
}

function read(timeline: Timeline, process: NodeProcess, until: Until): Pair[] {
  const found: Pair[] = [];
  let missing = compared.length;
  timeline.happen(process.life, kinds.engine, () => {
    const { engine } = process.store.handles.opened();
    for (const space of compared) {
      const iterator = engine.iterate(spaceRange(space));
      void iterator.next(1_000_000).then((pairs) => {
        found.push(...pairs);
        missing--;
        return iterator.end();
      });
    }
  });
  until(() => missing === 0, "the engine is read");
  return found;
}

function contentsOf(meta: RegionMeta, pairs: readonly Pair[]): Map<string, string> {
  const dataIds = new Set(meta.extents.flatMap((extent) => [extent.dataId, extent.controlDataId]));
  const contents = new Map<string, string>();
  for (const { key, value } of pairs) {
    if (!dataIds.has(key.readUInt32BE(1))) continue;
    if (key[0] === spaces.region && isEmptyState(value)) continue;
    contents.set(`${key.toString("hex", 0, 1)} ${key.toString("hex", 5)}`, value.toString("hex"));
  }
  return contents;
}

/** A region that holds nothing may say so or not. */
function isEmptyState(stored: Buffer): boolean {
  const state = decodeRegionState(stored.subarray(0, -checksumLength));
  return isDeepStrictEqual(state, emptyCounters());
}

interface Side {
  readonly nodeId: string;
  readonly contents: ReadonlyMap<string, string>;
}

function compare(regionId: number, a: Side, b: Side): string | undefined {
  for (const key of new Set([...a.contents.keys(), ...b.contents.keys()])) {
    const [one, other] = [a.contents.get(key), b.contents.get(key)];
    if (one === other) continue;
    return `region ${regionId}: ${a.nodeId} and ${b.nodeId} differ at ${key}: ${one} and ${other}`;
  }
  return undefined;
}
