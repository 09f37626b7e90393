// A cluster of processes on this machine: one nats-server and some nodes, in one folder. It stands
// between the two commands that show it, `cluster` and `demo`, and the processes; it prints nothing.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { SetupError } from "../failure.ts";
import { scheduleAsBatch } from "../scheduling.ts";
import { endingText, findNatsServer, NatsServer, type Ending } from "./nats-server.ts";
import { NodeProcess, type NodeSpec } from "./node-process.ts";
import { freePorts, isPortFree } from "./ports.ts";

/** Where and how large. */
export interface LocalClusterOptions {
  readonly folder: string;
  /** One pair for each node. */
  readonly ports: ReadonlyArray<{ readonly port: number; readonly httpPort: number }>;
  /** Added to every node's command line. */
  readonly nodeArgs: readonly string[];
}

/** What happens to processes without being asked for. */
export interface LocalClusterEvents {
  nodeEnded(node: NodeProcess, ending: Ending): void;
  natsEnded(ending: Ending): void;
}

const natsPort = 4222;

export class LocalCluster {
  readonly folder: string;
  readonly natsLog: string;
  /** By position; replaced when a node is started again. */
  readonly nodes: NodeProcess[] = [];
  readonly #options: LocalClusterOptions;
  readonly #events: LocalClusterEvents;
  readonly #program: string;
  #nats: NatsServer | undefined;
  #port = 0;
  #name = "";
  #isStopping = false;
  /** Those whose end was asked for. */
  readonly #expected = new Set<NodeProcess>();

  /** Throws `SetupError` when there is no nats-server. */
  constructor(options: LocalClusterOptions, events: LocalClusterEvents) {
    this.#program = findNatsServer();
    this.#options = options;
    this.#events = events;
    this.folder = resolve(options.folder);
    this.natsLog = join(this.folder, "logs", "nats.log");
  }

  get natsUrl(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** Starts NATS and every node; does not wait for them to be ready. Checks all ports first. */
  async start(): Promise<void> {
    const { ports } = this.#options;
    await refuseBusyPorts(ports.flatMap(({ port, httpPort }) => [port, httpPort]));
    mkdirSync(join(this.folder, "logs"), { recursive: true, mode: 0o700 });
    this.#name = nameOf(this.folder);
    this.#port = (await isPortFree(natsPort)) ? natsPort : ((await freePorts(1))[0] ?? 0);
    // All processes started from here inherit it, nats-server too.
    await scheduleAsBatch();
    await this.startNats();
    for (const position of ports.keys()) this.startNode(position);
  }

  /** Starts NATS where it was; nodes find it again by themselves. */
  async startNats(): Promise<void> {
    const nats = await NatsServer.start(this.#program, this.#port, this.natsLog);
    this.#nats = nats;
    void nats.ended.then((ending) => {
      if (!this.#isStopping) this.#events.natsEnded(ending);
    });
  }

  /** Starts the node of that position, for the first time or again. */
  startNode(position: number): NodeProcess {
    const node = new NodeProcess(this.#specOf(position));
    this.nodes[position] = node;
    void node.ended.then((ending) => {
      if (!this.#isStopping && !this.#expected.has(node)) this.#events.nodeEnded(node, ending);
    });
    return node;
  }

  /** kill -9, on purpose: no event. */
  async killNode(node: NodeProcess): Promise<void> {
    this.#expected.add(node);
    await node.kill();
  }

  /** Resolves when every region serves on every node; rejects with `SetupError` when one ends before. */
  async allServe(): Promise<void> {
    await Promise.all(
      this.nodes.map((node) =>
        Promise.race([
          node.ready.then(() => node.serves()),
          node.ended.then((ending) => {
            const { nodeId, logFile } = node.spec;
            const why = node.lastError() ?? endingText(ending);
            throw new SetupError(`${nodeId} ended before it was ready: ${why} (see ${logFile})`);
          }),
        ]),
      ),
    );
  }

  /** Drains all nodes, then ends NATS. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running().map((node) => node.stop()));
    await this.#nats?.stop();
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running().map((node) => node.kill()));
    await this.#nats?.stop();
  }

  #running(): NodeProcess[] {
    return this.nodes.filter((node) => !node.hasEnded);
  }

  #specOf(position: number): NodeSpec {
    const { ports, nodeArgs } = this.#options;
    const { port = 0, httpPort = 0 } = ports[position] ?? {};
    const names = [...ports.keys()].map((each) => `node-${each + 1}`);
    const nodeId = names[position] ?? "";
    const dataDir = join(this.folder, nodeId);
    const args = [
      `--node-id=${nodeId}`,
      `--port=${port}`,
      `--http-port=${httpPort}`,
      `--data-dir=${dataDir}`,
      `--nats=${this.natsUrl}`,
      `--cluster=${this.#name}`,
      `--initial-nodes=${names.join(",")}`,
      ...nodeArgs,
    ];
    const logFile = join(this.folder, "logs", `${nodeId}.log`);
    return { nodeId, port, httpPort, dataDir, logFile, args };
  }
}

/**
 * The name that nodes of this folder share and nobody else has: a node that outlives another cluster
 * of this machine would otherwise find this one on the same port, under its own node's name.
 */
function nameOf(folder: string): string {
  const path = join(folder, "cluster-name");
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    const name = `local-${randomBytes(4).toString("hex")}`;
    writeFileSync(path, `${name}\n`);
    return name;
  }
}

async function refuseBusyPorts(ports: readonly number[]): Promise<void> {
  const free = await Promise.all(ports.map((port) => isPortFree(port)));
  const busy = ports.filter((_, index) => free[index] === false);
  if (busy.length > 0) {
    const which = busy.length === 1 ? `port ${busy[0]} is` : `ports ${busy.join(", ")} are`;
    throw new SetupError(
      `${which} already in use on 127.0.0.1: choose others with --base-port and --http-base-port`,
    );
  }
}
