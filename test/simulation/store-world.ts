// A whole store on simulated ground: the real actors under a supervisor, the memory engine, the
// simulated disk, one clock and one seed. Nothing moves but by `step`, in an order the seed picks. A
// crash throws the actors away and keeps what disk and engine may have kept; no gateway is in it.

import { createActor, type AnyActorRef } from "xstate";
import type { DirectoryEntry } from "../../actors/store/directory.ts";
import type { RegionRequest, RegionWalk } from "../../actors/store/protocol.ts";
import { Store } from "../../actors/store/store.ts";
import type { SupervisorInput } from "../../actors/system/children.ts";
import type { Clock } from "../../actors/system/clock.ts";
import { supervisor } from "../../actors/system/supervisor.ts";
import { Turn } from "../../actors/system/turn.ts";
import type { RegionCommand } from "../../resp/command.ts";
import { ErrorReply, BulkPiecesReply, type Reply } from "../../resp/reply.ts";
import { registry } from "../../resp/table.ts";
import type { Disk, DiskFile } from "../../storage/disk.ts";
import { openJournal } from "../../storage/journal/journal.ts";
import type { Journal } from "../../storage/journal/types.ts";
import { spaceRange } from "../../storage/key-ranges.ts";
import { createMemoryOpener, type MemoryOpener } from "../../storage/memory.ts";
import { createPositions } from "../../storage/position.ts";
import { HeapClock } from "./clock.ts";
import { seededRandom, SimulatedDisk, type Random } from "./disk.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly regions?: number;
  readonly cacheBytes?: number;
  readonly journalFileBytes?: number;
}

/** A command on its way, and its reply once there is one. */
export interface Sent {
  readonly line: string;
  reply: Reply | undefined;
}

export type WalkReply = Parameters<RegionWalk["settle"]>[0];

/** What has to happen next, by kind; the seed picks among those that are not held. */
interface Task {
  readonly kind: "turn" | "engine";
  readonly run: () => void;
}

const builtIn = {
  arity: 1,
  categories: [],
  summary: "",
  since: "",
  group: "server",
  complexity: "",
  runs: "region",
  spread: "ok",
} as const;

/** What the gateway asks of every region, as it asks it. */
const whole: Readonly<Record<string, RegionCommand>> = {
  flushdb: {
    ...builtIn,
    name: "flushdb",
    flags: ["write"],
    execute: (view) => (view.flushDb() ? "OK" : new ErrorReply("ERR no slot")),
  },
  flushall: {
    ...builtIn,
    name: "flushall",
    flags: ["write"],
    execute: (view) => {
      view.flushAll();
      return "OK";
    },
  },
  dbsize: { ...builtIn, name: "dbsize", flags: ["readonly"], execute: (view) => view.size() },
};

