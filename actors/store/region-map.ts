// The region map as region 0 keeps it: how many regions there were at bootstrap, and each region's
// range and replicas. Placement metadata is replicated like any data; only its space byte differs.

import { pack, unpack } from "msgpackr";
import { DamagedError } from "../../storage/errors.ts";
import { placementKey } from "../../storage/keys.ts";
import type { InitialRegion } from "../../storage/position.ts";
import type { Effect } from "../../storage/keyspace/effects.ts";

/** One region of the map. */
export interface MappedRegion {
  readonly regionId: number;
  /** Positions (u32), both inclusive. */
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly epoch: number;
  /** Which replica of which node votes in it; replicaIds are never reused. */
  readonly voters: ReadonlyArray<{ readonly replicaId: number; readonly nodeId: string }>;
}

/** What region 0 holds. */
export interface RegionMap {
  /** Regions at bootstrap (M of the hash rule); fixed for ever. */
  readonly regionCount: number;
  readonly hashTags: boolean;
  readonly nextReplicaId: number;
  readonly regions: readonly MappedRegion[];
}

/** replicaId of region 0's first replica. */
export const firstReplicaId = 1;

/** The map of a new store: every region on this one node. */
export function initialMap(
  nodeId: string,
  regions: readonly InitialRegion[],
  hashTags: boolean,
): RegionMap {
  let nextReplicaId = firstReplicaId + 1;
  const mapped = regions.map((region): MappedRegion => {
    const voters = [{ replicaId: nextReplicaId++, nodeId }];
    return { ...region, epoch: 1, voters };
  });
  return { regionCount: regions.length, hashTags, nextReplicaId, regions: mapped };
}

/** Regions in one record, so that no entry or value grows with their number. */
const regionsPerPage = 512;

/** Logical key of a page of the map; page 0 is the header. */
export const mapPageKey = (page: number): Buffer => placementKey(page);

/** The effects that store the map: a header and pages of regions. */
export function mapEffects(map: RegionMap): Effect[] {
  const pages = Math.ceil(map.regions.length / regionsPerPage);
  const { regionCount, hashTags, nextReplicaId } = map;
  const header = pack([1, regionCount, hashTags, nextReplicaId, pages]);
  const effects: Effect[] = [{ type: "put", key: mapPageKey(0), value: header }];
  for (let page = 0; page < pages; page++) {
    const regions = map.regions.slice(page * regionsPerPage, (page + 1) * regionsPerPage);
    const value = pack(
      regions.map((region) => [
        region.regionId,
        region.fromPosition,
        region.toPosition,
        region.epoch,
        region.voters.map((voter) => [voter.replicaId, voter.nodeId]),
      ]),
    );
    effects.push({ type: "put", key: mapPageKey(page + 1), value });
  }
  return effects;
}

type Header = [number, number, boolean, number, number];
type PackedRegion = [number, number, number, number, Array<[number, string]>];

/** Reads the map through `read` (page number to value); undefined when there is none yet. */
export async function readMap(
  read: (page: number) => Promise<Buffer | undefined>,
): Promise<RegionMap | undefined> {
  const stored = await read(0);
  if (stored === undefined) return undefined;
  const [version, regionCount, hashTags, nextReplicaId, pages] = unpack(stored) as Header;
  if (version !== 1) throw new DamagedError(`region map of unknown version ${version}`, "region 0");
  const regions: MappedRegion[] = [];
  for (let page = 1; page <= pages; page++) {
    const value = await read(page);
    if (value === undefined) throw new DamagedError(`region map lacks page ${page}`, "region 0");
    for (const [regionId, fromPosition, toPosition, epoch, voters] of unpack(
      value,
    ) as PackedRegion[]) {
      regions.push({
        regionId,
        fromPosition,
        toPosition,
        epoch,
        voters: voters.map(([replicaId, nodeId]) => ({ replicaId, nodeId })),
      });
    }
  }
  return { regionCount, hashTags, nextReplicaId, regions };
}
