// What a replica needs of the other nodes: a way for its messages, proof that it still leads, and the
// streams of snapshots. It stands between a region and the node's transport and heartbeats.

import type { BulkWriter } from "../../transport/transport.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import type { ReadMode } from "./protocol.ts";

export interface RegionLink {
  readonly readMode: ReadMode;
  /** The Raft message leaves at the end of this turn; it may get lost. */
  send(nodeId: string, regionId: number, message: RaftMessage): void;
  /** Asks these nodes for an acknowledged heartbeat at once; returns the number of that round. */
  confirm(nodeIds: readonly string[]): number;
  /** A stream to that node's store; `header` says what it is. */
  openStream(nodeId: string, header: Uint8Array): BulkWriter;
}
