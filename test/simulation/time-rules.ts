// What must hold while the wall clock of a minority of nodes is wrong (`safety.md` 26): such a node does
// not stand for election, and no region goes by its time. Looked at after every event of a node, beside
// the rules of `invariants.ts`; runs in which several clocks may be wrong at once have no such rules.

import { clockSkewMaxMs } from "../../actors/cluster/protocol.ts";
import { require } from "./invariants.ts";
import type { NodeProcess, SimulatedNode } from "./process.ts";
import type { Timeline } from "./timeline.ts";

/** A node that looks at its clock ten times a second has done so by then, ms. */
const noticedMs = 300;
/** A longer silence means that the process was paused or slow, ms. */
const gapMs = 150;
/** For late heartbeats and oscillators that are off, ms. */
const slackMs = 2000;

/** What is known of a node's process. */
interface Watched {
  readonly process: NodeProcess;
  errorMs: number;
  /** Since when it could see, without a pause, that its clock is wrong; Infinity = it cannot. */
  wrongSinceMs: number;
  lastEventMs: number;
  /** Of its replicas, by region. */
  readonly roles: Map<number, string>;
}

export class TimeRules {
  readonly #timeline: Timeline;
  readonly #nodes: readonly SimulatedNode[];
  /** What a right wall clock shows at the beginning, ms. */
  readonly #startMs: number;
  readonly #watched: Array<Watched | undefined>;

  constructor(timeline: Timeline, nodes: readonly SimulatedNode[]) {
    this.#timeline = timeline;
    this.#nodes = nodes;
    const shown = nodes.map(({ clock }) => clock.wallMs() - clock.wallErrorMs);
    this.#startMs = Math.max(...shown) - timeline.nowMs;
    this.#watched = nodes.map(() => undefined);
  }

  check(nodeIndex: number): void {
    const process = this.#nodes[nodeIndex]?.process;
    if (process === undefined) return;
    const watched = this.#watch(process);
    const mayStand = this.#timeline.nowMs - watched.wrongSinceMs < noticedMs;
    const latestMs = this.#startMs + this.#timeline.nowMs + clockSkewMaxMs + slackMs;
    const { directory } = process.store;
    for (const regionId of [0, ...directory.all().map((each) => each.regionId)]) {
      const region = directory.replica(regionId);
      const role = region?.raft?.role ?? "follower";
      const stands = role === "preCandidate" || role === "candidate";
      if (stands && (watched.roles.get(regionId) ?? "follower") === "follower") {
        require(mayStand, () =>
          `${process.node.nodeId} region ${regionId}: it stands for election with a wrong clock`);
      }
      watched.roles.set(regionId, role);
      if (region?.raft === undefined) continue;
      const aheadMs = region.applied.counters.maxNowMs - latestMs;
      require(aheadMs <= 0, () =>
        `${process.node.nodeId} region ${regionId}: it goes by a wrong clock, ${aheadMs} ms too late`);
    }
  }

  #watch(process: NodeProcess): Watched {
    const { node } = process;
    const { nowMs } = this.#timeline;
    const { wallErrorMs } = node.clock;
    let watched = this.#watched[node.index];
    if (watched?.process !== process) {
      const roles = new Map<number, string>();
      watched = { process, errorMs: 0, wrongSinceMs: Infinity, lastEventMs: nowMs, roles };
      this.#watched[node.index] = watched;
    }
    const goesOn = watched.errorMs === wallErrorMs && nowMs - watched.lastEventMs < gapMs;
    if (wallErrorMs === 0 || !hearsOthers(process)) watched.wrongSinceMs = Infinity;
    else if (!goesOn || watched.wrongSinceMs === Infinity) watched.wrongSinceMs = nowMs;
    watched.errorMs = wallErrorMs;
    watched.lastEventMs = nowMs;
    return watched;
  }
}

/** Two others, who are right, and it knows that it is the one who is not. */
function hearsOthers({ cluster }: NodeProcess): boolean {
  return cluster.nodes.others().filter(({ isUp }) => isUp).length >= 2;
}
