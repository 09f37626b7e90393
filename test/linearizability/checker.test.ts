// The checker is itself checked: against trying every order on small histories, on long generated
// ones that are right, and on ones that break one promise in one place.

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { seeded } from "../integration/load.ts";
import { checkHistory } from "./checker.ts";
import { generate } from "./generate.ts";
import { perform, type Answer, type Command, type Operation } from "./history.ts";

const op = (
  client: string,
  command: Command,
  invokedAt: number,
  returnedAt?: number,
  answer: Answer = "OK",
): Operation => ({
  client,
  key: "k",
  command,
  invokedAt,
  outcome: returnedAt === undefined ? { kind: "unknown" } : { kind: "ok", answer, returnedAt },
});
const get: Command = { kind: "get" };
const set = (value: string): Command => ({ kind: "set", value });
const incr: Command = { kind: "incr", by: 1 };

/** Tries every order of every choice of unknown operations. */
function hasOrder(left: readonly Operation[], value: string | null): boolean {
  const ends = left.flatMap(({ outcome }) => (outcome.kind === "ok" ? [outcome.returnedAt] : []));
  if (ends.length === 0) return true;
  const limit = Math.min(...ends);
  return left.some((operation) => {
    const { outcome, command, invokedAt } = operation;
    if (invokedAt > limit || outcome.kind === "fail") return false;
    const step = perform(command, value);
    if (outcome.kind === "ok" && outcome.answer !== step.answer) return false;
    return hasOrder(
      left.filter((other) => other !== operation),
      step.value,
    );
  });
}

const onText: fc.Arbitrary<Command> = fc.oneof(
  fc.constant(get),
  fc.constantFrom("1", "2", "3").map(set),
  fc.constantFrom<Command>(
    { kind: "append", value: "1" },
    { kind: "append", value: "2" },
    { kind: "del" },
    { kind: "getdel" },
    { kind: "setnx", value: "1" },
    { kind: "getset", value: "2" },
  ),
);
/** Text alone and text to count with: the search looks at these two in different ways. */
const commands = fc.oneof(
  fc.constant(onText),
  fc.constant(fc.oneof(onText, fc.constant(incr), fc.constant(incr))),
);

/** Small histories, near enough to right ones that both verdicts are frequent. */
const small = commands
  .chain((command) =>
    fc.array(
      fc.record({
        command,
        at: fc.integer({ min: 0, max: 20 }),
        lasts: fc.integer({ min: 0, max: 8 }),
        kind: fc.constantFrom("ok", "ok", "ok", "unknown", "fail"),
        noise: fc.integer({ min: 0, max: 9 }),
      }),
      { maxLength: 7 },
    ),
  )
  .map((parts) => {
    let value: string | null = null;
    const plan = parts.toSorted((a, b) => a.at - b.at);
    return plan.map((part, index): Operation => {
      const step = perform(part.command, value);
      if (part.kind === "ok" || part.noise < 5) ({ value } = step);
      const lies: Answer[] = [null, "OK", 1, "1", "2"];
      const answer = part.noise === 0 ? lies[part.lasts % 5]! : step.answer;
      const base = { client: `c${index}`, key: "k", command: part.command, invokedAt: part.at };
      const returnedAt = part.at + part.lasts;
      if (part.kind === "unknown" || part.kind === "fail") {
        return { ...base, outcome: { kind: part.kind } };
      }
      return { ...base, outcome: { kind: "ok", answer, returnedAt } };
    });
  });

describe("the checker agrees with trying every order", () => {
  it("on small histories, right and wrong", () => {
    const counts = { right: 0, wrong: 0 };
    fc.assert(
      fc.property(small, (history) => {
        const expected = hasOrder(history, null);
        counts[expected ? "right" : "wrong"] += 1;
        const verdict = checkHistory(history);
        expect(verdict.kind).toBe(expected ? "linearizable" : "violation");
      }),
      { numRuns: 10_000 },
    );
    expect(Math.min(counts.right, counts.wrong)).toBeGreaterThan(500);
  });
});

describe("the checker accepts", () => {
  it.each([
    { kind: "register", clients: 3, operations: 500, unknown: 0 },
    { kind: "register", clients: 8, operations: 1000, unknown: 0.05 },
    { kind: "counter", clients: 8, operations: 1000, unknown: 0.05 },
    { kind: "register", clients: 5, operations: 300, unknown: 0.2 },
    { kind: "counter", clients: 5, operations: 300, unknown: 0.2 },
  ] as const)("what a right store answers: $kind, $unknown unknown", (shape) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        expect(checkHistory(generate({ key: "k", ...shape }, seeded(seed)))).toEqual({
          kind: "linearizable",
          keys: 1,
          operations: shape.operations,
        });
      }),
      { numRuns: 15 },
    );
  });

  it("an unknown write that is seen late, or never", () => {
    const late = [
      op("a", set("1"), 0, 1),
      op("b", set("2"), 2),
      op("a", get, 3, 4, "1"),
      op("a", get, 5, 6, "2"),
    ];
    expect(checkHistory(late).kind).toBe("linearizable");
    expect(checkHistory(late.slice(0, 3)).kind).toBe("linearizable");
  });

  it("a start other than nothing", () => {
    const history = [op("a", get, 0, 1, "old")];
    expect(checkHistory(history).kind).toBe("violation");
    expect(checkHistory(history, { startOf: () => "old" }).kind).toBe("linearizable");
  });

  it("hundreds of keys with thousands of operations each, in seconds", { timeout: 60_000 }, () => {
    const random = seeded(7);
    let operations = 0;
    for (let key = 0; key < 40; key++) {
      const kind = key % 2 === 0 ? "register" : "counter";
      const shape = { key: `k${key}`, kind, clients: 4, operations: 5000, unknown: 0.002 } as const;
      const verdict = checkHistory(generate(shape, random), { maxStepsPerKey: 500_000 });
      if (verdict.kind === "linearizable") operations += verdict.operations;
    }
    expect(operations).toBe(40 * 5000);
  });
});

