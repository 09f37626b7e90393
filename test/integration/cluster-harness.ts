// A cluster of real processes for tests: nodes from dist/, one nats-server, and a proxy on each
// node's wire to it. Tests and the soak speak in its verbs (kill, pause, isolate, restart …). It
// keeps ports and folders over restarts, ends everything by pid, and writes down what nodes logged.

import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { NatsServer } from "../transport/nats-server.ts";
import { regionsSeenBy, type RegionView } from "./cluster-view.ts";
import { SpireProcess, type Ended } from "./harness.ts";
import { NatsProxy, type WireFaults } from "./nats-proxy.ts";
import { freeLowPort } from "./ports.ts";

/** How a cluster is started. */
export interface ClusterOptions {
  readonly nodes: number;
  /** More arguments for every node. */
  readonly args?: readonly string[];
}

/** One node: its place stays when its process goes. */
interface Member {
  readonly nodeId: string;
  readonly port: number;
  readonly dataDir: string;
  readonly proxy: NatsProxy;
  process: SpireProcess | undefined;
  isPaused: boolean;
}

/** Where clients reach a node. */
export interface Endpoint {
  readonly nodeId: string;
  readonly port: number;
}

const readyMs = 60_000;

/** See the head of the file. */
export class Cluster {
  readonly folder: string;
  readonly #options: ClusterOptions;
  readonly #nats: NatsServer;
  readonly #members = new Map<string, Member>();
  readonly #founders: readonly string[];
  readonly #onExit = (): void => this.#killNow();

