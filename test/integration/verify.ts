// What must be true of a cluster that has come to rest: the histories are linearizable, every
// acknowledged write is found through every node, and no counter counted more or less than it was
// told. Between the workload's record and a test or the soak; it starts and stops nothing.

import { setTimeout as delay } from "node:timers/promises";

import { byKey, checkHistory } from "../linearizability/checker.ts";
import type { Operation } from "../linearizability/history.ts";
import { Connection, ErrorText, type Reply } from "./connection.ts";
import type { Endpoint } from "./cluster-harness.ts";
import type { Record } from "./workload.ts";

/** Complaints; none when all is well. */
export async function verify(record: Record, endpoints: readonly Endpoint[]): Promise<string[]> {
  const complaints: string[] = [];
  const histories = byKey(record.operations);
  for (const endpoint of endpoints) {
    complaints.push(...(await verifyStored(record, endpoint)));
    await readAll(histories, endpoint);
  }
  for (const operations of histories.values()) {
    const verdict = checkHistory(operations);
    if (verdict.kind !== "linearizable") complaints.push(verdict.text);
    // The process serves the nodes' proxies meanwhile.
    await delay(0);
  }
  return complaints;
}

/** A last look at each key through a node, as part of its history. */
async function readAll(
  histories: ReadonlyMap<string, Operation[]>,
  { nodeId, port }: Endpoint,
): Promise<void> {
  const reader = await PatientReader.open(port);
  const reads = [...histories].map(async ([key, operations]) => {
    const invokedAt = performance.now();
    const answer = await reader.get(key);
    const outcome = { kind: "ok", answer, returnedAt: performance.now() } as const;
    operations.push({
      client: `${nodeId}/last`,
      key,
      command: { kind: "get" },
      invokedAt,
      outcome,
    });
  });
  await Promise.all(reads);
  reader.close();
}

async function verifyStored(record: Record, { nodeId, port }: Endpoint): Promise<string[]> {
  const reader = await PatientReader.open(port);
  const complaints: string[] = [];
  const once = record.acknowledged.map(async ({ key, value }) => {
    const found = await reader.get(key);
    if (found !== value) {
      complaints.push(`LOST through ${nodeId}: ${key} is ${JSON.stringify(found)}, not ${value}`);
    }
  });
  const counters = [...record.tallies].map(async ([key, { acknowledged, unknown }]) => {
    const found = Number((await reader.get(key)) ?? 0);
    if (found >= acknowledged && found <= acknowledged + unknown) return;
    const told = `${acknowledged} acknowledged and ${unknown} unknown`;
    complaints.push(`MISCOUNTED through ${nodeId}: ${key} is ${found} after ${told}`);
  });
  await Promise.all([...once, ...counters]);
  reader.close();
  return complaints;
}

/** Reads that are repeated while the cluster says that it is not there yet. */
class PatientReader {
  readonly #connection: Connection;
  readonly #window = 200;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(port: number): Promise<PatientReader> {
    return new PatientReader(await Connection.open(port));
  }

  async get(key: string): Promise<string | null> {
    if (this.#underWay >= this.#window) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#underWay += 1;
    try {
      return await this.#get(key);
    } finally {
      this.#underWay -= 1;
      this.#waiting.shift()?.();
    }
  }

  close(): void {
    this.#connection.close();
  }

  async #get(key: string): Promise<string | null> {
    for (let attempt = 0; ; attempt++) {
      const reply: Reply = await this.#connection.call("GET", key);
      if (typeof reply === "string" || reply === null) return reply;
      const isPassing = reply instanceof ErrorText && /^(CLUSTERDOWN|UNKNOWN)/u.test(reply.text);
      if (!isPassing || attempt === 100) {
        throw new Error(`GET ${key} answers ${JSON.stringify(reply)}`);
      }
      await delay(100);
    }
  }
}
