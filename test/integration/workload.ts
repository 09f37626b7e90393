// Clients on every node, each in a closed loop of random commands on hot keys and on keys of its own,
// with everything written down: histories for the checker, acknowledged writes for the ledger, and
// which errors came and how long they took. It starts no faults and judges nothing.

import { setTimeout as delay } from "node:timers/promises";

import type { Command, Operation } from "../linearizability/history.ts";
import { HonestClient, isExpected, type Exchange } from "./client.ts";
import type { Endpoint } from "./cluster-harness.ts";
import { regionCount, regionTags } from "./regions.ts";

/** The shape of a load. */
export interface WorkloadOptions {
  /** Part of every key; no other workload of this cluster has it. */
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  readonly clientsPerNode: number;
  /** Between an answer and the next command of a client, ms. */
  readonly thinkMs: number;
  readonly random: () => number;
}

/** A write that was acknowledged and never written again. */
export interface Acknowledged {
  readonly key: string;
  readonly value: string;
}

/** What a counter may hold at the end. */
export interface Tally {
  acknowledged: number;
  unknown: number;
}

/** Everything written down about keys of one stretch of time. */
export class Record {
  readonly operations: Operation[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly tallies = new Map<string, Tally>();
  /** Commands under way; a record is complete when it is no longer written to and this is 0. */
  underWay = 0;
}

/** Runs from `start` to `stop`. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #loops: Promise<void>[] = [];
  readonly #clients: HonestClient[] = [];
  #record = new Record();
  #generation = 0;
  #sequence = 0;
  #stopped = false;
  /** Answers that were no errors. */
  answered = 0;
  /** How often each error came, by its text. */
  readonly problems = new Map<string, number>();
  /** The longest time until an error or nothing came, ms, with what it was. */
  slowest = { ms: 0, what: "" };

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    for (const endpoint of this.#options.endpoints) this.startClients(endpoint);
  }

  /** More clients, for a node that came later. */
  startClients({ nodeId, port }: Endpoint): void {
    for (let index = 0; index < this.#options.clientsPerNode; index++) {
      const client = new HonestClient(port);
      this.#clients.push(client);
      this.#loops.push(this.#loop(`${nodeId}/${index}`, client));
    }
  }

  /** Waits for the commands under way. Returns what was written down since the last `rotate`. */
  async stop(): Promise<Record> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    for (const client of this.#clients) client.close();
    return this.#record;
  }

  /** From now on other keys and another record; returns the one so far. */
  rotate(): Record {
    const record = this.#record;
    this.#record = new Record();
    this.#generation += 1;
    return record;
  }

  /**
   * Asks this node for every shared key, each over a connection of its own, and waits for no answer:
   * what a node that sleeps finds when it wakes up.
   */
  readAllThrough({ nodeId, port }: Endpoint): void {
    const record = this.#record;
    for (const tag of regionTags) {
      for (const kind of ["counter", "register"] as const) {
        this.#loops.push(this.#readOnce(record, `${nodeId}/once`, port, this.#key(tag, kind)));
      }
    }
  }

  /** Errors that the contract does not know. */
  unexpected(): string[] {
    return [...this.problems.keys()].filter((problem) => !isExpected(problem));
  }

  async #loop(name: string, client: HonestClient): Promise<void> {
    const { random, thinkMs } = this.#options;
    while (!this.#stopped) {
      const record = this.#record;
      record.underWay += 1;
      const { key, command, kind } = this.#next(name);
      const exchange = await client.execute(key, command);
      this.#note(exchange, `${name} ${command.kind} ${key}`);
      if (exchange.problem !== "no connection") {
        this.#write(record, kind, { client: name, key, command, ...exchange });
      }
      record.underWay -= 1;
      await delay(thinkMs * (0.5 + random()));
    }
  }

  async #readOnce(record: Record, name: string, port: number, key: string): Promise<void> {
    record.underWay += 1;
    const client = new HonestClient(port);
    const exchange = await client.execute(key, { kind: "get" });
    client.close();
    this.#note(exchange, `${name} get ${key}`);
    record.operations.push({ client: name, key, command: { kind: "get" }, ...exchange });
    record.underWay -= 1;
  }

  #note({ problem, invokedAt, endedAt }: Exchange, what: string): void {
    if (problem === "") this.answered += 1;
    else this.problems.set(problem, (this.problems.get(problem) ?? 0) + 1);
    const ms = endedAt - invokedAt;
    if (ms > this.slowest.ms) this.slowest = { ms, what: `${what}: ${problem || "answered"}` };
  }

  #write(record: Record, kind: Kind, operation: Operation): void {
    const { key, command, outcome } = operation;
    if (kind === "once") {
      if (outcome.kind === "ok" && command.kind === "set") {
        record.acknowledged.push({ key, value: command.value });
      }
      return;
    }
    record.operations.push(operation);
    if (command.kind !== "incr" || outcome.kind === "fail") return;
    const tally = record.tallies.get(key) ?? { acknowledged: 0, unknown: 0 };
    tally[outcome.kind === "ok" ? "acknowledged" : "unknown"] += 1;
    record.tallies.set(key, tally);
  }

  #key(tag: string, kind: string): string {
    return `${tag}${this.#options.name}.${this.#generation}.${kind}`;
  }

  /** Three commands in ten meet on the keys of one region, the others on those of a random one. */
  #next(name: string): { key: string; command: Command; kind: Kind } {
    const { random } = this.#options;
    const isHot = random() < 0.3;
    const region = isHot ? this.#generation % regionCount : Math.floor(random() * regionCount);
    const tag = regionTags[region]!;
    const sequence = this.#sequence++;
    // A value ends with a mark, so that none is the beginning of another one.
    const value = `${name}.${sequence};`;
    const dice = random();
    if (dice < 0.2) {
      return {
        key: this.#key(tag, `once.${sequence}`),
        command: { kind: "set", value },
        kind: "once",
      };
    }
    if (dice < 0.5) {
      const command: Command = random() < 0.4 ? { kind: "get" } : { kind: "incr", by: 1 };
      return { key: this.#key(tag, "counter"), command, kind: "counter" };
    }
    const key = this.#key(tag, "register");
    return { key, command: registerCommand(value, random()), kind: "register" };
  }
}

type Kind = "register" | "counter" | "once";

function registerCommand(value: string, dice: number): Command {
  if (dice < 0.4) return { kind: "get" };
  if (dice < 0.62) return { kind: "set", value };
  if (dice < 0.74) return { kind: "getset", value };
  if (dice < 0.84) return { kind: "append", value };
  if (dice < 0.92) return { kind: "setnx", value };
  return { kind: dice < 0.96 ? "del" : "getdel" };
}
