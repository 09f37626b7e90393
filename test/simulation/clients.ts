// Clients of the simulated cluster: each keeps a connection to some node, sends a command or a few at
// once, gives up on what takes too long, and writes down what it knows. The history they leave is
// judged elsewhere.

import type { Command, Operation, Outcome } from "../linearizability/history.ts";
import { notAnInteger } from "../linearizability/history.ts";
import type { Random } from "./disk.ts";
import { Violation } from "./invariants.ts";
import type { NodeProcess, SimulatedNode } from "./process.ts";
import { ClientSocket, type Answered } from "./socket.ts";
import { kinds, type Timeline } from "./timeline.ts";

/** How clients behave. */
export interface Load {
  readonly clients: number;
  readonly keys: number;
  /** Mean time between an answer and the next commands, ms. */
  readonly thinkMs: number;
}

/** After this long a client takes the outcome for unknown, ms; every other one is impatient. */
const patienceMs = 9000;
const impatienceMs = 800;
/** One way between a client and its node, ms. */
const wayMs = 0.02;

/** A command for a key, perhaps with an end of the value it sets. */
interface Asked {
  readonly key: string;
  readonly command: Command;
  /** The value expires after this long, ms. */
  readonly expiryMs?: number;
}

/** Who asks, and by which connection. */
interface Client {
  readonly name: string;
  readonly patienceMs: number;
  process: NodeProcess | undefined;
  socket: ClientSocket | undefined;
}

/** What was sent and has no outcome. */
interface Waiting {
  readonly client: Client;
  readonly process: NodeProcess;
  finish(outcome: Outcome): void;
}

export class Clients {
  readonly operations: Operation[] = [];
  readonly figures = { ok: 0, failed: 0, unknown: 0 };
  /** The first answer no client should ever get. */
  violation: Violation | undefined;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #nodes: readonly SimulatedNode[];
  readonly #load: Load;
  readonly #waiting = new Set<Waiting>();
  readonly #clients: Client[];
  #running = false;
  #value = 0;

