// One node of a local cluster as a process of its own. It stands between `LocalCluster` and the
// command line `spiredb start`; what the node logs goes straight to a file, so that neither end waits
// for the other, and the node stops by itself when its owner is gone.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import type { Ending } from "./nats-server.ts";

/** How a node is started. */
export interface NodeSpec {
  readonly nodeId: string;
  readonly port: number;
  readonly httpPort: number;
  readonly dataDir: string;
  readonly logFile: string;
  /** What follows `spiredb start`. */
  readonly args: readonly string[];
}

/** After SIGTERM, ms; longer than a drain may take. */
const stopMs = 15_000;
const askAgainMs = 100;

/** `node` and these arguments run this very SpireDB, built or from its sources. */
export function spiredbCommand(): string[] {
  if (!import.meta.filename.endsWith(".ts")) return [resolve(import.meta.dirname, "../cli.js")];
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return ["--import", tsx, resolve(import.meta.dirname, "../cli.ts")];
}

/** A started node, ready or not. */
export class NodeProcess {
  readonly spec: NodeSpec;
  readonly ended: Promise<Ending>;
  /** Resolves at its ready line, and never when it ends before. */
  readonly ready: Promise<void>;
  isReady = false;
  hasEnded = false;
  readonly #child: ChildProcess;

  constructor(spec: NodeSpec) {
    this.spec = spec;
    const log = openSync(spec.logFile, "a", 0o600);
    this.#child = spawn(process.execPath, [...spiredbCommand(), "start", ...spec.args], {
      env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
      // The channel says nothing; its end tells the node that this process is gone.
      stdio: ["ignore", "pipe", log, "ipc"],
      // Ctrl-C in a terminal goes to the whole group; only the owner decides when this one ends.
      detached: true,
    });
    closeSync(log);
    this.ended = new Promise((done) => {
      const end = (ending: Ending): void => {
        this.hasEnded = true;
        this.isReady = false;
        done(ending);
      };
      this.#child.once("exit", (code, signal) => end({ code, signal }));
      this.#child.once("error", () => end({ code: 127, signal: null }));
    });
    let stdout = "";
    this.ready = new Promise((done) => {
      this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        if (this.isReady) return;
        stdout += text;
        if (!/^ready .*$/mu.test(stdout)) return;
        this.isReady = true;
        done();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when its /readyz says that every region serves, and never when it ends before. */
  async serves(): Promise<void> {
    const readyz = `http://127.0.0.1:${this.spec.httpPort}/readyz`;
    while (!this.hasEnded) {
      const answer = await fetch(readyz).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok === true) return;
      await delay(askAgainMs);
    }
    await new Promise(() => undefined);
  }

  /** SIGKILL, then waits for the end. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** Drains it; kills it when that takes too long. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), stopMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** The last error in its log, or undefined. */
  lastError(): string | undefined {
    const lines = readFileSync(this.spec.logFile, "utf8").trimEnd().split("\n").slice(-50);
    for (const line of lines.toReversed()) {
      try {
        const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
        if (level === "error" && typeof msg === "string") return msg;
      } catch {
        continue;
      }
    }
    return undefined;
  }
}
