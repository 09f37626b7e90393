// The rules of OTP supervision as plain functions: who is restarted together, who is restarted at
// all, and how often is too often. The supervisor machine asks, this file answers; it starts and
// stops nothing and reads no clock.

/** Who goes down with a failed child: only it, it and those started after it, or everybody. */
export type Strategy = "one_for_one" | "rest_for_one" | "one_for_all";

/** permanent: always restarted. transient: only after a failure. temporary: never. */
export type Restart = "permanent" | "transient" | "temporary";

/** More than `max` restarts within `periodMs` and the supervisor gives up. */
export interface Intensity {
  readonly max: number;
  readonly periodMs: number;
}

/** OTP's own default is 1 in 5 s; ours leaves room for bad luck. */
export const defaultIntensity: Intensity = { max: 3, periodMs: 5000 };

/** Whether a child of this kind comes back after it ended, by failure or by itself. */
export function isRestarted(restart: Restart, failed: boolean): boolean {
  if (restart === "permanent") return true;
  return restart === "transient" && failed;
}

/** The children, in start order, that go down and come back together with `failedId`. */
export function restartGroup(
  strategy: Strategy,
  startOrder: () => readonly string[],
  failedId: string,
): readonly string[] {
  if (strategy === "one_for_one") return [failedId];
  const ids = startOrder();
  return strategy === "one_for_all" ? ids : ids.slice(ids.indexOf(failedId));
}

/** Restarts of the last period: a sliding window over times the caller reads from its clock. */
export class RestartWindow {
  readonly #intensity: Intensity;
  #timesMs: number[] = [];

  constructor(intensity: Intensity) {
    this.#intensity = intensity;
  }

  /** Restarts still inside the period, as of the last `note`. */
  get count(): number {
    return this.#timesMs.length;
  }

  /** Counts one more restart at `nowMs` (monotonic); false when it is one too many. */
  note(nowMs: number): boolean {
    const { max, periodMs } = this.#intensity;
    this.#timesMs = this.#timesMs.filter((timeMs) => nowMs - timeMs < periodMs);
    this.#timesMs.push(nowMs);
    return this.#timesMs.length <= max;
  }
}
