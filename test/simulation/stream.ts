// A bulk stream between two simulated nodes: chunks in order with credits, or a failure at both ends
// when one of them is gone or the way is cut. It rides on the network's delays.

import { StreamError } from "../../transport/bulk-writer.ts";
import type { BulkReader, BulkWriter } from "../../transport/transport.ts";
import type { NetworkEnd, SimulatedNetwork } from "./network.ts";
import { kinds, type Life } from "./timeline.ts";

/** Chunks on their way before a writer waits. */
const credits = 4;
/** Silence after which an end gives the stream up, ms. */
const silenceMs = 3000;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export class SimulatedStream {
  readonly writer: BulkWriter;
  readonly #network: SimulatedNetwork;
  readonly #from: NetworkEnd;
  readonly #to: string;
  #receiverLife: Life | undefined;
  /** Arrived and not read; undefined = the end. */
  readonly #arrived: Array<Buffer | undefined> = [];
  #reading: Waiting<Buffer | undefined> | undefined;
  readonly #writing: Array<Waiting<void>> = [];
  #ending: Waiting<void> | undefined;
  #onTheWay = 0;
  #nextAtMs = 0;
  #writerError: Error | undefined;
  #readerError: Error | undefined;
  #accepted = false;
  #watch: unknown;

  constructor(network: SimulatedNetwork, from: NetworkEnd, to: string, header: Buffer) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.writer = {
      write: (chunk) => this.#write(Buffer.from(chunk)),
      end: () => this.#end(),
      abort: (reason) => this.#fail(reason),
    };
    this.#forward((end) => {
      this.#receiverLife = end.life;
      const isTaken = end.acceptStream(from.nodeId, header, this.#reader());
      if (!isTaken) this.#fail("nobody takes streams");
      // Given up before this came: a reader that never heard of it would wait for ever.
      else if (this.#writerError !== undefined) this.#failReader(this.#writerError);
    });
    this.#watchSilence();
  }

  #reader(): BulkReader {
    return {
      read: () => this.#read(),
      accept: () => this.#accept(),
      abort: (reason) => this.#fail(reason),
    };
  }

  #write(chunk: Buffer): Promise<void> {
    if (this.#writerError !== undefined) return Promise.reject(this.#writerError);
    this.#onTheWay++;
    this.#forward(() => this.#arrive(chunk));
    if (this.#onTheWay < credits) return Promise.resolve();
    return new Promise((resolve, reject) => this.#writing.push({ resolve, reject }));
  }

  #end(): Promise<void> {
    if (this.#writerError !== undefined) return Promise.reject(this.#writerError);
    this.#forward(() => this.#arrive(undefined));
    return new Promise((resolve, reject) => {
      this.#ending = { resolve, reject };
    });
  }

  #arrive(chunk: Buffer | undefined): void {
    this.#watchSilence();
    if (this.#readerError !== undefined) return;
    if (this.#reading === undefined) this.#arrived.push(chunk);
    else {
      const { resolve } = this.#reading;
      this.#reading = undefined;
      this.#consumed(chunk);
      resolve(chunk);
    }
  }

  #read(): Promise<Buffer | undefined> {
    if (this.#readerError !== undefined) return Promise.reject(this.#readerError);
    if (this.#arrived.length > 0) {
      const chunk = this.#arrived.shift();
      this.#consumed(chunk);
      return Promise.resolve(chunk);
    }
    return new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
    });
  }

  #consumed(chunk: Buffer | undefined): void {
    if (chunk === undefined) return;
    this.#backward(() => {
      this.#onTheWay--;
      this.#watchSilence();
      this.#writing.shift()?.resolve();
    });
  }

  #accept(): void {
    if (this.#readerError !== undefined) return;
    this.#accepted = true;
    this.#backward(() => {
      this.#network.timeline.cancel(this.#watch);
      this.#ending?.resolve();
    });
  }

  /** In order, and whole: a chunk that is lost breaks the stream. */
  #forward(deliver: (end: NetworkEnd) => void): void {
    const { timeline } = this.#network;
    const atMs = Math.max(timeline.nowMs + this.#network.delayMs(), this.#nextAtMs);
    this.#nextAtMs = atMs;
    timeline.later(atMs - timeline.nowMs, () => {
      const end = this.#network.end(this.#to);
      if (end === undefined || !end.connected || this.#isBroken()) return;
      if (this.#receiverLife !== undefined && end.life !== this.#receiverLife) return;
      timeline.happen(end.life, kinds.message, () => deliver(end));
    });
  }

  #backward(run: () => void): void {
    const { timeline } = this.#network;
    timeline.later(this.#network.delayMs(), () => {
      if (!this.#from.connected || this.#network.isCut(this.#to, this.#from.nodeId)) return;
      timeline.happen(this.#from.life, kinds.message, run);
    });
  }

  #isBroken(): boolean {
    return !this.#from.connected || this.#network.isCut(this.#from.nodeId, this.#to);
  }

  #watchSilence(): void {
    const { timeline } = this.#network;
    timeline.cancel(this.#watch);
    this.#watch = timeline.later(silenceMs, () => this.#fail("silence"));
  }

  /** Each end hears it in its own process. */
  #fail(reason: string): void {
    const { timeline } = this.#network;
    timeline.cancel(this.#watch);
    const error = new StreamError(reason);
    this.#writerError ??= error;
    timeline.at(0, this.#from.life, kinds.message, () => {
      for (const { reject } of this.#writing.splice(0)) reject(error);
      this.#ending?.reject(error);
    });
    if (!this.#accepted) this.#failReader(error);
  }

  /** Nothing yet, while it has not heard of the stream. */
  #failReader(error: Error): void {
    if (this.#receiverLife === undefined) return;
    this.#network.timeline.at(0, this.#receiverLife, kinds.message, () => {
      this.#readerError ??= error;
      this.#reading?.reject(error);
      this.#reading = undefined;
    });
  }
}
