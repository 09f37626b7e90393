// What the hot paths count: plain numeric fields, one increment each, owned by the room that
// counts. It sits between those rooms and figures.ts, which gives the numbers names at a scrape;
// nothing here is ever reset, so a reader may take differences.

import { Latency } from "./latency.ts";

/** The RESP port. Connections open now = accepted - closed. */
export class PortCounters {
  connectionsAccepted = 0;
  connectionsClosed = 0;
  /** Turned away at the limit of connections. */
  connectionsRefused = 0;
  bytesIn = 0;
  bytesOut = 0;
  commands = 0;
  /** Error replies. */
  errors = 0;
}

/** One command family, for example "string" or "key". */
export class FamilyCounters {
  calls = 0;
  errors = 0;
  /** From the command's arrival to its reply's release. */
  readonly latency = new Latency();
}

/** Commands by family; callers keep what `family` returns, so the hot path never looks up. */
export class CommandCounters {
  readonly families = new Map<string, FamilyCounters>();

  /** The counters of a family, made on first use. */
  family(name: string): FamilyCounters {
    const known = this.families.get(name);
    if (known !== undefined) return known;
    const made = new FamilyCounters();
    this.families.set(name, made);
    return made;
  }
}

/** The shared journal. */
export class JournalCounters {
  /** Group writes, each one synced. */
  groups = 0;
  records = 0;
  bytes = 0;
  /** Bytes of the journal's files now. */
  sizeBytes = 0;
  /** Last log sequence number that is durable. */
  durableLsn = 0;
  /** A group's time from its write to durable. */
  readonly sync = new Latency();
}

/** One region's replica, read at the scrape. */
export interface RegionFigures {
  readonly regionId: number;
  readonly role: string;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Requests queued or waiting for commit. */
  readonly pending: number;
  /** Entries proposed since start. */
  readonly proposals: number;
}
