// The crash tests are only as good as what they believe: these check that belief by itself.

import { describe, expect, it } from "vitest";

import { Ledger } from "./ledger.ts";

const set = (value: string) => () => value;

/** One acknowledged write and two whose outcome is unknown. */
function fresh(): Ledger {
  const ledger = new Ledger();
  ledger.sent("k", set("a"));
  ledger.confirmed("k");
  ledger.sent("k", (before) => `${before}b`);
  ledger.sent("k", (before) => `${before}c`);
  return ledger;
}

describe("the ledger of the crash tests", () => {
  it("misses an acknowledged write that is gone", () => {
    const ledger = new Ledger();
    ledger.sent("k", set("a"));
    ledger.confirmed("k");
    expect(ledger.check("k", null)).toEqual({ key: "k", found: null, allowed: ["a"] });
  });

  it("misses an acknowledged write that an older value replaced", () => {
    const ledger = new Ledger();
    for (const value of ["a", "b"]) {
      ledger.sent("k", set(value));
      ledger.confirmed("k");
    }
    expect(ledger.check("k", "a")).toMatchObject({ found: "a", allowed: ["b"] });
  });

  it("accepts any prefix of the writes whose outcome is unknown, and nothing else", () => {
    for (const found of ["a", "ab", "abc"]) expect(fresh().check("k", found)).toBeUndefined();
    for (const found of ["ac", "", null]) expect(fresh().check("k", found)).toBeDefined();
  });

  it("goes on from what it found", () => {
    const ledger = new Ledger();
    ledger.sent("k", set("1"));
    expect(ledger.check("k", "1")).toBeUndefined();
    ledger.sent("k", (before) => `${before}2`);
    expect(ledger.confirmed("k")).toBe("12");
    expect(ledger.check("k", "12")).toBeUndefined();
  });
});
