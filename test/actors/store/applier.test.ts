// An engine that is slower than the log: what it is given at once and what of the log stays in memory
// is bounded, and nothing of it is left out.

import { describe, expect, test } from "vitest";
import { Applier } from "../../../actors/store/applier.ts";
import type { AppliedState } from "../../../actors/store/apply.ts";
import type { EngineEvent } from "../../../actors/store/engine.ts";
import { LogWindow } from "../../../actors/store/log-window.ts";
import type { RegionPorts } from "../../../actors/store/region-ports.ts";
import type { ApplyJob } from "../../../actors/store/writer.ts";
import type { LogEntry } from "../../../storage/journal/types.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const entryBytes = 512 * 1024;
const megabyte = 1024 * 1024;

const log: LogEntry[] = Array.from({ length: 64 }, (_, at) => ({
  index: at + 1,
  term: 1,
  kind: 0,
  payload: Buffer.alloc(entryBytes),
}));

/** An applier with that much of the log in memory and the rest in the journal; all is committed. */
function rig(firstHeld: number) {
  const jobs: ApplyJob[] = [];
  const applied: number[] = [];
  const window = new LogWindow();
  window.append(log.slice(firstHeld - 1));
  const read = (_regionId: number, from: number, to: number, maxBytes: number) =>
    Promise.resolve(log.slice(from - 1, Math.min(to, from - 1 + maxBytes / entryBytes)));
  const ports = {
    handles: { engine: undefined, journal: { read } },
    engine: { send: ({ job }: EngineEvent & { job: ApplyJob }) => void jobs.push(job) },
  } as unknown as RegionPorts;
  const host = {
    regionId: 1,
    ended: false,
    applicableIndex: log.length,
    applied: { nextExpiryMs: Infinity, uncleared: new Set() } as unknown as AppliedState,
    logBytes: (from: number, to: number) => (to - from) * entryBytes,
    onApplied: (index: number) => void applied.push(index),
    onApplyFailed: (error: unknown) => {
      throw error;
    },
  };
  return { applier: new Applier(ports, host, window), jobs, applied };
}

const settled = (): Promise<void> => new Promise((next) => void setImmediate(next));

describe("an engine that is slow", () => {
  test.each([
    ["memory", 1],
    ["the journal", 65],
    ["both", 40],
  ])("owes little of what comes from %s, and gets everything", async (_from, firstHeld) => {
    const { applier, jobs, applied } = rig(firstHeld);
    applier.wake(false);
    for (let paid = 0; (applied.at(-1) ?? 0) < log.length;) {
      for (let turn = 0; turn < 20; turn++) await settled();
      const owed = applier.submitted - (applied.at(-1) ?? 0);
      expect(owed * entryBytes).toBeLessThanOrEqual(5 * megabyte);
      jobs[paid++]!.onDone();
    }
    expect(applied).toEqual(applied.toSorted((a, b) => a - b));
  });
});

test("what waits for a follower's stalled engine is let go and read from the journal", async () => {
  const world = new SnapshotWorld(1);
  const nodes = [await world.add(1, [1, 2]).start(), await world.add(2, [1, 2]).start()];
  await world.until(() => nodes.some(({ region }) => region!.serving), "a leader");
  const leader = nodes.find(({ region }) => region!.serving)!;
  const follower = nodes.find((node) => node !== leader)!;
  const { engine } = follower.handles.opened();
  const write = engine.write.bind(engine);
  let release: (() => void) | undefined;
  const stalled = new Promise<void>((resolve) => (release = resolve));
  engine.write = (...args) => stalled.then(() => write(...args));
  const value = "v".repeat(400_000);
  for (let at = 0; at < 60; at++) await leader.ask(`SET key${at} ${value}`);
  const { lastIndex } = leader.region!;
  await world.until(() => follower.region!.applicableIndex >= lastIndex, "it is all committed");
  let bytesRead = 0;
  const { journal } = follower;
  const read = journal.read.bind(journal);
  journal.read = async (...args) => {
    const entries = await read(...args);
    for (const { payload } of entries) bytesRead += payload.length;
    return entries;
  };
  release?.();
  await world.until(() => follower.region!.appliedIndex >= lastIndex, "it is all applied");
  expect(bytesRead).toBeGreaterThan(2 * megabyte);
  expect(await follower.content()).toEqual(await leader.content());
});
