// What a leader has appended counts against its bound until the engine holds it, and no longer than it
// leads: what a term has lost is never applied.

import { describe, expect, it } from "vitest";
import { Backlog } from "../../../actors/store/backlog.ts";
import { plain } from "../../simulation/store-world.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

describe("the backlog", () => {
  it("counts what is appended until it is applied", () => {
    const backlog = new Backlog();
    for (const index of [4, 5, 6]) backlog.appended(index, 10);
    expect(backlog.bytes).toBe(30);
    backlog.applied(3);
    expect(backlog.bytes).toBe(30);
    backlog.applied(5);
    expect(backlog.bytes).toBe(10);
    backlog.clear();
    expect(backlog.bytes).toBe(0);
    backlog.applied(6);
    expect(backlog.bytes).toBe(0);
  });
});

describe("a leader whose entries were lost", () => {
  it("serves when it leads again, however many they were", async () => {
    for (const count of [3, 60]) {
      const world = new SnapshotWorld(7);
      for (const id of [1, 2, 3]) await world.add(id, [1, 2, 3]).start();
      const nodes = [...world.nodes.values()];
      await world.until(() => nodes.some(({ region }) => region!.serving), "a leader");
      const old = nodes.find(({ region }) => region!.serving)!;
      await old.ask("SET a 1");
      await world.settle();
      // Cut off, with clients that go on writing.
      world.passes = (from, to) => from !== old.nodeId && to !== old.nodeId;
      const value = Buffer.alloc(300_000, "x");
      const sent = Array.from({ length: count }, (_, i) =>
        old.send([Buffer.from("SET"), Buffer.from(`k${i}`), value]),
      );
      const isOther = ({ nodeId, region }: typeof old): boolean =>
        nodeId !== old.nodeId && region!.serving;
      await world.until(
        () => nodes.some(isOther) && old.region!.role !== "leader",
        "another leader",
        100_000,
      );
      expect(sent.every((one) => one.reply !== undefined)).toBe(true);
      world.passes = () => true;
      const next = nodes.find(isOther)!;
      await world.until(() => old.raft.log.lastIndex === next.raft.log.lastIndex, "it has healed");
      await world.settle();
      // Home again, in the same process.
      next.region!.inbox.transferTo(old.nodeId);
      await world.until(() => old.region!.serving, "it leads again");
      const asked = [old.send("SET b 2"), old.send("GET a")];
      await world.until(() => asked.every((one) => one.reply !== undefined), "answers", 5000);
      expect(asked.map((one) => plain(one.reply!))).toEqual(["OK", "1"]);
    }
  }, 60_000);
});
