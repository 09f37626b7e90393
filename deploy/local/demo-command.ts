// `spiredb demo`: the first promise made visible. Three nodes under load, kill -9 of a node that leads
// every few seconds, and in the end every acknowledged write read back through every node. It stands
// between the command line, `LocalCluster` and the clients of demo-load.ts; it judges, they count.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { leadersSeenBy, missingThrough, Tally, Writer } from "./demo-load.ts";
import { Screen, type Counters } from "./demo-screen.ts";
import { LocalCluster } from "./local-cluster.ts";
import { endingText } from "./nats-server.ts";
import { freePorts } from "./ports.ts";

const nodeCount = 3;
const regionCount = 16;
/** Undisturbed load before the first kill, and after each node is back, ms. */
const calmMs = 2500;
/** How long a killed node stays away, at least, ms. */
const awayMs = 1000;
/** Writes that do not come back by then fail the demo, ms. */
const failoverLimitMs = 15_000;
const readyLimitMs = 60_000;

/** Something the demo promises did not happen. */
class DemoFailure extends Error {
  override readonly name = "DemoFailure";
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs for about so many seconds, resolves with the exit code: 1 when anything was lost. */
export async function runDemo(seconds: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "spiredb-demo-"));
  const demo = new Demo(folder);
  let asked = 0;
  const onSignal = (): void => {
    asked += 1;
    if (asked === 1) demo.endEarly();
    else void demo.abandon().then(() => process.exit(130));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  let isGood = false;
  try {
    isGood = await demo.run(seconds);
  } catch (error) {
    if (!(error instanceof DemoFailure)) throw error;
    say(`FAILED: ${error.message}`);
  } finally {
    await demo.abandon();
    // What is left of a failure is evidence.
    if (isGood) rmSync(folder, { recursive: true, force: true });
    else say(`data and logs are kept in ${folder}`);
  }
  return isGood ? 0 : 1;
}

class Demo {
  readonly #folder: string;
  readonly #tally = new Tally();
  readonly #ended = new AbortController();
  #cluster: LocalCluster | undefined;
  #screen: Screen | undefined;
  #startedAtMs = 0;
  #kills = 0;
  #failoversMs: number[] = [];
  /** Rejects when something ended that should not have. */
  readonly #trouble: Promise<never>;
  #fail: (message: string) => void = Boolean;

