// A client's connection to a simulated node: the gateway's own `Connection` on a socket that is none.
// Commands go in as RESP bytes, replies come out in order; nothing of TCP is modelled but its end.

import type { Socket } from "node:net";
import { Connection } from "../../actors/gateway/connection.ts";
import type { Gateway } from "../../actors/gateway/gateway.ts";

/** A reply as this client reads it: text, number, nil, or an error. */
export type Answered = string | number | null | { readonly error: string };

/** The part of a socket that a connection uses. */
class BareSocket {
  readonly remoteAddress = "10.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "10.0.0.2";
  readonly localPort = 6379;
  readonly writableLength = 0;
  readonly #listeners = new Map<string, (argument?: unknown) => void>();
  onBytes: (bytes: Buffer) => void = () => undefined;

  on(event: string, listener: (argument?: unknown) => void): this {
    this.#listeners.set(event, listener);
    return this;
  }

  emit(event: string, argument?: unknown): void {
    this.#listeners.get(event)?.(argument);
  }

  write(bytes: Buffer): boolean {
    this.onBytes(Buffer.from(bytes));
    return true;
  }

  end(): this {
    return this.destroy();
  }

  destroy(): this {
    this.emit("close");
    return this;
  }

  pause(): this {
    return this;
  }

  resume(): this {
    return this;
  }

  cork(): void {
    // Every write is seen at once.
  }

  uncork(): void {
    // As above.
  }
}

export class ClientSocket {
  readonly #socket = new BareSocket();
  readonly #waiting: Array<(answer: Answered) => void> = [];
  #unread: Buffer = Buffer.alloc(0);
  isOpen = true;

  /** `onClosed` hears that the node has ended it; what waits is never answered then. */
  constructor(gateway: Gateway, onClosed: () => void) {
    const closed = (): void => {
      if (this.isOpen) onClosed();
      this.isOpen = false;
    };
    const hooks = { closed, failed: closed };
    const connection = new Connection(gateway, this.#socket as unknown as Socket, hooks);
    gateway.connections.set(connection.session.id, connection);
    this.#socket.onBytes = (bytes) => this.#read(bytes);
  }

  /** Sends commands in one packet; each hears its own answer. */
  send(
    commands: readonly (readonly string[])[],
    answered: (at: number, answer: Answered) => void,
  ): void {
    for (let at = 0; at < commands.length; at++) {
      this.#waiting.push((answer) => answered(at, answer));
    }
    const bytes = commands.map((words) => {
      const parts = words.map((word) => `$${Buffer.byteLength(word, "latin1")}\r\n${word}\r\n`);
      return `*${words.length}\r\n${parts.join("")}`;
    });
    this.#socket.emit("data", Buffer.from(bytes.join(""), "latin1"));
  }

  #read(bytes: Buffer): void {
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    for (;;) {
      const reply = readReply(this.#unread);
      if (reply === undefined) return;
      this.#unread = this.#unread.subarray(reply.end);
      const answered = this.#waiting.shift();
      if (answered === undefined) throw new Error("a reply nobody asked for");
      answered(reply.answer);
    }
  }
}

/** The first whole RESP2 reply; these clients ask for nothing that answers with an array. */
function readReply(bytes: Buffer): { answer: Answered; end: number } | undefined {
  const lineEnd = bytes.indexOf("\r\n");
  if (lineEnd < 0) return undefined;
  const line = bytes.toString("latin1", 1, lineEnd);
  const end = lineEnd + 2;
  switch (bytes[0]) {
    case 0x2b: // "+"
      return { answer: line, end };
    case 0x2d: // "-"
      return { answer: { error: line }, end };
    case 0x3a: // ":"
      return { answer: Number(line), end };
    case 0x24: {
      // "$"
      const length = Number(line);
      if (length < 0) return { answer: null, end };
      if (bytes.length < end + length + 2) return undefined;
      return { answer: bytes.toString("latin1", end, end + length), end: end + length + 2 };
    }
    default:
      throw new Error(`a reply of an unexpected kind: ${bytes.toString("latin1", 0, 40)}`);
  }
}
