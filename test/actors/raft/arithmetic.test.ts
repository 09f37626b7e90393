// The arithmetic under the core against slow models: the index a majority holds, and the terms of a
// log kept as runs. What the core does with them is `paper.test.ts`.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogView } from "../../../actors/raft/log-view.ts";
import { hasMajority, majority, quorumIndex } from "../../../actors/raft/quorum.ts";

const voterSets = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
const matches = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 8 })))
  .map((pairs) => new Map(pairs));

describe("quorum", () => {
  test("the quorum index is the highest that a majority of voters has", () => {
    fc.assert(
      fc.property(voterSets, matches, (voters, matched) => {
        const isHeld = (index: number): boolean => {
          const holders = voters.filter((voter) => (matched.get(voter) ?? 0) >= index);
          return holders.length * 2 > voters.length;
        };
        let slow = 0;
        while (isHeld(slow + 1)) slow++;
        expect(quorumIndex(voters, matched)).toBe(slow);
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
  type Change = { do: "append"; up: number; count: number } | { do: "compact"; share: number };
  const changes: fc.Arbitrary<Change[]> = fc.array(
    fc.oneof(
      fc.record({
        do: fc.constant("append" as const),
        up: fc.integer({ min: 0, max: 2 }),
        count: fc.integer({ min: 0, max: 4 }),
      }),
      fc.record({
        do: fc.constant("compact" as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    ),
    { maxLength: 40 },
  );
  const starts = fc.record({
    prevIndex: fc.integer({ min: 0, max: 5 }),
    prevTerm: fc.integer({ min: 0, max: 3 }),
  });

  test("it answers what an array of terms answers", () => {
    fc.assert(
      fc.property(starts, changes, ({ prevIndex, prevTerm }, todo) => {
        const view = new LogView(prevIndex, prevTerm);
        // terms[i] is the term at index i; what was compacted is undefined.
        const terms: Array<number | undefined> = Array.from({ length: prevIndex });
        terms.push(prevTerm);
        let first = prevIndex;
        for (const change of todo) {
          if (change.do === "append") {
            const term = terms.at(-1)! + change.up;
            view.append(term, change.count);
            for (let i = 0; i < change.count; i++) terms.push(term);
          } else {
            const index = first + Math.floor(change.share * (terms.length - 1 - first));
            view.compact(index);
            first = index;
            terms.fill(undefined, 0, first);
          }
          expect(view.prevIndex).toBe(first);
          expect(view.lastIndex).toBe(terms.length - 1);
          expect(view.lastTerm).toBe(terms.at(-1));
          for (let index = 0; index <= terms.length + 1; index++) {
            expect(view.termAt(index)).toBe(terms[index]);
          }
        }
      }),
    );
  });

  test("terms never go down and nothing behind the end is compacted", () => {
    const view = new LogView(0, 0);
    view.append(3, 2);
    expect(() => view.append(2, 1)).toThrow("never decrease");
    expect(() => view.compact(3)).toThrow("inside the log");
    view.compact(2);
    expect(view.lastTerm).toBe(3);
    expect(() => view.append(2, 1)).toThrow("never decrease");
  });
});
