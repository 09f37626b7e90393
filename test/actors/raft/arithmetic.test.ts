// The arithmetic under the core against slow models: the index a majority holds, and the terms of a
// log kept as runs. What the core does with them is in the files beside.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogView } from "../../../actors/raft/log-view.ts";
import { hasMajority, majority, quorumValue } from "../../../actors/raft/quorum.ts";

const voterSets = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
const matches = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 8 })))
  .map((pairs) => new Map(pairs));

describe("quorum", () => {
  test("the quorum value is the highest that a majority of voters has reached", () => {
    fc.assert(
      fc.property(voterSets, matches, (voters, matched) => {
        const isHeld = (index: number): boolean => {
          const holders = voters.filter((voter) => (matched.get(voter) ?? 0) >= index);
          return holders.length * 2 > voters.length;
        };
        let slow = 0;
        while (isHeld(slow + 1)) slow++;
        expect(quorumValue(voters, (voter) => matched.get(voter) ?? 0)).toBe(slow);
      }),
    );
  });

  test("a majority is more than half of the voters, whoever else granted", () => {
    fc.assert(
      fc.property(voterSets, fc.uniqueArray(fc.integer({ min: 1, max: 12 })), (voters, granted) => {
        const share = voters.filter((voter) => granted.includes(voter)).length;
        expect(hasMajority(voters, new Set(granted))).toBe(share * 2 > voters.length);
      }),
    );
  });

  test("two majorities of the same voters always share one", () => {
    for (let count = 1; count <= 9; count++) {
      const voters = Array.from({ length: count }, (_, i) => i + 1);
      expect(2 * majority(voters)).toBeGreaterThan(count);
      expect(2 * (majority(voters) - 1)).toBeLessThanOrEqual(count);
    }
  });
});

describe("log view", () => {
  type Change =
    | { readonly what: "append"; readonly up: number; readonly bytes: number }
    | { readonly what: "compact" | "truncate" | "reset"; readonly share: number };
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const changes: fc.Arbitrary<Change[]> = fc.array(
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          what: fc.constant("append" as const),
          up: fc.constantFrom(0, 0, 0, 1, 2),
          bytes: fc.nat(9),
        }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("compact" as const), share }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("truncate" as const), share }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("reset" as const), share }) },
    ),
    { maxLength: 60 },
  );
  const starts = fc.record({ prevIndex: fc.nat(5), prevTerm: fc.nat(3) });

  /** The log as one would write it without a thought for speed. */
  interface Model {
    prevIndex: number;
    prevTerm: number;
    entries: Array<{ term: number; bytes: number }>;
  }

  const change = (model: Model, view: LogView, todo: Change): void => {
    const { entries } = model;
    const lastTerm = entries.at(-1)?.term ?? model.prevTerm;
    if (todo.what === "append") {
      entries.push({ term: lastTerm + todo.up, bytes: todo.bytes });
      view.append(lastTerm + todo.up, todo.bytes);
      return;
    }
    const at = Math.round(todo.share * entries.length);
    if (todo.what === "truncate") {
      entries.length = at;
      view.truncate(model.prevIndex + at + 1);
    } else if (todo.what === "compact") {
      model.prevTerm = entries[at - 1]?.term ?? model.prevTerm;
      model.prevIndex += at;
      entries.splice(0, at);
      view.compact(model.prevIndex);
    } else {
      model.prevIndex += entries.length + at;
      model.prevTerm = lastTerm;
      model.entries = [];
      view.reset(model.prevIndex, model.prevTerm);
    }
  };

  const agree = (model: Model, view: LogView): void => {
    const { prevIndex, prevTerm, entries } = model;
    const lastIndex = prevIndex + entries.length;
    expect(view).toMatchObject({ prevIndex, lastIndex });
    expect(view.lastTerm).toBe(entries.at(-1)?.term ?? prevTerm);
    const termAt = (index: number): number | undefined =>
      index === prevIndex ? prevTerm : entries[index - prevIndex - 1]?.term;
    for (let index = 0; index <= lastIndex + 1; index++) {
      expect(view.termAt(index)).toBe(termAt(index));
      const bytes = entries
        .slice(0, Math.max(0, index - prevIndex))
        .reduce((sum, entry) => sum + entry.bytes, 0);
      if (index <= lastIndex) expect(view.bytesBetween(prevIndex, index)).toBe(bytes);
      for (const term of [0, 2, 5]) {
        let slow = Math.max(Math.min(index, lastIndex), prevIndex);
        while (slow > prevIndex && (termAt(slow) ?? 0) > term) slow--;
        expect(view.agreeableIndex(index, term)).toBe(slow);
      }
    }
  };

  test("it answers what an array of entries answers", () => {
    fc.assert(
      fc.property(starts, changes, ({ prevIndex, prevTerm }, todo) => {
        const view = new LogView(prevIndex, prevTerm);
        const model: Model = { prevIndex, prevTerm, entries: [] };
        for (const each of todo) {
          change(model, view, each);
          agree(model, view);
        }
      }),
    );
  });

  test("many entries can be forgotten, a few at a time", () => {
    const view = new LogView(0, 0);
    for (let index = 1; index <= 20_000; index++) {
      view.append(1, 2);
      view.compact(index - 3);
    }
    expect(view.bytesBetween(19_997, 20_000)).toBe(6);
    expect(view.bytesBetween(0, 20_000)).toBe(6);
  });

  test("terms never go down, nothing behind the end is compacted, nothing compacted is cut", () => {
    const view = new LogView(0, 0);
    view.append(3, 1);
    view.append(3, 1);
    expect(() => view.append(2, 1)).toThrow("never decrease");
    expect(() => view.compact(3)).toThrow("inside the log");
    view.compact(2);
    expect(view.lastTerm).toBe(3);
    expect(() => view.append(2, 1)).toThrow("never decrease");
    expect(() => view.truncate(2)).toThrow("committed");
  });
});
