// The real rooms of one simulated process, joined as `actors/node.ts` joins them: cluster, then store
// under one supervisor, and the gateway without its listener: clients come through `socket.ts`.

import { createActor } from "xstate";
import { Cluster, type ClusterOptions } from "../../actors/cluster/cluster.ts";
import { Gateway } from "../../actors/gateway/gateway.ts";
import type { ReadMode } from "../../actors/store/protocol.ts";
import { Store, type StoreOptions } from "../../actors/store/store.ts";
import type { ExitNote, SupervisorInput } from "../../actors/system/children.ts";
import type { Clock } from "../../actors/system/clock.ts";
import { supervisor } from "../../actors/system/supervisor.ts";
import { Turn } from "../../actors/system/turn.ts";
import { registry } from "../../resp/table.ts";
import { DamagedError, DiskError } from "../../storage/errors.ts";
import type { Positions } from "../../storage/position.ts";
import type { Transport } from "../../transport/transport.ts";

/** How long a store waits for more before it writes. */
export type Waits = Required<Pick<StoreOptions, "applyGather" | "waveMs">>;

/** What the simulation gives a process. */
export interface RoomPorts extends Waits {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  readonly members: readonly string[];
  readonly replicas: number;
  readonly regions: number;
  readonly readMode: ReadMode;
  readonly pureActors: boolean;
  readonly positions: Positions;
  /** Small enough, and the engine is asked again and again. */
  readonly cacheBytes: number;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly schedule: (run: () => void) => void;
  readonly engine: StoreOptions["engine"];
  readonly journal: StoreOptions["journal"];
  readonly membership: ClusterOptions["membership"];
  readonly onFatal: (error: unknown) => void;
  /** Something that is a bug whenever it is said. */
  readonly onBug: (message: string, detail: unknown) => void;
}

export interface Rooms {
  readonly cluster: Cluster;
  readonly store: Store;
  readonly gateway: Gateway;
  /** Lets the actors begin. */
  start(): void;
  /** Hands over, says goodbye and ends every actor; `done` hears it. */
  drain(done: () => void): void;
}

/** An error that no restart mends: the process ends, and the world decides what becomes of it. */
const endsProcess = (error: unknown): boolean =>
  error instanceof DamagedError || error instanceof DiskError;

export function createRooms(ports: RoomPorts): Rooms {
  const { nodeId, clock, schedule, onFatal, onBug, transport } = ports;
  const turn = new Turn(schedule, (error) => onBug("a task of a turn threw", error));
  const supervision = {
    now: () => clock.monotonicMs(),
    onExit: ({ error }: ExitNote) => {
      if (endsProcess(error)) onFatal(error);
    },
    onRestart: ({ error, child }: ExitNote) => {
      if (!endsProcess(error)) onBug(`actor ${child} failed`, error);
    },
  };
  const log = { info: () => undefined, warning: () => undefined, error: onBug };
  const cluster = new Cluster({
    ...ports,
    formation: { kind: "named", nodeIds: ports.members },
    bootstrap: { regionCount: ports.regions, hashTags: true, replicas: ports.replicas },
    turn,
    log,
    supervision,
  });
  const store = new Store({
    ...ports,
    hashTags: true,
    recordCacheBytes: ports.cacheBytes,
    turn,
    schedule,
    neighbours: {
      transport,
      heartbeats: cluster.heartbeats,
      nodes: cluster.nodes,
      readMode: ports.readMode,
      self: () => cluster.self,
      members: () => cluster.formed?.members.map((member) => member.nodeId) ?? [],
      replicas: () => cluster.formed?.replicas ?? 0,
    },
    supervision,
    log,
  });
  if (store.link !== undefined) cluster.listen(store.link);
  const gateway = createGateway(ports, store, turn);
  cluster.listen(gateway.nodeListener);
  const input: SupervisorInput = {
    ...supervision,
    strategy: "one_for_one",
    children: [cluster.spec()],
  };
  const root = createActor(supervisor, { input, clock, id: nodeId });
  let ended: (() => void) | undefined;
  root.subscribe({ error: onFatal, complete: () => ended?.() });
  const start = (): void => {
    root.start();
    cluster.whenFormed().then(
      () => root.send({ type: "child.start", spec: store.spec() }),
      (error: unknown) => onFatal(error),
    );
  };
  const drain = (done: () => void): void => {
    ended = done;
    void store.handOver().then(() => {
      cluster.goodbye();
      root.send({ type: "shutdown" });
    });
  };
  return { cluster, store, gateway, start, drain };
}

function createGateway(ports: RoomPorts, store: Store, turn: Turn): Gateway {
  const { nodeId, epoch, transport, clock, random, onBug } = ports;
  return new Gateway({
    places: store.places,
    forwarding: {
      transport,
      epoch,
      onGarbled: (from, error) => onBug(`a forwarded command of ${from} cannot be read`, error),
    },
    store: {
      counters: () => store.counters,
      regions: () => store.regionLines(),
      nodes: () => [],
      lastSaveSeconds: () => store.lastMarkerSeconds(),
      setActiveExpire: (on) => store.setActiveExpire(on),
      shutdown: () => undefined,
    },
    commands: registry,
    turn,
    clock: {
      wallMs: () => clock.wallMs(),
      monotonicMs: () => clock.monotonicMs(),
      later: (delayMs, run) => {
        const timer = clock.setTimeout(run, delayMs);
        return () => clock.clearTimeout(timer);
      },
    },
    random,
    nodeId,
    version: "simulated",
  });
}
