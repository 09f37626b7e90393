// A node with one replica of one region, on simulated ground: a real region over the memory engine, the
// journal and the simulated disk. It stands between the snapshot tests' world, which moves it, and the
// store's parts; supervisors and actors are left out.

import { crc32 } from "node:zlib";
import { Region } from "../../../actors/store/region.ts";
import type { RegionPorts, ReplicaEvent } from "../../../actors/store/region-ports.ts";
import { RecordCache } from "../../../actors/store/cache.ts";
import { DataIds } from "../../../actors/store/data-ids.ts";
import { StoreHandles } from "../../../actors/store/handles.ts";
import { EngineReader } from "../../../actors/store/reader.ts";
import { Sweeper } from "../../../actors/store/sweeper.ts";
import { EngineWriter, noGather } from "../../../actors/store/writer.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { RegionCommand } from "../../../resp/command.ts";
import { ErrorReply, type Reply } from "../../../resp/reply.ts";
import { registry } from "../../../resp/table.ts";
import type { Disk, DiskFile } from "../../../storage/disk.ts";
import { openJournal } from "../../../storage/journal/journal.ts";
import type { Journal } from "../../../storage/journal/types.ts";
import { dataIdRange, spaceRange } from "../../../storage/key-ranges.ts";
import { logicalKey, spaces } from "../../../storage/keys.ts";
import {
  allocatorKey,
  decodeAllocator,
  encodeRegionMeta,
  regionMetaKey,
} from "../../../storage/local-records.ts";
import { createMemoryOpener, type MemoryOpener } from "../../../storage/memory.ts";
import { createPositions } from "../../../storage/position.ts";
import { SimulatedDisk, type Random } from "../../simulation/disk.ts";
import { plain } from "../../simulation/store-world.ts";

import type { SnapshotWorld } from "./snapshot-world.ts";

export const regionId = 1;
const replicatedSpaces = [
  spaces.meta,
  spaces.sub,
  spaces.ttl,
  spaces.txn,
  spaces.placement,
  spaces.staging,
] as const;

export class ReplicaNode {
  readonly nodeId: string;
  readonly replicaId: number;
  readonly failures: unknown[] = [];
  readonly world: SnapshotWorld;
  readonly #voters: readonly number[];
  life = 0;
  disk = new SimulatedDisk();
  engine: MemoryOpener;
  handles = new StoreHandles();
  journal!: Journal;
  region: Region | undefined;
  sweeper!: Sweeper;
  #session = 1;

  constructor(world: SnapshotWorld, replicaId: number, voters: readonly number[]) {
    this.world = world;
    this.replicaId = replicaId;
    this.nodeId = `n${replicaId}`;
    this.#voters = voters;
    this.engine = createMemoryOpener({ schedule: (run) => this.later(run) });
  }

  later(run: () => void): void {
    this.world.tasks.push({ node: this, life: this.life, run });
  }

