// Real SpireDB processes for tests: verbs to start, kill, stop and wait, on ports the system picks
// and in folders of their own. Tests speak in these verbs and never sleep. It runs the build in
// dist/ (`npm run build`), or the sources through tsx when SPIREDB_FROM_SOURCE=1.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const built = join(root, "dist/deploy/cli.js");

/** How a node is started. */
export interface StartOptions {
  readonly dataDir: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Fails when the ready line has not come by then. */
  readonly timeoutMs?: number;
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const folders: string[] = [];

/** A new folder that `removeFolders` deletes. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "spiredb-test-"));
  folders.push(folder);
  return folder;
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A SpireDB process, ready or not. */
export class SpireProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  readonly #ready: Promise<string>;
  #stdout = "";
  #stderr = "";
  /** From spawn to the ready line, in ms; 0 until then. */
  readyMs = 0;

  constructor(command: "start" | "debug layout", options: StartOptions) {
    const fromSource = process.env["SPIREDB_FROM_SOURCE"] === "1";
    if (!fromSource && !existsSync(built)) throw new Error("no build in dist/: npm run build");
    const entry = fromSource ? ["--import", "tsx", join(root, "deploy/cli.ts")] : [built];
    const args = [
      ...entry,
      ...command.split(" "),
      "--data-dir",
      options.dataDir,
      ...(options.args ?? []),
    ];
    const startedAt = performance.now();
    this.#child = spawn(process.execPath, args, {
      cwd: root,
      // From the sources there is no launcher to size the thread pool.
      env: { ...process.env, ...(fromSource && { UV_THREADPOOL_SIZE: "16" }), ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.#ended = new Promise((done) => {
      this.#child.once("close", (code, signal) =>
        done({ code, signal, stdout: this.#stdout, stderr: this.#stderr }),
      );
    });
    this.#ready = new Promise((done, fail) => {
      this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        this.#stdout += text;
        const line = /^ready .*$/mu.exec(this.#stdout);
        if (line === null) return;
        if (this.readyMs === 0) this.readyMs = performance.now() - startedAt;
        done(line[0]);
      });
      void this.#ended.then((end) =>
        fail(new Error(`ended before it was ready (code ${end.code}): ${end.stderr.slice(-4000)}`)),
      );
    });
    this.#ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The ready line. Rejects when the process ends first or is too slow (then it is killed). */
  async waitReady(timeoutMs = 30_000): Promise<string> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    try {
      return await this.#ready;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGKILL, then waits for the end. */
  kill(): Promise<Ended> {
    this.#child.kill("SIGKILL");
    return this.#ended;
  }

  /** A signal without waiting. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, then waits; kills after `timeoutMs`, which shows as a signal instead of a code. */
  async stop(timeoutMs = 20_000): Promise<Ended> {
    this.#child.kill("SIGTERM");
    return this.waitEnd(timeoutMs);
  }

  async waitEnd(timeoutMs = 20_000): Promise<Ended> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A node that said it is ready. */
export interface ReadyNode {
  readonly process: SpireProcess;
  readonly port: number;
  readonly httpPort: number;
  readonly nodeId: string;
}

/** Starts a node on free ports and waits for its ready line. */
export async function startNode(options: StartOptions): Promise<ReadyNode> {
  const args = ["--port", "0", "--http-port", "0", ...(options.args ?? [])];
  const spire = new SpireProcess("start", { ...options, args });
  const line = await spire.waitReady(options.timeoutMs);
  const match = /^ready node=(\S+) resp=127\.0\.0\.1:(\d+) http=127\.0\.0\.1:(\d+)$/u.exec(line);
  if (match === null) {
    await spire.kill();
    throw new Error(`not a ready line: ${line}`);
  }
  const [, nodeId = "", port, httpPort] = match;
  return { process: spire, port: Number(port), httpPort: Number(httpPort), nodeId };
}

/** Runs a start that is expected to end by itself and waits for that. */
export function startAndWait(options: StartOptions): Promise<Ended> {
  const ports = options.args?.includes("--port") === true ? [] : ["--port", "0"];
  const args = ["--http-port", "0", ...ports, ...(options.args ?? [])];
  return new SpireProcess("start", { ...options, args }).waitEnd(options.timeoutMs);
}
