// A tiny RESP2 client for the crash tests: pipelined sends with one callback per reply, and a clear
// answer to what was still unanswered when the connection died. It shares no code with the server,
// so a fault in the server's own parser cannot hide itself.

import { connect, type Socket } from "node:net";

/** A reply; strings are latin1. An error reply is an `ErrorText`. */
export type Reply = string | number | null | ErrorText | Reply[];

/** An error reply's text without the dash. */
export class ErrorText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Replies come in the order of the sends; none comes once the connection died. */
export class Connection {
  readonly #socket: Socket;
  readonly #waiting: Array<(reply: Reply) => void> = [];
  #buffer: Buffer = Buffer.alloc(0);
  #closed = false;
  readonly #closing: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", () => socket.destroy());
    this.#closing = new Promise((resolve) => {
      socket.on("close", () => {
        this.#closed = true;
        resolve();
      });
    });
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Connection(socket));
      });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the connection is gone, whoever closed it. */
  whenClosed(): Promise<void> {
    return this.#closing;
  }

  send(args: readonly string[], onReply: (reply: Reply) => void): void {
    this.#waiting.push(onReply);
    const head = `*${args.length}\r\n`;
    const body = args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("");
    this.#socket.write(head + body, "latin1");
  }

  /** Sends one command; rejects when the connection dies first. */
  call(...args: string[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.send(args, resolve);
      void this.#closing.then(() => reject(new Error("the connection was closed")));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    let at = 0;
    while (at < this.#buffer.length) {
      const parsed = parse(this.#buffer, at);
      if (parsed === undefined) break;
      at = parsed.end;
      const callback = this.#waiting.shift();
      if (callback === undefined) throw new Error("a reply nobody asked for");
      callback(parsed.reply);
    }
    this.#buffer = this.#buffer.subarray(at);
  }
}

function parse(buffer: Buffer, at: number): { reply: Reply; end: number } | undefined {
  const lineEnd = buffer.indexOf("\r\n", at, "latin1");
  if (lineEnd < 0) return undefined;
  const line = buffer.toString("latin1", at + 1, lineEnd);
  let end = lineEnd + 2;
  switch (String.fromCodePoint(buffer[at] ?? 0)) {
    case "+":
      return { reply: line, end };
    case "-":
      return { reply: new ErrorText(line), end };
    case ":":
      return { reply: Number(line), end };
    case "$": {
      const length = Number(line);
      if (length < 0) return { reply: null, end };
      if (buffer.length < end + length + 2) return undefined;
      return { reply: buffer.toString("latin1", end, end + length), end: end + length + 2 };
    }
    case "*": {
      const items: Reply[] = [];
      for (let left = Number(line); left > 0; left--) {
        const item = parse(buffer, end);
        if (item === undefined) return undefined;
        items.push(item.reply);
        end = item.end;
      }
      return { reply: Number(line) < 0 ? null : items, end };
    }
    default:
      throw new Error(`not a RESP2 reply: ${JSON.stringify(line.slice(0, 60))}`);
  }
}
