// What the answers of one key's history show of its values, and what they cannot tell apart. It
// makes equal for `search.ts` what looks different but can never be noticed; it searches nothing.

import type { Answer, Command } from "./history.ts";

/**
 * What the answers show of the values. A value that is no beginning of anything shown can only be
 * noticed by its length, so all of them of one length are taken for one and the same value: without
 * this, n unknown writes that nobody saw would make 2^n different pasts.
 */
export class Observed {
  /** Texts shown, ascending; undefined where values are counted with and their text matters. */
  readonly #texts: readonly string[] | undefined;
  readonly #together: string;
  readonly #simplest = new Map<string, string>();

  constructor(commands: readonly Command[], answers: readonly Answer[]) {
    const isCounter = commands.some(({ kind }) => kind === "incr");
    const shown = answers.filter((answer) => typeof answer === "string");
    const texts = [...new Set(shown)].toSorted(byCodeUnit);
    this.#texts = isCounter ? undefined : texts;
    this.#together = texts.join("\uffff");
  }

  /** A value that no answer of this history can tell from the given one. */
  simplest(value: string): string {
    if (this.#texts === undefined) return value;
    let simplest = this.#simplest.get(value);
    if (simplest === undefined) {
      simplest = this.#isBeginning(value, this.#texts) ? value : "\uffff".repeat(value.length);
      this.#simplest.set(value, simplest);
    }
    return simplest;
  }

  /** A command that no answer can tell from the given one. */
  simplestCommand(command: Command): Command {
    if (!("value" in command) || this.#texts === undefined) return command;
    if (this.#together.includes(command.value)) return command;
    return { kind: command.kind, value: "\uffff".repeat(command.value.length) };
  }

  #isBeginning(value: string, texts: readonly string[]): boolean {
    let low = 0;
    let high = texts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (texts[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return texts[low]?.startsWith(value) ?? false;
  }
}

function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
