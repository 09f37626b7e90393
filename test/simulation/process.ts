// One simulated node: its disk and engine, which outlive its processes, and the process that runs now
// with the real rooms in it. It starts and ends processes; what befalls them is decided in `faults.ts`.

import type { Cluster } from "../../actors/cluster/cluster.ts";
import type { MembershipRecord } from "../../actors/cluster/protocol.ts";
import type { Gateway } from "../../actors/gateway/gateway.ts";
import type { ReadMode } from "../../actors/store/protocol.ts";
import type { Store } from "../../actors/store/store.ts";
import type { Clock } from "../../actors/system/clock.ts";
import { DamagedError, DiskError, NoSpaceError } from "../../storage/errors.ts";
import type { Engine } from "../../storage/engine.ts";
import { openJournal } from "../../storage/journal/journal.ts";
import type { Journal, RecoveredLog } from "../../storage/journal/types.ts";
import { createMemoryOpener, type MemoryOpener } from "../../storage/memory.ts";
import type { Positions } from "../../storage/position.ts";
import { SimulatedDisk, type Random } from "./disk.ts";
import { LogModel } from "./log-model.ts";
import type { NetworkEnd, SimulatedNetwork } from "./network.ts";
import { createRooms, type Waits } from "./rooms.ts";
import { kinds, Life, type NodeClock, type Timeline } from "./timeline.ts";

/** What all nodes of a world share. */
export interface NodePorts extends Waits {
  readonly timeline: Timeline;
  readonly network: SimulatedNetwork;
  readonly random: Random;
  readonly positions: Positions;
  readonly regions: number;
  readonly cacheBytes: number;
  readonly readMode: ReadMode;
  readonly pureActors: boolean;
  readonly members: readonly string[];
  readonly replicas: number;
  readonly watch: ProcessWatch;
}

/** Hears what a node does: the invariants. */
export interface ProcessWatch {
  started(process: NodeProcess): void;
  /** With what it recovered, by region; nothing has been queued yet. */
  journalOpened(process: NodeProcess, journal: Journal, logs: ReadonlyMap<number, LogModel>): void;
  /** The engine begins a synced write, or the journal one that drops a log: a good moment to strike. */
  touched(process: NodeProcess): void;
  /** A process that cannot go on; "damaged" is for ever. */
  failed(node: SimulatedNode, error: unknown): void;
  /** Something that is a bug whenever it is said. */
  bug(node: SimulatedNode, message: string, detail: unknown): void;
}

const journalFileBytes = 32 * 1024;
/** The journal seems so many times as long as it is: markers, cuts and snapshots come as often. */
const journalScale = 4096;

/** What runs on a node from one start to the next end. */
export interface NodeProcess {
  readonly node: SimulatedNode;
  readonly life: Life;
  readonly store: Store;
  readonly cluster: Cluster;
  readonly gateway: Gateway;
  readonly end: NetworkEnd;
  readonly clock: Clock;
  /** Stops in good order; `done` hears it. */
  drain(done: () => void): void;
}

export class SimulatedNode {
  readonly index: number;
  readonly nodeId: string;
  readonly clock: NodeClock;
  /** Undefined while it is down. */
  process: NodeProcess | undefined;
  disk: SimulatedDisk;
  /** Its data is damaged: it stays away. */
  isOut = false;
  epoch = 0;
  /** Slows every answer of disk and engine, ms. */
  stallMs = 0;
  readonly #ports: NodePorts;
  #engine: MemoryOpener;
  #membership: MembershipRecord = { pledge: undefined, formed: undefined };
  #journal: Journal | undefined;