const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class StoreWorld {
  readonly random: Random;
  readonly clock = new HeapClock();
  /** Added to the wall clock: what an administrator does to it. */
  wallSkewMs = 0;
  /** While true the engine answers nothing. */
  engineHeld = false;
  /** While true no group write of the journal reaches the disk. */
  journalHeld = false;
  /** What the store called fatal, and bugs of commands. */
  readonly failures: unknown[] = [];
  store!: Store;
  root!: AnyActorRef;
  disk = new SimulatedDisk();
  engine: MemoryOpener;
  journal: Journal | undefined;
  /** How often `step` has run: for replaying. */
  steps = 0;
  readonly #options: WorldOptions;
  readonly #positions;
  #tasks: Task[] = [];
  #heldWrites: Array<() => void> = [];
  #life = 0;
  #session = 1000;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.#positions = createPositions(options.regions ?? 2, true);
    this.engine = createMemoryOpener({
      schedule: (run) => this.#tasks.push({ kind: "engine", run }),
    });
  }

  /** Starts the store and runs until every region serves. */
  async start(): Promise<this> {
    const life = ++this.#life;
    const clock = this.#lifeClock(life);
    const schedule = (run: () => void): void => void this.#tasks.push({ kind: "turn", run });
    const turn = new Turn(schedule, (error) => this.failures.push(error));
    const onFatal = (error: unknown): void => {
      if (life === this.#life) this.failures.push(error);
    };
    const supervision = { now: () => clock.monotonicMs() };
    const { disk } = this;
    const timers = {
      after: (delayMs: number, task: () => void) => {
        const timer = clock.setTimeout(task, delayMs);
        return () => clock.clearTimeout(timer);
      },
    };
    const fileBytes = this.#options.journalFileBytes ?? 64 * 1024;
    this.store = new Store({
      nodeId: "n1",
      positions: this.#positions,
      hashTags: true,
      pureActors: false,
      recordCacheBytes: this.#options.cacheBytes ?? 1024 * 1024,
      engine: this.engine,
      journal: {
        open: async () => {
          await this.journal?.close();
          const options = { fileBytes, onFatal, onFull: () => undefined };
          this.journal = await openJournal(this.#held(disk), options, timers);
          return this.journal;
        },
      },
      turn,
      clock,
      random: this.random,
      schedule,
      supervision,
      log: { error: (message, fields) => this.failures.push([message, fields]) },
      onFatal,
    });
    const input: SupervisorInput = {
      ...supervision,
      strategy: "one_for_one",
      children: [this.store.spec()],
    };
    const root = createActor(supervisor, { input, clock });
    root.subscribe({ error: onFatal });
    root.start();
    this.root = root;
    await this.until(() => this.store.isServing(), "every region serves");
    return this;
  }

  /** Power loss, or the end of the process alone when `powerLoss` is false. Nothing is answered any more. */
  crash(powerLoss = true): void {
    this.#life++;
    this.#tasks = [];
    this.#heldWrites = [];
    this.journalHeld = false;
    this.engineHeld = false;
    this.journal = undefined;
    this.disk = new SimulatedDisk(this.disk.afterStop(powerLoss ? this.random : undefined));
    this.engine = this.engine.crash(powerLoss ? this.random : () => 0);
  }

  /** The disk, whose synced writes wait while `journalHeld`. */
  #held(disk: SimulatedDisk): Disk {
    return new Proxy(disk, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "open") return value.bind(target);
        return async (...args: Parameters<SimulatedDisk["open"]>) => {
          const file = await target.open(...args);
          const writeSync: DiskFile["writeSync"] = async (bytes, at) => {
            if (this.journalHeld) await new Promise<void>((go) => this.#heldWrites.push(go));
            return file.writeSync(bytes, at);
          };
          return { ...file, writeSync };
        };
      },
    });
  }

  /** Lets the journal's writes go on. */
  releaseJournal(): void {
    this.journalHeld = false;
    for (const go of this.#heldWrites.splice(0)) go();
  }

  /** One thing happens: an engine's answer or a turn; time passes when there is nothing else. */
  async step(): Promise<void> {
    this.steps++;
    await microtasks();
    const able = this.#tasks.filter((task) => task.kind !== "engine" || !this.engineHeld);
    const task = able[Math.floor(this.random() * able.length)];
    if (task === undefined) this.clock.advance(5);
    else {
      this.#tasks.splice(this.#tasks.indexOf(task), 1);
      task.run();
    }
    await microtasks();
  }

  /** Steps until `done`; fails after `limit` steps. */
  async until(done: () => boolean, what: string, limit = 20_000): Promise<void> {
    for (let count = 0; !done(); count++) {
      if (this.failures.length > 0) throw this.failures[0] as Error;
      if (count > limit) throw new Error(`never happened: ${what}`);
      await this.step();
    }
  }

  async stepMany(count: number): Promise<void> {
    for (let left = count; left > 0; left--) await this.step();
  }

  /** Runs until nothing is under way: no task, and nothing for `quietMs` of time. */
  async settle(quietMs = 300): Promise<void> {
    const end = this.clock.monotonicMs() + quietMs;
    await this.until(
      () => this.#tasks.length === 0 && this.clock.monotonicMs() >= end,
      "the store comes to rest",
    );
  }

  regionOf(key: string): DirectoryEntry {
    const position = this.#positions.positionOf(Buffer.from(key, "latin1"));
    return this.store.directory.regionOf(position)!;
  }

  get regions(): readonly DirectoryEntry[] {
    return this.store.directory.all();
  }

  /** Sends one command to the region of its first key. */
  send(line: string | readonly Buffer[], options: { db?: number; session?: number } = {}): Sent {
    const args =
      typeof line === "string" ? line.split(" ").map((word) => Buffer.from(word, "latin1")) : line;
    const command = registry.resolve(args);
    if (command instanceof ErrorReply || command.runs !== "region") {
      throw new Error(`not a region's command: ${String(line)}`);
    }
    const keyPositions = keysOf(command, args);
    const region = this.regionOf(args[keyPositions[0]!]!.toString("latin1"));
    return this.#request(region, command, args, keyPositions, options);
  }

  /** FLUSHDB, FLUSHALL or DBSIZE of one region. */
  sendWhole(
    region: DirectoryEntry,
    name: "flushdb" | "flushall" | "dbsize",
    options: { db?: number; session?: number } = {},
  ): Sent {
    return this.#request(region, whole[name]!, [Buffer.from(name)], [], options);
  }

  /** Sends and runs until the reply is there. */
  async ask(line: string | readonly Buffer[], options: { db?: number; session?: number } = {}) {
    const sent = this.send(line, options);
    await this.until(() => sent.reply !== undefined, `reply to ${sent.line}`);
    return plain(sent.reply!);
  }

  async askWhole(
    region: DirectoryEntry,
    name: "flushdb" | "flushall" | "dbsize",
    options: { db?: number; session?: number } = {},
  ) {
    const sent = this.sendWhole(region, name, options);
    await this.until(() => sent.reply !== undefined, `reply to ${sent.line}`);
    return plain(sent.reply!);
  }

  /** One step of a walk over a region. */
  walk(region: DirectoryEntry, options: Partial<Omit<RegionWalk, "type" | "settle">> = {}) {
    const life = this.#life;
    const sent: { result: WalkReply | undefined } = { result: undefined };
    region.ref!.send({
      type: "region.walk",
      db: 0,
      sessionId: this.#session++,
      cursor: 0,
      count: Infinity,
      accepts: () => true,
      ...options,
      settle: (result) => {
        if (sent.result !== undefined) throw new Error("a walk was answered twice");
        if (life === this.#life) sent.result = result;
      },
    });
    return sent;
  }

  /** Physical keys the engine holds in one space. */
  async stored(space: number): Promise<Buffer[]> {
    const iterator = this.store.handles.opened().engine.iterate(spaceRange(space));
    let found: Array<{ key: Buffer }> | undefined;
    void iterator.next(1_000_000).then((pairs) => (found = pairs));
    await this.until(() => found !== undefined, "the engine's keys");
    void iterator.end();
    return found!.map(({ key }) => key);
  }

  /** The longest payload of any entry the journal still holds. */
  async longestEntry(): Promise<number> {
    let longest = 0;
    for (const { regionId } of this.regions) {
      const { prevIndex, lastIndex } = this.journal!.logOf(regionId)!;
      for (let index = prevIndex + 1; index <= lastIndex; index++) {
        const [entry] = await this.journal!.read(regionId, index, index, 1);
        longest = Math.max(longest, entry!.payload.length);
      }
    }
    return longest;
  }

  /** Every key of a database, from walks over all regions. */
  async keys(db = 0): Promise<string[]> {
    const keys: string[] = [];
    for (const region of this.regions) {
      const sent = this.walk(region, { db });
      await this.until(() => sent.result !== undefined, "keys of a region");
      if ("error" in sent.result!) throw new Error(sent.result.error);
      keys.push(...sent.result!.keys.map((key) => key.toString("latin1")));
    }
    return keys.toSorted();
  }

  #request(
    region: DirectoryEntry,
    command: RegionCommand,
    args: readonly Buffer[],
    keyPositions: readonly number[],
    options: { db?: number; session?: number },
  ): Sent {
    const life = this.#life;
    const line = args.map((arg) => arg.toString("latin1").slice(0, 40)).join(" ");
    const sent: Sent = { line, reply: undefined };
    const request: RegionRequest = {
      type: "region.request",
      command,
      args,
      keyPositions,
      db: options.db ?? 0,
      sessionId: options.session ?? this.#session++,
      settle: (reply) => {
        if (sent.reply !== undefined) throw new Error(`answered twice: ${line}`);
        if (life === this.#life) sent.reply = reply;
      },
    };
    region.ref!.send(request);
    return sent;
  }

  /** The world's clock as one life of the process has it: its timers die with it. */
  #lifeClock(life: number): Clock {
    return {
      monotonicMs: () => this.clock.monotonicMs(),
      wallMs: () => this.clock.wallMs() + this.wallSkewMs,
      setTimeout: (callback, delayMs) =>
        this.clock.setTimeout(() => {
          if (life === this.#life) callback();
        }, delayMs),
      clearTimeout: (id) => this.clock.clearTimeout(id),
    };
  }
}

function keysOf(command: RegionCommand, args: readonly Buffer[]): number[] {
  if (command.findKeys !== undefined) return command.findKeys(args);
  const { first, last, step } = command.keys!;
  const end = last < 0 ? args.length + last : last;
  const positions: number[] = [];
  for (let at = first; at <= end; at += step) positions.push(at);
  return positions;
}

/** A reply as tests compare it: bulk strings as text, errors as "-text". */
export function plain(reply: Reply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString("latin1");
  if (reply instanceof ErrorReply) return `-${reply.message}`;
  if (reply instanceof BulkPiecesReply) return Buffer.concat(reply.pieces).toString("latin1");
  if (Array.isArray(reply)) return reply.map(plain);
  return reply;
}
