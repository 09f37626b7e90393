// The wire between one node and nats-server, with scissors: a TCP proxy that can refuse, hold back in
// either direction, delay, or lose what the node says to chosen nodes. It reads just enough of the
// NATS protocol to know the subject of each message the node publishes; payloads stay opaque.

import { connect, createServer, type Server, type Socket } from "node:net";

/** What happens to the traffic of one node. Everything off = a plain wire. */
export interface WireFaults {
  /** Connections end at once, and new ones too. */
  cut?: boolean;
  /** What the node says stays on the way until this ends; then it arrives, late. */
  holdOut?: boolean;
  /** The same for what it would hear. */
  holdIn?: boolean;
  /** Both directions take this much longer, ms. */
  delayMs?: number;
  /** Whether a message to this subject is lost. */
  loses?: ((subject: string) => boolean) | undefined;
  /** Whether a message to this subject arrives twice. */
  doubles?: ((subject: string) => boolean) | undefined;
}

/** Listens on a port of its own for as long as it lives; the server behind may come and go. */
export class NatsProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #faults: WireFaults = {};

  private constructor(server: Server, port: number, targetPort: () => number) {
    this.port = port;
    this.#server = server;
    server.on("connection", (socket) => {
      if (this.#faults.cut === true) {
        socket.destroy();
        return;
      }
      const link = new Link(socket, targetPort(), () => this.#faults);
      this.#links.add(link);
      link.onEnd = () => this.#links.delete(link);
    });
  }

  static async open(targetPort: () => number): Promise<NatsProxy> {
    const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await new Promise((listening) => server.once("listening", listening));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port for the proxy");
    return new NatsProxy(server, address.port, targetPort);
  }

  /** Replaces all faults. */
  set(faults: WireFaults): void {
    this.#faults = faults;
    for (const link of this.#links) {
      if (faults.cut === true) link.end();
      else link.obey();
    }
  }

  get faults(): WireFaults {
    return this.#faults;
  }

  close(): void {
    this.#server.close();
    for (const link of this.#links) link.end();
  }
}

/** One connection of the node and the one behind it. */
class Link {
  readonly #node: Socket;
  readonly #nats: Socket;
  readonly #faults: () => WireFaults;
  readonly #frames = new ClientFrames();
  onEnd: () => void = () => undefined;

  constructor(node: Socket, targetPort: number, faults: () => WireFaults) {
    this.#node = node;
    this.#nats = connect({ host: "127.0.0.1", port: targetPort, noDelay: true });
    this.#faults = faults;
    node.on("data", (chunk) => this.#pass(this.#nats, this.#kept(chunk)));
    this.#nats.on("data", (chunk) => this.#pass(node, chunk));
    for (const socket of [node, this.#nats]) {
      socket.on("error", () => this.end());
      socket.on("close", () => this.end());
    }
    this.obey();
  }

  /** Stops and starts reading; what is not read waits in the kernel, as on a real wire. */
  obey(): void {
    const { holdOut, holdIn } = this.#faults();
    if (holdOut === true) this.#node.pause();
    else this.#node.resume();
    if (holdIn === true) this.#nats.pause();
    else this.#nats.resume();
  }

  end(): void {
    this.#node.destroy();
    this.#nats.destroy();
    this.onEnd();
  }

  #kept(chunk: Buffer): Buffer {
    return this.#frames.repeat(chunk, (subject) => {
      const { loses, doubles } = this.#faults();
      if (loses?.(subject) === true) return 0;
      return doubles?.(subject) === true ? 2 : 1;
    });
  }

  #pass(to: Socket, bytes: Buffer): void {
    if (bytes.length === 0) return;
    const { delayMs } = this.#faults();
    if (delayMs === undefined) to.write(bytes);
    else setTimeout(() => to.write(bytes), delayMs);
  }
}

/** Cuts what a NATS client sends into lines and messages, which it drops or repeats by their subject. */
export class ClientFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** Whole frames out of all bytes so far, each message so many times. */
  repeat(chunk: Buffer, times: (subject: string) => number): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const kept: Buffer[] = [];
    let from = 0;
    let at = 0;
    for (;;) {
      const lineEnd = bytes.indexOf("\r\n", at, "latin1");
      if (lineEnd < 0) break;
      const message = parsePublish(bytes.toString("latin1", at, Math.min(lineEnd, at + 1024)));
      const end = message === undefined ? lineEnd + 2 : lineEnd + 4 + message.size;
      if (end > bytes.length) break;
      const copies = message === undefined ? 1 : times(message.subject);
      if (copies !== 1) {
        kept.push(bytes.subarray(from, at));
        for (let copy = 0; copy < copies; copy++) kept.push(bytes.subarray(at, end));
        from = end;
      }
      at = end;
    }
    kept.push(bytes.subarray(from, at));
    this.#rest = bytes.subarray(at);
    return kept.length === 1 ? kept[0]! : Buffer.concat(kept);
  }
}

/** PUB subject [reply] size, or HPUB subject [reply] headers size. */
function parsePublish(line: string): { subject: string; size: number } | undefined {
  if (!/^H?PUB\s/iu.test(line)) return undefined;
  const words = line.trim().split(/\s+/u);
  return { subject: words[1] ?? "", size: Number(words.at(-1)) };
}
