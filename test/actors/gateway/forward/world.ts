// Gateways of several nodes in one process: real routers and forwarding over a network that loses,
// doubles and reorders, and regions that execute, depose their leaders and lose what was not agreed
// on. Clock, chance and turns are the test's. What was executed, when and for whom stands in a log.

import type { NodeInfo } from "../../../../actors/cluster/protocol.ts";
import type { CommandEntry } from "../../../../actors/gateway/entries.ts";
import type { ErrandRoute } from "../../../../actors/gateway/protocol.ts";
import { Router } from "../../../../actors/gateway/router.ts";
import { Slot } from "../../../../actors/gateway/slot.ts";
import type { SlotOwner } from "../../../../actors/gateway/slot.ts";
import { notLeader, refuse, unknownOutcome } from "../../../../actors/store/protocol.ts";
import type { Places, RegionEvent, RegionPlace } from "../../../../actors/store/protocol.ts";
import { Turn } from "../../../../actors/system/turn.ts";
import type { RegionCommand } from "../../../../resp/command.ts";
import { ErrorReply } from "../../../../resp/reply.ts";
import type { Reply } from "../../../../resp/reply.ts";
import type { Transport } from "../../../../transport/transport.ts";
import { createRandom, FakeClock } from "./fakes.ts";

const shape = {
  arity: 3,
  categories: [],
  summary: "",
  since: "1.0.0",
  complexity: "",
  group: "string",
  keys: { first: 1, last: 1, step: 1 },
  runs: "region",
  spread: "one",
  execute: () => null,
} as const;
/** `add key id` counts; `read key id` answers the count. */
export const add = { ...shape, name: "add", flags: ["write"] } satisfies RegionCommand;
export const read = { ...shape, name: "read", flags: ["readonly"] } satisfies RegionCommand;

interface Letter {
  readonly from: string;
  readonly to: string;
  readonly body: Buffer;
  readonly process: object;
}

/** Some of a region's replicas agree on an order of commands; here, all at once. */
export class Group {
  readonly regionId: number;
  term = 0;
  leader: string | undefined;
  readonly counts = new Map<string, number>();
  /** Ids of executed commands in their order. */
  readonly log: string[] = [];
  readonly replicas = new Map<string, Replica>();

  constructor(regionId: number) {
    this.regionId = regionId;
  }

  execute(event: RegionEvent): Reply {
    if (event.type !== "region.request") return null;
    const key = String(event.args[1]);
    const count = this.counts.get(key) ?? 0;
    this.log.push(String(event.args[2]));
    if (event.command.name === "add") {
      this.counts.set(key, count + 1);
      return count + 1;
    }
    if (event.command.name === "long") return event.args[1] ?? null;
    return count;
  }
}

/** One node's replica, and the place its gateway sees. */
export class Replica implements RegionPlace {
  readonly group: Group;
  readonly node: TestNode;
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly epoch = 1;
  readonly peers: readonly string[];
  readonly recoveredTerm: number;
  readonly ref = this;
  isLeader = false;
  leaderNode: string | undefined;
  term = 0;
  pending: RegionEvent[] = [];
  /** Of these, the first ones were agreed on by a later leader. */
  #settledElsewhere = 0;

  constructor(group: Group, node: TestNode, peers: readonly string[]) {
    this.group = group;
    this.node = node;
    this.peers = peers;
    this.recoveredTerm = group.term;
    this.fromPosition = group.regionId === 1 ? 0 : 100;
    this.toPosition = group.regionId === 1 ? 99 : 0xffffffff;
  }

  get regionId(): number {
    return this.group.regionId;
  }

  send(event: RegionEvent): void {
    if (this.isLeader) this.pending.push(event);
    else refuse(event, notLeader);
  }

  /** The first `count` are agreed on. */
  commit(count: number): void {
    if (!this.isLeader || this.term !== this.group.term) return;
    for (const event of this.pending.splice(0, count)) answer(event, this.group.execute(event));
  }

  /** A new leader found the first `count` of these in its log. */
  inherit(count: number): void {
    for (const event of this.pending.slice(0, count)) {
      if (event.type === "region.request" && isWrite(event)) this.group.execute(event);
    }
    this.#settledElsewhere = count;
  }

