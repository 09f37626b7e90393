// One random history from its seed to its judgement: faults for a while, then healing, then the demand
// that the group comes to rest alike and works. It stands between `raft-world.ts` and whoever runs many.

import { isMember } from "../../actors/raft/reconfiguration.ts";
import type { RaftNode } from "./raft-node.ts";
import { Broken } from "./raft-rules.ts";
import { RaftWorld } from "./raft-world.ts";

/** What a history was, for tests that ask whether it was worth something. */
export interface RaftReport {
  readonly seed: number;
  readonly steps: number;
  readonly leaders: number;
  readonly committed: number;
  readonly leaseReads: number;
  readonly roundReads: number;
  readonly snapshots: number;
  readonly memberships: number;
  readonly transfers: number;
  readonly crashes: number;
}

/** How long the faults go on, simulated ms. */
const faultsMs = 20_000;

/** One history: faults, healing, judgement. Throws Broken when a rule does not hold. */
export function runHistory(seed: number): RaftReport {
  const world = new RaftWorld(seed);
  world.faults.begin();
  world.runFor(faultsMs);
  world.faults.heal();
  demandLiveness(world);
  const { rules, counts } = world;
  const { leaseReads, roundReads, maxCommitted: committed } = rules;
  return { seed, ...counts, leaders: rules.leaders.size, committed, leaseReads, roundReads };
}

/**
 * After healing somebody leads and a fresh entry commits; members are alike, also one that has restarted
 * while nothing happened; then nobody says a word.
 */
function demandLiveness(world: RaftWorld): void {
  world.runFor(8000);
  const leader = world.leaders().toSorted((a, b) => b.state!.term - a.state!.term)[0];
  if (leader?.state === undefined) throw new Broken("liveness", "nobody leads");
  const { lastIndex } = leader.state.log;
  world.propose(leader);
  // What is committed is told until it is known. Too short for anybody to lose sight of the leader.
  world.faults.lose(0.5);
  world.runFor(700);
  world.faults.lose(0);
  world.runFor(2500);
  demandAlike(world, leader, lastIndex + 1);
  const members = world.nodes.filter(({ id }) => isNamed(leader, id));
  const restarted = members[world.pick(members.length)]!;
  if (restarted !== leader) {
    restarted.crash(restarted.writing.length);
    world.start(restarted);
  }
  world.runFor(3000);
  demandAlike(world, leader, lastIndex + 1);
  // Who was left out and has not heard of it goes on asking; members have nothing to say.
  const strangers = world.nodes.filter(
    ({ id, state }) => state !== undefined && isMember(state) && !isNamed(leader, id),
  );
  const { sent } = world.counts;
  world.runFor(2000);
  if (strangers.length === 0 && world.counts.sent > sent) {
    throw new Broken("silence", `${world.counts.sent - sent} messages of an idle group`);
  }
}

function isNamed({ state }: RaftNode, id: number): boolean {
  const { voters = [], learners = [] } = state?.membership ?? {};
  return voters.includes(id) || learners.includes(id);
}

function demandAlike(world: RaftWorld, leader: RaftNode, commitIndex: number): void {
  const { id, state, applied } = leader;
  if (state?.role !== "leader" || state.commitIndex !== commitIndex) {
    throw new Broken("liveness", `${state?.role} ${id} commits ${state?.commitIndex}`);
  }
  for (const node of world.nodes) {
    if (!isNamed(leader, node.id)) continue;
    if (node.applied.index === commitIndex && node.applied.hash === applied.hash) continue;
    throw new Broken("liveness", `${node.id} is at ${node.applied.index} of ${commitIndex}`);
  }
}
