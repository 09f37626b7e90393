// What an evaluator needs of its replica, and what it counts: the seam between `region.ts`, which
// owns the log, and the files that evaluate, park and walk.

import type { AppliedState } from "./apply.ts";
import type { RegionFailed, RegionFetched, RegionWalked } from "./protocol.ts";

/** Counted over all regions of the store; for INFO and /metrics. */
export interface EvaluatorCounters {
  commands: number;
  entries: number;
  keyspaceHits: number;
  keyspaceMisses: number;
  expiredKeys: number;
  fetches: number;
}

/** What the evaluator needs of its replica. */
export interface EvaluatorHost {
  readonly regionId: number;
  readonly lastIndex: number;
  readonly appliedIndex: number;
  readonly applied: AppliedState;
  /** Whether the replica takes proposals at this moment. */
  readonly canPropose: boolean;
  /** Appends one entry and returns its index. Only while serving and `canPropose`. */
  propose(payload: Buffer): number;
  /**
   * Whether this replica certainly leads at this moment: 0 = it does (a lease), otherwise the round of
   * heartbeats that has to be acknowledged before what is read now may be answered (thesis section 6.4).
   */
  readGate(): number;
  /** That round has been acknowledged by a majority, for this leader and term. */
  isConfirmed(round: number): boolean;
  /** Reaches the region's own actor. */
  tellSelf(event: RegionFetched | RegionWalked | RegionFailed): void;
}