  /** Hears of a term and who leads in it. */
  hear(term: number, leader: string | undefined): void {
    const wasLeader = this.isLeader;
    this.term = term;
    this.leaderNode = leader;
    this.isLeader = leader === this.node.id;
    const pending = wasLeader ? this.pending : [];
    if (wasLeader) this.pending = [];
    // As in a region: who leads is known before or after the refusals, within one step.
    const early = this.node.world.random() < 0.5;
    if (early) this.node.placeChanged(this);
    pending.forEach((event, at) => {
      const mayHaveHappened = at < this.#settledElsewhere || this.node.world.random() < 0.3;
      if (event.type === "region.request" && isWrite(event) && mayHaveHappened) {
        event.settle(new ErrorReply(unknownOutcome("leader changed")));
      } else refuse(event, "CLUSTERDOWN store restarting");
    });
    this.#settledElsewhere = 0;
    if (!early) this.node.placeChanged(this);
  }
}

const isWrite = (event: RegionEvent): boolean =>
  event.type === "region.request" && event.command.flags.includes("write");

function answer(event: RegionEvent, reply: Reply): void {
  if (event.type === "region.request") event.settle(reply);
  else if (event.type === "region.walk") {
    const keys = [Buffer.from("a1"), Buffer.from("b2")].filter((key) =>
      event.accepts(key, "string"),
    );
    event.settle({ keys, next: event.cursor === 0 ? 7 : undefined });
  }
}

/** A client's connection: its commands in order. */
export class Session implements SlotOwner {
  readonly id: number;
  readonly slots: Slot[] = [];
  readonly node: TestNode;

  constructor(id: number, node: TestNode) {
    this.id = id;
    this.node = node;
  }

  settled(): void {}

  lastExecuted(route: ErrandRoute): number {
    return Math.max(0, ...this.slots.map((slot) => slot.executedBy(route)));
  }

  ask(command: RegionCommand, ...args: Array<string | Buffer>): Slot {
    const { world, router } = this.node;
    const bytes = [command.name, ...args].map((arg) => Buffer.from(arg as string));
    const slot = new Slot(this, bytes, { id: this.id, db: 0 }, world.clock.nowMs);
    slot.entry = { command } as CommandEntry;
    slot.keyPositions = [1];
    this.slots.push(slot);
    const route = router.regionOf(world.positionOf(bytes[1]!));
    route?.ref?.send(slot);
    return slot;
  }
}

export class TestNode {
  readonly id: string;
  readonly world: World;
  readonly router: Router;
  readonly epoch: number;
  readonly replicas: Replica[];
  readonly process = {};
  connected = true;
  #onChange: (place: RegionPlace) => void = () => undefined;
  #receive: (from: string, body: Buffer) => void = () => undefined;
  #onConnection: (connected: boolean) => void = () => undefined;

  constructor(world: World, id: string, epoch: number) {
    this.world = world;
    this.id = id;
    this.epoch = epoch;
    this.replicas = world.groups.map((group) => {
      const replica = new Replica(group, this, world.ids);
      group.replicas.set(id, replica);
      return replica;
    });
    this.router = new Router({
      places: this.#places(),
      turn: world.turn,
      clock: world.clock,
      resolve: (name) => {
        const command = world.commands.get(name);
        return command === undefined
          ? new ErrorReply("ERR unknown")
          : { command, keyPositions: () => [1] };
      },
      forwarding: {
        transport: this.#transport(),
        epoch,
        onGarbled: (_, error) => {
          throw error;
        },
      },
    });
  }

  placeChanged(replica: Replica): void {
    if (this.world.nodes.get(this.id) === this) this.#onChange(replica);
  }

  deliver(from: string, body: Buffer): void {
    if (this.connected) this.#receive(from, body);
  }

  connect(connected: boolean): void {
    if (this.connected === connected) return;
    this.connected = connected;
    this.#onConnection(connected);
  }

  #places(): Places {
    return {
      positionOf: (key) => this.world.positionOf(key),
      regionOf: (at) => this.replicas.find((r) => r.fromPosition <= at && at <= r.toPosition),
      byId: (regionId) => this.replicas.find((r) => r.regionId === regionId),
      all: () => this.replicas,
      onChange: (listener) => {
        this.#onChange = listener;
      },
    };
  }

  #transport(): Transport {
    const isConnected = (): boolean => this.connected;
    const part: Partial<Transport> = {
      nodeId: this.id,
      maxBodyBytes: 640 * 1024,
      send: (to, _mailbox, body) => {
        if (body.length > 640 * 1024) throw new RangeError("too long");
        if (!this.connected) return;
        this.world.letters.push({ from: this.id, to, body: body as Buffer, process: this.process });
      },
      receive: (_mailbox, handler) => {
        this.#receive = handler;
      },
      get connected() {
        return isConnected();
      },
      onConnection: (listener) => {
        this.#onConnection = listener;
        return () => undefined;
      },
    };
    return part as Transport;
  }
}

