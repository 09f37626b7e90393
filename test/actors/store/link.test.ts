// What the store makes of news about another node, and of nothing else: which leaderships end with its
// process, and that what it may already lead as a new process stands.

import { expect, test } from "vitest";

import type { HeartbeatCargo, Heartbeats, NodeInfo } from "../../../actors/cluster/protocol.ts";
import type { RegionDirectory } from "../../../actors/store/directory.ts";
import { Evidence, type Led } from "../../../actors/store/evidence.ts";
import { StoreLink } from "../../../actors/store/link.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Transport } from "../../../transport/transport.ts";
import { HeapClock } from "../../simulation/clock.ts";

const info = (epoch: number): NodeInfo => ({
  nodeId: "n2",
  incarnation: "disk",
  epoch,
  respAddress: "",
  httpAddress: "",
});

/** Node n1's end; `hear` takes in a heartbeat in which n2 says what it leads, by term and region. */
function world() {
  const notes: string[] = [];
  let cargo: HeartbeatCargo | undefined;
  const transport: Partial<Transport> = {
    receive: () => undefined,
    receiveStreams: () => undefined,
  };
  const heartbeats: Partial<Heartbeats> = { carry: (given) => (cargo = given) };
  const inbox = (regionId: number) => ({
    heard: () => true,
    leaderLost: (nodeId: string, term: number) =>
      notes.push(`region ${regionId} lost ${nodeId} of term ${term}`),
  });
  const directory = {
    replica: (regionId: number) => (regionId < 10 ? { inbox: inbox(regionId) } : undefined),
    replicas: () => [],
    noteLeader: () => undefined,
    forgetLeader: (nodeId: string) => notes.push(`${nodeId} forgotten`),
  };
  const link = new StoreLink({
    transport: transport as Transport,
    heartbeats: heartbeats as Heartbeats,
    readMode: "lease",
    directory: directory as unknown as RegionDirectory,
    clock: new HeapClock(1000),
    turn: new Turn(
      () => undefined,
      () => undefined,
    ),
    onGarbled: (from, error) => notes.push(`${from} garbled: ${String(error)}`),
  });
  let round = 0;
  const hear = (epoch: number, ...led: readonly Led[]): void => {
    const peer = new Evidence({ replica: () => undefined }, 1500, () => [...led]);
    const news = { round: ++round, ackRound: 0, ackSentAtMs: 0, cargo: peer.cargoFor("n1") };
    cargo?.received(info(epoch), news);
  };
  return { link, notes, hear };
}

const led = (regionId: number, term: number): Led => ({ regionId, replicaId: regionId, term });

test("a node that is another process now has lost what the old one said it led, in those terms", () => {
  const { link, notes, hear } = world();
  hear(1, led(1, 3), led(2, 5), led(11, 7));
  hear(1, led(2, 5), led(4, 6), led(11, 7));
  link.nodeRestarted(info(2));
  expect(notes).toEqual([
    "region 2 lost n2 of term 5",
    "region 4 lost n2 of term 6",
    "n2 forgotten",
  ]);
});

test("what a new process leads is not taken for the old one's, nor what nobody claimed", () => {
  const { link, notes, hear } = world();
  hear(1, led(1, 3));
  link.nodeRestarted(info(2));
  hear(2, led(2, 9));
  notes.length = 0;
  link.nodeRestarted(info(3));
  expect(notes).toEqual(["region 2 lost n2 of term 9", "n2 forgotten"]);
  link.nodeRestarted(info(4));
  expect(notes.slice(2)).toEqual(["n2 forgotten"]);
});

test("a node that is down has lost nothing yet: its followers have promises to keep", () => {
  const { link, notes, hear } = world();
  hear(1, led(1, 3));
  link.nodeDown(info(1));
  expect(notes).toEqual(["n2 forgotten"]);
});
