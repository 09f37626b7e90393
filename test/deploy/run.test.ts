// How a process lives around a node: ready line, drain, second signal, deadline, exit codes.

import { describe, expect, it } from "vitest";

import type { Log } from "../../actors/observe/log.ts";
import type { DataDirectory } from "../../deploy/data-directory.ts";
import { runNode, type Host, type NodeEvents, type RunningNode } from "../../deploy/run.ts";
import { DamagedError, DiskError } from "../../storage/errors.ts";

function deferred<T>() {
  let resolve: (value: T) => void = Boolean;
  let reject: (error: Error) => void = Boolean;
  const promise = new Promise<T>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}

/** A log that keeps its lines. */
function logInto(lines: string[]): Log {
  const into = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  const log: Log = {
    debug: into("debug"),
    info: into("info"),
    warning: into("warning"),
    error: into("error"),
    with: () => log,
    setLevel: () => undefined,
    level: () => "debug",
  };
  return log;
}

/** A process and a node whose every step the test decides. */
function world(nats: readonly string[] = []) {
  const log: string[] = [];
  let signal: Parameters<Host["onSignal"]>[0] | undefined;
  let crash: Parameters<Host["onCrash"]>[0] | undefined;
  let abandon: (() => void) | undefined;
  let expire: (() => void) | undefined;
  const host: Host = {
    print: (line) => log.push(`stdout: ${line}`),
    log: logInto(log),
    onSignal: (listener) => (signal = listener),
    onAbandoned: (listener) => (abandon = listener),
    onCrash: (listener) => (crash = listener),
    after(delayMs, callback) {
      log.push(`deadline in ${delayMs}`);
      expire = callback;
      return { cancel: () => log.push("deadline cancelled") };
    },
  };
  const started = deferred<RunningNode>();
  const stopped = deferred<void>();
  const node: RunningNode = {
    respAddress: "127.0.0.1:1",
    httpAddress: "127.0.0.1:2",
    stop() {
      log.push("stop");
      return stopped.promise;
    },
  };
  const directory = {
    resolved: { config: { nodeId: "n", shutdownTimeoutMs: 500, nats } },
    release: () => log.push("released"),
  } as unknown as DataDirectory;
  let events: NodeEvents | undefined;
  const exit = runNode(directory, host, (_, given) => {
    events = given;
    return started.promise;
  });
  const ready = async (): Promise<void> => {
    started.resolve(node);
    await started.promise;
  };
  return {
    log,
    exit,
    ready,
    started,
    stopped,
    events: () => events!,
    signal: (name: "SIGTERM" | "SIGINT") => signal?.(name),
    crash: (error: unknown) => crash?.(error),
    abandon: () => abandon?.(),
    expire: () => expire?.(),
  };
}

describe("a process around a node", () => {
  it("says ready once the node serves, drains on SIGTERM and exits 0", async () => {
    const { log, exit, ready, signal, stopped } = world();
    expect(log).toEqual([]);
    await ready();
    expect(log).toEqual(["stdout: ready node=n resp=127.0.0.1:1 http=127.0.0.1:2"]);
    signal("SIGTERM");
    stopped.resolve();
    expect(await exit).toBe(0);
    expect(log.slice(1)).toEqual([
      "info: SIGTERM: draining",
      "deadline in 500",
      "stop",
      "deadline cancelled",
      "info: stopped",
      "released",
    ]);
  });

  it("stops at once at a second signal", async () => {
    const { exit, ready, signal } = world();
    await ready();
    signal("SIGINT");
    signal("SIGINT");
    expect(await exit).toBe(130);
  });

  it("ends the drain at its deadline", async () => {
    const { log, exit, ready, signal, expire } = world();
    await ready();
    signal("SIGTERM");
    expire();
    expect(await exit).toBe(0);
    expect(log).toContain("warning: the drain took too long; everything acknowledged is on disk");
  });

  it("finishes a start under way before it drains", async () => {
    const { log, exit, ready, signal, stopped } = world();
    signal("SIGTERM");
    expect(log).toEqual([]);
    await ready();
    stopped.resolve();
    expect(await exit).toBe(0);
    expect(log).toContain("stop");
  });

  it("ends a start that waits for other nodes at the first signal", async () => {
    const { log, exit, signal } = world(["nats://127.0.0.1:4222"]);
    signal("SIGTERM");
    expect(await exit).toBe(0);
    expect(log).toEqual(["info: SIGTERM: stopped before the node was ready", "released"]);
  });

  it("drains when the process that started it is gone, and only once", async () => {
    const { log, exit, ready, abandon, stopped, signal } = world();
    await ready();
    abandon();
    abandon();
    stopped.resolve();
    expect(await exit).toBe(0);
    expect(log).toContain("info: the process that started it is gone: draining");
    signal("SIGTERM");
    expect(log.filter((line) => line === "stop")).toHaveLength(1);
  });

  it("drains on SHUTDOWN, also when a signal follows", async () => {
    const { exit, ready, events, stopped, log } = world();
    await ready();
    events().onShutdown();
    events().onShutdown();
    stopped.resolve();
    expect(await exit).toBe(0);
    expect(log.filter((line) => line === "stop")).toHaveLength(1);
  });

  it.each([
    [new DiskError("fsync failed: EIO"), 1, "error: fsync failed: EIO"],
    [new DamagedError("bad group", "journal/1 at 9"), 2, "error: damaged data: bad group"],
  ])("ends at once with the code of %s", async (error, code, line) => {
    const { log, exit, ready, events } = world();
    await ready();
    events().onFatal(error);
    expect(await exit).toBe(code);
    expect(log.join("\n")).toContain(line);
    expect(log).not.toContain("stop");
  });

  it("gives the directory back when the start fails", async () => {
    const { log, exit, started } = world();
    started.reject(new Error("cannot"));
    expect(await exit).toBe(1);
    expect(log).toEqual(["error: cannot", "released"]);
  });

  it("ends with 1 at an error nobody caught", async () => {
    const { log, exit, ready, crash } = world();
    await ready();
    crash(new Error("bug"));
    expect(await exit).toBe(1);
    expect(log).toContain("error: an error nobody caught");
  });
});
