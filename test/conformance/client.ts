// A raw RESP connection for tests: writes commands or any bytes, and reads typed replies in order.
// It never throws for what a server does wrong: a missing, late or broken reply becomes a reply of
// type "none" that says why, so that a comparison can show it beside the other server's answer.

import { connect, type Socket } from "node:net";
import { BrokenProtocol, parseReply, type Typed } from "./parser.ts";

/** Arguments of one command; strings are latin1, one character per byte. */
export type Command = readonly string[];

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** One connection; close it when done. */
export class Client {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #ended: string | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk]);
      this.#at = 0;
      this.#wake();
    });
    const end = (why: string) => {
      this.#ended ??= why;
      this.#wake();
    };
    socket.on("end", () => end("connection closed"));
    socket.on("close", () => end("connection closed"));
    socket.on("error", () => end("connection closed"));
  }

  /** Opens a connection. Rejects when nobody listens. */
  static open(address: Address): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address.host, port: address.port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.removeListener("error", reject);
        resolve(new Client(socket));
      });
    });
  }

  /** Sends all commands in one write and waits for one reply each, `timeoutMs` for all. */
  async ask(commands: readonly Command[], timeoutMs = 10_000): Promise<Typed[]> {
    this.write(Buffer.concat(commands.map(encode)));
    const replies: Typed[] = [];
    const deadline = performance.now() + timeoutMs;
    while (replies.length < commands.length) replies.push(await this.#next(deadline));
    return replies;
  }

  /** Sends bytes as they are; the connection may already be closed. */
  write(bytes: Buffer): void {
    if (this.#ended === undefined) this.#socket.write(bytes);
  }

  /** Says that nothing more will be sent, and waits for all that the server still says. */
  async drain(timeoutMs: number): Promise<{ readonly text: string; readonly closed: boolean }> {
    const deadline = performance.now() + timeoutMs;
    while (this.#ended === undefined && performance.now() < deadline) await this.#more(deadline);
    return { text: this.#bytes.toString("latin1", this.#at), closed: this.#ended !== undefined };
  }

  /** Drops the connection. */
  close(): void {
    this.#socket.destroy();
  }

  async #next(deadline: number): Promise<Typed> {
    for (;;) {
      const reply = this.#parse();
      if (reply !== undefined) return reply;
      if (this.#ended !== undefined) return { type: "none", text: this.#ended };
      if (performance.now() >= deadline) return { type: "none", text: "no reply in time" };
      await this.#more(deadline);
    }
  }

  #parse(): Typed | undefined {
    try {
      const parsed = parseReply(this.#bytes, this.#at);
      if (parsed === undefined) return undefined;
      this.#at = parsed.end;
      return parsed.reply;
    } catch (error) {
      if (!(error instanceof BrokenProtocol)) throw error;
      this.#ended = error.message;
      this.close();
      return undefined;
    }
  }

  #more(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A command as an array of bulk strings. */
export function encode(command: Command): Buffer {
  const parts = command.map((arg) => `$${arg.length}\r\n${arg}\r\n`);
  return Buffer.from(`*${command.length}\r\n${parts.join("")}`, "latin1");
}
