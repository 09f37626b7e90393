// The original's settings of Raft's timing. Here the times are fixed, because a lease is only as good
// as everybody's promise to keep still; a value that would break that promise is refused, one that
// would not is told to be unused. It stands beside the settings table and reads nothing itself.

import { heartbeatMs } from "../actors/cluster/protocol.ts";
import { leaseMs } from "../actors/raft/reads.ts";
import { minElectionTimeoutMs } from "../actors/raft/protocol.ts";
import { duration, ValueError } from "./values.ts";

/** The part of a follower's promise that a leader counts on: clocks may differ by the rest. */
const promiseShare = 0.97;

const milliseconds = duration(3_600_000);

/**
 * By name after SPIRE_: gives the warning for a value that is not used, undefined for the value in
 * force, and throws `ValueError` for one that breaks the lease.
 */
export const timingChecks: Readonly<Record<string, (text: string) => string | undefined>> = {
  RAFT_ELECTION_TIMEOUT: (text) => {
    const asked = milliseconds(text);
    if (asked === minElectionTimeoutMs) return undefined;
    if (asked * promiseShare < leaseMs) {
      throw new ValueError(
        `followers that wait less than ${Math.ceil(leaseMs / promiseShare)} ms would elect another ` +
          `leader within the lease of ${leaseMs} ms; it is fixed at ${minElectionTimeoutMs} ms`,
      );
    }
    return `is not used: the election timeout is fixed at ${minElectionTimeoutMs} ms and a random part`;
  },
  RAFT_HEARTBEAT_INTERVAL: (text) => {
    const asked = milliseconds(text);
    if (asked === heartbeatMs) return undefined;
    if (asked === 0 || asked >= leaseMs) {
      throw new ValueError(
        `a lease of ${leaseMs} ms would run out between heartbeats; they are fixed at ${heartbeatMs} ms`,
      );
    }
    return `is not used: heartbeats are fixed at ${heartbeatMs} ms`;
  },
};
