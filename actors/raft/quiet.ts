// How long a replica may be left alone: until when the passing of time means nothing to it, as long as
// nothing else happens. It looks at what the tick of each chapter looks at, and changes nothing.

import { electionDueMs } from "./election.ts";
import type { Progress } from "./progress.ts";
import type { RaftEvent } from "./protocol.ts";
import { quorumHeardAtMs } from "./reads.ts";
import type { RaftState } from "./state.ts";

type Tick = Extract<RaftEvent, { type: "raft.tick" }>;

/** From `nowMs` on, ms; 0 or less: it has something to do, or waits for something that may be lost. */
export function quietMs(
  state: Readonly<RaftState>,
  { nowMs, electionTimeoutMs }: Pick<Tick, "nowMs" | "electionTimeoutMs">,
): number {
  if (state.role !== "leader") return electionDueMs(state, electionTimeoutMs) - nowMs;
  if (state.transfer !== undefined) return 0;
  for (const progress of state.progress.values()) if (!isSettled(state, progress)) return 0;
  return quorumHeardAtMs(state) + electionTimeoutMs - nowMs;
}

/** It has the whole log, and knows how far it is committed. */
function isSettled({ log, commitIndex }: Readonly<RaftState>, progress: Progress): boolean {
  if (progress.mode !== "replicate" || progress.match !== log.lastIndex) return false;
  return progress.knownCommit >= commitIndex;
}
