// The judge of histories: splits one by key, asks `search.ts` about each, and for a key without an
// order finds the smallest stretch of time that cannot be explained whatever came before it. It
// reads no clock and prints nothing: a verdict is a value, and what it says is text to be shown.

import { describeCommand, describeValue, type Operation } from "./history.ts";
import { anything } from "./inference.ts";
import { search, type Definite, type Found, type Possible } from "./search.ts";

/** How hard to look. */
export interface CheckOptions {
  /** Placements tried per key before it counts as undecided. About a million a second. */
  readonly maxStepsPerKey?: number;
  /** The value of each key before the history; nothing when left out. */
  readonly startOf?: (key: string) => string | null;
}

/** What the check says about a whole history. Only `linearizable` is good. */
export type Verdict =
  | { readonly kind: "linearizable"; readonly keys: number; readonly operations: number }
  | {
      readonly kind: "violation";
      readonly key: string;
      /** The smallest window found, by time of call; the last one to return is the impossible one. */
      readonly window: readonly Operation[];
      readonly text: string;
    }
  | { readonly kind: "undecided"; readonly key: string; readonly text: string };

const defaultMaxSteps = 5_000_000;

/** Checks every key of a history; stops at the first that is not linearizable. */
export function checkHistory(operations: Iterable<Operation>, options: CheckOptions = {}): Verdict {
  const keys = byKey(operations);
  let undecided: Verdict | undefined;
  let count = 0;
  for (const [key, list] of keys) {
    count += list.length;
    const verdict = checkKey(key, list, options);
    if (verdict?.kind === "violation") return verdict;
    undecided ??= verdict;
  }
  return undecided ?? { kind: "linearizable", keys: keys.size, operations: count };
}

/** The operations of each key, in their order. For callers that check key by key. */
export function byKey(operations: Iterable<Operation>): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of operations) {
    const list = keys.get(operation.key);
    if (list === undefined) keys.set(operation.key, [operation]);
    else list.push(operation);
  }
  return keys;
}

function checkKey(
  key: string,
  operations: readonly Operation[],
  options: CheckOptions,
): Verdict | undefined {
  const start = options.startOf?.(key) ?? null;
  const maxSteps = options.maxStepsPerKey ?? defaultMaxSteps;
  const { definite, possible } = sort(operations);
  let found: Found = { kind: "undecided", steps: 0, blocked: 0 };
  for (const steps of [maxSteps / 10, maxSteps]) {
    found = search(definite, possible, start, steps);
    if (found.kind === "order") return undefined;
    // Many unknown writes leave many pasts to rule out; from any past at all it is often quick.
    const blocked = definite[found.blocked]!;
    const window = smallestWindow(operations, blocked, steps / 10);
    if (window !== undefined || found.kind === "none") {
      const shown = window ?? operations.filter(({ invokedAt }) => invokedAt <= blocked.returnedAt);
      return { kind: "violation", key, window: shown, text: describe(key, shown, blocked) };
    }
  }
  const text = `undecided after ${found.steps} steps: key ${key}, ${operations.length} operations`;
  return { kind: "undecided", key, text };
}

/** An operation with an answer, kept beside what the search wants to know of it. */
interface Answered extends Definite {
  readonly origin: Operation;
}

interface Sorted {
  readonly definite: readonly Answered[];
  readonly possible: ReadonlyArray<Possible & { readonly origin: Operation }>;
}

function sort(operations: readonly Operation[]): Sorted {
  const definite: Answered[] = [];
  const possible: Array<Possible & { origin: Operation }> = [];
  for (const origin of operations) {
    const { command, invokedAt, outcome } = origin;
    if (outcome.kind === "ok") {
      if (!(outcome.returnedAt >= invokedAt)) throw new RangeError("an answer before its question");
      definite.push({ command, invokedAt, origin, ...outcome });
    } else if (outcome.kind === "unknown" && command.kind !== "get") {
      possible.push({ command, invokedAt, origin });
    }
  }
  definite.sort((a, b) => a.invokedAt - b.invokedAt);
  return { definite, possible };
}

/**
 * What had been called when the blocked operation returned has no order. The window's start moves
 * forward as long as what is left has none either from any value at all; the first length that
 * cannot be explained is kept. Undefined when every one can, or takes more than `maxSteps`.
 */
function smallestWindow(
  operations: readonly Operation[],
  blocked: Answered,
  maxSteps: number,
): readonly Operation[] | undefined {
  const before = operations
    .filter(({ invokedAt, outcome }) => invokedAt <= blocked.returnedAt && outcome.kind !== "fail")
    .toSorted((a, b) => a.invokedAt - b.invokedAt);
  const starts = [...new Set(before.map(({ invokedAt }) => invokedAt))].toReversed();
  const fails = (length: number): boolean => {
    const { definite, possible } = cut(before, starts[length - 1]!, blocked.returnedAt);
    return search(definite, possible, anything, maxSteps).kind === "none";
  };
  let length = 1;
  while (length < starts.length && !fails(length)) length = Math.min(length * 2, starts.length);
  if (!fails(length)) return undefined;
  let tooShort = length >> 1;
  while (length - tooShort > 1) {
    const middle = (length + tooShort) >> 1;
    if (fails(middle)) length = middle;
    else tooShort = middle;
  }
  const from = starts[length - 1]!;
  return before.filter((operation) => operation === blocked.origin || endOf(operation) >= from);
}

/** The part of a history between two times; what sticks out at either end may lie outside. */
function cut(
  operations: readonly Operation[],
  from: number,
  until: number,
): { definite: Definite[]; possible: Possible[] } {
  const inside = sort(operations.filter((operation) => endOf(operation) >= from));
  const isWhole = (each: Definite): boolean => each.invokedAt >= from && each.returnedAt <= until;
  const partly = inside.definite.filter((each) => !isWhole(each));
  return { definite: inside.definite.filter(isWhole), possible: [...inside.possible, ...partly] };
}

function endOf({ outcome }: Operation): number {
  return outcome.kind === "ok" ? outcome.returnedAt : Infinity;
}

/** At most this many lines of a window are shown; the ones before the end matter most. */
const maxLines = 60;

function describe(key: string, window: readonly Operation[], blocked: Answered): string {
  const zero = window[0]?.invokedAt ?? 0;
  const time = (at: number): string => (at - zero).toFixed(3);
  const lines = window.slice(-maxLines).map((operation) => {
    const { outcome, client, command, invokedAt } = operation;
    const mark = operation === blocked.origin ? "=>" : "  ";
    const end =
      outcome.kind === "ok"
        ? `${time(outcome.returnedAt)}: ${describeValue(outcome.answer)}`
        : `?: outcome unknown`;
    return `${mark} ${client} ${describeCommand(command)}  [${time(invokedAt)} .. ${end}`;
  });
  const hidden = window.length > maxLines ? [`   (${window.length - maxLines} before)`] : [];
  return [
    `key ${key} is not linearizable: no order explains these ${window.length} operations`,
    `(times from ${zero}; => marks the first answer that cannot be true)`,
    ...hidden,
    ...lines,
  ].join("\n");
}
