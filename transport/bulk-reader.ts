// The receiving end of one stream: takes chunks in their order, grants credit as they are read, and
// says at the end whether all is well. A gap ends the stream, for nobody sends a chunk twice. It
// knows neither timers nor the network: both call it.

import { StreamError, chunkCostBytes } from "./bulk-writer.ts";
import type { BulkContent, BulkFrame } from "./codec.ts";
import type { BulkReader } from "./transport.ts";

export interface ReaderPorts {
  readonly streamId: number;
  readonly from: string;
  readonly windowBytes: number;
  readonly ticksOfSilence: number;
  readonly send: (content: BulkContent) => boolean;
  /** The stream is over, accepted or not; called once. */
  readonly onOver: (accepted: boolean) => void;
}

interface WaitingRead {
  readonly resolve: (chunk: Buffer | undefined) => void;
  readonly reject: (error: StreamError) => void;
}

/** A new limit is told when it is this part of the window ahead of the last one. */
const grantsPerWindow = 4;

export class IncomingStream implements BulkReader {
  readonly #ports: ReaderPorts;
  readonly #chunks: Buffer[] = [];
  readonly #waiting: WaitingRead[] = [];
  /** Chunks received. */
  #sequence = 0;
  #receivedCost = 0;
  #readCost = 0;
  #limit: number;
  #ended = false;
  #quietTicks = 0;
  /** Undefined while it runs; "accepted" or why it failed. */
  #outcome: StreamError | "accepted" | undefined;

  constructor(ports: ReaderPorts) {
    this.#ports = ports;
    this.#limit = ports.windowBytes;
  }

  open(): void {
    this.#grant();
  }

  read(): Promise<Buffer | undefined> {
    if (this.#outcome instanceof StreamError) return Promise.reject(this.#outcome);
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#consumed(chunk);
      return Promise.resolve(chunk);
    }
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  accept(): void {
    if (this.#outcome !== undefined) return;
    if (!this.#ended || this.#chunks.length > 0) throw new Error("accepted before all was read");
    this.#ports.send({ kind: "accept", streamId: this.#ports.streamId });
    this.#over("accepted");
  }

  abort(reason: string): void {
    this.#fail(reason, true);
  }

  received(frame: Extract<BulkFrame, { kind: "chunk" | "mark" | "end" | "abortByWriter" }>): void {
    this.#quietTicks = 0;
    if (frame.kind === "abortByWriter") this.#fail(frame.reason, false);
    else if (frame.sequence > this.#sequence) {
      this.#fail(`chunk ${this.#sequence} was lost`, true);
    } else if (frame.kind === "chunk" && frame.sequence === this.#sequence) this.#take(frame.chunk);
    else if (frame.kind === "end" && frame.sequence === this.#sequence) {
      this.#ended = true;
      for (const { resolve } of this.#waiting.splice(0)) resolve(undefined);
    }
  }

  tick(): void {
    if (this.#quietTicks >= this.#ports.ticksOfSilence) {
      this.#fail(`nothing heard from ${this.#ports.from}`, true);
      return;
    }
    this.#quietTicks++;
    this.#grant();
  }

  #take(received: Uint8Array): void {
    this.#receivedCost += chunkCostBytes(received);
    if (this.#ended || this.#receivedCost > this.#limit) {
      this.#fail(this.#ended ? "a chunk after the end" : "more than its credit", true);
      return;
    }
    this.#sequence++;
    const chunk = Buffer.from(received.buffer, received.byteOffset, received.length);
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#chunks.push(chunk);
    else {
      this.#consumed(chunk);
      waiting.resolve(chunk);
    }
  }

  #consumed(chunk: Buffer): void {
    this.#readCost += chunkCostBytes(chunk);
    const { windowBytes } = this.#ports;
    const limit = this.#readCost + windowBytes;
    if (this.#ended || limit - this.#limit < windowBytes / grantsPerWindow) return;
    this.#limit = limit;
    this.#grant();
  }

  /** Says the limit, also when nothing has changed: that keeps the stream alive. */
  #grant(): void {
    const { streamId } = this.#ports;
    const said = this.#ports.send({ kind: "credit", streamId, limitBytes: this.#limit });
    if (!said) this.#fail("no connection", false);
  }

  #fail(reason: string, tell: boolean): void {
    if (this.#outcome !== undefined) return;
    this.#over(new StreamError(reason));
    const { streamId } = this.#ports;
    if (tell) this.#ports.send({ kind: "abortByReader", streamId, reason });
  }

  #over(outcome: StreamError | "accepted"): void {
    this.#outcome = outcome;
    this.#chunks.length = 0;
    this.#ports.onOver(outcome === "accepted");
    if (outcome === "accepted") return;
    for (const { reject } of this.#waiting.splice(0)) reject(outcome);
  }
}