export class World {
  readonly clock = new FakeClock();
  readonly random: () => number;
  readonly ids: readonly string[];
  readonly groups = [new Group(1), new Group(2)];
  readonly nodes = new Map<string, TestNode>();
  readonly commands = new Map<string, RegionCommand>([
    ["add", add],
    ["read", read],
    ["long", { ...read, name: "long" }],
  ]);
  letters: Letter[] = [];
  readonly turn: Turn;
  #turns: Array<() => void> = [];
  #sessions = 0;

  constructor(seed: number, ids: readonly string[] = ["n1", "n2", "n3"]) {
    this.random = createRandom(seed);
    this.ids = ids;
    this.turn = new Turn(
      (run) => this.#turns.push(run),
      (error) => {
        throw error;
      },
    );
    for (const id of ids) this.nodes.set(id, new TestNode(this, id, 1));
  }

  node(id: string): TestNode {
    return this.nodes.get(id)!;
  }

  positionOf(key: Buffer): number {
    return key[0] === 0x61 ? 1 : 200;
  }

  session(id: string): Session {
    this.#sessions += 1;
    return new Session(this.#sessions, this.node(id));
  }

  /** Elects a leader; only it knows yet. Part of what the old one had may survive. */
  elect(group: Group, leader: string): void {
    const old = group.leader === undefined ? undefined : group.replicas.get(group.leader);
    group.term += 1;
    group.leader = leader;
    old?.inherit(Math.floor(this.random() * (old.pending.length + 1)));
    if (old?.node.id === leader) old.hear(group.term, undefined);
    group.replicas.get(leader)?.hear(group.term, leader);
  }

  /** Everybody hears who leads. */
  spread(group: Group): void {
    for (const replica of group.replicas.values()) {
      if (replica.term < group.term || replica.leaderNode !== group.leader) {
        replica.hear(group.term, group.leader);
      }
    }
  }

  /** The process ends and another one starts on the same disk. */
  restart(id: string): void {
    const old = this.node(id);
    for (const group of this.groups) {
      const replica = group.replicas.get(id)!;
      if (group.leader !== id) continue;
      replica.inherit(Math.floor(this.random() * (replica.pending.length + 1)));
      group.term += 1;
      group.leader = undefined;
    }
    this.letters = this.letters.filter(
      (letter) => letter.process !== old.process || this.random() < 0.5,
    );
    const fresh = new TestNode(this, id, old.epoch + 1);
    this.nodes.set(id, fresh);
    const info = { nodeId: id } as NodeInfo;
    for (const other of this.nodes.values()) {
      if (other !== fresh && this.random() < 0.5) other.router.nodeRestarted(info);
    }
  }

  /** Runs what this turn has to do, until nothing is left. */
  endTurn(): void {
    while (this.#turns.length > 0) {
      const turns = this.#turns;
      this.#turns = [];
      for (const run of turns) run();
    }
  }

  /** One letter arrives: which one, and how often, is chance. */
  deliverOne(loss: number, doubling: number): void {
    const at = this.random() < 0.7 ? 0 : Math.floor(this.random() * this.letters.length);
    const [letter] = this.letters.splice(at, 1);
    if (letter === undefined) return;
    if (this.random() < doubling) this.letters.push(letter);
    if (this.random() < loss) return;
    this.node(letter.to).deliver(letter.from, Buffer.from(letter.body));
  }

  deliverAll(): void {
    while (this.letters.length > 0) this.deliverOne(0, 0);
  }

  /** Everything works for this long. */
  calm(ms: number): void {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(10);
      this.endTurn();
      this.deliverAll();
      this.endTurn();
      for (const { leader, replicas } of this.groups) replicas.get(leader ?? "")?.commit(Infinity);
      this.endTurn();
      this.deliverAll();
      this.endTurn();
    }
  }
}
