// Replies that wait for their log index to commit, in index order. What is released depends only on
// committed entries, so no reply ever shows something that is lost later (design decision 11).

import type { Reply } from "../../resp/reply.ts";
import type { RegionRequest } from "./protocol.ts";

interface Held {
  readonly index: number;
  readonly request: RegionRequest;
  readonly reply: Reply;
  /** It has effects of its own: if its entry's fate is unknown, so is the command's. */
  readonly wrote: boolean;
}

export class Outbox {
  #held: Held[] = [];
  #head = 0;
  #committed = 0;

  /** Settles now when `index` is committed already. */
  put(index: number, request: RegionRequest, reply: Reply, wrote: boolean): void {
    if (index <= this.#committed && this.size === 0) request.settle(reply);
    else this.#held.push({ index, request, reply, wrote });
  }

  get size(): number {
    return this.#held.length - this.#head;
  }

  /** Everything up to `index` is committed. */
  committed(index: number): void {
    this.#committed = index;
    const held = this.#held;
    for (; this.#head < held.length; this.#head++) {
      const next = held[this.#head];
      if (next === undefined || next.index > index) break;
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
    for (const { request, wrote } of held) request.settle(answer(wrote));
  }
}
