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
  /** Region 0 itself; its range means nothing. */
  readonly metadata: MappedRegion;
  readonly regions: readonly MappedRegion[];
}

/**
 * The map of a new store: region 0 and the data regions, each with a voter on every bootstrap node, or
 * on `replicas` of them, spread evenly. A pure function of what the nodes pledged: each computes it
 * for itself and gets the same replicaIds.
 */
export function initialMap(
  nodeIds: readonly string[],
  regions: readonly InitialRegion[],
  hashTags: boolean,
  replicas: number,
): RegionMap {
  const nodes = nodeIds.toSorted();
  let nextReplicaId = 1;
  const votersOf = (regionId: number): MappedRegion["voters"] => {
    const count = Math.min(replicas, nodes.length);
    return Array.from({ length: count }, (_, i) => ({
      replicaId: nextReplicaId++,
      nodeId: nodes[(regionId + i) % nodes.length] ?? "",
    }));
  };
  const metadata: MappedRegion = {
    regionId: 0,
    fromPosition: 0,
    toPosition: 0xffffffff,
    epoch: 1,
    voters: votersOf(0),
  };
  const mapped = regions.map((region): MappedRegion => ({
    ...region,
    epoch: 1,
    voters: votersOf(region.regionId),
  }));
  return { regionCount: regions.length, hashTags, nextReplicaId, metadata, regions: mapped };
}

/** The node that should lead a region as long as it lives: the first of its voters. */
export function preferredLeader(region: MappedRegion): string {
  return region.voters[0]?.nodeId ?? "";
}

/** Regions in one record, so that no entry or value grows with their number. */
const regionsPerPage = 512;

/** Logical key of a page of the map; page 0 is the header. */
export const mapPageKey = (page: number): Buffer => placementKey(page);

/** The effects that store the map: a header and pages of regions. */
export function mapEffects(map: RegionMap): Effect[] {
  const pages = Math.ceil(map.regions.length / regionsPerPage);
  const { regionCount, hashTags, nextReplicaId, metadata } = map;
  const voters = packVoters(metadata.voters);
  const header = pack([2, regionCount, hashTags, nextReplicaId, pages, voters]);
  const effects: Effect[] = [{ type: "put", key: mapPageKey(0), value: header }];
  for (let page = 0; page < pages; page++) {
    const regions = map.regions.slice(page * regionsPerPage, (page + 1) * regionsPerPage);
    const value = pack(
      regions.map((region) => [
        region.regionId,
        region.fromPosition,
        region.toPosition,
        region.epoch,
        packVoters(region.voters),
      ]),
    );
    effects.push({ type: "put", key: mapPageKey(page + 1), value });
  }
  return effects;
}

const packVoters = (voters: MappedRegion["voters"]): PackedVoters =>
  voters.map(({ replicaId, nodeId }) => [replicaId, nodeId]);

const unpackVoters = (voters: PackedVoters): MappedRegion["voters"] =>
  voters.map(([replicaId, nodeId]) => ({ replicaId, nodeId }));

type PackedVoters = Array<[number, string]>;
type Header = [number, number, boolean, number, number, PackedVoters | undefined];
type PackedRegion = [number, number, number, number, PackedVoters];

/** Reads the map through `read` (page number to value); undefined when there is none yet. */
export async function readMap(
  read: (page: number) => Promise<Buffer | undefined>,
): Promise<RegionMap | undefined> {
  const stored = await read(0);
  if (stored === undefined) return undefined;
  const header = unpack(stored) as Header;
  const [version, regionCount, hashTags, nextReplicaId, pages] = header;
  if (version !== 1 && version !== 2) {
    throw new DamagedError(`region map of unknown version ${version}`, "region 0");
  }
  const regions: MappedRegion[] = [];
  for (let page = 1; page <= pages; page++) {
    const value = await read(page);
    if (value === undefined) throw new DamagedError(`region map lacks page ${page}`, "region 0");
    for (const packed of unpack(value) as PackedRegion[]) {
      const [regionId, fromPosition, toPosition, epoch, voters] = packed;
      regions.push({ regionId, fromPosition, toPosition, epoch, voters: unpackVoters(voters) });
    }
  }
  // The first release named no voters of region 0: they were on the only node there was.
  const nodeId = regions[0]?.voters[0]?.nodeId ?? "";
  const voters = unpackVoters(header[5] ?? [[1, nodeId]]);
  const metadata = { regionId: 0, fromPosition: 0, toPosition: 0xffffffff, epoch: 1, voters };
  return { regionCount, hashTags, nextReplicaId, metadata, regions };
}
