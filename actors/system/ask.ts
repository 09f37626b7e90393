// A request to an actor that wants an answer by a deadline. It sits between management code and the
// registry; it costs a promise and a timer each, so the command path does not use it. It never
// retries: after a timeout the request may still be carried out.

import type { Clock } from "./clock.ts";

/** What became of a request. */
export type AskOutcome<T> =
  | { readonly kind: "answered"; readonly value: T }
  /** Nobody was there; it certainly did not happen. */
  | { readonly kind: "absent" }
  /** No answer in time: it may or may not have happened, or happen yet. */
  | { readonly kind: "unknown"; readonly reason: string };

/**
 * Delivers a request and waits for its answer. `deliver` hands `answer` to the actor and says
 * whether the actor was there, as `tell` does; answers after the first or after the deadline are
 * dropped. Rejects only with what `deliver` throws.
 */
export function ask<T>(
  clock: Clock,
  timeoutMs: number,
  deliver: (answer: (value: T) => void) => boolean,
): Promise<AskOutcome<T>> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => {
      resolve({ kind: "unknown", reason: `no answer within ${timeoutMs} ms` });
    }, timeoutMs);
    const settle = (outcome: AskOutcome<T>): void => {
      clock.clearTimeout(timer);
      resolve(outcome);
    };
    try {
      const delivered = deliver((value) => settle({ kind: "answered", value }));
      if (!delivered) settle({ kind: "absent" });
    } catch (error) {
      clock.clearTimeout(timer);
      reject(error);
    }
  });
}
