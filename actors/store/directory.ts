// The regions as this store knows them: ranges in order of position, the replica here while it lives,
// and who leads as far as anybody said. The gateway routes by it, messages and heartbeats find their
// replica in it; the server, the replicas and the link fill it.

import type { Places, RegionEvent, RegionPlace, RegionRoute } from "./protocol.ts";
import type { Region } from "./region.ts";

/** One region of the map; `ref` is undefined while its replica is down. */
export interface DirectoryEntry extends RegionPlace {
  /** The replica here; 0 = none. */
  readonly replicaId: number;
  ref: { send(event: RegionEvent): void } | undefined;
  region: Region | undefined;
  isLeader: boolean;
  leaderNode: string | undefined;
  term: number;
  recoveredTerm: number;
}

/** What is known of a region before any replica runs. */
export type DirectoryRegion = RegionRoute & {
  readonly replicaId: number;
  readonly peers: readonly string[];
};

const entryOf = (region: DirectoryRegion): DirectoryEntry => ({
  ...region,
  ref: undefined,
  region: undefined,
  isLeader: false,
  leaderNode: undefined,
  term: 0,
  recoveredTerm: Infinity,
});

export class RegionDirectory {
  #entries: DirectoryEntry[] = [];
  readonly #byId = new Map<number, DirectoryEntry>();
  readonly #nodeId: string;
  #listener: Parameters<Places["onChange"]>[0] | undefined;

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  /** Replaces the map: regions that tile all positions, in any order, and region 0 beside them. */
  setMap(metadata: DirectoryRegion, regions: readonly DirectoryRegion[]): void {
    this.#entries = regions.map(entryOf).toSorted((a, b) => a.fromPosition - b.fromPosition);
    this.#byId.clear();
    for (const entry of [entryOf(metadata), ...this.#entries]) {
      this.#byId.set(entry.regionId, entry);
    }
  }

  /** Hears every change of who serves a region, inside the step that makes it. */
  onChange(listener: Parameters<Places["onChange"]>[0]): void {
    this.#listener = listener;
  }

  /** The regions that hold keys; empty while the store does not run. */
  all(): readonly DirectoryEntry[] {
    return this.#entries;
  }

  byId(regionId: number): DirectoryEntry | undefined {
    return this.#byId.get(regionId);
  }

  /** The replica of a region here, while it lives. */
  replica(regionId: number): Region | undefined {
    return this.#byId.get(regionId)?.region;
  }

  /** Every replica here that lives, region 0's among them. */
  *replicas(): Iterable<Region> {
    for (const { region } of this.#byId.values()) if (region !== undefined) yield region;
  }

  /** The region that owns a position (u32). */
  regionOf(position: number): DirectoryEntry | undefined {
    const entries = this.#entries;
    let low = 0;
    let high = entries.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const entry = entries[middle];
      if (entry !== undefined && entry.fromPosition <= position) low = middle;
      else high = middle - 1;
    }
    return entries[low];
  }

  attach(region: Region, ref: { send(event: RegionEvent): void }): void {
    const entry = this.#byId.get(region.regionId);
    if (entry === undefined) return;
    entry.ref = ref;
    entry.region = region;
    this.noteRole(region);
  }

  /** Forgets a replica that ended, unless a newer one has taken its place. */
  detach(region: Region): void {
    const entry = this.#byId.get(region.regionId);
    if (entry === undefined || entry.region !== region) return;
    entry.ref = undefined;
    entry.region = undefined;
    this.#note(entry, undefined, entry.term);
  }

  /** The replica here has another role, term or leader. */
  noteRole(region: Region): void {
    const entry = this.#byId.get(region.regionId);
    if (entry === undefined || entry.region !== region) return;
    const isLeader = region.role === "leader";
    entry.recoveredTerm = region.recoveredTerm;
    this.#note(entry, isLeader ? this.#nodeId : region.leaderNode, region.term);
  }

  /** A node says that it leads a region; only news where no replica here knows better. */
  noteLeader(regionId: number, nodeId: string, term: number): void {
    const entry = this.#byId.get(regionId);
    if (entry === undefined || entry.region !== undefined || term < entry.term) return;
    this.#note(entry, nodeId, term);
  }

  /** A node is gone, or another process now: what it led has no known leader. */
  forgetLeader(nodeId: string): void {
    for (const entry of this.#byId.values()) {
      if (entry.region !== undefined || entry.leaderNode !== nodeId) continue;
      this.#note(entry, undefined, entry.term);
    }
  }

  #note(entry: DirectoryEntry, leaderNode: string | undefined, term: number): void {
    const isLeader = leaderNode === this.#nodeId && entry.ref !== undefined;
    const isSame =
      entry.isLeader === isLeader && entry.leaderNode === leaderNode && entry.term === term;
    entry.isLeader = isLeader;
    entry.leaderNode = leaderNode;
    entry.term = term;
    // A new actor of the same role is news as well: what was sent to the old one is answered.
    if (!isSame || isLeader) this.#listener?.(entry);
  }
}
