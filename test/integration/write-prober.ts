// How long writes to a region stop: every 50 ms one write to each region from a connection that is
// free, so that a write that hangs does not hide that the next one would succeed. It knows only when
// writes succeeded; what happened in between is the test's knowledge.

import { Connection, ErrorText } from "./connection.ts";
import { regionCount, regionTags } from "./regions.ts";

const everyMs = 50;
const maxConnections = 60;

/** Writes to all regions through the given ports, from `start` to `stop`. */
export class WriteProber {
  readonly #ports: readonly number[];
  readonly #idle: Connection[][] = [];
  readonly #open: number[] = [];
  /** For each region when writes were acknowledged, and when those had been sent. */
  readonly #successes: { sentAt: number; at: number }[][] = [];
  #timer: NodeJS.Timeout | undefined;
  #round = 0;

  constructor(ports: readonly number[]) {
    this.#ports = ports;
    for (let region = 0; region < regionCount; region++) {
      this.#idle.push([]);
      this.#open.push(0);
      this.#successes.push([]);
    }
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#round += 1;
      for (let region = 0; region < regionCount; region++) void this.#probe(region);
    }, everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const connections of this.#idle) for (const each of connections) each.close();
  }

  /** Per region the ms from `since` to the first success of a write sent after it; Infinity = none yet. */
  recoveries(since: number): number[] {
    return this.#successes.map((all) => {
      const first = all.filter(({ sentAt }) => sentAt >= since).map(({ at }) => at);
      return Math.min(...first, Infinity) - since;
    });
  }

  /** Per region the longest time between two successes, ms, within the two times. */
  gaps(from: number, until: number): number[] {
    return this.#successes.map((all) => {
      const times = all.map(({ at }) => at).filter((at) => at > from && at < until);
      const edges = [from, ...times.toSorted((a, b) => a - b), until];
      return Math.max(...edges.slice(1).map((at, index) => at - edges[index]!));
    });
  }

  /** Resolves when a write sent after `since` has succeeded in every region. */
  async allRecovered(since: number, timeoutMs: number): Promise<number[]> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      const recoveries = this.recoveries(since);
      if (recoveries.every(Number.isFinite)) return recoveries;
      await new Promise((resolve) => {
        setTimeout(resolve, everyMs);
      });
    }
    return this.recoveries(since);
  }

  async #probe(region: number): Promise<void> {
    const connection = this.#idle[region]!.pop() ?? (await this.#connect(region));
    if (connection === undefined || connection.closed) return;
    const sentAt = performance.now();
    connection.send(["SET", `${regionTags[region]!}probe`, String(this.#round)], (reply) => {
      if (!(reply instanceof ErrorText)) {
        this.#successes[region]!.push({ sentAt, at: performance.now() });
      }
      this.#idle[region]!.push(connection);
    });
  }

  async #connect(region: number): Promise<Connection | undefined> {
    if (this.#open[region]! >= maxConnections) return undefined;
    this.#open[region]! += 1;
    try {
      const port = this.#ports[(region + this.#round) % this.#ports.length]!;
      const connection = await Connection.open(port);
      void connection.whenClosed().then(() => (this.#open[region]! -= 1));
      return connection;
    } catch {
      this.#open[region]! -= 1;
      return undefined;
    }
  }
}

/** p50, p99 and the largest of some times, ms. */
export function percentiles(times: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = times.toSorted((a, b) => a - b).map(Math.round);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}
