// Commands on their way to an evaluator that has not come to them yet: how many will write, which
// decides whether it waits for others, and what records they will lack, which are read from the
// engine meanwhile, so that the wait and the read are one. It decides nothing and keeps no command.

import type { Turn, TurnTask } from "../system/turn.ts";
import type { RegionEvent, RegionRequest } from "./protocol.ts";

export class Upcoming implements TurnTask {
  readonly #turn: Turn;
  readonly #read: (requests: readonly RegionRequest[]) => void;
  #requests: RegionRequest[] = [];
  #deferred = false;
  /** Of those that have come since the evaluator last took all. */
  writes = 0;

  /** `read` hears what still waits at the end of a turn, each command once. */
  constructor(turn: Turn, read: (requests: readonly RegionRequest[]) => void) {
    this.#turn = turn;
    this.#read = read;
  }

  /** It has come; after the evaluator's own turn, so that what that takes at once is not read here. */
  add(event: RegionEvent): void {
    if (event.type !== "region.request") return;
    if (event.command.flags.includes("write")) this.writes++;
    this.#requests.push(event);
    if (this.#deferred) return;
    this.#deferred = true;
    this.#turn.defer("evaluate", this);
  }

  /** The evaluator has them all, or they are refused. */
  taken(): void {
    this.writes = 0;
    if (this.#requests.length > 0) this.#requests = [];
  }

  run(): void {
    this.#deferred = false;
    if (this.#requests.length === 0) return;
    const requests = this.#requests;
    this.#requests = [];
    this.#read(requests);
  }
}
