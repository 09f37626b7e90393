// A node: the root of the actor tree (cluster, store, gateway …) and the ports its rooms are joined
// by. It chooses no adapter and reads no setting: `deploy` hands everything in.

import { createActor, type AnyActorRef } from "xstate";
import type { ClusterNode } from "../resp/server.ts";
import { registry } from "../resp/table.ts";
import type { EngineOpener } from "../storage/engine.ts";
import { DamagedError, DiskError } from "../storage/errors.ts";
import { createPositions } from "../storage/position.ts";
import type { Transport } from "../transport/transport.ts";
import { Cluster } from "./cluster/cluster.ts";
import type { Formation, MembershipStore, NodeInfo, Proposal } from "./cluster/protocol.ts";
import { Gateway, type GatewayOptions } from "./gateway/gateway.ts";
import { gatewaySupervisorInput } from "./gateway/supervisor.ts";
import { RestartCounters } from "./observe/figures.ts";
import { Health } from "./observe/health.ts";
import { startHttp, type HttpServer } from "./observe/http.ts";
import type { Log } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { registerMetrics } from "./node-metrics.ts";
import type { ReadMode } from "./store/protocol.ts";
import { Store, type StoreNeighbours, type StoreOptions } from "./store/store.ts";
import type { ChildSpec, ExitNote, SupervisorInput } from "./system/children.ts";
import type { Clock } from "./system/clock.ts";
import { supervisor } from "./system/supervisor.ts";
import { Turn, type ScheduleTurn } from "./system/turn.ts";

/** Everything a node is made of. */
export interface NodeOptions extends Pick<StoreOptions, "applyGather" | "waveMs"> {
  readonly nodeId: string;
  readonly version: string;
  /** Fixed at bootstrap. */
  readonly regionCount: number;
  readonly hashTags: boolean;
  /** RESP listener; port 0 = any free one. */
  readonly resp: { readonly host: string; readonly port: number };
  readonly http: { readonly host: string; readonly port: number; readonly token?: string };
  /** CONFIG parameters by Redis' names that differ from the defaults. */
  readonly settings: Readonly<Record<string, string>>;
  readonly recordCacheBytes: number;
  /** How long replies under way may take when the node stops. */
  readonly drainMs: number;
  readonly pureActors: boolean;
  readonly engine: EngineOpener;
  readonly journal: StoreOptions["journal"];
  readonly clock: Clock;
  readonly random: () => number;
  readonly schedule: ScheduleTurn;
  readonly log: Log;
  /** How it finds and reaches other nodes; undefined = it is alone and nobody can join it. */
  readonly cluster?: ClusterOptions;
  /** The node cannot go on; the process must end at once. */
  readonly onFatal: (error: unknown) => void;
  /** A client sent SHUTDOWN. */
  readonly onShutdown: () => void;
}

/** What a node of several needs. */
export interface ClusterOptions {
  /** Its name: nodes of another name neither hear nor disturb each other. */
  readonly name: string;
  readonly incarnation: string;
  /** Counts the process starts of the data directory (`NodeInfo.epoch`). */
  readonly epoch: number;
  readonly transport: Transport;
  readonly formation: Formation;
  readonly membership: MembershipStore;
  /** Voters of a region at bootstrap. */
  readonly replicas: number;
  readonly readMode: ReadMode;
}

/** A node that serves. */
export interface Node {
  /** "host:port" as bound. */
  readonly respAddress: string;
  readonly httpAddress: string;
  /** The root of the actor tree. */
  readonly root: AnyActorRef;
  /** Drains, closes, ends every actor. */
  stop(): Promise<void>;
}

const address = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/**
 * Resolves when the listener accepts: alone with every region serving; among others once the cluster
 * is formed and every replica here is open. Rejects when that cannot be.
 */
