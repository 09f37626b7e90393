// Who may belong to a cluster that exists: late nodes, restarted, wiped, rolled back and doubled ones,
// and nodes of another cluster of the same name. Each refusal must say why, and end the right process.

import { describe, expect, test } from "vitest";
import type { Formation, Proposal } from "../../../actors/cluster/protocol.ts";
import { emptyDisk, World, type Disk, type Process } from "./world.ts";

const disks = (count: number): Disk[] =>
  ["a", "b", "c"].slice(0, count).map((id) => emptyDisk(id, `${id}-first-disk`));
const expecting = (count: number): Formation => ({ kind: "expect", count });
const naming = (...nodeIds: string[]): Formation => ({ kind: "named", nodeIds });

const formedBy = (processes: readonly Process[]): (Proposal | undefined)[] =>
  processes.map(({ cluster }) => cluster.formed);

/** Lines about another cluster of the name. */
const complaints = (node: Process): number =>
  node.lines.filter((line) => line.startsWith("error another cluster")).length;

/** Three nodes of one cluster, running. */
async function three(formation: Formation = expecting(3)) {
  const world = new World();
  const all = disks(3);
  const nodes = all.map((disk) => world.start(disk, formation));
  await world.pass(4000);
  expect(new Set(formedBy(nodes).map((each) => each?.clusterId)).size).toBe(1);
  expect(formedBy(nodes)).not.toContain(undefined);
  return { world, all, nodes };
}

describe("after it is formed", () => {
  test("a newcomer joins, with the founders as members", async () => {
    const { world, nodes } = await three();
    const disk = emptyDisk("d", "d-first-disk");
    const late = world.start(disk, expecting(3), {
      bootstrap: { regionCount: 4, hashTags: false, replicas: 1 },
    });
    await world.pass(100);
    expect(late.state("formation")).toBe("joining");
    await world.pass(1500);
    expect(late.cluster.formed).toEqual(nodes[0]?.cluster.formed);
    expect(disk.record).toEqual({ pledge: undefined, formed: nodes[0]?.cluster.formed });
    expect(late.cluster.nodes.others().map(({ info, isUp }) => `${info.nodeId} ${isUp}`)).toEqual([
      "a true",
      "b true",
      "c true",
    ]);
    expect(nodes[0]?.notes).toContain("d up 1");
  });

  test("two of three start again without the third", async () => {
    const { world, all, nodes } = await three();
    const before = nodes[0]?.cluster.formed;
    for (const node of nodes) node.crash();
    const again = all.slice(0, 2).map((disk) => world.start(disk, expecting(3)));
    await world.pass(50);
    expect(formedBy(again)).toEqual([before, before]);
    expect(again[0]?.notes).toEqual(["b up 2"]);
  });

  test("a wiped node is refused and told what to do", async () => {
    const { world, all, nodes } = await three();
    nodes[2]?.crash();
    const wiped = world.start(emptyDisk("c", "c-second-disk"), expecting(3));
    await world.pass(2000);
    expect(wiped.refusal).toMatch(/^node id c belongs to another data directory in this cluster/);
    expect(wiped.fatal).toEqual([]);
    expect(
      nodes[0]?.lines.filter((line) => line.startsWith("warning a node is refused")),
    ).toHaveLength(1);
    expect(nodes[0]?.notes).not.toContain("c restarted 1");
    // The old disk is still welcome.
    const old = world.start(all[2]!, expecting(3));
    await world.pass(1000);
    expect(old.cluster.formed).toEqual(nodes[0]?.cluster.formed);
    expect(nodes[0]?.cluster.nodes.upSinceMs("c")).toBeDefined();
  });

  test("a wiped joiner is refused too, as long as somebody remembers it", async () => {
    const { world, nodes } = await three();
    const joiner = world.start(emptyDisk("d", "d-first-disk"), expecting(3));
    await world.pass(2000);
    expect(joiner.cluster.formed).toBeDefined();
    joiner.crash();
    const wiped = world.start(emptyDisk("d", "d-second-disk"), expecting(3));
    await world.pass(2000);
    expect(wiped.refusal).toMatch(/^node id d belongs to another data directory/);
    expect(nodes).toHaveLength(3);
  });

  test("a founder whose disk forgot its pledge is refused", async () => {
    const { world, nodes } = await three();
    nodes[2]?.crash();
    const older = world.start(emptyDisk("c", "c-first-disk"), expecting(3));
    await world.pass(2000);
    expect(older.refusal).toMatch(/an older copy/);
  });

  test("a signer of another proposal joins when that one can never be formed", async () => {
    const { world, nodes } = await three();
    const disk = emptyDisk("d", "d-first-disk");
    const formed = nodes[0]!.cluster.formed!;
    const other = { nodeId: "d", incarnation: "d-first-disk" };
    const lost: Proposal = {
      ...formed,
      clusterId: "f".repeat(32),
      members: [formed.members[0]!, other],
    };
    disk.record = { pledge: lost, formed: undefined };
    const node = world.start(disk, expecting(2));
    await world.pass(3000);
    expect(disk.record).toEqual({ pledge: lost, formed });
    expect(node.cluster.formed).toEqual(formed);
  });

  test("a signer of a proposal that may still be formed waits, loudly", async () => {
    const { world } = await three();
    const disk = emptyDisk("d", "d-first-disk");
    const members = ["d", "e"].map((nodeId) => ({ nodeId, incarnation: `${nodeId}-first-disk` }));
    const open = {
      clusterId: "f".repeat(32),
      members,
      regionCount: 1,
      hashTags: true,
      replicas: 2,
    };
    disk.record = { pledge: open, formed: undefined };
    const node = world.start(disk, expecting(2));
    await world.pass(3000);
    expect(node.cluster.formed).toBeUndefined();
    expect(node.cluster.waitingFor()).toBe("waiting for e to agree to a cluster of d, e");
    expect(node.lines.filter((line) => line.startsWith("error another cluster"))).toHaveLength(1);
  });

  test("a pledge that cannot come true says so", async () => {
    const world = new World();
    const disk = emptyDisk("a", "a-first-disk");
    const members = ["a", "b"].map((nodeId) => ({ nodeId, incarnation: `${nodeId}-first-disk` }));
    const pledge = {
      clusterId: "f".repeat(32),
      members,
      regionCount: 1,
      hashTags: true,
      replicas: 2,
    };
    disk.record = { pledge, formed: undefined };
    const a = world.start(disk, naming("a", "b"));
    world.start(emptyDisk("b", "b-second-disk"), naming("a", "b"));
    await world.pass(3000);
    expect(a.cluster.waitingFor()).toMatch(
      /^cannot form a cluster of a, b: b lost the data directory/,
    );
    expect(world.processes.map(({ cluster }) => cluster.formed)).toEqual([undefined, undefined]);
  });

  test("two clusters under one name never mix, say so once a minute, and nobody joins them", async () => {
    const world = new World();
    const [a, b, c] = disks(3) as [Disk, Disk, Disk];
    const one = world.start(a, { kind: "alone" });
    const two = world.start(b, { kind: "alone" });
    await world.pass(5000);
    expect([complaints(one), complaints(two)]).toEqual([1, 1]);
    expect(one.cluster.formed).not.toEqual(two.cluster.formed);
    expect(one.cluster.nodes.others()).toEqual([]);
    const third = world.start(c, expecting(3));
    await world.pass(3000);
    expect(third.refusal).toMatch(/both live under this name/);
    expect(c.record.formed).toBeUndefined();
    await world.pass(240_000, 500);
    for (const node of [one, two]) {
      expect(complaints(node)).toBeGreaterThanOrEqual(4);
      expect(complaints(node)).toBeLessThanOrEqual(5);
    }
  });
});