/** Values that were certainly replaced before a time: the answers of GETSET and GETDEL. */
function replacedBefore(history: readonly Operation[], time: number): string[] {
  return history.flatMap(({ command: { kind }, outcome }) => {
    const replaces = kind === "getset" || kind === "getdel";
    if (!replaces || outcome.kind !== "ok" || outcome.returnedAt >= time) return [];
    return typeof outcome.answer === "string" ? [outcome.answer] : [];
  });
}

/** Changes the answer of one GET in the second half. */
function misread(history: Operation[], random: () => number, answer: (at: number) => string): void {
  const reads = history.flatMap(({ command: { kind }, outcome }, index) =>
    kind === "get" && outcome.kind === "ok" && index > history.length / 2 ? [index] : [],
  );
  const index = reads[Math.floor(random() * reads.length)]!;
  const read = history[index]!;
  if (read.outcome.kind !== "ok") throw new Error("not a read that was answered");
  const outcome = { ...read.outcome, answer: answer(read.invokedAt) };
  history[index] = { ...read, outcome };
}

/** Enough for a verdict where the default is not: some of the histories drawn here need more. */
const patient = { maxStepsPerKey: 100_000_000 };

describe("the checker refuses", () => {
  it.each([0, 0.03])("a stale read, %d unknown", { timeout: 60_000 }, (unknown) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seeded(seed);
        const shape = { key: "k", kind: "register", clients: 5, operations: 400, unknown } as const;
        const history = generate(shape, random);
        misread(history, random, (at) => {
          const old = replacedBefore(history, at);
          return old[Math.floor(random() * old.length)]!;
        });
        expect(checkHistory(history, patient).kind).toBe("violation");
      }),
      // The seed is undecided within the default number of steps.
      { numRuns: 15, examples: [[1582778119]] },
    );
  });

  it.each([0, 0.03])("a value out of thin air, %d unknown", { timeout: 60_000 }, (unknown) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seeded(seed);
        const shape = { key: "k", kind: "register", clients: 5, operations: 400, unknown } as const;
        const history = generate(shape, random);
        misread(history, random, () => "nobody wrote this");
        expect(checkHistory(history, patient).kind).toBe("violation");
      }),
      { numRuns: 15 },
    );
  });

  it.each(["forgets an increment", "increments twice"] as const)("a store that %s", (fault) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const shape = { key: "k", kind: "counter", clients: 5, operations: 400 } as const;
        const history = generate({ ...shape, unknown: 0, fault }, seeded(seed));
        expect(checkHistory(history).kind).toBe("violation");
      }),
      { numRuns: 15 },
    );
  });

  it("an acknowledged write that is gone", () => {
    const history = [op("a", set("1"), 0, 1), op("a", set("2"), 2, 3), op("b", get, 4, 5, "1")];
    expect(checkHistory(history).kind).toBe("violation");
  });

  it("an unknown increment that counted twice", () => {
    const once = [op("a", incr, 0, 1, 1), op("b", incr, 2), op("a", incr, 3, 4, 3)];
    expect(checkHistory(once).kind).toBe("linearizable");
    const twice = [...once, op("a", incr, 5, 6, 5)];
    expect(checkHistory(twice).kind).toBe("violation");
  });

  it("the execution of what was said not to have been executed", () => {
    const failed: Operation = { ...op("b", set("2"), 2), outcome: { kind: "fail" } };
    const history = [op("a", set("1"), 0, 1), failed, op("a", get, 3, 4, "2")];
    expect(checkHistory(history).kind).toBe("violation");
  });

  it("to be certain when it may not look further", () => {
    const shape = { key: "k", kind: "register", clients: 5, operations: 400, unknown: 0 } as const;
    const verdict = checkHistory(generate(shape, seeded(1)), { maxStepsPerKey: 100 });
    expect(verdict).toMatchObject({ kind: "undecided", key: "k" });
  });
});

describe("a violation is shown by the smallest window", () => {
  it("in the middle of a long history", () => {
    const random = seeded(3);
    const shape = { key: "k", kind: "register", clients: 4, operations: 3000, unknown: 0 } as const;
    const history = generate(shape, random);
    misread(history, random, () => "nobody wrote this");
    const verdict = checkHistory(history);
    if (verdict.kind !== "violation") throw new Error(verdict.kind);
    expect(verdict.window.length).toBeLessThan(30);
    expect(verdict.text).toContain("nobody wrote this");
  });

  it("with the operations that contradict each other and a mark at the impossible one", () => {
    const before = Array.from({ length: 50 }, (_, index) =>
      op("a", set(`v${index}`), index * 2, index * 2 + 1),
    );
    const history = [...before, op("a", set("new"), 200, 201), op("b", get, 202, 203, "v7")];
    const verdict = checkHistory(history);
    if (verdict.kind !== "violation") throw new Error(verdict.kind);
    expect(verdict.text.split("\n")).toEqual([
      "key k is not linearizable: no order explains these 2 operations",
      "(times from 200; => marks the first answer that cannot be true)",
      '   a set "new"  [0.000 .. 1.000: "OK"',
      '=> b get  [2.000 .. 3.000: "v7"',
    ]);
  });
});
