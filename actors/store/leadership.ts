// Where leaders should be: each region's preferred node as long as that is up, any live voter's node
// when this one stops. It only asks for hand-overs; whether one happens is the replicas' business.

import type { Clock, TimerId } from "../system/clock.ts";
import type { Region } from "./region.ts";
import { preferredLeader, type MappedRegion } from "./region-map.ts";

/** How often leaders that stand on the wrong node are looked for, and how many move at once. */
const balanceMs = 1000;
const movesAtOnce = 4;
/**
 * A node that has come back leads again after it has been there this long, and a leadership stays where
 * it went for this long: the node that gave it away is perhaps about to stop and would get it back.
 */
const settledMs = 4000;
/** A target that did not take over in a term is left alone for this long: writes wait during each try. */
const retryMs = 10 * settledMs;
/** How long a stopping node waits for its successors. */
const handOverMs = 1000;

/** What leadership needs to know of the other nodes. */
export interface PeerNodes {
  /** Monotonic ms since when the node is up; undefined while it is down. */
  upSinceMs(nodeId: string): number | undefined;
  /** Compares the clocks; false while this node's is far from the others'. */
  mayLead(): boolean;
  /** False: that node's clock is far from the others', and it would not serve. */
  couldLead(nodeId: string): boolean;
}

export interface LeadershipPorts {
  readonly nodeId: string;
  readonly clock: Clock;
  readonly nodes: PeerNodes;
  /** Every region of the map, region 0 among them. */
  readonly mapped: () => Iterable<MappedRegion>;
  readonly replica: (regionId: number) => Region | undefined;
}

export class Leadership {
  readonly #ports: LeadershipPorts;
  /** By region: in which term it was first seen to lead here, and when (monotonic ms). */
  readonly #ledSince = new Map<number, { readonly term: number; readonly atMs: number }>();
  /** By region: the last hand-over to its preferred node; that it leads in this term tells it failed. */
  readonly #tried = new Map<
    number,
    { readonly term: number; readonly to: string; readonly atMs: number }
  >();
  #timer: TimerId;
  #stopped = false;

  constructor(ports: LeadershipPorts) {
    this.#ports = ports;
  }

  start(): void {
    this.#timer = this.#ports.clock.setTimeout(() => {
      if (this.#stopped) return;
      if (this.#ports.nodes.mayLead()) this.#balance();
      else this.#giveAll();
      this.start();
    }, balanceMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#ports.clock.clearTimeout(this.#timer);
  }

  /** A few at a time, of what has been here for a while, and only to nodes that have settled. */
  #balance(): void {
    const { nodes, clock, nodeId, mapped, replica } = this.#ports;
    const nowMs = clock.monotonicMs();
    let moves = 0;
    for (const region of mapped()) {
      const leader = replica(region.regionId);
      if (leader?.serving !== true) {
        this.#ledSince.delete(region.regionId);
        continue;
      }
      if (nowMs - this.#seenLeading(leader, nowMs) < settledMs) continue;
      const to = preferredLeader(region);
      const upSinceMs = nodes.upSinceMs(to);
      if (to === nodeId || upSinceMs === undefined || nowMs - upSinceMs < settledMs) continue;
      if (!nodes.couldLead(to) || this.#hasFailed(leader, to, nowMs)) continue;
      if (moves === movesAtOnce) continue;
      this.#tried.set(region.regionId, { term: leader.term, to, atMs: nowMs });
      leader.inbox.transferTo(to);
      moves++;
    }
  }

  /** It was lately asked to take over in this term, and did not. */
  #hasFailed({ regionId, term }: Region, to: string, nowMs: number): boolean {
    const tried = this.#tried.get(regionId);
    return tried?.term === term && tried.to === to && nowMs - tried.atMs < retryMs;
  }

  /** Since when this leader is known to lead in its term. */
  #seenLeading({ regionId, term }: Region, nowMs: number): number {
    const seen = this.#ledSince.get(regionId);
    if (seen?.term === term) return seen.atMs;
    this.#ledSince.set(regionId, { term, atMs: nowMs });
    return nowMs;
  }

  /** Gives every leadership away that somebody live can take; resolves when done, or after a second. */
  async handOver(): Promise<void> {
    // Otherwise the balance would bring back what is given away.
    this.stop();
    const { clock } = this.#ports;
    const deadlineMs = clock.monotonicMs() + handOverMs;
    while (!this.#led().next().done && clock.monotonicMs() < deadlineMs) {
      // Again and again: a replica that has just won cannot give away before its no-op is committed.
      this.#giveAll();
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 10));
    }
  }

  #giveAll(): void {
    for (const region of this.#led()) {
      const successors = this.#successors(region);
      const to = successors[region.regionId % successors.length];
      if (to !== undefined) region.inbox.transferTo(to);
    }
  }

  /** Regions led here that somebody else could lead. */
  *#led(): Generator<Region> {
    for (const { regionId } of this.#ports.mapped()) {
      const region = this.#ports.replica(regionId);
      if (region?.role !== "leader") continue;
      if (this.#successors(region).length > 0) yield region;
    }
  }

  /** Live nodes with another voter of the region and the right time. */
  #successors(region: Region): string[] {
    const { nodes, nodeId } = this.#ports;
    const voters = region.raft?.membership.voters ?? [];
    return voters
      .map((voter) => region.nodeOf(voter))
      .filter((at): at is string => at !== undefined && at !== nodeId)
      .filter((at) => nodes.upSinceMs(at) !== undefined && nodes.couldLead(at));
  }
}