  /** Starts from what the disk holds. Rejects with what recovery rejects with. */
  async start(): Promise<this> {
    const life = ++this.life;
    const { world, failures } = this;
    const { clock } = world;
    const handles = new StoreHandles();
    this.handles = handles;
    const onFatal = (error: unknown): void => {
      if (life === this.life) failures.push(error);
    };
    const turn = new Turn((run) => this.later(run), onFatal);
    const timers = { after: () => () => undefined };
    const options = { fileBytes: 256 * 1024, onFatal, onFull: () => undefined };
    this.journal = await this.#run(openJournal(this.#slowDisk(), options, timers));
    const { journal } = this;
    const engine = await this.engine.open();
    const writer = new EngineWriter(engine, turn, clock, noGather, onFatal);
    handles.setEngine({ engine, writer, reader: new EngineReader(engine, turn, onFatal) });
    handles.setJournal(journal);
    const dataIds = new DataIds(1);
    const found = this.#run(engine.getMany([allocatorKey(), regionMetaKey(regionId)]));
    const [allocator, meta] = await found;
    if (allocator !== undefined) dataIds.restore(decodeAllocator(allocator).nextDataId);
    if (meta === undefined) await this.#run(this.#create(writer, dataIds));
    this.#newSweeper(onFatal);
    const ports: RegionPorts = {
      handles,
      engine: {
        send: (event) => {
          if (event.type === "engine.apply") writer.submit(event.job);
        },
      },
      log: {
        send: (event) => {
          if (event.type !== "log.append") return;
          journal.append(event.write, event.onDurable);
          turn.defer("journal", { run: () => journal.flush() });
        },
      },
      cache: new RecordCache(1024 * 1024),
      dataIds,
      positions: createPositions(1, true),
      turn,
      clock,
      random: world.random,
      counters: {
        commands: 0,
        entries: 0,
        keyspaceHits: 0,
        keyspaceMisses: 0,
        expiredKeys: 0,
        fetches: 0,
      },
      link: {
        readMode: "stale",
        send: (nodeId, _regionId, message) => world.deliver(this.nodeId, nodeId, message),
        confirm: () => 0,
        openStream: (nodeId, header) => world.open(this.nodeId, nodeId, Buffer.from(header)),
      },
      onServing: () => undefined,
      onRole: () => undefined,
      onGarbage: () => this.sweeper.wake(),
      onFatal,
      onBug: onFatal,
    };
    const region: Region = new Region(
      regionId,
      ports,
      mailbox(() => region, onFatal),
      () => {},
    );
    await this.#run(region.open());
    this.region = region;
    this.sweeper.wake();
    return this;
  }

