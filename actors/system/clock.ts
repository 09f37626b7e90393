// The clock port: two kinds of now and timers, injected wherever time matters so that a test can
// own it. It sits between the operating system and every actor; it fits XState's `clock` option as
// it is. Nothing here caches: a lease must never be judged by a stale now.

/** An armed timer, to be handed back to `clearTimeout` only. */
export type TimerId = unknown;

export interface Clock {
  /** Milliseconds with fractions since some start; never goes back. For deadlines and leases. */
  monotonicMs(): number;
  /** Unix milliseconds; may jump. For expiry times and what people read. */
  wallMs(): number;
  setTimeout(callback: () => void, delayMs: number): TimerId;
  clearTimeout(id: TimerId): void;
}

/** The process's own clock, read fresh at every call. */
export const systemClock: Clock = {
  monotonicMs: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  },
  wallMs: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};
