// Order among commands of a region while some of them wait for the engine: a later command must not
// overtake an earlier one of its session or on one of its keys. Costs nothing while nobody waits.

import type { RegionRequest } from "./protocol.ts";

/** Keys and sessions of the commands that wait. */
export class Locks {
  readonly #keys = new Set<string>();
  readonly #sessions = new Set<number>();
  /** A waiting command that touches everything (a flush) lets nobody pass. */
  #everything = false;

  get isFree(): boolean {
    return this.#sessions.size === 0;
  }

  clear(): void {
    this.#keys.clear();
    this.#sessions.clear();
    this.#everything = false;
  }

  /** Holds the keys and the session of a waiting command. */
  hold(request: RegionRequest): void {
    this.#sessions.add(request.sessionId);
    if (isBarrier(request)) this.#everything = true;
    for (const name of keyNames(request)) this.#keys.add(name);
  }

  /** True when the command has to wait as well. */
  blocks(request: RegionRequest): boolean {
    if (this.#everything || this.#sessions.has(request.sessionId)) return true;
    if (isBarrier(request)) return !this.isFree;
    for (const name of keyNames(request)) if (this.#keys.has(name)) return true;
    return false;
  }

  blocksSession(sessionId: number): boolean {
    return this.#everything || this.#sessions.has(sessionId);
  }

  /** Active expiry leaves a key alone that a command waits for. */
  blocksKey(key: Buffer): boolean {
    return this.#everything || this.#keys.has(key.toString("latin1"));
  }
}

/** A write without keys changes the whole region. */
function isBarrier(request: RegionRequest): boolean {
  return request.keyPositions.length === 0 && request.command.flags.includes("write");
}

/** Whatever the logical database: COPY and MOVE reach a second one. */
function* keyNames(request: RegionRequest): Generator<string> {
  for (const position of request.keyPositions) {
    const key = request.args[position];
    if (key !== undefined) yield key.toString("latin1");
  }
}
