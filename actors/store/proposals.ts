// Effects that no command made, such as the region map, waiting for their entry to commit.

import type { RegionPropose } from "./protocol.ts";

interface Proposal {
  readonly index: number;
  readonly propose: RegionPropose;
}

export class Proposals {
  #waiting: Proposal[] = [];

  /** Indexes come in ascending order. */
  add(index: number, propose: RegionPropose): void {
    this.#waiting.push({ index, propose });
  }

  /** Everything up to `index` is committed. */
  committed(index: number): void {
    if (this.#waiting.length === 0) return;
    const settled = this.#waiting.filter((proposal) => proposal.index <= index);
    this.#waiting = this.#waiting.filter((proposal) => proposal.index > index);
    for (const { propose } of settled) propose.settle();
  }

  /** Their outcome will not be known here. */
  abandon(error: string): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { propose } of waiting) propose.settle(error);
  }
}
