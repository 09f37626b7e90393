// The proof of sameness by chance: random sequences of commands, sent to redis-server and SpireDB on
// an empty server each, compared reply by reply and then by all that is left; a failure is shrunk to
// the shortest sequence. CONFORMANCE_SEED repeats a run, CONFORMANCE_RUNS sets its length.

import * as fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startRedis, startSpire, type Peer } from "./peers.ts";
import { longSequences, LOOK, sequences } from "./random-commands.ts";
import { mismatches, report, type Protocol } from "./run.ts";

/** Sequences of each kind, in each protocol. */
const RUNS = Number(process.env["CONFORMANCE_RUNS"] ?? 200);
const SEED = Number(process.env["CONFORMANCE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** For each kind and protocol, shrinking included; a slow machine makes fewer runs, it does not fail. */
const LIMIT_MS = 14_000;

let redis: Peer;
let spire: Peer;
let underWay: Promise<unknown> | undefined;

beforeAll(async () => {
  [redis, spire] = await Promise.all([startRedis(), startSpire()]);
});

// The time limit leaves the last sequence running; the next test must not meet its commands.
afterEach(async () => {
  await underWay?.catch(() => undefined);
});

afterAll(async () => {
  await Promise.all([redis?.stop(), spire?.stop()]);
});

describe.each<Protocol>([2, 3])("in RESP%i", (protocol) => {
  it.each([
    ["any commands", sequences],
    ["commands on long strings", longSequences],
  ])("random sequences of %s get redis-server's replies", async (kind, arbitrary) => {
    console.log(`CONFORMANCE_SEED=${SEED} CONFORMANCE_RUNS=${RUNS} (RESP${protocol}, ${kind})`);
    const property = fc.asyncProperty(arbitrary, async (commands) => {
      const steps = [...commands, ...LOOK];
      const run = mismatches([redis, spire], protocol, [{ title: "random", steps }]);
      underWay = run;
      expect(report(await run)).toBe("");
    });
    await fc.assert(property, {
      seed: SEED,
      numRuns: RUNS,
      interruptAfterTimeLimit: LIMIT_MS,
      verbose: 0,
    });
  });
});
