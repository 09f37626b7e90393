// What of the log replicas hold in memory once it is applied: what a follower lacks, and no more.

import { afterEach, expect, test, vi } from "vitest";
import { LogWindow } from "../../../actors/store/log-window.ts";
import type { ReplicaNode } from "./replica-node.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const voters = [1, 2, 3];

afterEach(() => void vi.restoreAllMocks());

const leads = ({ region }: ReplicaNode): boolean => region!.serving;

/** Nodes 1 and 2 run, one of them leads, and something is written and applied. */
async function written(world: SnapshotWorld): Promise<ReplicaNode> {
  const nodes = [await world.add(1, voters).start(), await world.add(2, voters).start()];
  await world.until(() => nodes.some(leads), "a leader");
  const leader = nodes.find(leads)!;
  for (let i = 0; i < 20; i++) await leader.ask(`SET key${i} value`);
  await world.settle();
  return leader;
}

async function joins(world: SnapshotWorld, { raft }: ReplicaNode): Promise<void> {
  const late = await world.add(3, voters).start();
  await world.until(() => late.raft.appliedIndex === raft.commitIndex, "all have everything");
  await world.settle();
}

test("a follower that was away is sent what it lacks from memory", async () => {
  const world = new SnapshotWorld(1);
  const leader = await written(world);
  const reads = vi.spyOn(leader.journal, "read");
  await joins(world, leader);
  expect(reads).not.toHaveBeenCalled();
});

test("only the leader holds it, and lets go of what nobody lacks", async () => {
  const appended = vi.spyOn(LogWindow.prototype, "append");
  const holding = (): Set<LogWindow> => {
    const windows = appended.mock.contexts as LogWindow[];
    return new Set(windows.filter(({ bytes }) => bytes > 0));
  };
  const bytesHeld = (): number => [...holding()].reduce((sum, { bytes }) => sum + bytes, 0);
  const world = new SnapshotWorld(1);
  const leader = await written(world);
  expect(holding().size).toBe(1);
  const bytesOfAll = bytesHeld();
  await joins(world, leader);
  await leader.ask("SET last value");
  await world.settle();
  // Whoever acknowledges the last one after it is applied leaves it there until the next.
  expect(bytesHeld()).toBeLessThan(bytesOfAll / 10);
});