  private constructor(options: ClusterOptions, nats: NatsServer) {
    this.#options = options;
    this.#nats = nats;
    this.folder = mkdtempSync(join(tmpdir(), "spiredb-cluster-"));
    this.#founders = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
    process.once("exit", this.#onExit);
  }

  /** Starts all and waits until every region has a leader. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const nats = await NatsServer.create();
    await nats.start();
    const cluster = new Cluster(options, nats);
    try {
      for (const nodeId of cluster.#founders) await cluster.#addMember(nodeId);
      await Promise.all(cluster.#founders.map((nodeId) => cluster.restart(nodeId)));
      await cluster.waitForLeader("all");
      return cluster;
    } catch (error) {
      await cluster.end("keep");
      throw new Error(`no cluster; the logs are in ${cluster.folder}`, { cause: error });
    }
  }

  /** Every node that has a process which is not stopped by a signal. */
  running(): Endpoint[] {
    return [...this.#members.values()].filter((each) => each.process && !each.isPaused);
  }

  /** Every node, running or not. */
  all(): Endpoint[] {
    return [...this.#members.values()];
  }

  port(nodeId: string): number {
    return this.#member(nodeId).port;
  }

  /** Starts a node that does not run and waits for its ready line. */
  async restart(nodeId: string): Promise<void> {
    const spire = this.launch(nodeId);
    await spire.waitReady(readyMs);
  }

  /** Starts a node without waiting for anything. */
  launch(nodeId: string): SpireProcess {
    const member = this.#member(nodeId);
    if (member.process !== undefined) throw new Error(`${nodeId} runs already`);
    const spire = new SpireProcess("start", { dataDir: member.dataDir, args: this.#args(member) });
    member.process = spire;
    return spire;
  }

  /** A node that was not there at the bootstrap. Resolves when it is ready. */
  async join(nodeId: string): Promise<void> {
    await this.#addMember(nodeId);
    await this.restart(nodeId);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(nodeId: string): Promise<void> {
    await this.#ended(nodeId, (spire) => spire.kill());
  }

  /** SIGTERM; resolves with how it ended. */
  drainStop(nodeId: string): Promise<Ended> {
    return this.#ended(nodeId, (spire) => spire.stop());
  }

  /** Waits for a process that ends by itself. */
  waitEnd(nodeId: string, timeoutMs: number): Promise<Ended> {
    return this.#ended(nodeId, (spire) => spire.waitEnd(timeoutMs));
  }

  /** SIGSTOP. */
  pause(nodeId: string): void {
    const member = this.#member(nodeId);
    member.process?.signal("SIGSTOP");
    member.isPaused = true;
  }

  /** SIGCONT. */
  resume(nodeId: string): void {
    const member = this.#member(nodeId);
    member.process?.signal("SIGCONT");
    member.isPaused = false;
  }

  /** Faults on one node's wire to NATS, in place of the ones before. */
  wire(nodeId: string, faults: WireFaults): void {
    this.#member(nodeId).proxy.set(faults);
  }

  /** Loses what `from` says to `to`, and the other way round unless `oneWay`. Others hear both. */
  partition(from: string, to: string, oneWay = false): void {
    this.#lose(from, to);
    if (!oneWay) this.#lose(to, from);
  }

  /** No faults on any wire. */
  heal(): void {
    for (const { proxy } of this.#members.values()) proxy.set({});
  }

  /** Every process runs again and every wire is whole, whatever was done before. */
  async repair(): Promise<void> {
    this.heal();
    const members = [...this.#members.values()];
    for (const { nodeId, isPaused } of members) if (isPaused) this.resume(nodeId);
    const stopped = members.filter((member) => member.process === undefined);
    await Promise.all(stopped.map(({ nodeId }) => this.restart(nodeId)));
  }

  natsStop(): Promise<void> {
    return this.#nats.kill();
  }

  natsStart(): Promise<void> {
    return this.#nats.start();
  }

  /** SIGSTOP to nats-server, or SIGCONT. */
  natsFreeze(frozen: boolean): void {
    if (frozen) this.#nats.freeze();
    else this.#nats.thaw();
  }

  /** Deletes a stopped node's disk. */
  wipe(nodeId: string): void {
    const member = this.#member(nodeId);
    if (member.process !== undefined) throw new Error(`${nodeId} still runs`);
    rmSync(member.dataDir, { recursive: true });
    mkdirSync(member.dataDir);
  }

  /** The regions as one node sees them. */
  regions(nodeId: string): Promise<RegionView[]> {
    return regionsSeenBy(this.port(nodeId));
  }

  /** How many regions each running node leads, as `nodeId` sees it. */
  async leaders(nodeId: string = this.running()[0]!.nodeId): Promise<Map<string, number>> {
    const counts = new Map(this.running().map((each) => [each.nodeId, 0]));
    for (const { leader } of await this.regions(nodeId)) {
      counts.set(leader, (counts.get(leader) ?? 0) + 1);
    }
    return counts;
  }

  /** Resolves when all running nodes name the same running leader of the region, or of all regions. */
  async waitForLeader(region: number | "all", timeoutMs = 30_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (let seen = "nothing"; ; await delay(50)) {
      if (performance.now() > deadline) throw new Error(`no leader of ${region}: ${seen}`);
      const running = this.running().map(({ nodeId }) => nodeId);
      try {
        const views = await Promise.all(running.map((nodeId) => this.regions(nodeId)));
        const named = views.map((view) =>
          view
            .filter((each) => region === "all" || each.region === region)
            .map((each) => `${each.region}:${each.leader}`)
            .join(" "),
        );
        seen = named.join(" | ");
        const agreed = new Set(named).size === 1 && named[0] !== "";
        const leaders = named[0]?.split(" ").map((each) => each.split(":")[1] ?? "") ?? [];
        if (agreed && leaders.every((leader) => running.includes(leader))) return;
      } catch (error) {
        seen = String(error);
      }
    }
  }

  /** Ends every process. The folder goes, unless it is evidence: then it gets the logs. */
  async end(folder: "remove" | "keep"): Promise<void> {
    const members = [...this.#members.values()];
    for (const member of members) if (member.isPaused) this.resume(member.nodeId);
    await Promise.all(members.filter((each) => each.process).map((each) => this.kill(each.nodeId)));
    for (const { proxy } of members) proxy.close();
    await this.#nats.dispose();
    process.off("exit", this.#onExit);
    if (folder === "remove") rmSync(this.folder, { recursive: true, force: true });
  }

  async #addMember(nodeId: string): Promise<void> {
    const dataDir = join(this.folder, nodeId);
    mkdirSync(dataDir);
    const proxy = await NatsProxy.open(() => this.#nats.port);
    const port = await freeLowPort();
    const member = { nodeId, port, dataDir, proxy, process: undefined, isPaused: false };
    this.#members.set(nodeId, member);
  }

  #args({ nodeId, port, proxy }: Member): string[] {
    const place = ["--node-id", nodeId, "--port", String(port), "--http-port", "0"];
    const nats = ["--nats", `nats://127.0.0.1:${proxy.port}`];
    const isFounder = this.#founders.includes(nodeId);
    const names = isFounder ? ["--initial-nodes", this.#founders.join(",")] : [];
    return [...place, ...nats, ...names, ...(this.#options.args ?? [])];
  }

  async #ended(nodeId: string, end: (spire: SpireProcess) => Promise<Ended>): Promise<Ended> {
    const member = this.#member(nodeId);
    const spire = member.process;
    if (spire === undefined) throw new Error(`${nodeId} does not run`);
    const ended = await end(spire);
    member.process = undefined;
    member.isPaused = false;
    const how = `--- ended with ${ended.code ?? ended.signal} at ${new Date().toISOString()}\n`;
    appendFileSync(join(this.folder, `${nodeId}.log`), ended.stderr + how);
    return ended;
  }

  #lose(from: string, to: string): void {
    const { proxy } = this.#member(from);
    const before = proxy.faults.loses;
    const places = [`.node.${to}.`, `.bulk.${to}`];
    proxy.set({
      ...proxy.faults,
      loses: (subject) =>
        before?.(subject) === true || places.some((place) => `${subject}.`.includes(place)),
    });
  }

  #killNow(): void {
    for (const { process: spire } of this.#members.values()) spire?.signal("SIGKILL");
    void this.#nats.kill();
  }

  #member(nodeId: string): Member {
    const member = this.#members.get(nodeId);
    if (member === undefined) throw new Error(`no node ${nodeId}`);
    return member;
  }
}
