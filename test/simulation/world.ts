// A whole cluster in one process on simulated ground: nodes with the real rooms, one timeline, one
// seed. It runs rounds of faults and healing, and after each demands that everything serves again,
// that all replicas hold the same, and that the clients' history is linearizable.

import type { ReadMode } from "../../actors/store/protocol.ts";
import { DamagedError } from "../../storage/errors.ts";
import { createPositions } from "../../storage/position.ts";
import { checkHistory } from "../linearizability/checker.ts";
import { Clients, type Load } from "./clients.ts";
import { findDifference } from "./contents.ts";
import { seededRandom, type Random } from "./disk.ts";
import { Faults } from "./faults.ts";
import { Invariants, require, Violation } from "./invariants.ts";
import { SimulatedNetwork } from "./network.ts";
import { profiles, type ProfileName } from "./profiles.ts";
import { isRecoverable, SimulatedNode, type NodeProcess } from "./process.ts";
import type { Waits } from "./rooms.ts";
import { TimeRules } from "./time-rules.ts";
import { NodeClock, Timeline } from "./timeline.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly regions: number;
  readonly replicas: number;
  /** Of each node's record cache. */
  readonly cacheBytes: number;
  readonly readMode: ReadMode;
  /** Run the charts for hot events too; the same happens either way. */
  readonly pureActors: boolean;
  readonly waits: Waits;
  readonly profile: ProfileName;
  /** Rounds of faults, healing and judgement. */
  readonly rounds: number;
  /** How long the faults of a round go on, simulated ms. */
  readonly faultsMs: number;
  readonly load: Load;
}

/** What a run was. */
export interface RunReport {
  readonly seed: number;
  /** Of everything that happened. */
  readonly hash: string;
  readonly simulatedMs: number;
  /** Regions, region 0 not counted, times simulated hours. */
  readonly groupHours: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** How long after healing everything must serve again, simulated ms. */
const livenessMs = 30_000;
const sliceMs = 20;

export class World {
  readonly timeline = new Timeline();
  readonly network: SimulatedNetwork;
  readonly nodes: readonly SimulatedNode[];
  readonly invariants: Invariants;
  readonly clients: Clients;
  readonly faults: Faults;
  readonly #options: WorldOptions;
  readonly #random: Random;
  /** Where never more than one clock is wrong. */
  readonly #timeRules: TimeRules | undefined;
  #failure: Error | undefined;
  /** The value of each key when the last round was judged. */
  #start = new Map<string, string | null>();

  constructor(options: WorldOptions) {
    this.#options = options;
    const random = seededRandom(options.seed);
    this.#random = random;
    const { timeline } = this;
    this.network = new SimulatedNetwork(timeline, random);
    const members = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    const ports = {
      timeline,
      network: this.network,
      random,
      positions: createPositions(options.regions, true),
      regions: options.regions,
      members,
      replicas: options.replicas,
      cacheBytes: options.cacheBytes,
      readMode: options.readMode,
      pureActors: options.pureActors,
      ...options.waits,
      watch: {
        started: (process: NodeProcess) => this.invariants.started(process),
        journalOpened: (...args: Parameters<Invariants["journalOpened"]>) =>
          this.invariants.journalOpened(...args),
        touched: (process: NodeProcess) => this.faults.touched(process),
        failed: (node: SimulatedNode, error: unknown) => this.#failed(node, error),
        bug: (node: SimulatedNode, message: string, detail: unknown) =>
          this.#bug(node, message, detail),
      },
    };
    this.nodes = members.map((_, index) => {
      const rate = 0.98 + random() * 0.04;
      const wallMs = 1_700_000_000_000 + (random() - 0.5) * 1000;
      return new SimulatedNode(
        index,
        new NodeClock(timeline, 1000 + random() * 1e6, rate, wallMs),
        ports,
      );
    });
    this.invariants = new Invariants(this.nodes);
    this.clients = new Clients(timeline, random, this.nodes, options.load);
    const crash = (node: SimulatedNode, powerLoss: boolean, downMs: number): void =>
      this.#crash(node, powerLoss, downMs);
    const { network, nodes } = this;
    this.faults = new Faults(
      { timeline, network, random, nodes, crash },
      profiles[options.profile],
    );
    const { wallStep, astray } = profiles[options.profile].weights;
    if (astray > 0 && wallStep === 0) this.#timeRules = new TimeRules(timeline, nodes);
    timeline.afterEvent = (node) => this.#afterEvent(node);
  }

  /** Throws Violation, or what a node threw. To be called outside of promises. */
  run(): RunReport {
    for (const node of this.nodes) this.timeline.later(this.#random() * 300, () => node.start());
    this.#until(() => this.#allServe(), livenessMs, "the cluster forms");
    for (let round = 0; round < this.#options.rounds; round++) this.#round();
    return this.#report();
  }

  #round(): void {
    const { clients, faults } = this;
    clients.start();
    faults.start();
    this.#runFor(this.#options.faultsMs);
    faults.stop();
    for (const node of this.nodes) if (node.process === undefined && !node.isOut) node.start();
    this.#until(() => this.#allServe(), livenessMs, "every region serves again");
    this.#runFor(500);
    clients.stop();
    this.#until(() => clients.waiting === 0, livenessMs, "clients get their answers");
    this.#readAll();
    this.#compare();
    this.#judge();
    this.invariants.forget();
  }

  /** What a replica holds must become the same; region 0 may still be written to meanwhile. */
  #compare(): void {
    const until = (done: () => boolean, what: string): void => this.#until(done, livenessMs, what);
    for (let left = 5; ; left--) {
      this.#until(() => this.#isEven(), livenessMs, "all replicas have applied everything");
      const difference = findDifference(this.timeline, this.nodes, until);
      if (difference === undefined) return;
      require(left > 0, () => difference);
      this.#runFor(1000);
    }
  }

