// What a leader knows of each other replica: how much of the log it has, what is on its way, and what
// it has acknowledged when (etcd's tracker/progress.go is the model). Only numbers change here; what
// is sent because of them is `replication.ts`.

import type { RaftState } from "./state.ts";

/**
 * How the log goes to a peer:
 * - `probe`: where its log agrees is unknown; one append at a time, until one matches.
 * - `replicate`: appends follow each other without waiting, up to a window of bytes.
 * - `snapshot`: it needs what the log no longer holds; nothing is sent until that has ended.
 */
export type ProgressMode = "probe" | "replicate" | "snapshot";

/** An append on its way. */
interface Inflight {
  readonly last: number;
  readonly bytes: number;
}

export interface Progress {
  mode: ProgressMode;
  /** Its log agrees with the leader's and is durable up to here; never decreases in a term. */
  match: number;
  /** The next entry to send; match < next. */
  next: number;
  /** Appends sent and not acknowledged, oldest first (replicate). */
  inflight: Inflight[];
  inflightBytes: number;
  /** When the last append left, monotonic ms; -Infinity = nothing has to be waited for. */
  sentAtMs: number;
  /** The commit index it was last told, and the one it is known to know. */
  toldCommit: number;
  knownCommit: number;
  /** When it was last heard, monotonic ms. */
  heardAtMs: number;
  /** Send time of the newest message of this term that it acknowledged. */
  ackedSentAtMs: number;
  /** How long it then promised to vote for nobody else. */
  promiseMs: number;
  /** Newest heartbeat round of this term that it acknowledged. */
  round: number;
}

/** A peer of a new leader: probed from the end of the log, trusted with nothing. */
export function newProgress(lastIndex: number, nowMs: number): Progress {
  return {
    mode: "probe",
    match: 0,
    next: lastIndex + 1,
    inflight: [],
    inflightBytes: 0,
    sentAtMs: -Infinity,
    toldCommit: 0,
    knownCommit: 0,
    heardAtMs: nowMs,
    // The votes it has just been given are evidence that a majority is there.
    ackedSentAtMs: nowMs,
    promiseMs: 0,
    round: 0,
  };
}

/** Back to one append at a time, from behind what certainly agrees. */
export function becomeProbe(progress: Progress, next: number): void {
  progress.mode = "probe";
  progress.next = Math.max(next, progress.match + 1);
  progress.inflight = [];
  progress.inflightBytes = 0;
  progress.sentAtMs = -Infinity;
}

/** The peer has everything up to `index` durable. */
export function matchedUpTo(progress: Progress, index: number): void {
  if (index > progress.match) progress.match = index;
  if (progress.next <= index) progress.next = index + 1;
  let done = 0;
  for (const { last, bytes } of progress.inflight) {
    if (last > index) break;
    progress.inflightBytes -= bytes;
    done++;
  }
  if (done > 0) progress.inflight.splice(0, done);
}

/**
 * The peer promised, on hearing what left at `sentAtMs`, to vote for nobody else for `promiseMs`: counted
 * from the sending, and never back. What left later than now was another clock's.
 */
export function countPromise(
  progress: Progress,
  { sentAtMs, promiseMs }: { readonly sentAtMs: number; readonly promiseMs: number },
  nowMs: number,
): void {
  if (sentAtMs <= progress.ackedSentAtMs || sentAtMs > nowMs) return;
  progress.ackedSentAtMs = sentAtMs;
  progress.promiseMs = promiseMs;
}

/** The lowest index that some peer of this leader still lacks, minus one; the log's end elsewhere. */
export function replicationFloor(state: Readonly<RaftState>): number {
  let floor = state.log.lastIndex;
  for (const { match } of state.progress.values()) floor = Math.min(floor, match);
  return floor;
}
