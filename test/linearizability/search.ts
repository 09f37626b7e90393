// Whether the operations of one key fit into one order (Wing and Gong's search with Lowe's memory of
// configurations): every definite operation between its call and its return, an unknown one anywhere
// after its call or nowhere. Bounded by a number of steps, not by time. Pure; `checker.ts` feeds it.

import type { Answer, Command } from "./history.ts";
import { anything, changesNothing, guess, observe, type Start } from "./inference.ts";
import { Observed } from "./observed.ts";

/** An operation with a known answer. */
export interface Definite {
  readonly command: Command;
  readonly answer: Answer;
  readonly invokedAt: number;
  readonly returnedAt: number;
}

/** One that may have happened at any time after it was sent. */
export interface Possible {
  readonly command: Command;
  readonly invokedAt: number;
}

/** What the search found. */
export type Found =
  | { readonly kind: "order"; readonly steps: number }
  /** No order exists already for what had returned when `blocked` returned. */
  | { readonly kind: "none"; readonly steps: number; readonly blocked: number }
  /** `blocked` is where it stood longest: perhaps the culprit. */
  | { readonly kind: "undecided"; readonly steps: number; readonly blocked: number };

/** A call or return in the list of what is not yet placed; returns have `isReturn`. */
interface Entry {
  readonly operation: number;
  readonly isReturn: boolean;
  readonly time: number;
  /** Place in the order of all events. */
  readonly rank: number;
  previous: Entry | undefined;
  next: Entry | undefined;
}

/** A choice that was made, with what is needed to undo it and to make the next one. */
interface Choice {
  readonly entry: Entry;
  /** Index into `possible`, or -1 when the definite operation of `entry` was placed. */
  readonly possible: number;
  readonly before: Start;
  readonly highest: number;
  /** With its answer it changes nothing at any place, so that a later one is no better: no need to try. */
  readonly isFree: boolean;
}

/** Searches one key. `maxSteps` bounds the placements tried. */
export function search(
  definite: readonly Definite[],
  possible: readonly Possible[],
  start: Start,
  maxSteps: number,
): Found {
  return new Search(definite, possible, start).run(maxSteps);
}

class Search {
  readonly #definite: readonly Definite[];
  readonly #possible: readonly Possible[];
  /** For each possible operation the previous one with the same command: used in that order only. */
  readonly #twin: readonly number[];
  readonly #head: Entry;
  readonly #calls: Entry[] = [];
  readonly #returns: Entry[] = [];
  readonly #placed: Uint16Array;
  #left: number;
  #highest = 0;
  #fullWords = 0;
  /** Possible operations used, as a bit set. */
  #used = 0n;
  #value: Start;
  readonly #choices: Choice[] = [];
  /** What was seen: definite operations placed and value, to the smallest sets of possible ones used. */
  readonly #seen = new Map<string, bigint[]>();
  readonly #valueIds = new Map<Start, number>();
  readonly #observed: Observed;
  #furthest: Entry | undefined;