  /** Every key through every node. */
  #readAll(): void {
    for (const { process } of this.nodes) {
      if (process === undefined) continue;
      for (const key of this.clients.keys()) {
        let found = false;
        const read = (): void => {
          if (process.life.alive) this.clients.read(process, key, check);
        };
        const check = ({ kind }: { kind: string }): void => {
          if (kind === "ok") found = true;
          else this.timeline.later(50, read);
        };
        read();
        this.#until(() => found, livenessMs, `${key} is read through ${process.node.nodeId}`);
      }
    }
  }

  #judge(): void {
    const { operations } = this.clients;
    const startOf = (key: string): string | null => this.#start.get(key) ?? null;
    const verdict = checkHistory(operations, { startOf });
    if (verdict.kind !== "linearizable") throw new Violation(verdict.text);
    for (const { client, key, outcome } of operations) {
      if (client !== "final" || outcome.kind !== "ok") continue;
      this.#start.set(key, outcome.answer === null ? null : String(outcome.answer));
    }
    this.clients.forget();
  }

  #afterEvent(node: number): void {
    this.invariants.check(node);
    this.#timeRules?.check(node);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.clients.violation !== undefined) throw this.clients.violation;
  }

  #crash(node: SimulatedNode, powerLoss: boolean, downMs: number): void {
    const { process } = node;
    if (process === undefined) return;
    node.stop(powerLoss);
    this.clients.ended(process);
    this.timeline.later(downMs, () => {
      if (node.process === undefined && !node.isOut) node.start();
    });
  }

  /** A process says that it cannot go on. */
  #failed(node: SimulatedNode, error: unknown): void {
    if (error instanceof DamagedError && this.faults.figures.bitFlip > 0) {
      node.isOut = true;
      this.#crash(node, false, 0);
    } else if (isRecoverable(error)) this.#crash(node, false, 50 + this.#random() * 1000);
    else this.#bug(node, "the process ended", error);
  }

  #bug(node: SimulatedNode, message: string, detail: unknown): void {
    const error = detail instanceof Error ? detail : JSON.stringify(detail);
    const text = error instanceof Error ? (error.stack ?? error.message) : error;
    this.#failure ??= new Violation(`${node.nodeId}: ${message}: ${text}`);
  }

  /** Every live node knows a serving leader of every region. */
  #allServe(): boolean {
    const serving = new Set<number>();
    for (const { process, isOut } of this.nodes) {
      if (isOut) continue;
      if (process === undefined || !process.store.isServing()) return false;
      for (const { regionId, region } of process.store.directory.all()) {
        if (region?.serving === true) serving.add(regionId);
      }
      if (process.store.directory.replica(0)?.serving === true) serving.add(0);
    }
    return serving.size === this.#options.regions + 1;
  }

  /** Every replica has applied what its region has committed. */
  #isEven(): boolean {
    for (const { process } of this.nodes) {
      if (process === undefined) continue;
      const { directory } = process.store;
      for (const { regionId } of [{ regionId: 0 }, ...directory.all()]) {
        const region = directory.replica(regionId);
        if (region === undefined) continue;
        if (region.appliedIndex < this.invariants.committedIndex(regionId)) return false;
      }
    }
    return true;
  }

  #runFor(ms: number): void {
    this.timeline.runUntil(this.timeline.nowMs + ms);
  }

  #until(done: () => boolean, limitMs: number, what: string): void {
    const { timeline } = this;
    const endMs = timeline.nowMs + limitMs;
    while (!done()) {
      require(timeline.nowMs < endMs, () =>
        `never within ${limitMs} ms: ${what}\n${this.#state()}`);
      timeline.runUntil(timeline.nowMs + sliceMs);
    }
  }

  /** Who is what, for a failure's text. */
  #state(): string {
    return this.nodes
      .map((node) => {
        const { process } = node;
        if (process === undefined) return `${node.nodeId}: ${node.isOut ? "out" : "down"}`;
        const { directory } = process.store;
        const regions = [0, ...directory.all().map(({ regionId }) => regionId)].map((regionId) => {
          const raft = directory.replica(regionId)?.raft;
          if (raft === undefined) return `${regionId}:-`;
          const { role, term, log, commitIndex, appliedIndex } = raft;
          return `${regionId}:${role[0]}${term} ${appliedIndex}/${commitIndex}/${log.lastIndex}`;
        });
        return `${node.nodeId}: ${regions.join("  ")}`;
      })
      .join("\n");
  }

  #report(): RunReport {
    const { seed, regions } = this.#options;
    const simulatedMs = this.timeline.nowMs;
    return {
      seed,
      hash: this.timeline.hash,
      simulatedMs,
      groupHours: (regions * simulatedMs) / 3_600_000,
      figures: {
        events: this.timeline.events,
        ...this.network.figures,
        ...this.invariants.figures,
        ...this.clients.figures,
        ...this.faults.figures,
      },
    };
  }
}