export async function startNode(options: NodeOptions): Promise<Node> {
  const { log } = options;
  const restarts = new RestartCounters();
  const metrics = new Metrics((source, error) =>
    log.error("a metrics source failed", { source, error }),
  );
  const health = new Health();
  const turn = new Turn(options.schedule, (error) => options.onFatal(error));
  const supervision = supervisionHooks(options, restarts);
  const http = await startHttp({ ...options.http, health, metrics });
  const httpAddress = address(http.host, http.port);
  const tree = runTree(options, supervision);
  const stop = (): Promise<void> => stopNode(tree, http, metrics);
  try {
    const cluster = createCluster(options, turn, supervision, httpAddress);
    if (cluster !== undefined) health.check("cluster", () => cluster.waitingFor());
    const formed = cluster === undefined ? undefined : await joinCluster(tree, cluster);
    const bootstrap = formed ?? options;
    const store = new Store({
      ...options,
      turn,
      supervision,
      positions: createPositions(bootstrap.regionCount, bootstrap.hashTags),
      hashTags: bootstrap.hashTags,
      ...neighboursOf(options, cluster, formed),
    });
    tree.store = store;
    if (cluster !== undefined && store.link !== undefined) cluster.listen(store.link);
    const gateway = createGateway(options, store, turn, cluster);
    cluster?.listen(gateway.nodeListener);
    const transport = options.cluster?.transport;
    registerMetrics(metrics, { gateway, store, restarts, cluster, transport });
    health.check("store", () => (store.isServing() ? undefined : "not every region serves"));
    health.check("disk", () =>
      store.isFull() ? "the disk is full, writes are refused" : undefined,
    );
    const bound = await serve(options, tree, store, gateway, supervision);
    const respAddress = address(bound.host, bound.port);
    cluster?.setAddresses({ respAddress, httpAddress });
    cluster?.remember(await store.registeredStores());
    return { respAddress, httpAddress, root: tree.root, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function createCluster(
  options: NodeOptions,
  turn: Turn,
  supervision: ReturnType<typeof supervisionHooks>,
  httpAddress: string,
): Cluster | undefined {
  const { cluster, nodeId, clock, random, log, onFatal, regionCount, hashTags } = options;
  if (cluster === undefined) return undefined;
  const { replicas } = cluster;
  const created = new Cluster({
    ...cluster,
    nodeId,
    bootstrap: { regionCount, hashTags, replicas },
    clock,
    random,
    turn,
    log,
    onFatal,
    supervision,
  });
  created.setAddresses({ respAddress: "", httpAddress });
  return created;
}

/** Starts the cluster's actor and waits until this node belongs to one. */
function joinCluster(tree: Tree, cluster: Cluster): Promise<Proposal> {
  tree.cluster = cluster;
  tree.root.send({ type: "child.start", spec: cluster.spec() });
  return Promise.race([cluster.whenFormed(), tree.failed]);
}

function neighboursOf(
  options: NodeOptions,
  cluster: Cluster | undefined,
  formed: Proposal | undefined,
): { readonly neighbours?: StoreNeighbours } {
  if (options.cluster === undefined || cluster === undefined || formed === undefined) return {};
  const { transport, readMode } = options.cluster;
  const members = formed.members.map(({ nodeId }) => nodeId);
  return {
    neighbours: {
      transport,
      heartbeats: cluster.heartbeats,
      nodes: cluster.nodes,
      readMode,
      self: () => cluster.self,
      members: () => members,
      replicas: () => formed.replicas,
    },
  };
}

function isBeyondRestart(error: unknown): boolean {
  return error instanceof DamagedError || error instanceof DiskError;
}

function supervisionHooks(options: NodeOptions, restarts: RestartCounters) {
  return {
    now: () => options.clock.monotonicMs(),
    // A restart cannot mend a disk or broken data: whoever meets either ends the process.
    onExit: ({ error }: ExitNote) => {
      if (isBeyondRestart(error)) options.onFatal(error);
    },
    onRestart: (note: ExitNote) => {
      if (isBeyondRestart(note.error)) return;
      restarts.note(note);
      const { supervisor: by, child, error, restarts: count } = note;
      options.log.warning("an actor failed and is restarted", {
        supervisor: by,
        child,
        restarts: count,
        error,
      });
    },
  } satisfies Partial<SupervisorInput>;
}

function createGateway(
  options: NodeOptions,
  store: Store,
  turn: Turn,
  cluster: Cluster | undefined,
): Gateway {
  const { clock, random, nodeId, version, settings } = options;
  return new Gateway({
    places: store.places,
    ...forwardingOf(options),
    store: {
      counters: () => store.counters,
      regions: () => store.regionLines(),
      nodes: () => clusterNodes(options, cluster),
      lastSaveSeconds: () => store.lastMarkerSeconds(),
      setActiveExpire: (on) => store.setActiveExpire(on),
      shutdown: options.onShutdown,
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
    version,
    settings,
  });
}

function forwardingOf({ cluster, log }: NodeOptions): Pick<GatewayOptions, "forwarding"> {
  if (cluster === undefined) return {};
  const onGarbled = (from: string, error: unknown): void =>
    log.error("a forwarded command cannot be read", { from, error });
  const { transport, epoch } = cluster;
  return { forwarding: { transport, epoch, onGarbled } };
}

function clusterNode({ nodeId, respAddress }: NodeInfo, isUp: boolean): ClusterNode {
  const at = respAddress.lastIndexOf(":");
  const host = respAddress.slice(0, Math.max(0, at)).replaceAll(/[[\]]/gu, "");
  return { nodeId, host, port: Number(respAddress.slice(at + 1)), isUp };
}

/** This node first. */
function clusterNodes(options: NodeOptions, cluster: Cluster | undefined): ClusterNode[] {
  if (cluster === undefined) {
    const { host, port } = options.resp;
    return [{ nodeId: options.nodeId, host, port, isUp: true }];
  }
  const others = cluster.nodes.others().map(({ info, isUp }) => clusterNode(info, isUp));
  return [clusterNode(cluster.self, true), ...others];
}

interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

const nobody = (): void => undefined;

/** A promise with its ends outside. */
function deferred<T>() {
  let resolve: (value: T) => void = nobody;
  let reject: (error: unknown) => void = nobody;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

interface Tree {
  readonly root: AnyActorRef;
  /** Never resolves; rejects when the root ends while nothing serves yet. */
  readonly failed: Promise<never>;
  /** Resolves when the root has ended. */
  readonly ended: Promise<void>;
  /** From here on the end of the root is fatal. */
  isServing: boolean;
  cluster: Cluster | undefined;
  store: Store | undefined;
}

/** The root of the tree of design section 4; its children are added as they can be built. */
function runTree(options: NodeOptions, supervision: ReturnType<typeof supervisionHooks>): Tree {
  const failed = deferred<never>();
  // Nobody may be waiting when it happens.
  failed.promise.catch(nobody);
  const ended = deferred<void>();
  const input: SupervisorInput = { ...supervision, strategy: "one_for_one" };
  const root = createActor(supervisor, { input, clock: options.clock, id: "node" });
  const tree: Tree = {
    root,
    failed: failed.promise,
    ended: ended.promise,
    isServing: false,
    cluster: undefined,
    store: undefined,
  };
  root.subscribe({
    complete: () => {
      ended.resolve();
      failed.reject(new Error("the node was stopped while it started"));
    },
    error: (error) => {
      ended.resolve();
      failed.reject(error);
      if (tree.isServing) options.onFatal(error);
    },
  });
  root.start();
  return tree;
}

/** Starts store and gateway, in this order; resolves with the listener's address once it accepts. */
async function serve(
  options: NodeOptions,
  tree: Tree,
  store: Store,
  gateway: Gateway,
  supervision: ReturnType<typeof supervisionHooks>,
): Promise<BoundAddress> {
  const bound = deferred<BoundAddress>();
  const listener = {
    gateway,
    listen: options.resp,
    drainMs: options.drainMs,
    onBound: bound.resolve,
  };
  const gatewaySpec: ChildSpec = {
    id: "gateway",
    systemId: "gateway",
    logic: supervisor,
    input: gatewaySupervisorInput({ listener, supervision }),
    shutdownMs: options.drainMs + 2000,
    awaitReady: true,
  };
  for (const spec of [store.spec(), gatewaySpec]) tree.root.send({ type: "child.start", spec });
  const at = await Promise.race([bound.promise, tree.failed]);
  tree.isServing = true;
  return at;
}

async function stopNode(tree: Tree, http: HttpServer, metrics: Metrics): Promise<void> {
  if (tree.root.getSnapshot().status === "active") {
    // While everything still runs: clients of regions led here go on at their new leaders.
    await tree.store?.handOver();
    tree.cluster?.goodbye();
    tree.root.send({ type: "shutdown" });
  }
  await tree.ended;
  metrics.close();
  await http.close();
}
