// The young end of a log in memory: what it holds, replaces and lets go. Reading older entries is the
// journal's.

import { array, assert, constant, nat, oneof, property, record } from "fast-check";
import { expect, test } from "vitest";
import { LogWindow } from "../../../actors/store/log-window.ts";
import type { LogEntry } from "../../../storage/journal/types.ts";

const entry = (index: number, term: number): LogEntry => ({
  index,
  term,
  kind: 1,
  payload: Buffer.from(`${index}@${term}`),
});

const run = (from: number, count: number, term: number): LogEntry[] =>
  Array.from({ length: count }, (_, i) => entry(from + i, term));

test("an append at an index held replaces everything from there on", () => {
  const window = new LogWindow();
  window.append(run(1, 5, 1));
  window.append(run(3, 1, 2));
  expect(window.range(1, 3)).toEqual([entry(1, 1), entry(2, 1), entry(3, 2)]);
  expect(window.get(4)).toBeUndefined();
  expect(window.range(1, 4)).toBeUndefined();
});

test("entries behind a gap make it forget what came before", () => {
  const window = new LogWindow();
  window.append(run(1, 2, 1));
  window.append(run(9, 2, 3));
  expect(window.get(2)).toBeUndefined();
  expect(window.range(9, 10)).toEqual(run(9, 2, 3));
});

test("what is durable gives way when there is much, the oldest first", () => {
  const window = new LogWindow();
  window.append(run(1, 9, 1));
  window.shrink(12, 4);
  expect([window.first, window.bytes]).toEqual([5, 15]);
  window.shrink(12, 9);
  expect([window.first, window.bytes]).toEqual([6, 12]);
  window.append(run(10, 1, 1));
  expect(window.range(6, 10)).toEqual(run(6, 5, 1));
  window.shrink(0, 99);
  window.append(run(11, 1, 1));
  expect([window.first, window.get(11)]).toEqual([11, entry(11, 1)]);
});

test("it holds what a log would, between what was trimmed and what was truncated", () => {
  const step = oneof(
    record({ type: constant("append" as const), back: nat(4), count: nat(6) }),
    record({ type: constant("truncate" as const), back: nat(4) }),
    record({ type: constant("trim" as const), back: nat(8) }),
  );
  assert(
    property(array(step, { maxLength: 60 }), (steps) => {
      const window = new LogWindow();
      const log: LogEntry[] = [];
      let trimmed = 0;
      let term = 0;
      for (const next of steps) {
        if (next.type === "append") {
          const from = Math.max(trimmed, log.length - next.back);
          log.length = from;
          const entries = run(from + 1, next.count, ++term);
          log.push(...entries);
          if (entries.length === 0) window.truncate(from + 1);
          window.append(entries);
        } else if (next.type === "truncate") {
          log.length = Math.max(trimmed, log.length - next.back);
          window.truncate(log.length + 1);
        } else {
          trimmed = Math.max(trimmed, log.length - next.back);
          window.trim(trimmed);
        }
        const held = log.slice(trimmed);
        for (const one of held) expect(window.get(one.index)).toEqual(one);
        for (let index = 1; index <= trimmed; index++) expect(window.get(index)).toBeUndefined();
        expect(window.get(log.length + 1)).toBeUndefined();
        expect(window.bytes).toBe(held.reduce((sum, { payload }) => sum + payload.length, 0));
        if (held.length > 0) expect(window.range(trimmed + 1, log.length)).toEqual(held);
      }
    }),
    { numRuns: 300 },
  );
});

test("it slides along a long log", () => {
  const window = new LogWindow();
  for (let first = 1; first <= 2000; first += 4) {
    window.append(run(first, 4, 1));
    window.trim(first - 20);
    const from = Math.max(1, first - 19);
    expect(window.range(from, first + 3)).toEqual(run(from, first + 4 - from, 1));
    expect(window.get(from - 1)).toBeUndefined();
  }
});
