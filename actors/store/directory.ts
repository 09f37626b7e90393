// The regions of this store as others find them: ranges in order of position, and the replica that
// serves each while it lives. The gateway asks it for every command; the server fills it.

import type { RegionEvent, RegionRoute } from "./protocol.ts";
import type { Region } from "./region.ts";

/** One region of the map; `ref` is undefined while its replica is down. */
export interface DirectoryEntry extends RegionRoute {
  readonly replicaId: number;
  ref: { send(event: RegionEvent): void } | undefined;
  region: Region | undefined;
}

export class RegionDirectory {
  #entries: DirectoryEntry[] = [];
  readonly #byId = new Map<number, DirectoryEntry>();

  /** Replaces the map: regions that tile all positions, in any order. */
  setMap(regions: ReadonlyArray<RegionRoute & { readonly replicaId: number }>): void {
    this.#entries = regions
      .map((route) => ({ ...route, ref: undefined, region: undefined }))
      .toSorted((a, b) => a.fromPosition - b.fromPosition);
    this.#byId.clear();
    for (const entry of this.#entries) this.#byId.set(entry.regionId, entry);
  }

  /** Empty while the store does not run. */
  all(): readonly DirectoryEntry[] {
    return this.#entries;
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
  }

  /** Forgets a replica that ended, unless a newer one has taken its place. */
  detach(region: Region): void {
    const entry = this.#byId.get(region.regionId);
    if (entry === undefined || entry.region !== region) return;
    entry.ref = undefined;
    entry.region = undefined;
  }
}
