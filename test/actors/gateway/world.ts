// A gateway on a real socket in front of regions that the test answers: the smallest world in which
// connections, dispatch, walks and listener run as in a node.

import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";

import { createActor } from "xstate";
import type { Actor } from "xstate";

import { Gateway } from "../../../actors/gateway/gateway.ts";
import type { GatewayOptions } from "../../../actors/gateway/gateway.ts";
import { listener } from "../../../actors/gateway/listener.ts";
import type {
  RegionEvent,
  RegionPlace,
  RegionRequest,
  RegionWalk,
} from "../../../actors/store/protocol.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Command } from "../../../resp/command.ts";
import { createRegistry } from "../../../resp/registry.ts";
import { createPositions } from "../../../storage/position.ts";

const positions = createPositions(4, true);

/** A region that answers as the test says. */
export class FakeRegion {
  readonly requests: RegionRequest[] = [];
  readonly walks: RegionWalk[] = [];
  /** Called for each request; by default it answers with the name of the command at once. */
  onRequest: (request: RegionRequest) => void = (request) => request.settle(request.command.name);
  onWalk: (walk: RegionWalk) => void = (walk) => walk.settle({ keys: [], next: undefined });

  send(event: RegionEvent): void {
    if (event.type === "region.request") {
      this.requests.push(event);
      this.onRequest(event);
    } else if (event.type === "region.walk") {
      this.walks.push(event);
      this.onWalk(event);
    }
  }
}

export interface World {
  readonly gateway: Gateway;
  readonly regions: FakeRegion[];
  readonly routes: Array<{ -readonly [K in keyof RegionPlace]: RegionPlace[K] }>;
  readonly actor: Actor<typeof listener>;
  readonly port: number;
  readonly shutdowns: number[];
  readonly positionOf: (key: string) => number;
  readonly regionOf: (key: string) => FakeRegion;
  readonly client: () => Promise<Client>;
  readonly close: () => void;
}

const wallMs = (): number => performance.timeOrigin + performance.now();

export async function startWorld(
  commands: readonly Command[],
  options: Partial<GatewayOptions> = {},
  drainMs = 1000,
): Promise<World> {
  const regions = [new FakeRegion(), new FakeRegion(), new FakeRegion(), new FakeRegion()];
  const routes: World["routes"] = positions.initialRegions().map((region, index) => ({
    ...region,
    epoch: 1,
    ref: regions[index],
    isLeader: true,
    leaderNode: "n1",
    term: 2,
    recoveredTerm: 1,
    peers: ["n1"],
  }));
  const shutdowns: number[] = [];
  const gateway = new Gateway({
    places: {
      positionOf: (key) => positions.positionOf(key),
      regionOf: (at) => routes.find((r) => r.fromPosition <= at && at <= r.toPosition),
      byId: (regionId) => routes.find((route) => route.regionId === regionId),
      all: () => routes,
      onChange: () => undefined,
    },
    store: {
      counters: () => ({ keyspaceHits: 3, keyspaceMisses: 4, expiredKeys: 5 }),
      regions: () =>
        routes.map((route) => ({
          region: route.regionId,
          fromPosition: route.fromPosition,
          toPosition: route.toPosition,
          leader: "n1",
          peers: ["n1"],
          epoch: 1,
          term: 2,
        })),
      nodes: () => [{ nodeId: "n1", host: "127.0.0.1", port: 6379, isUp: true }],
      lastSaveSeconds: () => 1_700_000_000,
      setActiveExpire: () => undefined,
      shutdown: () => shutdowns.push(1),
    },
    commands: createRegistry(commands),
    turn: new Turn(setImmediate, (error) => {
      throw error;
    }),
    clock: {
      wallMs,
      monotonicMs: () => performance.now(),
      later: (delayMs, run) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
    random: () => 0.5,
    nodeId: "n1",
    version: "0.0.0",
    ...options,
  });
  const bound: number[] = [];
  const actor = createActor(listener, {
    input: {
      gateway,
      listen: { host: "127.0.0.1", port: 0 },
      drainMs,
      onBound: ({ port }) => bound.push(port),
    },
  });
  actor.subscribe({ error: () => undefined });
  actor.start();
  while (bound.length === 0) await new Promise(setImmediate);
  const port = bound[0]!;
  return {
    gateway,
    regions,
    routes,
    actor,
    port,
    shutdowns,
    positionOf: (key) => positions.positionOf(Buffer.from(key)),
    regionOf: (key) => {
      const at = positions.positionOf(Buffer.from(key));
      return regions[routes.findIndex((r) => r.fromPosition <= at && at <= r.toPosition)]!;
    },
    client: () => Client.connect(port),
    close: () => actor.stop(),
  };
}

/** A raw client: bytes in, bytes out. */
export class Client {
  readonly socket: Socket;
  received = "";
  ended = false;
  #waiters: Array<() => void> = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.received += text;
      this.#wake();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.ended = true;
      this.#wake();
    });
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new Client(socket);
  }

  send(...commands: string[]): void {
    this.socket.write(commands.map((command) => `${command}\r\n`).join(""));
  }

  /** Waits until what was received since the last call ends with `text`, and returns all of it. */
  async until(text: string): Promise<string> {
    while (!this.received.endsWith(text)) await this.#more();
    return this.take();
  }

  async expect(bytes: number): Promise<string> {
    while (this.received.length < bytes) await this.#more();
    return this.take();
  }

  async closed(): Promise<string> {
    while (!this.ended) await this.#more(true);
    return this.take();
  }

  take(): string {
    const text = this.received;
    this.received = "";
    return text;
  }

  #more(orClosed = false): Promise<void> {
    if (this.ended && !orClosed) {
      throw new Error(`closed after ${JSON.stringify(this.received)}`);
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
