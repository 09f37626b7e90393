// Heartbeats and liveness between running rooms: what they cost, what they acknowledge, and which of
// the late, doubled and foreign ones count. Times are virtual and exact.

import { describe, expect, test } from "vitest";
import { heartbeatMs, nodeDownMs, type Proposal } from "../../../actors/cluster/protocol.ts";
import { decodeMessage, encodeHeartbeat, type Heartbeat } from "../../../actors/cluster/wire.ts";
import { emptyDisk, World, type Disk, type Flight, type Process } from "./world.ts";

const formation = { kind: "expect", count: 3 } as const;
const ids = ["a", "b", "c"];
const formed: Proposal = {
  clusterId: "0123456789abcdef".repeat(2),
  members: ids.map((nodeId) => ({ nodeId, incarnation: `disk of ${nodeId}` })),
  regionCount: 16,
  hashTags: true,
  replicas: 3,
};

function formedDisk(nodeId: string): Disk {
  const disk = emptyDisk(nodeId, `disk of ${nodeId}`);
  disk.record = { pledge: formed, formed };
  return disk;
}

/** Three nodes of a formed cluster that know each other; each carries cargo. */
async function three() {
  const world = new World();
  const disks = ids.map(formedDisk);
  const nodes = disks.map((disk) => {
    const node = world.start(disk, formation);
    node.carryCargo();
    return node;
  });
  await world.pass(4000);
  for (const node of nodes) {
    node.notes.length = 0;
    node.news.length = 0;
  }
  world.flights.length = 0;
  const [a, b, c] = nodes as [Process, Process, Process];
  return { world, disks, a, b, c };
}

const heartbeatIn = ({ body }: Flight): Heartbeat | undefined => {
  const message = decodeMessage(body);
  return message.kind === "heartbeat" ? message.heartbeat : undefined;
};

/** The heartbeats from one node to another, oldest first. */
const between = (world: World, from: string, to: string): Heartbeat[] =>
  world.flights
    .filter((flight) => flight.from === from && flight.to === to)
    .flatMap((flight) => heartbeatIn(flight) ?? []);

/** Delivers a heartbeat as if it came late. */
const deliver = (to: Process, from: string, heartbeat: Heartbeat): void =>
  to.endpoint.handlers.get("cluster")?.(from, encodeHeartbeat(heartbeat));

describe("cost", () => {
  test("an idle pair exchanges 4 messages a second and not one more", async () => {
    const { world } = await three();
    await world.pass(100_000, 50);
    const pairs = 3;
    expect(world.flights.length / pairs / 100).toBeLessThanOrEqual(4);
    expect(world.flights.length / pairs / 100).toBeGreaterThan(3.9);
  });
});

describe("acknowledgements", () => {
  test("a poke leaves in its turn and is answered within a round trip", async () => {
    const { world, a, b } = await three();
    await world.pass(50);
    a.news.length = 0;
    world.flights.length = 0;
    const round = a.cluster.heartbeats.nextRound();
    const sentAtMs = world.clock.monotonicMs();
    a.cluster.heartbeats.poke(["b", "b", "a", "nobody"]);
    a.cluster.heartbeats.poke(["b"]);
    await world.pass(3, 1);
    expect(between(world, "a", "b").map((each) => each.round)).toEqual([round]);
    expect(world.flights).toHaveLength(2);
    expect(a.news).toHaveLength(1);
    expect(a.news[0]).toMatchObject({
      from: { nodeId: "b", epoch: 1 },
      news: { ackRound: round, ackSentAtMs: sentAtMs, cargo: Buffer.from("for a") },
    });
    expect(a.cluster.heartbeats.nextRound()).toBe(round + 1);
    expect(b.fatal).toEqual([]);
  });

  test("regular ones acknowledge the other side's newest, by the sender's own clock", async () => {
    const { world, a } = await three();
    await world.pass(2000);
    const sentAtMs = new Map(between(world, "a", "b").map((each) => [each.round, each.sentAtMs]));
    const ofB = a.news.filter(({ from }) => from.nodeId === "b").map(({ news }) => news);
    const acked = ofB.filter(({ ackRound }) => sentAtMs.has(ackRound));
    expect(acked.length).toBeGreaterThanOrEqual(2);
    for (const { ackRound, ackSentAtMs } of acked) {
      expect(ackSentAtMs).toBe(sentAtMs.get(ackRound));
    }
    const rounds = ofB.map(({ round }) => round);
    expect(rounds).toEqual(rounds.toSorted((x, y) => x - y));
    expect(new Set(rounds).size).toBe(rounds.length);
  });

  test("of rounds of an earlier process of this node count nothing", async () => {
    const { world, disks, a } = await three();
    await world.pass(1000);
    const last = between(world, "b", "a").at(-1)!;
    expect(last.ack.round).toBeGreaterThan(2);
    // The successor has a round 1 too.
    const old = { ...last, ack: { ...last.ack, round: 1 } };
    a.crash();
    const next = world.start(disks[0]!, formation);
    next.carryCargo();
    await world.pass(1);
    // From b's present process, but about rounds of a's former one.
    deliver(next, "b", old);
    expect(next.news.map(({ news }) => news.ackRound)).toEqual([0]);
    // An equal epoch is not enough either: another disk may have counted as far.
    const forged = { ...old, round: old.round + 1, ack: { ...old.ack, epoch: 2 } };
    deliver(next, "b", forged);
    expect(next.news.map(({ news }) => news.ackRound)).toEqual([0, 0]);
    // Rounds of its own count.
    const { epoch, process, sentAtMs } = between(world, "a", "b").at(-1)!;
    const own = { ...old, round: old.round + 2, ack: { epoch, process, round: 1, sentAtMs } };
    deliver(next, "b", own);
    expect(next.news.at(-1)?.news).toMatchObject({ ackRound: 1, ackSentAtMs: sentAtMs });
  });

  test("no cargo, no news; and a node without a store sends none", async () => {
    const world = new World();
    const [a, b] = ["a", "b"].map((id) => world.start(formedDisk(id), formation)) as [
      Process,
      Process,
    ];
    b.carryCargo();
    await world.pass(2000);
    expect(b.news).toEqual([]);
    expect(a.cluster.nodes.upSinceMs("b")).toBeDefined();
    expect(between(world, "a", "b").at(-1)?.cargo).toHaveLength(0);
  });
});

