// The proof of sameness by chance: random sequences of commands, sent to redis-server and SpireDB on
// an empty server each, compared reply by reply and then by all that is left; a failure is shrunk to
// the shortest sequence. CONFORMANCE_SEED repeats a run, CONFORMANCE_RUNS sets its length.

import * as fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startRedis, startSpire, type Peer } from "./peers.ts";
import { LOOK, sequences } from "./random-commands.ts";
import { mismatches, report, type Protocol } from "./run.ts";

/** Sequences of each protocol. */
const RUNS = Number(process.env["CONFORMANCE_RUNS"] ?? 300);
const SEED = Number(process.env["CONFORMANCE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** For each protocol, shrinking included; a slow machine makes fewer runs, it does not fail. */
const LIMIT_MS = 28_000;

let redis: Peer;
let spire: Peer;

beforeAll(async () => {
  [redis, spire] = await Promise.all([startRedis(), startSpire()]);
});

afterAll(async () => {
  await Promise.all([redis?.stop(), spire?.stop()]);
});

it.each<Protocol>([2, 3])("random commands get redis-server's replies in RESP%i", async (p) => {
  console.log(`CONFORMANCE_SEED=${SEED} CONFORMANCE_RUNS=${RUNS} (RESP${p})`);
  const property = fc.asyncProperty(sequences, async (commands) => {
    const steps = [...commands, ...LOOK];
    const found = await mismatches([redis, spire], p, [{ title: "random", steps }]);
    expect(report(found)).toBe("");
  });
  await fc.assert(property, {
    seed: SEED,
    numRuns: RUNS,
    interruptAfterTimeLimit: LIMIT_MS,
    verbose: 0,
  });
});
