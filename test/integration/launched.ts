// Any command line as a process of a test: waits for a line of its output, and ends it whatever
// happens. For commands that are themselves the thing tested (`spiredb cluster`, ExecStart=…); nodes
// are started by harness.ts.

import { spawn, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

const launched = new Set<Launched>();

/** Kills what a test left behind. */
export async function killLaunched(): Promise<void> {
  await Promise.all([...launched].map((each) => each.kill()));
}

export interface LaunchOptions {
  readonly env?: Readonly<Record<string, string>>;
}

export class Launched {
  /** Both outputs, in the order they came. */
  output = "";
  /** Resolves with the exit code, or the signal, when it has ended and its output is complete. */
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;
  #hear: () => void = Boolean;

  constructor(command: readonly string[], options: LaunchOptions = {}) {
    const [program = "", ...args] = command;
    launched.add(this);
    this.#child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#hear();
      });
    }
    this.ended = new Promise((done) => {
      this.#child.once("close", (code, signal) => {
        launched.delete(this);
        done(code ?? signal ?? -1);
        this.#hear();
      });
      this.#child.once("error", () => done(127));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** Its end; rejects when that takes too long. */
  waitEnd(timeoutMs = 30_000): Promise<number | NodeJS.Signals> {
    return new Promise((done, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`still there after ${timeoutMs} ms:\n${this.output.slice(-4000)}`)),
        timeoutMs,
      );
      void this.ended.then((end) => {
        clearTimeout(timer);
        done(end);
      });
    });
  }

  /** The first match in its output; rejects when it ends without one, or takes too long. */
  waitFor(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    return new Promise((found, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`${why} before ${pattern}:\n${this.output.slice(-4000)}`));
      const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
      const look = (): void => {
        const match = pattern.exec(this.output);
        if (match === null && launched.has(this)) return;
        clearTimeout(timer);
        if (match === null) fail("it ended");
        else found(match);
      };
      this.#hear = look;
      look();
    });
  }
}

/** Whether a process of that id exists and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls until it is true; rejects with the message after the time. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  message: string,
  timeoutMs = 30_000,
): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; !(await isTrue());) {
    if (performance.now() > deadline) throw new Error(message);
    await new Promise((done) => setTimeout(done, 50));
  }
}