describe("order", () => {
  test("doubled and overtaken ones are dropped, but an overtaken question is answered", async () => {
    const { world, a, b } = await three();
    await world.pass(1100);
    const [first, second] = between(world, "a", "b").slice(-2) as [Heartbeat, Heartbeat];
    b.news.length = 0;
    const { heartbeatsDropped } = b.cluster.figures();
    deliver(b, "a", second);
    deliver(b, "a", first);
    expect(b.news).toEqual([]);
    expect(b.cluster.figures().heartbeatsDropped).toBe(heartbeatsDropped + 2);
    world.flights.length = 0;
    deliver(b, "a", { ...first, wantsAnswer: true });
    await world.pass(2, 1);
    expect(between(world, "b", "a").map(({ ack }) => ack.round)).toEqual([second.round]);
    expect(a.fatal).toEqual([]);
  });

  test("a doubled one does not make a silent node look alive", async () => {
    const { world, a, b } = await three();
    await world.pass(1000);
    const last = between(world, "a", "b").at(-1)!;
    a.crash();
    for (let i = 0; i < 10; i++) {
      await world.pass(300);
      deliver(b, "a", last);
    }
    expect(b.notes).toEqual(["a down 1"]);
  });

  test("of the former process are dropped once the new one was heard", async () => {
    const { world, disks, a, b } = await three();
    await world.pass(1000);
    const old = between(world, "a", "b").at(-1)!;
    a.crash();
    await world.pass(100);
    world.start(disks[0]!, formation);
    await world.pass(20);
    expect(b.notes).toEqual(["a restarted 2", "a up 2"]);
    b.news.length = 0;
    const later = { ...old, round: old.round + 1000 };
    deliver(b, "a", later);
    expect(b.news).toEqual([]);
    expect(b.cluster.nodes.info("a")?.epoch).toBe(2);
    await world.pass(3000);
    expect(b.notes).toEqual(["a restarted 2", "a up 2"]);
  });

  test("of a second process with the same disk and epoch never count", async () => {
    const { world, a, b } = await three();
    await world.pass(1000);
    const real = between(world, "a", "b").at(-1)!;
    b.news.length = 0;
    deliver(b, "a", { ...real, process: real.process + 1, round: real.round + 1 });
    expect(b.news).toEqual([]);
    deliver(b, "a", { ...real, round: real.round + 1 });
    expect(b.news).toHaveLength(1);
    expect(a.fatal).toEqual([]);
  });

  test("of another disk or another cluster never count", async () => {
    const { world, a, b } = await three();
    await world.pass(1000);
    const real = between(world, "a", "b").at(-1)!;
    b.news.length = 0;
    const next = { ...real, round: real.round + 1, epoch: 9 };
    deliver(b, "a", { ...next, incarnation: "another disk" });
    deliver(b, "a", { ...next, clusterId: "f".repeat(32) });
    deliver(b, "z", { ...next, clusterId: "f".repeat(32) });
    expect(b.news).toEqual([]);
    expect(b.notes).toEqual([]);
    expect(b.lines.filter((line) => line.startsWith("error another cluster"))).toHaveLength(1);
    expect(a.fatal).toEqual([]);
  });
});