describe("the same node id twice", () => {
  test("in two clusters of one name: both say so at once, and both live", async () => {
    const world = new World();
    const one = world.start(emptyDisk("a", "one disk"), { kind: "alone" });
    const two = world.start(emptyDisk("a", "another disk"), { kind: "alone" });
    await world.pass(50);
    expect([complaints(one), complaints(two)]).toEqual([1, 1]);
    await world.pass(10_000);
    expect([one.fatal, two.fatal]).toEqual([[], []]);
    expect(one.endpoint.bound).toBe(one.cluster.formed?.clusterId);
    expect(two.endpoint.bound).toBe(two.cluster.formed?.clusterId);
    expect(one.endpoint.bound).not.toBe(two.endpoint.bound);
    expect(one.cluster.nodes.others()).toEqual([]);
  });

  test("two disks: the younger process ends, the cluster goes on", async () => {
    const world = new World();
    const old = world.start(emptyDisk("a", "one disk"), naming("a", "b"));
    await world.pass(5000);
    const twin = world.start(emptyDisk("a", "another disk"), naming("a", "b"));
    await world.pass(2000);
    expect(twin.refusal).toMatch(/^node id a is in use/);
    expect(old.refusal).toBeUndefined();
  });

  test("a copied data directory of the same age: the younger process ends", async () => {
    const { world, all, nodes } = await three();
    const copy = { ...all[0]!, epoch: all[0]!.epoch - 1 };
    const twin = world.start(copy, expecting(3));
    await world.pass(3000);
    expect(twin.fatal.map(String)).toEqual([expect.stringMatching(/node id a is in use/)]);
    expect(nodes[0]?.fatal).toEqual([]);
  });

  test("a refusal meant for a wiped node does not end the one that is at home", async () => {
    const { world, nodes } = await three();
    const wiped = world.start(emptyDisk("c", "c-second-disk"), expecting(3));
    await world.pass(3000);
    expect(wiped.refusal).toBeDefined();
    expect(nodes.map(({ fatal }) => fatal)).toEqual([[], [], []]);
    expect(nodes[0]?.cluster.nodes.upSinceMs("c")).toBeDefined();
  });

  test("a single word of a disk that is gone, even doubled, ends nobody", async () => {
    const world = new World();
    const gone = world.start(emptyDisk("a", "one disk"), naming("a", "b"));
    const listener = world.start(emptyDisk("z", "z-first-disk"), naming("a", "b"));
    await world.pass(5000);
    const word = world.flights.findLast(({ from, to }) => from === "a" && to === "z")!.body;
    gone.crash();
    const next = world.start(emptyDisk("a", "another disk"), naming("a", "b"));
    for (let i = 0; i < 3; i++) {
      next.endpoint.handlers.get("announce")?.("a", word);
      await world.pass(300);
    }
    expect(next.refusal).toBeUndefined();
    expect(listener.refusal).toBeUndefined();
  });

  test("started together: exactly one of them stays", async () => {
    const world = new World();
    const one = world.start(emptyDisk("a", "one disk"), naming("a", "b"));
    const two = world.start(emptyDisk("a", "another disk"), naming("a", "b"));
    await world.pass(3000);
    expect([one, two].filter(({ refusal }) => refusal !== undefined)).toHaveLength(1);
  });

  test("words of its own predecessor end nobody", async () => {
    const world = new World();
    const disk = emptyDisk("a", "one disk");
    // Everything is doubled, the second time much later.
    world.fate = () => [1, 1700];
    const old = world.start(disk, naming("a", "b"));
    await world.pass(3000);
    old.crash();
    const next = world.start(disk, naming("a", "b"));
    await world.pass(5000);
    expect(next.refusal).toBeUndefined();
  });
});
