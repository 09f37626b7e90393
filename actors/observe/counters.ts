// What the hot paths count: plain numeric fields, one increment each, owned by the room that
// counts. It sits between those rooms and figures.ts, which gives the numbers names at a scrape;
// nothing here is ever reset, so a reader may take differences.

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