  #newSweeper(onFatal: (error: unknown) => void): void {
    const onSlotFree = (dataId: number, slot: number): void =>
      this.region?.slotCleared(dataId, slot);
    this.sweeper = new Sweeper(this.handles, onSlotFree, onFatal);
  }

  /** Begins sweeping again after `sweeper.stop()`. */
  sweep(): void {
    this.#newSweeper((error) => this.failures.push(error));
    this.sweeper.wake();
  }

  /** The disk, whose synced writes begin in a step of their own. */
  #slowDisk(): Disk {
    const { disk } = this;
    return new Proxy(disk, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "open") return value.bind(target);
        return async (...args: Parameters<SimulatedDisk["open"]>) => {
          const file = await target.open(...args);
          const writeSync: DiskFile["writeSync"] = async (bytes, at) => {
            await new Promise<void>((go) => this.later(go));
            return file.writeSync(bytes, at);
          };
          return { ...file, writeSync };
        };
      },
    });
  }

  /** Steps the world until the promise is settled. */
  async #run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const end = (): void => void (settled = true);
    promise.then(end, end);
    await this.world.until(() => settled, `a step of ${this.nodeId}'s start`);
    return promise;
  }

  #create(writer: EngineWriter, dataIds: DataIds): Promise<void> {
    const extent = {
      fromPosition: 0,
      toPosition: 0xffffffff,
      dataId: dataIds.take(),
      controlDataId: dataIds.take(),
    };
    const value = encodeRegionMeta({
      regionId,
      replicaId: this.replicaId,
      extents: [extent],
      epoch: { version: 1, confVersion: 1 },
      membership: { voters: this.#voters, learners: [] },
      membershipIndex: 0,
      peers: this.#voters.map((replicaId) => ({ replicaId, nodeId: `n${replicaId}` })),
    });
    const put = { type: "put", key: regionMetaKey(regionId), value } as const;
    const operations = [put, dataIds.record()];
    return new Promise((onDone) => writer.submit({ regionId: 0, operations, sync: true, onDone }));
  }

  /** Power loss with `random`, which picks what survives; without, the end of the process alone. */
  crash(random?: Random): void {
    this.life++;
    this.region?.abandon("crash");
    this.region = undefined;
    this.sweeper.stop();
    this.disk = new SimulatedDisk(this.disk.afterStop(random));
    this.engine = this.engine.crash(random ?? (() => 0));
  }

  get raft() {
    return this.region!.raft!;
  }

  /** Takes a marker and cuts the log below it, whoever needs it. */
  async cut(): Promise<void> {
    const { writer } = this.handles.opened();
    let isDone = false;
    writer.marker(() => (isDone = true));
    await this.world.until(() => isDone, "a marker");
    const { appliedIndex, log } = this.raft;
    const term = log.termAt(appliedIndex)!;
    this.region!.inbox.compacted(appliedIndex);
    this.journal.compact(regionId, appliedIndex, term);
  }

  /** Sends a command to this replica, which should lead. */
  send(line: string | readonly Buffer[], db = 0): { reply: Reply | undefined } {
    const args =
      typeof line === "string" ? line.split(" ").map((word) => Buffer.from(word, "latin1")) : line;
    const name = args[0]!.toString("latin1").toLowerCase();
    const command = whole[name] ?? (registry.resolve(args) as RegionCommand);
    if (command instanceof ErrorReply) throw new Error(command.message);
    const keyPositions = whole[name] === undefined ? keysOf(command, args) : [];
    const sent: { reply: Reply | undefined } = { reply: undefined };
    const request = {
      type: "region.request",
      command,
      args,
      keyPositions,
      db,
      sessionId: this.#session++,
      settle: (reply: Reply) => void (sent.reply = reply),
    } as unknown as ReplicaEvent;
    this.region!.handle(request);
    return sent;
  }

  async ask(line: string | readonly Buffer[], db = 0): Promise<unknown> {
    const sent = this.send(line, db);
    await this.world.until(() => sent.reply !== undefined, `reply to ${String(line).slice(0, 60)}`);
    return plain(sent.reply!);
  }

  /** What the engine holds of the region: logical keys, and lengths and digests of stored values. */
  async content(): Promise<string[]> {
    const { meta } = this.region!.applied;
    const { dataId } = meta.extents[0]!;
    const lines: string[] = [];
    for (const space of replicatedSpaces) {
      for (const { key, value } of await this.stored(dataIdRange(space, dataId))) {
        lines.push(`${logicalKey(key).toString("hex")} ${value.length} ${crc32(value)}`);
      }
    }
    return lines;
  }

  /** Pairs the engine holds in a range. */
  stored(range: { gte: Buffer; lt: Buffer }): Promise<Array<{ key: Buffer; value: Buffer }>> {
    const iterator = this.handles.opened().engine.iterate(range);
    return this.#run(iterator.next(1_000_000).finally(() => void iterator.end()));
  }

  /** Physical keys that belong to no region: garbage, records of garbage, records of an install. */
  async garbage(): Promise<string[]> {
    const { dataId, controlDataId } = this.region!.applied.meta.extents[0]!;
    const found: string[] = [];
    for (const space of [spaces.pendingClear, spaces.deadOid, spaces.installed]) {
      for (const { key } of await this.stored(spaceRange(space))) found.push(key.toString("hex"));
    }
    for (const space of [...replicatedSpaces, spaces.region]) {
      const owner = space === spaces.region ? controlDataId : dataId;
      for (const { key } of await this.stored(spaceRange(space))) {
        if (key.readUInt32BE(1) !== owner) found.push(key.toString("hex"));
      }
    }
    return found;
  }
}

/** As an actor does it: one event at a time, in order; what is thrown is a failure. */
function mailbox(region: () => Region, onFatal: (error: unknown) => void) {
  const queue: ReplicaEvent[] = [];
  let busy = false;
  return (event: ReplicaEvent): void => {
    queue.push(event);
    if (busy) return;
    busy = true;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        if (!region().ended) region().handle(next);
      }
    } catch (error) {
      onFatal(error);
    } finally {
      busy = false;
    }
  };
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

function keysOf(command: RegionCommand, args: readonly Buffer[]): number[] {
  if (command.findKeys !== undefined) return command.findKeys(args);
  const { first, last, step } = command.keys!;
  const end = last < 0 ? args.length + last : last;
  const positions: number[] = [];
  for (let at = first; at <= end; at += step) positions.push(at);
  return positions;
}
