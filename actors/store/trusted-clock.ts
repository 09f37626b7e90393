// The wall clock as far as the others agree with it (`safety.md` 26). Expiry goes by the leader's wall
// clock and is for ever, so a clock that was set wrongly must expire nothing: when it jumps, or lies
// far from the median of all nodes', time goes on from where it was, by the monotonic clock.

import { clockSkewMaxMs, type NodeStatus } from "../cluster/protocol.ts";
import type { Clock } from "../system/clock.ts";

export class TrustedClock implements Clock {
  readonly #clock: Clock;
  readonly #others: () => readonly NodeStatus[];
  /** Wall minus monotonic, as last believed. */
  #offsetMs: number;
  #isTrusted = true;

  constructor(clock: Clock, others: () => readonly NodeStatus[]) {
    this.#clock = clock;
    this.#others = others;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
  }

  /** False: this node must not lead. */
  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  wallMs(): number {
    const wallMs = this.#clock.wallMs();
    const offsetMs = wallMs - this.#clock.monotonicMs();
    if (this.#isTrusted && Math.abs(offsetMs - this.#offsetMs) <= clockSkewMaxMs) {
      this.#offsetMs = offsetMs;
      return wallMs;
    }
    // A jump is looked into at once; otherwise `check` finds out when the clock is right again.
    if (this.#isTrusted) this.check();
    return this.#isTrusted ? this.#clock.wallMs() : this.#clock.monotonicMs() + this.#offsetMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  setTimeout(...args: Parameters<Clock["setTimeout"]>): ReturnType<Clock["setTimeout"]> {
    return this.#clock.setTimeout(...args);
  }

  clearTimeout(...args: Parameters<Clock["clearTimeout"]>): void {
    this.#clock.clearTimeout(...args);
  }

  /** Compares with the others; with nobody there the own clock is the only one. */
  check(): void {
    const offsetMs = this.#clock.wallMs() - this.#clock.monotonicMs();
    const jumpMs = offsetMs - this.#offsetMs;
    // What was heard of the others was compared with the clock as it was before the jump.
    const heardBeforeMs = this.#isTrusted ? jumpMs : 0;
    const skews = this.#others()
      .filter(({ isUp }) => isUp)
      .map(({ clockSkewMs }) => clockSkewMs - heardBeforeMs);
    const ordered = [0, ...skews].toSorted((a, b) => a - b);
    const median = ordered[Math.floor(ordered.length / 2)] ?? 0;
    this.#isTrusted = Math.abs(median) <= clockSkewMaxMs;
    if (this.#isTrusted) this.#offsetMs = offsetMs;
  }
}
