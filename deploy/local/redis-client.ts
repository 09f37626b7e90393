// A small RESP2 client for the demo: one connection, replies in the order of the commands, and a
// clear end when the connection breaks. It knows simple replies and arrays of them, and retries
// nothing: what became of a command without a reply is the caller's question.

import { connect, type Socket } from "node:net";

/** An error reply, without the dash. */
export class ErrorReply {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Reply = string | number | null | ErrorReply | Reply[];

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class RedisClient {
  readonly #socket: Socket;
  #waiting: Waiting[] = [];
  #received = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      for (const each of this.#waiting) each.reject(new Error("the connection broke"));
      this.#waiting = [];
    });
  }

  /** A connection to 127.0.0.1. */
  static open(port: number): Promise<RedisClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RedisClient(socket));
      });
    });
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Rejects when the connection breaks before the reply, or the reply takes longer than this. */
  call(args: readonly string[], timeoutMs = 10_000): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) return reject(new Error("the connection is closed"));
      const timer = setTimeout(() => this.close(), timeoutMs);
      this.#waiting.push({
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      const parts = args.map((arg) => `$${Buffer.byteLength(arg, "latin1")}\r\n${arg}\r\n`);
      this.#socket.write(`*${args.length}\r\n${parts.join("")}`, "latin1");
      return undefined;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#received += text;
    let at = 0;
    for (;;) {
      const parsed = parse(this.#received, at);
      if (parsed === undefined) break;
      at = parsed.end;
      this.#waiting.shift()?.resolve(parsed.reply);
    }
    this.#received = this.#received.slice(at);
  }
}

/** The reply that begins there and where it ends; undefined while it is not whole. */
function parse(text: string, at: number): { reply: Reply; end: number } | undefined {
  const lineEnd = text.indexOf("\r\n", at);
  if (lineEnd < 0) return undefined;
  const line = text.slice(at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (text[at]) {
    case "+":
      return { reply: line, end };
    case "-":
      return { reply: new ErrorReply(line), end };
    case ":":
      return { reply: Number(line), end };
    case "$": {
      if (line === "-1") return { reply: null, end };
      const bodyEnd = end + Number(line);
      if (text.length < bodyEnd + 2) return undefined;
      return { reply: text.slice(end, bodyEnd), end: bodyEnd + 2 };
    }
    case "*":
      return parseArray(text, Number(line), end);
    default:
      throw new Error(`not a RESP2 reply: ${JSON.stringify(text.slice(at, at + 20))}`);
  }
}

function parseArray(
  text: string,
  length: number,
  from: number,
): { reply: Reply; end: number } | undefined {
  const items: Reply[] = [];
  let end = from;
  for (let index = 0; index < length; index++) {
    const item = parse(text, end);
    if (item === undefined) return undefined;
    items.push(item.reply);
    end = item.end;
  }
  return { reply: length < 0 ? null : items, end };
}
