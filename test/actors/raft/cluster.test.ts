// Election safety (paper figure 3: at most one leader a term) under everything a network, a disk and
// crashes can do to three replicas, by random histories.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Cluster, type Happening } from "./cluster.ts";

const whats: Array<{ weight: number; what: Happening["what"] }> = [
  { weight: 5, what: "tick" },
  { weight: 12, what: "deliver" },
  { weight: 2, what: "double" },
  { weight: 1, what: "lose" },
  { weight: 10, what: "sync" },
  { weight: 1, what: "crash" },
  { weight: 4, what: "wait" },
  { weight: 1, what: "propose" },
];

const happenings: fc.Arbitrary<Happening> = fc.record({
  what: fc.oneof(...whats.map(({ weight, what }) => ({ weight, arbitrary: fc.constant(what) }))),
  replica: fc.integer({ min: 0, max: 2 }),
  pick: fc.integer({ min: 0, max: 999 }).map((n) => n / 1000),
});

test("whatever happens, no term has two leaders and nothing shows before it is durable", () => {
  let led = 0;
  fc.assert(
    fc.property(fc.array(happenings, { minLength: 150, maxLength: 400 }), (history) => {
      const cluster = new Cluster();
      for (const happening of history) cluster.happen(happening);
      led += cluster.leaders.size;
    }),
    { numRuns: 500 },
  );
  // A history in which nobody is ever elected proves nothing.
  expect(led).toBeGreaterThan(250);
});
