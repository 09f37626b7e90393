// Replies that wait for their log index to commit, in index order, and for proof that this replica
// still led when they were evaluated. What is released depends only on committed entries, so no reply
// ever shows something that is lost later (design decision 11).

import type { Reply } from "../../resp/reply.ts";
import type { Keyspace } from "../../storage/keyspace/keyspace.ts";
import type { CommandsInFlight } from "./handles.ts";
import type { RegionRequest } from "./protocol.ts";

interface Held {
  readonly index: number;
  readonly request: RegionRequest;
  readonly reply: Reply;
  /** It has effects of its own: if its entry's fate is unknown, so is the command's. */
  readonly wrote: boolean;
  /** The round of heartbeats that has to confirm the leader first; 0 = none. */
  readonly round: number;
}

/** The log index that has to be committed before the command's reply may leave. */
export function dependsOn(
  { keyPositions }: RegionRequest,
  keyspace: Keyspace,
  readIndex: number,
  lastIndex: number,
): number {
  // The batch's own entry is the next one.
  if (keyspace.commandBytes > 0 || keyspace.readBatch) return lastIndex + 1;
  if (keyPositions.length > 0) return readIndex;
  // Without keys it read the region's counters, which everything appended has moved.
  return keyspace.isWriting ? lastIndex + 1 : lastIndex;
}

export class Outbox {
  #held: Held[] = [];
  #head = 0;
  #committed = 0;
  /** Rounds never go back. */
  #confirmed = 0;
  readonly #isConfirmed: (round: number) => boolean;
  readonly #inFlight: CommandsInFlight;

  /** `isConfirmed` says whether the proof of a round is complete; `inFlight` counts what is held. */
  constructor(isConfirmed: (round: number) => boolean, inFlight: CommandsInFlight) {
    this.#isConfirmed = isConfirmed;
    this.#inFlight = inFlight;
  }

  /** Settles now when `index` is committed already and no `round` has to come in. */
  put(index: number, request: RegionRequest, reply: Reply, wrote: boolean, round: number): void {
    if (index <= this.#committed && round === 0 && this.size === 0) {
      request.settle(reply);
      return;
    }
    this.#held.push({ index, request, reply, wrote, round });
    this.#inFlight.count++;
  }

  get size(): number {
    return this.#held.length - this.#head;
  }

  /** Everything up to `index` is committed. */
  committed(index: number): void {
    this.#committed = index;
    this.#release();
  }

  /** Evidence has come in. */
  confirmed(): void {
    if (this.size > 0) this.#release();
  }

  #release(): void {
    const held = this.#held;
    for (; this.#head < held.length; this.#head++) {
      const next = held[this.#head];
      if (next === undefined || next.index > this.#committed) break;
      if (next.round > this.#confirmed) {
        if (!this.#isConfirmed(next.round)) break;
        this.#confirmed = next.round;
      }
      this.#inFlight.count--;
      next.request.settle(next.reply);
    }
    if (this.#head === held.length) {
      this.#held = [];
      this.#head = 0;
    } else if (this.#head > 4096) {
      this.#held = held.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Gives up what is held: `answer` says what each hears. */
  abandon(answer: (wrote: boolean) => Reply): void {
    const held = this.#held.slice(this.#head);
    this.#held = [];
    this.#head = 0;
    this.#inFlight.count -= held.length;
    for (const { request, wrote } of held) request.settle(answer(wrote));
  }
}
