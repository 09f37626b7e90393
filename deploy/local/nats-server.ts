// A nats-server for nodes of this machine: found on PATH, started on 127.0.0.1, ended with its owner
// even if that is killed. It stands between `LocalCluster` and the program; it keeps no data and
// knows nothing of SpireDB.

import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { SetupError } from "../failure.ts";

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** "exit code 1", "signal SIGKILL". */
export const endingText = ({ code, signal }: Ending): string =>
  signal === null ? `exit code ${code ?? "?"}` : `signal ${signal}`;

/**
 * Runs its arguments and ends them when its standard input closes. nats-server cannot notice that
 * its owner was killed; the kernel closes this pipe for it.
 */
const guard = `
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3 >/dev/null; kill "$server" 2>/dev/null) &
guard=$!
wait "$server"
code=$?
kill "$guard" 2>/dev/null
exit "$code"
`;

const startMs = 10_000;

/** The program, or a `SetupError` that says how to get it. */
export function findNatsServer(path = process.env["PATH"] ?? ""): string {
  for (const folder of path.split(delimiter)) {
    const program = join(folder, "nats-server");
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      continue;
    }
  }
  throw new SetupError(
    "nats-server is not on the PATH: sudo apt-get install nats-server " +
      "(elsewhere: brew install nats-server, or https://nats.io/download)",
  );
}

/** A running nats-server. */
export class NatsServer {
  readonly url: string;
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.url = `nats://127.0.0.1:${port}`;
    this.#child = child;
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        // Ends the part of the guard that waits for it.
        child.stdin?.destroy();
        resolve({ code, signal });
      });
      child.once("error", () => resolve({ code: 127, signal: null }));
    });
  }

  /** Resolves when it accepts connections. Throws `SetupError` when it ends before. */
  static async start(program: string, port: number, logFile: string): Promise<NatsServer> {
    const args = ["-a", "127.0.0.1", "-p", String(port), "-l", logFile];
    const child = spawn("/bin/sh", ["-c", guard, "sh", program, ...args], {
      stdio: ["pipe", "ignore", "ignore"],
      // Ctrl-C in a terminal goes to the whole group; only the owner decides when this one ends.
      detached: true,
    });
    child.stdin?.on("error", () => undefined);
    const server = new NatsServer(child, port);
    let ending: Ending | undefined;
    void server.ended.then((end) => (ending = end));
    for (const deadline = performance.now() + startMs; !(await accepts(port)); await delay(25)) {
      if (ending === undefined && performance.now() < deadline) continue;
      await server.stop();
      const why = ending === undefined ? "it does not answer" : endingText(ending);
      throw new SetupError(`nats-server did not start on port ${port}: ${why}; see ${logFile}`);
    }
    return server;
  }

  /** Ends it and waits. */
  async stop(): Promise<void> {
    this.#child.stdin?.destroy();
    await this.ended;
  }
}

/** Whether somebody who speaks NATS answers there. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const say = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1000, () => say(false));
    socket.once("error", () => say(false));
    socket.once("data", (bytes) => say(bytes.toString("latin1").startsWith("INFO ")));
  });
}