  constructor(folder: string) {
    this.#folder = folder;
    this.#trouble = new Promise((_, reject) => {
      this.#fail = (message) => reject(new DemoFailure(message));
    });
    this.#trouble.catch(() => undefined);
  }

  /** Goes to the verdict at the next occasion. */
  endEarly(): void {
    this.#ended.abort();
  }

  async abandon(): Promise<void> {
    this.#screen?.close();
    await this.#cluster?.kill();
  }

  /** Whether nothing was lost. Throws `DemoFailure` when something else went wrong. */
  async run(seconds: number): Promise<boolean> {
    const cluster = await this.#start();
    const ports = cluster.nodes.map((node) => node.spec.port);
    const writers = Array.from(
      { length: regionCount },
      (_, index) => new Writer(index + 1, regionCount, ports, this.#tally),
    );
    this.#startedAtMs = performance.now();
    const screen = new Screen(process.stdout, () => this.#counters());
    this.#screen = screen;
    const load = Promise.all(writers.map((writer) => writer.run()));
    const timer = setTimeout(() => this.endEarly(), seconds * 1000);
    try {
      while (await this.#pause(calmMs)) await this.#killOne(cluster, writers, screen);
    } finally {
      clearTimeout(timer);
      for (const writer of writers) writer.stop();
    }
    await load;
    screen.close();
    return this.#verdict(cluster, writers);
  }

  async #start(): Promise<LocalCluster> {
    const free = await freePorts(nodeCount * 2);
    const ports = Array.from({ length: nodeCount }, (_, index) => ({
      port: free[index] ?? 0,
      httpPort: free[nodeCount + index] ?? 0,
    }));
    // Under a name of its own, so that no other node of this machine joins it.
    const nodeArgs = [`--num-regions=${regionCount}`, "--journal-file-size=16MiB"];
    const cluster = new LocalCluster(
      { folder: this.#folder, ports, nodeArgs },
      {
        nodeEnded: (node, ending) => {
          const why = node.lastError() ?? endingText(ending);
          this.#fail(`${node.spec.nodeId} ended by itself: ${why}`);
        },
        natsEnded: (ending) => this.#fail(`nats-server ended (${endingText(ending)})`),
      },
    );
    this.#cluster = cluster;
    say(`starting ${nodeCount} nodes and a nats-server in ${this.#folder}`);
    await cluster.start();
    await this.#within(cluster.allServe(), readyLimitMs, "the cluster did not form");
    const clients = cluster.nodes.map(({ spec }) => `${spec.nodeId} 127.0.0.1:${spec.port}`);
    say(`serving on ${clients.join(", ")}; ${regionCount} clients write, Ctrl-C ends early\n`);
    return cluster;
  }

  /** False when the demo should end. */
  async #pause(ms: number): Promise<boolean> {
    const passed = delay(ms, undefined, { signal: this.#ended.signal }).catch(() => undefined);
    await Promise.race([passed, this.#trouble]);
    return !this.#ended.signal.aborted;
  }

  /** Kills the node that leads a random region, measures, and brings it back. */
  async #killOne(cluster: LocalCluster, writers: readonly Writer[], screen: Screen): Promise<void> {
    const leaders = await leadersSeenBy(cluster.nodes[0]?.spec.port ?? 0);
    const names = [...leaders.values()];
    const name = names[Math.floor(Math.random() * names.length)];
    const position = cluster.nodes.findIndex((node) => node.spec.nodeId === name);
    const victim = cluster.nodes[position];
    if (victim === undefined) return screen.event("no region has a leader at the moment");
    const orphans = writers.filter((writer) => leaders.get(writer.regionId) === name);
    const killedAtMs = performance.now();
    const restored = Promise.all(orphans.map((each) => each.nextAcknowledgement(killedAtMs)));
    await cluster.killNode(victim);
    this.#kills += 1;
    screen.event(`kill -9 ${name} (pid ${victim.pid}), leader of ${orphans.length} regions`);
    const away = delay(awayMs);
    const late = `writes did not come back ${failoverLimitMs / 1000} s after the kill of ${name}`;
    const atMs = Math.max(...(await this.#within(restored, failoverLimitMs, late)));
    const failoverMs = atMs - killedAtMs;
    this.#failoversMs.push(failoverMs);
    screen.event(`all its regions take writes again after ${(failoverMs / 1000).toFixed(2)} s`);
    await away;
    const again = cluster.startNode(position);
    await this.#within(again.serves(), readyLimitMs, `${name} did not come back`);
    screen.event(`${name} is back (pid ${again.pid})`);
  }

  async #within<T>(promise: Promise<T>, limitMs: number, message: string): Promise<T> {
    const timer = new AbortController();
    const expired = delay(limitMs, undefined, { signal: timer.signal }).then(() => {
      throw new DemoFailure(message);
    });
    // Cancelling rejects it too, when nobody listens any more.
    expired.catch(() => undefined);
    try {
      return await Promise.race([promise, expired, this.#trouble]);
    } finally {
      timer.abort();
    }
  }

  #counters(): Counters {
    return {
      elapsedMs: performance.now() - this.#startedAtMs,
      acknowledged: this.#tally.acknowledged,
      lost: this.#tally.lost.size,
      kills: this.#kills,
      lastFailoverMs: this.#failoversMs.at(-1),
      maxFailoverMs: this.#failoversMs.length === 0 ? undefined : Math.max(...this.#failoversMs),
    };
  }

  /** Reads everything back through every node. */
  async #verdict(cluster: LocalCluster, writers: readonly Writer[]): Promise<boolean> {
    const written = writers.flatMap((writer) => writer.written());
    const { lost } = this.#tally;
    say(`reading ${written.length.toLocaleString("en")} acknowledged writes back`);
    for (const { spec } of cluster.nodes) {
      const missing = await missingThrough(spec.port, written).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new DemoFailure(`${spec.nodeId} cannot be read: ${reason}`);
      });
      for (const key of missing) lost.add(key);
      say(
        `  through ${spec.nodeId}: ${missing.length === 0 ? "all there" : `${missing.length} MISSING`}`,
      );
    }
    for (const key of [...lost].slice(0, 10)) say(`  lost: ${key}`);
    const { unknown, refused } = this.#tally;
    const slowest = this.#failoversMs.length === 0 ? "" : this.#slowest();
    say(
      `${lost.size === 0 ? "PASSED" : "FAILED"}: ${lost.size} of ${written.length.toLocaleString("en")} ` +
        `acknowledged writes lost in ${this.#kills} kills${slowest}; ` +
        `${unknown} had an unknown outcome, ${refused} were refused`,
    );
    return lost.size === 0;
  }

  #slowest(): string {
    return `, slowest failover ${(Math.max(...this.#failoversMs) / 1000).toFixed(2)} s`;
  }
}
