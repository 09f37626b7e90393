// A connection that writes as fast as its window allows, with writes whose results can be checked,
// and tells the ledger what was sent and what was acknowledged. Every choice comes from a seeded
// generator, so a round can be repeated. It verifies replies too: a wrong count is a wrong write.

import { Connection, ErrorText, type Reply } from "./connection.ts";
import type { Change, Ledger } from "./ledger.ts";

/** A seeded generator of numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One writer of a round. */
export interface WriterOptions {
  readonly port: number;
  /** Prefix of its keys; nobody else writes them. */
  readonly name: string;
  readonly keyCount: number;
  /** Commands in flight. */
  readonly window: number;
  readonly random: () => number;
  readonly ledger: Ledger;
  /** Told about replies that no correct server gives. */
  readonly onWrong: (what: string) => void;
}

interface Write {
  readonly args: readonly string[];
  readonly change: Change;
  /** Whether the reply fits the value the write left. */
  readonly fits: (reply: Reply, after: string | null) => boolean;
}

/** Whether DEL finds the key depends on a value the ledger has forgotten by then. */
const isCountOfOne = (reply: Reply): boolean => reply === 0 || reply === 1;

/** Writes until the connection dies. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #connection: Connection;
  #sequence = 0;
  #stopped = false;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;

  private constructor(options: WriterOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  static async start(options: WriterOptions): Promise<Writer> {
    const writer = new Writer(options, await Connection.open(options.port));
    for (let slot = 0; slot < options.window; slot++) writer.#next();
    return writer;
  }

  /** Sends no more and waits for the replies under way, or for the connection's end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#inFlight > 0) {
      const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
      await Promise.race([idle, this.#connection.whenClosed()]);
    }
    this.#connection.close();
  }

  #next(): void {
    if (this.#stopped || this.#connection.closed) return;
    const { random, keyCount, name, ledger } = this.#options;
    const index = Math.floor(random() * keyCount);
    const key = `${name}:${index}`;
    const write = index % 4 === 0 ? this.#count(key) : this.#write(key);
    ledger.sent(key, write.change);
    this.#inFlight += 1;
    this.#connection.send(write.args, (reply) => this.#answered(key, write, reply));
  }

  #answered(key: string, write: Write, reply: Reply): void {
    this.#inFlight -= 1;
    const { ledger, onWrong } = this.#options;
    if (reply instanceof ErrorText) {
      // CLUSTERDOWN says "certainly not executed"; every other error is not expected here.
      if (reply.text.startsWith("CLUSTERDOWN")) ledger.refused(key);
      else onWrong(`${write.args[0]} ${key}: ${reply.text}`);
    } else {
      const after = ledger.confirmed(key);
      if (!write.fits(reply, after)) {
        onWrong(`${write.args[0]} ${key} answered ${JSON.stringify(reply)?.slice(0, 80)}`);
      }
    }
    if (this.#inFlight === 0) this.#onIdle?.();
    this.#next();
  }

  #count(key: string): Write {
    const by = 1 + Math.floor(this.#options.random() * 9);
    return {
      args: by === 1 ? ["INCR", key] : ["INCRBY", key, String(by)],
      change: (before) => String(Number(before ?? "0") + by),
      fits: (reply, after) => reply === Number(after),
    };
  }

  #write(key: string): Write {
    const dice = this.#options.random();
    if (dice < 0.15) {
      return { args: ["DEL", key], change: () => null, fits: isCountOfOne };
    }
    if (dice < 0.35) {
      const tail = `+${this.#sequence++}`;
      return {
        args: ["APPEND", key, tail],
        change: (before) => (before ?? "") + tail,
        fits: (reply, after) => reply === after?.length,
      };
    }
    const value = this.#value(key);
    const args = dice < 0.5 ? ["MSET", key, value] : ["SET", key, value];
    return { args, change: () => value, fits: (reply) => reply === "OK" };
  }

  /** Mostly small, sometimes larger than a sector, a page or an entry. */
  #value(key: string): string {
    const { random } = this.#options;
    const dice = random();
    let length = 20 + random() * 200;
    if (dice > 0.9) length = random() * 8192;
    if (dice > 0.99) length = random() * 200_000;
    const head = `${key}=${this.#sequence++};`;
    const zeros = random() < 0.1 ? "\0" : "x";
    return head + zeros.repeat(Math.floor(length));
  }
}
