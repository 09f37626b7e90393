// The clients of the demo: one for each region, each writing keys that no other writes, remembering
// what was acknowledged and reading some of it back. It stands between the demo and the nodes' RESP
// ports; it kills nothing. An unanswered write is never repeated: its key is simply not counted.

import { setTimeout as delay } from "node:timers/promises";

import { phash2 } from "../../storage/position.ts";
import { ErrorReply, RedisClient, type Reply } from "./redis-client.ts";

/** Between the reply to a write and the next write of the same client, ms. */
const pauseMs = 8;
/** After an error, ms. */
const backoffMs = 20;
const connectRetryMs = 50;
/** Every so many writes, one earlier one is read back. */
const readEvery = 10;
/** Commands under way at once while everything is read back. */
const readsAtOnce = 500;
/** How long one read may be repeated after errors, ms. */
const readPatienceMs = 20_000;

/** What all clients together have seen. */
export class Tally {
  acknowledged = 0;
  /** Answered with an error that says it did not happen. */
  refused = 0;
  /** Answered with UNKNOWN, or not at all. */
  unknown = 0;
  /** Acknowledged, and not there when read: key by key. */
  readonly lost = new Set<string>();
}

export interface Written {
  readonly key: string;
  readonly value: string;
}

/** A client whose keys all lie in one region. */
export class Writer {
  readonly regionId: number;
  /** Numbers of its acknowledged writes. */
  readonly #acknowledged: number[] = [];
  readonly #tag: string;
  readonly #ports: readonly number[];
  readonly #tally: Tally;
  #next = 0;
  #node: number;
  #client: RedisClient | undefined;
  #isStopping = false;
  #watch: { readonly sinceMs: number; readonly resolve: (atMs: number) => void } | undefined;

  /** Starts with the node of that position and goes to the next one when a connection breaks. */
  constructor(
    regionId: number,
    regionCount: number,
    ports: readonly number[],
    tally: Tally,
    node = regionId % ports.length,
  ) {
    this.regionId = regionId;
    this.#tag = tagIn(regionId, regionCount);
    this.#ports = ports;
    this.#tally = tally;
    this.#node = node;
  }

  /** Every acknowledged write. */
  written(): Written[] {
    return this.#acknowledged.map((number) => this.#write(number));
  }

  /** When, on performance.now(), the first write begun after `sinceMs` was acknowledged. */
  nextAcknowledgement(sinceMs: number): Promise<number> {
    return new Promise((resolve) => (this.#watch = { sinceMs, resolve }));
  }

  /** Writes until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      const client = await this.#connected();
      if (client === undefined) await delay(connectRetryMs);
      else await this.#turn(client);
    }
    this.#client?.close();
  }

  stop(): void {
    this.#isStopping = true;
  }

  #write(number: number): Written {
    return { key: `demo:{${this.#tag}}:${number}`, value: `${this.#tag}-${number}` };
  }

  async #connected(): Promise<RedisClient | undefined> {
    if (this.#client?.isClosed === false) return this.#client;
    this.#node = (this.#node + 1) % this.#ports.length;
    this.#client = await RedisClient.open(this.#ports[this.#node] ?? 0).catch(() => undefined);
    return this.#client;
  }

  /** One write, now and then a read, and the pause. */
  async #turn(client: RedisClient): Promise<void> {
    const number = this.#next++;
    const { key, value } = this.#write(number);
    const sentAtMs = performance.now();
    const reply = await client.call(["SET", key, value]).catch(() => undefined);
    if (reply === "OK") {
      this.#tally.acknowledged += 1;
      this.#acknowledged.push(number);
      this.#noteAcknowledgement(sentAtMs);
      if (number % readEvery === 0) await this.#readBack(client);
      return delay(pauseMs);
    }
    if (reply instanceof ErrorReply && !reply.text.startsWith("UNKNOWN")) this.#tally.refused += 1;
    else this.#tally.unknown += 1;
    return delay(backoffMs);
  }

  #noteAcknowledgement(sentAtMs: number): void {
    const watch = this.#watch;
    if (watch === undefined || sentAtMs < watch.sinceMs) return;
    this.#watch = undefined;
    watch.resolve(performance.now());
  }

  async #readBack(client: RedisClient): Promise<void> {
    const chosen = this.#acknowledged[Math.floor(Math.random() * this.#acknowledged.length)] ?? 0;
    const { key, value } = this.#write(chosen);
    const reply = await client.call(["GET", key]).catch(() => undefined);
    if (isLost(reply, value)) this.#tally.lost.add(key);
  }
}

/** An error, or no reply, proves nothing. */
function isLost(reply: Reply | undefined, value: string): boolean {
  return reply !== undefined && !(reply instanceof ErrorReply) && reply !== value;
}

/** A text that lies in that region, as a hash tag or a key. */
function tagIn(regionId: number, regionCount: number): string {
  for (let number = 0; ; number++) {
    const tag = `r${regionId}-${number}`;
    if (phash2(Buffer.from(tag), regionCount) + 1 === regionId) return tag;
  }
}

/**
 * Reads every one of these through one node and gives the keys whose value is not there. Rejects
 * when the node does not answer.
 */
export async function missingThrough(port: number, written: readonly Written[]): Promise<string[]> {
  const client = await RedisClient.open(port);
  const missing: string[] = [];
  const check = async ({ key, value }: Written): Promise<void> => {
    for (const deadline = performance.now() + readPatienceMs; ; await delay(backoffMs)) {
      const reply = await client.call(["GET", key], readPatienceMs);
      if (!(reply instanceof ErrorReply)) {
        if (isLost(reply, value)) missing.push(key);
        return;
      }
      if (performance.now() > deadline) throw new Error(`GET ${key} answers ${reply.text}`);
    }
  };
  try {
    for (let from = 0; from < written.length; from += readsAtOnce) {
      await Promise.all(written.slice(from, from + readsAtOnce).map((each) => check(each)));
    }
  } finally {
    client.close();
  }
  return missing;
}

/** Leader by region id, as the node sees it; regions without a known leader are left out. */
export async function leadersSeenBy(port: number): Promise<Map<number, string>> {
  const client = await RedisClient.open(port);
  try {
    const reply = await client.call(["SPIRE.REGIONS"]);
    const leaders = new Map<number, string>();
    for (const line of Array.isArray(reply) ? reply : []) {
      const fields = Array.isArray(line) ? line : [];
      const valueOf = (name: string): Reply | undefined => fields[fields.indexOf(name) + 1];
      const [region, leader] = [valueOf("region"), valueOf("leader")];
      if (typeof region === "number" && typeof leader === "string" && leader !== "")
        leaders.set(region, leader);
    }
    return leaders;
  } finally {
    client.close();
  }
}
