// A real nats-server for tests: started on a free port of this machine, stopped, killed, frozen and
// started again on the same port. It sits between a test and the program on the path; it ends only
// the process it started.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      resolve(true);
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
  });

export class NatsServer {
  readonly port: number;
  readonly #folder: string;
  readonly #config: string;
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, config: string) {
    this.port = port;
    this.#folder = folder;
    this.#config = config;
  }

  /** `config`: lines of a configuration file besides the address; the folder is for its files. */
  static async create(config: (folder: string) => string = () => ""): Promise<NatsServer> {
    const folder = mkdtempSync(join(tmpdir(), "spiredb-nats-"));
    const file = join(folder, "nats.conf");
    writeFileSync(file, config(folder));
    return new NatsServer(await freePort(), folder, file);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const address = ["-a", "127.0.0.1", "-p", String(this.port)];
    this.#process = spawn("nats-server", ["-c", this.#config, ...address], { stdio: "ignore" });
    while (!(await answers(this.port))) {
      if (this.#process.exitCode !== null) throw new Error("nats-server did not start");
      await delay(20);
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server === undefined || server.exitCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
