// The soak in small (`soak.ts`): half a minute of one fault after the other, drawn from a fresh seed,
// which a failure names.

import { expect, it } from "vitest";

import { soak } from "./soak.ts";

it("three processes survive faults by the dice with nothing wrong", async () => {
  const seed = Date.now() % 2 ** 32;
  const lines: string[] = [];
  const report = (line: string): unknown => lines.push(line);
  const result = await soak({ minutes: 0.5, nodes: 3, replicas: 3, seed, report });
  const again = `npm run soak -- --minutes 1 --seed ${seed}`;
  expect({ again, complaints: result.complaints, lines: lines.slice(-3) }).toEqual({
    again,
    complaints: [],
    lines: lines.slice(-3),
  });
  expect(result.faults).toBeGreaterThan(0);
  expect(result.acknowledged).toBeGreaterThan(100);
});
