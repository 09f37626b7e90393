// Glob patterns: Redis' own odd cases by table, random ones against a plain recursive matcher, and
// no pattern that takes for ever.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { matchGlob } from "../../resp/glob.ts";

const matches = (pattern: string, text: string): boolean =>
  matchGlob(Buffer.from(pattern, "latin1"), Buffer.from(text, "latin1"));

test.each([
  ["*", "", true],
  ["h?llo", "hello", true],
  ["h?llo", "hllo", false],
  ["h*llo", "heeeello", true],
  ["h[ae]llo", "hallo", true],
  ["h[^e]llo", "hello", false],
  ["h[^e]llo", "hbllo", true],
  ["h[a-c]llo", "hbllo", true],
  ["h[c-a]llo", "hbllo", true],
  ["h\\*llo", "h*llo", true],
  ["h\\*llo", "hxllo", false],
  ["h[\\]]llo", "h]llo", true],
  ["h[abc", "ha", true],
  ["a\\", "a\\", true],
  ["a**", "a", true],
  ["a*b*", "ab", true],
  ["a*b*c", "abxbc", true],
  ["", "", true],
  ["", "a", false],
  ["[^a-z]", "B", true],
])("pattern %j on %j is %s", (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected);
});

/** For patterns of letters, question marks and stars only. */
const plain = (pattern: string, text: string): boolean => {
  if (pattern === "") return text === "";
  if (pattern.startsWith("*")) {
    return plain(pattern.slice(1), text) || (text !== "" && plain(pattern, text.slice(1)));
  }
  const fits = text !== "" && (pattern.startsWith("?") || pattern[0] === text[0]);
  return fits && plain(pattern.slice(1), text.slice(1));
};

test("agrees with a plain matcher", () => {
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "?", "*"), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (p, t) => {
      expect(matches(p, t)).toBe(plain(p, t));
    }),
    { numRuns: 2000 },
  );
});

test("needs no more than pattern times text steps", () => {
  const started = performance.now();
  expect(matches("a*".repeat(5000) + "b", "a".repeat(20_000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("gives up beyond a thousand stars, as Redis does", () => {
  const text = Buffer.alloc(1001, "a");
  expect(matchGlob(Buffer.from("*?".repeat(1000)), text)).toBe(true);
  expect(matchGlob(Buffer.from("*?".repeat(1001)), text)).toBe(false);
});