  constructor(index: number, clock: NodeClock, ports: NodePorts) {
    this.index = index;
    this.nodeId = `n${index + 1}`;
    this.clock = clock;
    this.#ports = ports;
    this.disk = this.#newDisk(new Map());
    this.#engine = createMemoryOpener({
      schedule: (run) => this.#soon(kinds.engine, 0.02, 0.4, run),
    });
  }

  start(): NodeProcess {
    const { timeline, network, random, watch } = this.#ports;
    const life = new Life(this.index);
    this.epoch++;
    const { nodeId, epoch } = this;
    const clock = this.clock.of(life);
    const end = network.open(nodeId, life);
    const onFatal = (error: unknown): void => {
      if (life.alive) watch.failed(this, error);
    };
    const rooms = createRooms({
      ...this.#ports,
      nodeId,
      incarnation: `disk-of-${nodeId}`,
      epoch,
      transport: end,
      clock,
      schedule: (run) => void timeline.at(0.005 + random() * 0.02, life, kinds.turn, run),
      engine: { open: () => this.#openEngine(process) },
      journal: { open: () => this.#openJournal(process, onFatal) },
      membership: {
        read: () => this.#membership,
        write: (record) => this.#writeMembership(record),
      },
      onFatal,
      onBug: (message, detail) => {
        if (life.alive) watch.bug(this, message, detail);
      },
    });
    const process: NodeProcess = { ...rooms, node: this, life, end, clock };
    this.process = process;
    watch.started(process);
    timeline.happen(life, kinds.turn, () => rooms.start());
    return process;
  }

  /** Durable some time before anybody hears of it. */
  #writeMembership(record: MembershipRecord): Promise<void> {
    return new Promise((resolve) => {
      this.#soon(kinds.disk, 0.1, 0.8, () => {
        this.#membership = record;
        this.#soon(kinds.disk, 0.05, 0.3, resolve);
      });
    });
  }

  async #openEngine(process: NodeProcess): Promise<Engine> {
    const engine = await this.#engine.open();
    const write = engine.write.bind(engine);
    engine.write = (operations, options) => {
      if (options.sync) this.#ports.watch.touched(process);
      return write(operations, options);
    };
    return engine;
  }

  async #openJournal(process: NodeProcess, onFatal: (error: unknown) => void): Promise<Journal> {
    await this.#journal?.close();
    const { clock, life } = process;
    const timers = {
      after: (delayMs: number, task: () => void) => {
        const timer = clock.setTimeout(task, delayMs);
        return () => clock.clearTimeout(timer);
      },
    };
    const options = { fileBytes: journalFileBytes, onFatal, onFull: () => undefined };
    const journal = await openJournal(this.disk, options, timers);
    if (!life.alive) return journal;
    const liveBytes = journal.liveBytes.bind(journal);
    journal.liveBytes = () => liveBytes() * journalScale;
    this.#journal = journal;
    const logs = new Map<number, LogModel>();
    for (const log of journal.recovered) logs.set(log.regionId, await readLog(journal, log));
    this.#ports.watch.journalOpened(process, journal, logs);
    return journal;
  }

  /** The process ends at once; with power loss the disk forgets what was not synced. */
  stop(powerLoss: boolean): void {
    const { process } = this;
    if (process === undefined) return;
    const { random } = this.#ports;
    process.life.alive = false;
    this.process = undefined;
    this.#journal = undefined;
    this.disk = this.#newDisk(this.disk.afterStop(powerLoss ? random : undefined));
    this.#engine = this.#engine.crash(powerLoss ? random : () => 0);
  }

  pause(): void {
    if (this.process !== undefined) this.process.life.paused = true;
  }

  resume(): void {
    const life = this.process?.life;
    if (life === undefined || !life.paused) return;
    life.paused = false;
    // The process may have been stopped before its timers or before its sockets, and may have lost its
    // connection to the server meanwhile: then what others said comes last.
    const { timeline, random } = this.#ports;
    const order = Math.floor(random() * 3);
    const messagesMs = order === 2 ? 1 + random() * 30 : 0.001;
    for (const { kind, run } of life.release()) {
      if (kind === kinds.message) timeline.at(messagesMs, life, kind, run);
      else timeline.at(kind === kinds.timer && order === 1 ? 0 : 0.001, life, kind, run);
    }
  }

  /** Changes bytes of the stopped node's files. */
  damage(change: (files: Map<string, Buffer>) => void): void {
    const files = this.disk.files();
    change(files);
    this.disk = this.#newDisk(files);
  }

  #newDisk(files: ReadonlyMap<string, Buffer>): SimulatedDisk {
    return new SimulatedDisk(files, {
      keepsTrace: false,
      wait: () => new Promise((resolve) => this.#soon(kinds.disk, 0.1, 0.8, resolve)),
    });
  }

  /** Later, in the process that runs now; rarely much later. */
  #soon(kind: number, minMs: number, spreadMs: number, run: () => void): void {
    const { timeline, random } = this.#ports;
    const life = this.process?.life;
    if (life === undefined) return;
    const slow = random() < 0.005 ? 20 * random() : 0;
    timeline.at(minMs + random() * spreadMs + slow + this.stallMs, life, kind, run);
  }
}

async function readLog(journal: Journal, log: RecoveredLog): Promise<LogModel> {
  const { regionId, prevIndex, prevTerm, lastIndex, hardState } = log;
  const model = new LogModel();
  model.apply({
    regionId,
    replicaId: log.replicaId,
    hardState,
    reset: { index: prevIndex, term: prevTerm },
  });
  while (model.lastIndex < lastIndex) {
    const entries = await journal.read(regionId, model.lastIndex + 1, lastIndex, Infinity);
    model.apply({ regionId, replicaId: log.replicaId, entries });
  }
  return model;
}

/** Errors after which the process is started again with the disk it has. */
export function isRecoverable(error: unknown): boolean {
  return (
    (error instanceof DiskError && !(error instanceof DamagedError)) ||
    error instanceof NoSpaceError
  );
}