  constructor(definite: readonly Definite[], possible: readonly Possible[], start: Start) {
    this.#definite = definite;
    this.#possible = possible.toSorted((a, b) => a.invokedAt - b.invokedAt);
    this.#observed = new Observed(
      [...definite, ...possible].map(({ command }) => command),
      definite.map(({ answer }) => answer),
    );
    this.#twin = twins(this.#possible, this.#observed);
    this.#value = start;
    this.#left = definite.length;
    this.#placed = new Uint16Array(Math.ceil(definite.length / 16) + 1);
    this.#head = link(definite, this.#calls, this.#returns);
  }

  run(maxSteps: number): Found {
    let entry = this.#head.next;
    let possible = 0;
    for (let steps = 0; ;) {
      if (this.#left === 0) return { kind: "order", steps };
      let advanced = false;
      while (entry !== undefined && !entry.isReturn && !advanced) {
        steps += 1;
        if (this.#placeDefinite(entry)) advanced = true;
        else entry = entry.next;
      }
      const limit = entry!;
      if (!advanced) {
        if (this.#furthest === undefined || limit.rank > this.#furthest.rank)
          this.#furthest = limit;
        for (; possible < this.#possible.length && !advanced; possible++) {
          if (this.#possible[possible]!.invokedAt > limit.time) break;
          steps += 1;
          advanced = this.#placePossible(possible, limit);
        }
      }
      if (steps > maxSteps) {
        return { kind: "undecided", steps, blocked: this.#furthest?.operation ?? 0 };
      }
      if (advanced) {
        entry = this.#head.next;
        possible = 0;
        continue;
      }
      const choice = this.#undo();
      if (choice === undefined) {
        return { kind: "none", steps, blocked: this.#furthest!.operation };
      }
      entry = choice.possible < 0 ? choice.entry.next : choice.entry;
      possible = choice.possible + 1;
    }
  }

  #placeDefinite(entry: Entry): boolean {
    const { command, answer } = this.#definite[entry.operation]!;
    const after = observe(command, answer, this.#value);
    if (after === undefined) return false;
    const before = this.#value;
    const highest = this.#highest;
    this.#mark(entry.operation);
    this.#value = this.#simplest(after.value);
    if (!this.#isNew()) {
      this.#unmark(entry.operation, highest);
      this.#value = before;
      return false;
    }
    const isFree = before !== anything && changesNothing(command, answer);
    this.#choices.push({ entry, possible: -1, before, highest, isFree });
    unlink(entry);
    unlink(this.#returns[entry.operation]!);
    return true;
  }

  #placePossible(index: number, limit: Entry): boolean {
    const bit = 1n << BigInt(index);
    if ((this.#used & bit) !== 0n) return false;
    const twin = this.#twin[index]!;
    if (twin >= 0 && (this.#used & (1n << BigInt(twin))) === 0n) return false;
    const before = this.#value;
    const after = this.#simplest(guess(this.#possible[index]!.command, before));
    if (after === before) return false;
    this.#used |= bit;
    this.#value = after;
    if (!this.#isNew()) {
      this.#used &= ~bit;
      this.#value = before;
      return false;
    }
    const highest = this.#highest;
    this.#choices.push({ entry: limit, possible: index, before, highest, isFree: false });
    return true;
  }

  #simplest(value: Start): Start {
    return typeof value === "string" ? this.#observed.simplest(value) : value;
  }

  /** Takes choices back up to one that leaves something else to try. */
  #undo(): Choice | undefined {
    for (;;) {
      const choice = this.#choices.pop();
      if (choice === undefined) return undefined;
      this.#value = choice.before;
      if (choice.possible >= 0) {
        this.#used &= ~(1n << BigInt(choice.possible));
      } else {
        this.#unmark(choice.entry.operation, choice.highest);
        relink(this.#returns[choice.entry.operation]!);
        relink(choice.entry);
      }
      if (!choice.isFree) return choice;
    }
  }

  #mark(operation: number): void {
    this.#placed[operation >> 4]! |= 1 << (operation & 15);
    this.#highest = Math.max(this.#highest, operation);
    this.#left -= 1;
    while (this.#placed[this.#fullWords] === 0xffff) this.#fullWords += 1;
  }

  #unmark(operation: number, highest: number): void {
    this.#placed[operation >> 4]! &= ~(1 << (operation & 15));
    this.#highest = highest;
    this.#left += 1;
    this.#fullWords = Math.min(this.#fullWords, operation >> 4);
  }

  /**
   * Whether this configuration is worth looking at. One that has used more of the possible operations
   * than another with the same definite ones placed and the same value can do nothing that one cannot.
   */
  #isNew(): boolean {
    const words = this.#placed.subarray(this.#fullWords, (this.#highest >> 4) + 1);
    let key = `${this.#valueId()}:${this.#fullWords}:`;
    for (const word of words) key += String.fromCharCode(word);
    const seen = this.#seen.get(key);
    if (seen === undefined) {
      this.#seen.set(key, [this.#used]);
      return true;
    }
    const used = this.#used;
    if (seen.some((other) => (other & used) === other)) return false;
    seen.push(used);
    return true;
  }

  #valueId(): number {
    let id = this.#valueIds.get(this.#value);
    if (id === undefined) {
      id = this.#valueIds.size;
      this.#valueIds.set(this.#value, id);
    }
    return id;
  }
}

/**
 * For each possible operation the one before it that does the same as far as anybody can tell.
 * Which of two such ones happened makes no difference, so they are used in this order.
 */
function twins(possible: readonly Possible[], observed: Observed): number[] {
  const last = new Map<string, number>();
  return possible.map(({ command }, index) => {
    const text = JSON.stringify(observed.simplestCommand(command));
    const twin = last.get(text) ?? -1;
    last.set(text, index);
    return twin;
  });
}

/** All calls and returns in order of time, linked behind a head; at the same time calls come first. */
function link(definite: readonly Definite[], calls: Entry[], returns: Entry[]): Entry {
  const bare = { previous: undefined, next: undefined, rank: 0 };
  const events = definite.flatMap(({ invokedAt, returnedAt }, operation) => [
    { ...bare, operation, isReturn: false, time: invokedAt },
    { ...bare, operation, isReturn: true, time: returnedAt },
  ]);
  events.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
  const head: Entry = { ...bare, operation: -1, isReturn: false, time: -Infinity };
  let previous = head;
  for (const [rank, event] of events.entries()) {
    const entry: Entry = { ...event, rank, previous };
    previous.next = entry;
    previous = entry;
    (entry.isReturn ? returns : calls)[entry.operation] = entry;
  }
  return head;
}

function unlink(entry: Entry): void {
  entry.previous!.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

/** Undoes `unlink`, in the opposite order of the unlinks. */
function relink(entry: Entry): void {
  entry.previous!.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}