describe("liveness", () => {
  test("silence for nodeDownMs is down, the next heartbeat up again", async () => {
    const { world, a, b } = await three();
    const upSinceMs = b.cluster.nodes.upSinceMs("a");
    expect(upSinceMs).toBeLessThan(2000);
    let isCut = true;
    world.fate = ({ from }) => (isCut && from === "a" ? [] : [1]);
    const cutMs = world.clock.monotonicMs();
    await world.pass(nodeDownMs - heartbeatMs - 50);
    expect(b.notes).toEqual([]);
    await world.pass(heartbeatMs + 100);
    expect(b.notes).toEqual(["a down 1"]);
    expect(b.cluster.nodes.upSinceMs("a")).toBeUndefined();
    const [status] = b.cluster.nodes.others();
    expect(status).toMatchObject({ info: { nodeId: "a" }, isUp: false });
    expect((status?.sinceMs ?? 0) - cutMs).toBeLessThanOrEqual(nodeDownMs + 10);
    isCut = false;
    await world.pass(heartbeatMs + 10);
    expect(b.notes).toEqual(["a down 1", "a up 1"]);
    expect(a.notes).toEqual([]);
  });

  test("an own stall declares nobody down who was heard behind it", async () => {
    const { world, a, b } = await three();
    // b stands still: what comes meanwhile waits in its socket, and its timers are late.
    const stallMs = 10_000;
    b.stalledUntilMs = world.clock.monotonicMs() + stallMs;
    world.fate = ({ to }) => {
      const waitMs = b.stalledUntilMs - world.clock.monotonicMs();
      return to === "b" && waitMs > 0 ? [waitMs + 30] : [1];
    };
    await world.pass(stallMs + 2000);
    expect(b.notes).toEqual([]);
    expect(a.notes).toEqual(["b down 1", "b up 1"]);
    // And one who is really gone is still found.
    a.crash();
    await world.pass(nodeDownMs + 50);
    expect(b.notes).toEqual(["a down 1"]);
  });

  test("a node that says goodbye is down at once and stays so", async () => {
    const { world, disks, a, b, c } = await three();
    await world.pass(1000);
    const last = between(world, "a", "b").at(-1)!;
    a.cluster.goodbye();
    await world.pass(2, 1);
    expect([b.notes, c.notes]).toEqual([["a down 1"], ["a down 1"]]);
    // Overtaken by its goodbye.
    deliver(b, "a", { ...last, round: last.round + 1 });
    world.flights.length = 0;
    await world.pass(3000);
    expect(b.notes).toEqual(["a down 1"]);
    expect(world.flights.filter(({ from }) => from === "a")).toEqual([]);
    a.crash();
    world.start(disks[0]!, formation);
    await world.pass(20);
    expect(b.notes).toEqual(["a down 1", "a restarted 2", "a up 2"]);
  });

  test("shows itself, addresses as they change, and how far off the wall clocks are", async () => {
    const { world, a, b } = await three();
    expect(a.cluster.nodes.upSinceMs("a")).toBe(1000);
    expect(a.cluster.nodes.info("a")).toEqual(a.cluster.self);
    a.cluster.setAddresses({ respAddress: "10.0.0.1:6379", httpAddress: "10.0.0.1:9090" });
    await world.pass(5, 1);
    expect(b.cluster.nodes.info("a")).toEqual({
      nodeId: "a",
      incarnation: "disk of a",
      epoch: 1,
      respAddress: "10.0.0.1:6379",
      httpAddress: "10.0.0.1:9090",
    });
    const last = between(world, "a", "b").at(-1)!;
    deliver(b, "a", { ...last, round: last.round + 1, wallMs: world.clock.wallMs() + 7000 });
    const offsetMs = world.clock.wallMs() + 7000 - world.clock.monotonicMs();
    expect(b.cluster.nodes.others()[0]?.wallOffsetMs).toBe(offsetMs);
    expect(b.cluster.figures()).toMatchObject({ phase: "formed", nodesKnown: 2, nodesUp: 2 });
  });

  test("a listener's bug fails the actor, which comes back", async () => {
    const { world, a, b } = await three();
    let isBroken = true;
    a.cluster.listen({
      nodeUp: () => undefined,
      nodeDown: () => {
        if (isBroken) throw new Error("a bug");
      },
      nodeRestarted: () => undefined,
    });
    b.cluster.goodbye();
    b.crash();
    await world.pass(20);
    isBroken = false;
    expect(a.state("liveness")).toBe("running");
    expect(a.fatal).toEqual([]);
    world.flights.length = 0;
    await world.pass(1100);
    expect(between(world, "a", "c").length).toBeGreaterThanOrEqual(2);
    expect(between(world, "a", "c").length).toBeLessThanOrEqual(3);
  });
});
