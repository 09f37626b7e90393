// What region 0 holds for the whole cluster: the region map, and the stores with their disks and
// addresses. Its leader writes them; every replica of region 0 reads them from its own engine. It
// decides nothing about placement.

import { pack, unpack } from "msgpackr";
import { checkedValue, physicalKey, placementKey } from "../../storage/keys.ts";
import type { Effect } from "../../storage/keyspace/effects.ts";
import type { NodeInfo } from "../cluster/protocol.ts";
import { dataIdOfRegion } from "./apply.ts";
import type { StoreHandles } from "./handles.ts";
import type { Region } from "./region.ts";
import { mapEffects, mapPageKey, readMap, type RegionMap } from "./region-map.ts";

/** Far behind the pages of the map. */
const storesKey = placementKey(0x8000_0000);

type PackedStores = [version: 1, stores: Array<[string, string, number, string, string]>];

export interface PlacementPorts {
  readonly handles: StoreHandles;
  /** Region 0's replica here. */
  readonly metadata: () => Region | undefined;
}

export class PlacementRecords {
  readonly #ports: PlacementPorts;
  #isWriting = false;

  constructor(ports: PlacementPorts) {
    this.#ports = ports;
  }

  /** Writes the map if nobody has yet; it is the same whoever does. Only region 0's leader is asked. */
  async publishMap(map: RegionMap): Promise<void> {
    if ((await readMap((page) => this.#read(mapPageKey(page)))) !== undefined) return;
    // One page a proposal keeps every entry small, whatever the number of regions; the header
    // comes last, so that a half-written map reads as none and is written again.
    for (const effect of mapEffects(map).toReversed()) {
      // Deposed meanwhile: the next leader writes it.
      if (!(await this.#propose(effect))) return;
    }
  }

  /** The stores that ever registered, by nodeId. */
  async stores(): Promise<NodeInfo[]> {
    const stored = await this.#read(storesKey);
    if (stored === undefined) return [];
    const [, stores] = unpack(stored) as PackedStores;
    return stores.map(([nodeId, incarnation, epoch, respAddress, httpAddress]) => ({
      nodeId,
      incarnation,
      epoch,
      respAddress,
      httpAddress,
    }));
  }

  /** Region 0's leader keeps the record of the stores it sees up to date; none is ever dropped here. */
  async register(seen: readonly NodeInfo[]): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      const known = await this.stores();
      const byId = new Map(known.map((info) => [info.nodeId, info]));
      for (const info of seen) {
        const old = byId.get(info.nodeId);
        if (old === undefined || old.epoch <= info.epoch) byId.set(info.nodeId, info);
      }
      const stores = [...byId.values()].toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
      if (isSame(known, stores)) return;
      const packed: PackedStores = [
        1,
        stores.map((s) => [s.nodeId, s.incarnation, s.epoch, s.respAddress, s.httpAddress]),
      ];
      await this.#propose({ type: "put", key: storesKey, value: pack(packed) });
    } finally {
      this.#isWriting = false;
    }
  }

  /** True when it is committed. */
  #propose(effect: Effect): Promise<boolean> {
    return new Promise((resolve) => {
      const region = this.#ports.metadata();
      if (region === undefined) return resolve(false);
      region.handle({
        type: "region.propose",
        effects: [effect],
        settle: (error) => resolve(error === undefined),
      });
    });
  }

  async #read(logical: Buffer): Promise<Buffer | undefined> {
    const region = this.#ports.metadata();
    if (region?.raft === undefined) return undefined;
    const { engine } = this.#ports.handles.opened();
    const dataId = dataIdOfRegion(region.applied.meta);
    const [stored] = await engine.getMany([physicalKey(logical, dataId)]);
    return stored === undefined ? undefined : checkedValue(logical, stored);
  }
}

const isSame = (a: readonly NodeInfo[], b: readonly NodeInfo[]): boolean =>
  a.length === b.length &&
  a.every((info, i) => {
    const other = b[i];
    return (
      other !== undefined &&
      info.nodeId === other.nodeId &&
      info.incarnation === other.incarnation &&
      info.epoch === other.epoch &&
      info.respAddress === other.respAddress &&
      info.httpAddress === other.httpAddress
    );
  });
