// A bulk stream in memory for the snapshot tests: chunks arrive in order, one at a time, and a test may
// change, double or lose them. It stands in for the transport's streams and has no credits of its own.

import { StreamError } from "../../../transport/bulk-writer.ts";
import type { BulkReader, BulkWriter } from "../../../transport/transport.ts";

/** A stream in memory: one chunk under way at a time. */
export class Pipe {
  readonly writer: BulkWriter;
  readonly reader: BulkReader;
  /** Hears every chunk; returns it, another one, or undefined to break the stream. */
  tamper: (chunk: Buffer, number: number) => Buffer | undefined = (chunk) => chunk;
  accepted = false;
  /** The writer has been told that all it has written is read. */
  isDrained = false;
  failure: string | undefined;
  #chunks: Buffer[] = [];
  #ended = false;
  #number = 0;
  #wake: Array<() => void> = [];

  constructor() {
    this.writer = {
      write: async (chunk) => {
        const passed = this.tamper(Buffer.from(chunk), this.#number++);
        if (passed === undefined) this.fail("the stream broke");
        else this.#chunks.push(passed);
        this.#stir();
        while (this.#chunks.length > 0 && this.failure === undefined) await this.#change();
        if (this.failure !== undefined) throw new StreamError(this.failure);
      },
      end: async () => {
        this.#ended = true;
        this.#stir();
        while (!this.accepted && this.failure === undefined) await this.#change();
        if (this.failure !== undefined) throw new StreamError(this.failure);
      },
      abort: (reason) => this.fail(reason),
    };
    this.reader = {
      read: async () => {
        while (this.#chunks.length === 0 && !this.#ended && this.failure === undefined) {
          await this.#change();
        }
        if (this.failure !== undefined) throw new StreamError(this.failure);
        const chunk = this.#chunks.shift();
        this.#stir();
        return chunk;
      },
      accept: () => {
        this.accepted = true;
        this.#stir();
      },
      abort: (reason) => this.fail(reason),
    };
  }

  fail(reason: string): void {
    this.failure ??= reason;
    this.#stir();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
