// A node: the root of the actor tree (cluster, store, gateway …) and the ports its rooms are joined
// by. It chooses no adapter and reads no setting: `deploy` hands everything in.

import { createActor, type AnyActorRef } from "xstate";
import { registry } from "../resp/table.ts";
import type { EngineOpener } from "../storage/engine.ts";
import { DamagedError, DiskError } from "../storage/errors.ts";
import { createPositions } from "../storage/position.ts";
import { Gateway } from "./gateway/gateway.ts";
import { gatewaySupervisorInput } from "./gateway/supervisor.ts";
import { RestartCounters } from "./observe/figures.ts";
import { Health } from "./observe/health.ts";
import { startHttp, type HttpServer } from "./observe/http.ts";
import type { Log } from "./observe/log.ts";
import { Metrics } from "./observe/metrics.ts";
import { registerMetrics } from "./node-metrics.ts";
import { Store, type StoreOptions } from "./store/store.ts";
import type { ChildSpec, ExitNote, SupervisorInput } from "./system/children.ts";
import type { Clock } from "./system/clock.ts";
import { supervisor } from "./system/supervisor.ts";
import { Turn, type ScheduleTurn } from "./system/turn.ts";

/** Everything a node is made of. */
export interface NodeOptions {
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
  /** How long applied entries may gather before they go to the engine; default 0. */
  readonly applyDelayMs?: number;
  /** How long replies under way may take when the node stops. */
  readonly drainMs: number;
  readonly pureActors: boolean;
  readonly engine: EngineOpener;
  readonly journal: StoreOptions["journal"];
  readonly clock: Clock;
  readonly random: () => number;
  readonly schedule: ScheduleTurn;
  readonly log: Log;
  /** The node cannot go on; the process must end at once. */
  readonly onFatal: (error: unknown) => void;
  /** A client sent SHUTDOWN. */
  readonly onShutdown: () => void;
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

/** Resolves when every region serves and the listener accepts; rejects when that cannot be. */
export async function startNode(options: NodeOptions): Promise<Node> {
  const { log } = options;
  const restarts = new RestartCounters();
  const metrics = new Metrics((source, error) =>
    log.error("a metrics source failed", { source, error }),
  );
  const health = new Health();
  const turn = new Turn(options.schedule, (error) => options.onFatal(error));
  const supervision = supervisionHooks(options, restarts);
  const store = new Store({ ...options, turn, supervision, positions: positionsOf(options) });
  const gateway = createGateway(options, store, turn);
  const http = await startHttp({ ...options.http, health, metrics });
  registerMetrics(metrics, { gateway, store, restarts });
  const tree = runTree(options, store, gateway, supervision);
  health.check("store", () => (store.isServing() ? undefined : "not every region serves"));
  health.check("disk", () => (store.isFull() ? "the disk is full, writes are refused" : undefined));
  try {
    const bound = await tree.listening;
    return {
      respAddress: address(bound.host, bound.port),
      httpAddress: address(http.host, http.port),
      root: tree.root,
      stop: () => stopNode(tree, http, metrics),
    };
  } catch (error) {
    await stopNode(tree, http, metrics);
    throw error;
  }
}

function positionsOf({ regionCount, hashTags }: NodeOptions) {
  return createPositions(regionCount, hashTags);
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

function createGateway(options: NodeOptions, store: Store, turn: Turn): Gateway {
  const { clock, random, nodeId, version, settings } = options;
  return new Gateway({
    routes: store.routes,
    store: {
      counters: () => store.counters,
      regions: () => store.regionLines(),
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
  /** The listener's address once it accepts. Rejects when the tree ends before. */
  readonly listening: Promise<BoundAddress>;
  /** Resolves when the root has ended. */
  readonly ended: Promise<void>;
}

/** The tree of design section 4, as far as it exists: store, then gateway. */
function runTree(
  options: NodeOptions,
  store: Store,
  gateway: Gateway,
  supervision: ReturnType<typeof supervisionHooks>,
): Tree {
  const bound = deferred<BoundAddress>();
  const ended = deferred<void>();
  const listener = {
    gateway,
    listen: options.resp,
    drainMs: options.drainMs,
    onBound: bound.resolve,
  };
  const children: ChildSpec[] = [
    store.spec(),
    {
      id: "gateway",
      systemId: "gateway",
      logic: supervisor,
      input: gatewaySupervisorInput({ listener, supervision }),
      shutdownMs: options.drainMs + 2000,
      awaitReady: true,
    },
  ];
  const input: SupervisorInput = { ...supervision, strategy: "one_for_one", children };
  const root = createActor(supervisor, { input, clock: options.clock, id: "node" });
  let isServing = false;
  root.subscribe({
    complete: () => ended.resolve(),
    error: (error) => {
      ended.resolve();
      bound.reject(error);
      if (isServing) options.onFatal(error);
    },
  });
  root.start();
  const listening = bound.promise.then((at) => {
    isServing = true;
    return at;
  });
  return { root, listening, ended: ended.promise };
}

async function stopNode(tree: Tree, http: HttpServer, metrics: Metrics): Promise<void> {
  if (tree.root.getSnapshot().status === "active") tree.root.send({ type: "shutdown" });
  await tree.ended;
  metrics.close();
  await http.close();
}