  constructor(timeline: Timeline, random: Random, nodes: readonly SimulatedNode[], load: Load) {
    this.#timeline = timeline;
    this.#random = random;
    this.#nodes = nodes;
    this.#load = load;
    this.#clients = Array.from({ length: load.clients }, (_, i) =>
      newClient(`c${i}`, i % 2 === 0 ? patienceMs : impatienceMs),
    );
  }

  start(): void {
    this.#running = true;
    for (const client of this.#clients) this.#think(client);
  }

  /** No new command; those under way go on. */
  stop(): void {
    this.#running = false;
  }

  /** A new history begins; what is there may still expire. */
  forget(): void {
    const nowMs = this.#timeline.nowMs;
    this.operations.length = 0;
    for (const key of this.keys()) {
      if (key.startsWith("short")) this.operations.push(expiry("earlier", key, nowMs));
    }
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A process has ended: its connections broke. */
  ended(process: NodeProcess): void {
    this.#fate((waiting) => waiting.process === process);
    for (const client of this.#clients) {
      if (client.process !== process) continue;
      client.process = undefined;
      client.socket = undefined;
    }
  }

  #fate(isLost: (waiting: Waiting) => boolean): void {
    for (const waiting of this.#waiting) {
      if (isLost(waiting)) waiting.finish({ kind: "unknown" });
    }
  }

  keys(): string[] {
    return Array.from({ length: this.#load.keys }, (_, key) => this.#key(key));
  }

  #key(key: number): string {
    if (key % 6 === 1) return `short:${key}`;
    return key % 3 === 0 ? `count:${key}` : `key:${key}`;
  }

  #think(client: Client): void {
    const delayMs = -Math.log(1 - this.#random()) * this.#load.thinkMs;
    this.#timeline.later(delayMs, () => {
      if (!this.#running) return;
      this.#maybeMove(client);
      const { process } = client;
      if (process === undefined) {
        this.#think(client);
        return;
      }
      const count = this.#random() < 0.15 ? 2 + Math.floor(this.#random() * 3) : 1;
      const asked = Array.from({ length: count }, () => {
        // Some keys are hot: reads and writes of the same one meet.
        const key = this.#key(Math.floor(this.#random() ** 2 * this.#load.keys));
        return this.#command(key);
      });
      let left = count;
      this.#send(client, process, asked, () => {
        if (--left === 0) this.#think(client);
      });
    });
  }

  /** Now and then another node, and always one that is there. */
  #maybeMove(client: Client): void {
    if (client.process?.life.alive === true && this.#random() > 0.1) return;
    client.process = this.#nodes[Math.floor(this.#random() * this.#nodes.length)]?.process;
    client.socket = undefined;
  }

  #command(key: string): Asked {
    const dice = this.#random();
    if (dice < 0.4) return { key, command: { kind: "get" } };
    if (key.startsWith("count")) return { key, command: { kind: "incr", by: 1 } };
    const value = `v${++this.#value}`;
    if (key.startsWith("short")) {
      const expiryMs = Math.ceil(this.#random() ** 2 * 3000) + 1;
      if (dice < 0.7) return { key, command: { kind: "set", value }, expiryMs };
      return { key, command: { kind: "get" } };
    }
    return { key, command: commandOf(dice, value) };
  }

  /** Reads a key through a node; the history gets it. */
  read(process: NodeProcess, key: string, done: (outcome: Outcome) => void): void {
    const reader = newClient("final", patienceMs);
    reader.process = process;
    this.#send(reader, process, [{ key, command: { kind: "get" } }], done);
  }

  #send(
    client: Client,
    process: NodeProcess,
    asked: readonly Asked[],
    done: (outcome: Outcome) => void,
  ): void {
    const waiting = asked.map((each) => this.#await(client, process, each, done));
    const commands = asked.map((each) => words(each));
    const timeline = this.#timeline;
    timeline.at(wayMs, process.life, kinds.client, () => {
      client.socket ??= new ClientSocket(process.gateway, () =>
        this.#fate((each) => each.client === client),
      );
      client.socket.send(commands, (at, answer) => {
        const outcome = this.#outcome(asked[at]!.command, answer);
        timeline.later(wayMs, () => {
          const returned = outcome.kind === "ok" ? { returnedAt: timeline.nowMs } : {};
          waiting[at]?.finish({ ...outcome, ...returned });
        });
      });
    });
  }

  #await(
    client: Client,
    process: NodeProcess,
    { key, command, expiryMs }: Asked,
    done: (outcome: Outcome) => void,
  ): Waiting {
    const timeline = this.#timeline;
    const invokedAt = timeline.nowMs;
    const waiting: Waiting = {
      client,
      process,
      finish: (outcome) => {
        if (!this.#waiting.delete(waiting)) return;
        timeline.cancel(timer);
        if (outcome.kind === "ok") this.figures.ok++;
        else if (outcome.kind === "fail") this.figures.failed++;
        else this.figures.unknown++;
        if (outcome.kind !== "fail") {
          const { name } = client;
          this.operations.push({ client: name, key, command, invokedAt, outcome });
          if (expiryMs !== undefined) this.operations.push(expiry(name, key, invokedAt));
        }
        done(outcome);
      },
    };
    this.#waiting.add(waiting);
    const timer = timeline.later(client.patienceMs, () => {
      // It hangs up: a later answer must not be taken for that of another command.
      if (client.process === process) client.process = undefined;
      client.socket = undefined;
      waiting.finish({ kind: "unknown" });
    });
    return waiting;
  }

  #outcome(command: Command, answer: Answered): Outcome {
    if (answer === null || typeof answer !== "object") {
      return { kind: "ok", answer, returnedAt: 0 };
    }
    const { error } = answer;
    if (error.startsWith("CLUSTERDOWN")) return { kind: "fail" };
    if (error.startsWith("UNKNOWN outcome")) return { kind: "unknown" };
    if (command.kind === "incr" && error.includes("not an integer")) {
      return { kind: "ok", answer: notAnInteger, returnedAt: 0 };
    }
    this.violation ??= new Violation(`${command.kind} was answered with ${error}`);
    return { kind: "unknown" };
  }
}

function newClient(name: string, patience: number): Client {
  return { name, patienceMs: patience, process: undefined, socket: undefined };
}

/** Some time after it was set the value goes, as if somebody deleted it. */
function expiry(client: string, key: string, invokedAt: number): Operation {
  return { client, key, command: { kind: "del" }, invokedAt, outcome: { kind: "unknown" } };
}

function commandOf(dice: number, value: string): Command {
  if (dice < 0.7) return { kind: "set", value };
  if (dice < 0.78) return { kind: "getset", value };
  if (dice < 0.86) return { kind: "setnx", value };
  if (dice < 0.93) return { kind: "append", value: `${value},` };
  return dice < 0.97 ? { kind: "del" } : { kind: "getdel" };
}

function words({ command, key, expiryMs }: Asked): string[] {
  switch (command.kind) {
    case "get":
    case "del":
    case "getdel":
      return [command.kind, key];
    case "set":
      if (expiryMs === undefined) return ["set", key, command.value];
      return ["set", key, command.value, "px", String(expiryMs)];
    case "setnx":
      return ["set", key, command.value, "nx"];
    case "getset":
      return ["set", key, command.value, "get"];
    case "append":
      return ["append", key, command.value];
    case "incr":
      return ["incrby", key, String(command.by)];
    default:
      return command satisfies never;
  }
}
