// The Raft messages of a turn on their way to other nodes: gathered per node, encoded once, handed to
// the transport at the turn's end. It stands between the regions and the transport; what gets lost
// there is the core's business.

import type { Transport } from "../../transport/transport.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import { encodedBytes, encodeMessages } from "../raft/wire.ts";
import type { Turn, TurnTask } from "../system/turn.ts";

/** A message of one region. */
export interface RegionMessage {
  readonly regionId: number;
  readonly message: RaftMessage;
}

/**
 * A body has at most this many bytes, or one message: that has one entry of up to 512 KiB, or several
 * that are not more than this together. Both are far below what any transport takes.
 */
const bodySoftBytes = 256 * 1024;

export class RaftMail implements TurnTask {
  readonly #transport: Transport;
  readonly #turn: Turn;
  readonly #outgoing = new Map<string, RegionMessage[]>();
  #deferred = false;

  constructor(transport: Transport, turn: Turn) {
    this.#transport = transport;
    this.#turn = turn;
  }

  send(nodeId: string, regionId: number, message: RaftMessage): void {
    const list = this.#outgoing.get(nodeId);
    if (list === undefined) this.#outgoing.set(nodeId, [{ regionId, message }]);
    else list.push({ regionId, message });
    if (this.#deferred) return;
    this.#deferred = true;
    this.#turn.defer("journal", this);
  }

  run(): void {
    this.#deferred = false;
    for (const [nodeId, list] of this.#outgoing) {
      let bytes = 0;
      let from = 0;
      for (const [at, { message }] of list.entries()) {
        const more = encodedBytes(message);
        if (bytes + more > bodySoftBytes && at > from) {
          this.#transport.send(nodeId, "raft", encodeMessages(list.slice(from, at)));
          from = at;
          bytes = 0;
        }
        bytes += more;
      }
      this.#transport.send(nodeId, "raft", encodeMessages(from === 0 ? list : list.slice(from)));
    }
    this.#outgoing.clear();
  }
}
