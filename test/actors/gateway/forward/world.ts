// Gateways of several nodes in one process: real routers and forwarding over a network that loses,
// doubles and reorders, in front of the regions of group.ts. Clock, chance and turns are the test's.

import type { NodeInfo } from "../../../../actors/cluster/protocol.ts";
import type { CommandEntry } from "../../../../actors/gateway/entries.ts";
import type { ErrandRoute, Route } from "../../../../actors/gateway/protocol.ts";
import { Router } from "../../../../actors/gateway/router.ts";
import { scatter } from "../../../../actors/gateway/scatter.ts";
import { Slot } from "../../../../actors/gateway/slot.ts";
import type { SlotOwner } from "../../../../actors/gateway/slot.ts";
import type { Places, RegionPlace } from "../../../../actors/store/protocol.ts";
import { Turn } from "../../../../actors/system/turn.ts";
import type { RegionCommand } from "../../../../resp/command.ts";
import { ErrorReply } from "../../../../resp/reply.ts";
import type { Transport } from "../../../../transport/transport.ts";
import { createRandom, FakeClock } from "./fakes.ts";
import { add, adds, Group, read, Replica } from "./group.ts";

interface Letter {
  readonly from: string;
  readonly to: string;
  readonly body: Buffer;
  readonly process: object;
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
    return this.askAll(command, [1], args);
  }

  /** With keys at these positions; when there are several, a part goes to the region of each. */
  askAll(
    command: RegionCommand,
    keyPositions: readonly number[],
    args: ReadonlyArray<string | Buffer>,
  ): Slot {
    const bytes = [command.name, ...args].map((arg) => Buffer.from(arg as string));
    const slot = new Slot(this, bytes, { id: this.id, db: 0 }, this.node.world.clock.nowMs);
    slot.entry = { command } as CommandEntry;
    slot.keyPositions = keyPositions;
    this.slots.push(slot);
    const routes = keyPositions.map((at) => this.#routeOf(slot, at));
    if (routes.length === 1) routes[0]!.ref?.send(slot);
    else scatter(slot, routes);
    return slot;
  }

  #routeOf(slot: Slot, at: number): Route {
    const { world, router } = this.node;
    return router.regionOf(world.positionOf(slot.args[at]!))!;
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
        keptBytesMax: world.keptBytesMax,
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
  readonly ids: readonly string[] = ["n1", "n2", "n3"];
  readonly keptBytesMax: number;
  readonly groups = [new Group(1), new Group(2)];
  readonly nodes = new Map<string, TestNode>();
  readonly commands = new Map<string, RegionCommand>([
    ["add", add],
    ["adds", adds],
    ["read", read],
    ["long", { ...read, name: "long" }],
  ]);
  letters: Letter[] = [];
  readonly turn: Turn;
  #turns: Array<() => void> = [];
  #sessions = 0;

  constructor(seed: number, keptBytesMax = 64 * 1024 * 1024) {
    this.keptBytesMax = keptBytesMax;
    this.random = createRandom(seed);
    this.turn = new Turn(
      (run) => this.#turns.push(run),
      (error) => {
        throw error;
      },
    );
    for (const id of this.ids) this.nodes.set(id, new TestNode(this, id, 1));
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
    const letter = this.letters[at];
    if (letter !== undefined && this.random() < doubling) this.letters.push(letter);
    if (this.random() < loss) this.letters.splice(at, 1);
    else this.#deliver(at);
  }

  /** The letter that was written first arrives. */
  deliverFirst(): void {
    this.#deliver(0);
  }

  #deliver(at: number): void {
    const [letter] = this.letters.splice(at, 1);
    if (letter === undefined) return;
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
