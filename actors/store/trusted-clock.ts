// The wall clock as far as the others agree with it (`safety.md` 26). Expiry goes by the leader's wall
// clock and is for ever, so a clock that was set wrongly must expire nothing: when it jumps, or lies
// far from the voters' median, time goes on from where it was, by the monotonic clock, and a clock that
// was wrong from its start is replaced by that median.

import { clockSkewMaxMs, type NodeStatus } from "../cluster/protocol.ts";
import type { Clock } from "../system/clock.ts";

export class TrustedClock implements Clock {
  readonly #clock: Clock;
  readonly #others: () => readonly NodeStatus[];
  readonly #isAlone: () => boolean;
  /** Wall minus monotonic, as last believed. */
  #offsetMs: number;
  #isTrusted = true;
  /** Something has been found out about this clock. */
  #isJudged = false;
  /** Nodes whose clocks were far from the median at the last check. */
  #astray: ReadonlySet<string> = new Set();

  /** `others` are the other nodes with replicas; `isAlone`: there can be none. */
  constructor(clock: Clock, others: () => readonly NodeStatus[], isAlone: () => boolean) {
    this.#clock = clock;
    this.#others = others;
    this.#isAlone = isAlone;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
  }

  /** False: this node must not lead. */
  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  /** Whether that node could lead, as far as its clock was known at the last check. */
  trusts(nodeId: string): boolean {
    return !this.#astray.has(nodeId);
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

  /**
   * Compares with the others. While nobody is up, or those who are up do not agree, what was found last
   * stands and no jump is believed; before anybody was heard nothing is known of this clock.
   */
  check(): void {
    const offsetMs = this.#clock.wallMs() - this.#clock.monotonicMs();
    const known = this.#others();
    const others = known.filter(({ isUp }) => isUp);
    const offsets = [offsetMs, ...others.map(({ wallOffsetMs }) => wallOffsetMs)];
    const medianMs = lowerMedian(offsets);
    const isNear = (ms: number): boolean => Math.abs(ms - medianMs) <= clockSkewMaxMs;
    const agreeing = offsets.filter(isNear).length;
    // One that a majority has found wrong is not right because the majority is down; of two members
    // there never is one.
    const hasMajority = agreeing * 2 > offsets.length;
    const isDecided = hasMajority || !this.#isJudged || known.length < 2;
    if (others.length > 0 && isDecided) {
      this.#isJudged = true;
      this.#isTrusted = isNear(offsetMs);
      const astray = others.filter(({ wallOffsetMs }) => !isNear(wallOffsetMs));
      this.#astray = new Set(astray.map(({ info }) => info.nodeId));
      // Not forward: what has expired by a wrong clock is gone for ever.
      if (this.#offsetMs - medianMs > clockSkewMaxMs) this.#offsetMs = medianMs;
    } else if (!this.#isAlone()) {
      // A leader cut off for a moment: what it appends now may be committed when it is heard again.
      const hasJumped = Math.abs(offsetMs - this.#offsetMs) > clockSkewMaxMs;
      if (known.length === 0 || hasJumped) this.#isTrusted = false;
    }
    if (this.#isTrusted) this.#offsetMs = offsetMs;
  }
}

/** Of two that disagree nobody knows who is right: the earlier one expires nothing too soon. */
function lowerMedian(values: readonly number[]): number {
  const ordered = values.toSorted((a, b) => a - b);
  return ordered[Math.floor((ordered.length - 1) / 2)] ?? 0;
}
