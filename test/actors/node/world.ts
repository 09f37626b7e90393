// A whole node in this process: real sockets and the real actors over an engine and a disk in memory,
// both of which can be held back. It notes every restart, every end of an actor and every fatal
// error. What is expected of them is the tests' business.

import { createServer, type AddressInfo } from "node:net";
import type { Actor, AnyActorRef } from "xstate";
import { startNode, type Node } from "../../../actors/node.ts";
import type { Log } from "../../../actors/observe/log.ts";
import type { supervisor } from "../../../actors/system/supervisor.ts";
import { systemClock } from "../../../actors/system/clock.ts";
import { liveActors } from "../../../actors/system/registry.ts";
import type { Disk, DiskFile } from "../../../storage/disk.ts";
import type { EngineOpener } from "../../../storage/engine.ts";
import { openJournal } from "../../../storage/journal/journal.ts";
import type { Journal } from "../../../storage/journal/types.ts";
import { createMemoryOpener, type MemoryOpener } from "../../../storage/memory.ts";
import { Connection, ErrorText, type Reply } from "../../integration/connection.ts";
import { seededRandom, SimulatedDisk, type Random } from "../../simulation/disk.ts";

/** Lets everything through until it is held; what came meanwhile goes on when it is opened. */
class Gate {
  #waiting: Array<() => void> | undefined;

  get held(): boolean {
    return this.#waiting !== undefined;
  }

  hold(): void {
    this.#waiting ??= [];
  }

  open(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const go of waiting) go();
  }

  pass(go: () => void): void {
    if (this.#waiting === undefined) go();
    else this.#waiting.push(go);
  }
}

