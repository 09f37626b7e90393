// `spiredb cluster`: a cluster on this machine for somebody who wants to try one. It stands between
// the command line and `LocalCluster`, tells on the terminal what the processes do, and starts no
// node again by itself: whoever kills one wants to see what the others do without it.

import { createInterface } from "node:readline";

import { SetupError } from "../failure.ts";
import { LocalCluster } from "./local-cluster.ts";
import { endingText, type Ending } from "./nats-server.ts";
import { spiredbCommand, type NodeProcess } from "./node-process.ts";

/** What `spiredb cluster` was asked for. */
export interface ClusterCommandOptions {
  readonly nodes: number;
  /** Node i, counted from 0, takes RESP base+i and HTTP base+i. */
  readonly basePort: number;
  readonly httpBasePort: number;
  readonly dataDir: string;
  /** Added to every node's command line. */
  readonly nodeArgs: readonly string[];
}

/** Between two lines that say who is still missing, ms. */
const patienceMs = 5000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Resolves with the exit code when everything has ended. Rejects when it cannot start. */
export async function runClusterCommand(options: ClusterCommandOptions): Promise<number> {
  const ports = Array.from({ length: options.nodes }, (_, index) => ({
    port: options.basePort + index,
    httpPort: options.httpBasePort + index,
  }));
  const whole = deferred<number>();
  let isForming = true;
  const cluster: LocalCluster = new LocalCluster(
    { folder: options.dataDir, ports, nodeArgs: options.nodeArgs },
    {
      nodeEnded: (node, ending) => {
        // While it forms, the start fails with this node's reason.
        if (isForming) return;
        sayEnded(node, ending);
        if (cluster.nodes.some((each) => !each.hasEnded)) return;
        say("no node is left");
        whole.resolve(1);
      },
      natsEnded: (ending) => {
        say(`nats-server ended (${endingText(ending)}); it keeps no data and is started again`);
        cluster.startNats().catch(whole.reject);
      },
    },
  );
  const stop = stopOnSignal(cluster, whole.resolve);
  try {
    await cluster.start();
    sayStarted(cluster);
    await Promise.race([formed(cluster), whole.promise]);
    isForming = false;
    if (!stop.asked) sayServes(cluster);
    restartOnEnter(cluster);
    const code = await whole.promise;
    await cluster.stop();
    say("stopped");
    return code;
  } catch (error) {
    await cluster.kill();
    throw error;
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = Boolean;
  let reject: (error: unknown) => void = Boolean;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

function stopOnSignal(cluster: LocalCluster, ask: (code: number) => void): { asked: boolean } {
  const stop = { asked: false };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.asked) {
      void cluster.kill().then(() => process.exit(signal === "SIGINT" ? 130 : 143));
      return;
    }
    stop.asked = true;
    say(`${signal}: stopping every node (once more: at once)`);
    ask(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  return stop;
}

function sayStarted(cluster: LocalCluster): void {
  say(`${cluster.nodes.length} nodes in ${cluster.folder}`);
  say(`  nats-server on ${cluster.natsUrl}`);
  const startedAt = performance.now();
  for (const node of cluster.nodes) {
    say(`  ${node.spec.nodeId} started (pid ${node.pid})`);
    void node.ready.then(() => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      say(`  ${node.spec.nodeId} is ready after ${seconds} s`);
    });
  }
}

/** Resolves when all serve; says now and then whom it waits for. */
async function formed(cluster: LocalCluster): Promise<void> {
  const reminder = setInterval(() => {
    const missing = cluster.nodes.filter((node) => !node.isReady);
    const names = missing.map((node) => node.spec.nodeId).join(", ");
    const what = missing.length === 0 ? "every region to have a leader" : names;
    say(`  waiting for ${what} (logs: ${cluster.folder}/logs)`);
  }, patienceMs);
  try {
    await cluster.allServe();
  } finally {
    clearInterval(reminder);
  }
}

function sayServes(cluster: LocalCluster): void {
  say("\nThe cluster serves. Any Redis client, any node, any key:\n");
  for (const { spec, pid } of cluster.nodes) {
    say(
      `  ${spec.nodeId}  redis://127.0.0.1:${spec.port}  http://127.0.0.1:${spec.httpPort}  pid ${pid}`,
    );
  }
  say(`\n  redis-cli -p ${cluster.nodes[0]?.spec.port ?? ""} SPIRE.REGIONS\n`);
  say(`Logs are in ${cluster.folder}/logs. Ctrl-C stops everything and keeps the data: the same`);
  say("command starts it again. Try kill -9 on one of the pids.");
}

function sayEnded(node: NodeProcess, ending: Ending): void {
  const why = node.lastError();
  const reason = ending.signal === null && why !== undefined ? `: ${why}` : "";
  say(`${node.spec.nodeId} ended (${endingText(ending)})${reason}; the others go on`);
  if (process.stdin.isTTY) return say("  press Enter to start it again");
  say("  to start it again:");
  say(`  ${[process.execPath, ...spiredbCommand(), "start", ...node.spec.args].join(" ")}`);
}

/** On a terminal, Enter starts what has ended. */
function restartOnEnter(cluster: LocalCluster): void {
  if (!process.stdin.isTTY) return;
  const lines = createInterface({ input: process.stdin });
  // The interface takes Ctrl-C for itself.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  lines.on("line", () => {
    for (const [position, node] of cluster.nodes.entries()) {
      if (!node.hasEnded) continue;
      const again = cluster.startNode(position);
      say(`  ${again.spec.nodeId} started again (pid ${again.pid})`);
      void again.ready.then(() => say(`  ${again.spec.nodeId} is ready`));
    }
  });
}

/** The ports of the contract, or a `SetupError` for a base that leaves too few. */
export function refusePortsBeyondRange({
  nodes,
  basePort,
  httpBasePort,
}: ClusterCommandOptions): void {
  for (const base of [basePort, httpBasePort]) {
    if (base + nodes - 1 > 65_535) {
      throw new SetupError(`${nodes} ports from ${base} on go beyond 65535`);
    }
  }
  if (Math.abs(basePort - httpBasePort) < nodes) {
    throw new SetupError(`--base-port ${basePort} and --http-base-port ${httpBasePort} overlap`);
  }
}
