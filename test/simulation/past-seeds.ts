// Seeds that once showed a bug, and what it was: run for ever (`cluster.test.ts`). A seed means the
// same run only as long as nothing in the simulation draws dice differently; each stays all the same,
// as one more history.

import type { SeedOptions } from "./run.ts";

export interface PastSeed extends SeedOptions {
  readonly bug: string;
}

export const pastSeeds: readonly PastSeed[] = [
  {
    seed: 6,
    bug: "a probe that got lost was tried again below the log's start: snapshots for ever",
  },
  { seed: 75, bug: "a follower that had more than the snapshot refused it for ever" },
  {
    seed: 72,
    bug: "a follower that differs at the very start of the leader's log got no snapshot",
  },
  {
    seed: 5316,
    bug: "followers forgot their promise to a leader whose restart they heard of after its election",
  },
  {
    seed: 9010,
    nodes: 3,
    bug: "the same among three nodes",
  },
  {
    seed: 795603549,
    nodes: 3,
    bug: "leaderships went to and fro between two nodes of which one's wall clock was off",
  },
  { seed: 10, bug: "the timer of the introductions fired for ever within one millisecond" },
  {
    seed: 1016,
    profile: "clocks",
    bug: "a leader that heard nobody for a moment believed its clock when that jumped",
  },
  { seed: 1136, profile: "clocks", bug: "the same while the others heard no heartbeats of it" },
  {
    seed: 3001,
    nodes: 3,
    profile: "clocks",
    bug: "a node that had heard nobody's clock since its start led by its own",
  },
  {
    seed: 795625023,
    profile: "clocks",
    bug: "between a snapshot and the log's restart a follower acknowledged what its log no longer holds",
  },
  {
    seed: 795653613,
    nodes: 3,
    bug: "a simulated stream that was given up before its header came kept its reader for ever",
  },
];