/** The disk with a gate before every durable write. */
function gated(disk: Disk, gate: Gate): Disk {
  const file = (inner: DiskFile): DiskFile => ({
    writeSync: async (bytes, position) => {
      await new Promise<void>((go) => gate.pass(go));
      return inner.writeSync(bytes, position);
    },
    write: (bytes, position) => inner.write(bytes, position),
    read: (position, length) => inner.read(position, length),
    sync: () => inner.sync(),
    truncate: (length) => inner.truncate(length),
    size: () => inner.size(),
    close: () => inner.close(),
  });
  return {
    open: async (path, mode) => file(await disk.open(path, mode)),
    list: (folder) => disk.list(folder),
    makeFolder: (path) => disk.makeFolder(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeFolder: (path) => disk.removeFolder(path),
    syncFolder: (path) => disk.syncFolder(path),
  };
}

type Schedule = (task: () => void) => void;

/** One line of the log. */
export interface Line {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function collectingLog(lines: Line[]): Log {
  const write =
    (level: Line["level"]) =>
    (message: string, fields: Line["fields"] = {}): void => {
      lines.push({ level, message, fields });
    };
  const log: Log = {
    debug: write("debug"),
    info: write("info"),
    warning: write("warning"),
    error: write("error"),
    with: () => log,
    setLevel: () => undefined,
    level: () => "debug",
  };
  return log;
}

export class World {
  readonly lines: Line[] = [];
  readonly fatal: unknown[] = [];
  /** Openings and closings of engine and journal, and ends of watched actors, in order. */
  readonly events: string[] = [];
  readonly disk: SimulatedDisk;
  readonly engine: MemoryOpener;
  /** What the next opening of the engine rejects with. */
  openFails: Error | undefined;
  readonly journalGate = new Gate();
  readonly engineGate = new Gate();
  readonly #connections: Connection[] = [];
  #node: Node | undefined;

  private constructor(disk: SimulatedDisk, engine: (schedule: Schedule) => MemoryOpener) {
    this.disk = disk;
    this.engine = engine((task) => setImmediate(() => this.engineGate.pass(task)));
  }

  static async start(): Promise<World> {
    const world = new World(new SimulatedDisk(), (schedule) => createMemoryOpener({ schedule }));
    await world.#start();
    return world;
  }

  /** The node that starts from what a power loss at this moment leaves. Kill this one as well. */
  async afterPowerLoss(random: Random): Promise<World> {
    const disk = new SimulatedDisk(this.disk.afterStop(random));
    const world = new World(disk, () => this.engine.crash(random));
    await world.#start();
    return world;
  }

  get node(): Node {
    if (this.#node === undefined) throw new Error("the node does not run");
    return this.#node;
  }

  async #start(): Promise<void> {
    const onFatal = (error: unknown): void => void this.fatal.push(error);
    const disk = gated(this.disk, this.journalGate);
    let journal: Journal | undefined;
    this.#node = await startNode({
      nodeId: "n1",
      version: "0.0.0",
      regionCount: 4,
      hashTags: true,
      // A listener that restarts has to come back at the same port, as in a configured node.
      resp: { host: "127.0.0.1", port: await freePort() },
      http: { host: "127.0.0.1", port: 0, token: "" },
      settings: {},
      recordCacheBytes: 1024 * 1024,
      drainMs: 500,
      pureActors: false,
      engine: this.#noted(this.engine),
      journal: {
        open: async () => {
          await journal?.close();
          journal = await openJournal(disk, {
            fileBytes: 1024 * 1024,
            onFatal,
            onFull: () => undefined,
          });
          this.events.push("journal opened");
          return journal;
        },
      },
      clock: systemClock,
      random: seededRandom(1),
      schedule: setImmediate,
      log: collectingLog(this.lines),
      onFatal,
      onShutdown: () => undefined,
    });
  }

  #noted(opener: EngineOpener): EngineOpener {
    return {
      open: async () => {
        if (this.openFails !== undefined) throw this.openFails;
        const engine = await opener.open();
        this.events.push("engine opened");
        return engine;
      },
    };
  }

  actor(systemId: string): AnyActorRef {
    const ref: AnyActorRef | undefined = this.node.root.system.get(systemId);
    if (ref === undefined) throw new Error(`no actor ${systemId}`);
    return ref;
  }

  /** Living actors by path, without the connections and what a chart invokes. */
  actors(): Map<string, AnyActorRef> {
    const found = liveActors(this.node.root).map(({ path, ref }) => [path, ref] as const);
    return new Map(found.filter(([path]) => !/connection|\.opening|\.closing/.test(path)));
  }

  /** Paths of actors that are others than in `before`, or gone. */
  replacedSince(before: ReadonlyMap<string, AnyActorRef>): string[] {
    const now = this.actors();
    return [...before.keys()].filter((path) => now.get(path) !== before.get(path));
  }

  /** Notes in `events` when each of these actors ends. */
  watchEnds(): void {
    for (const [path, ref] of this.actors()) {
      const note = (): void => void this.events.push(`${path} ended`);
      ref.subscribe({ complete: note, error: note });
    }
  }

  /** Restarts so far as "supervisor/child: message". */
  restarts(): string[] {
    return this.lines
      .filter(({ message }) => message === "an actor failed and is restarted")
      .map(({ fields }) => {
        const error = fields["error"] instanceof Error ? fields["error"].message : "ended";
        return `${String(fields["supervisor"])}/${String(fields["child"])}: ${error}`;
      });
  }

  /** Makes an actor fail by a logic error: an event that throws when it is read. */
  breakActor(systemId: string, error: Error = new Error("broken")): void {
    const thrower = { enumerable: true, get: () => raise(error) };
    const ref = this.actor(systemId);
    if (systemId === "store.engine") {
      ref.send(Object.defineProperty({ type: "engine.apply" }, "job", thrower));
    } else if (systemId === "store.log") {
      ref.send(Object.defineProperty({ type: "log.append" }, "write", thrower));
    } else if (systemId.startsWith("region.")) {
      ref.send(Object.defineProperty({ type: "region.fetched" }, "fetch", thrower));
    } else if (systemId === "gateway.listener") ref.send({ type: "listener.refused", error });
    else ref.send({ type: `${systemId.slice("store.".length)}.failed`, error });
  }

  async client(): Promise<Connection> {
    const port = Number(this.node.respAddress.split(":")[1]);
    const connection = await Connection.open(port);
    this.#connections.push(connection);
    return connection;
  }

  /** Ends it as the end of the process does: at once, nothing is drained or closed. */
  async kill(): Promise<void> {
    (this.node.root as Actor<typeof supervisor>).stop();
    await this.stop();
  }

  async stop(): Promise<void> {
    this.journalGate.open();
    this.engineGate.open();
    for (const connection of this.#connections) connection.close();
    await this.#node?.stop();
    this.#node = undefined;
  }
}

/** A port of the loopback interface that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

function raise(error: Error): never {
  throw error;
}

/** Bytes on the wire as a test compares them: errors with their dash. */
export const shown = (reply: Reply): Reply =>
  reply instanceof ErrorText ? `-${reply.text}` : reply;

/** A reply as one text, for comparing its beginning. */
export const textOf = (reply: Reply): string => {
  const text = shown(reply);
  return typeof text === "string" ? text : JSON.stringify(text);
};

/** Asks again while the answer is -CLUSTERDOWN; throws after `withinMs`. */
export async function retried(
  connection: Connection,
  withinMs: number,
  ...args: string[]
): Promise<Reply> {
  for (const untilMs = performance.now() + withinMs; ;) {
    const reply = shown(
      await within(1000, `an answer to ${args.join(" ")}`, connection.call(...args)),
    );
    if (!textOf(reply).startsWith("-CLUSTERDOWN")) return reply;
    if (performance.now() > untilMs)
      throw new Error(`no service within ${withinMs} ms: ${textOf(reply)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Rejects when the promise takes longer. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
