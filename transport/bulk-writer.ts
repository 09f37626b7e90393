// The sending end of one stream: sends chunks as far as the reader's credit goes, keeps the stream
// alive while its owner has nothing to say, and waits for the reader's word at the end. It knows
// neither timers nor the network: both call it.

import type { BulkContent, BulkFrame } from "./codec.ts";
import type { BulkWriter } from "./transport.ts";

/** Why a stream is over before its end; the message is the reason of whoever ended it. */
export class StreamError extends Error {
  override name = "StreamError";
}

/** What a chunk takes of the credit; that of an empty one too, for it takes memory as well. */
export const chunkCostBytes = (chunk: Uint8Array): number => chunk.length + 64;

export interface WriterPorts {
  readonly streamId: number;
  readonly to: string;
  readonly maxChunkBytes: number;
  readonly ticksOfSilence: number;
  readonly send: (content: BulkContent) => boolean;
  /** The stream is over, well or not; called once. */
  readonly onOver: () => void;
}

interface Waiting {
  /** Undefined: the end. */
  readonly chunk: Uint8Array | undefined;
  readonly resolve: () => void;
  readonly reject: (error: StreamError) => void;
}

export class OutgoingStream implements BulkWriter {
  readonly to: string;
  readonly #ports: WriterPorts;
  #sequence = 0;
  #sentCost = 0;
  #limit = 0;
  /** What waits for credit, in order. */
  readonly #waiting: Waiting[] = [];
  #ending: Waiting | undefined;
  #endSent = false;
  #quietTicks = 0;
  /** Undefined while it runs; "accepted" or why it failed. */
  #outcome: StreamError | "accepted" | undefined;

  constructor(ports: WriterPorts) {
    this.#ports = ports;
    this.to = ports.to;
  }

  open(header: Uint8Array): void {
    this.#send({ kind: "open", streamId: this.#ports.streamId, header });
  }

  write(chunk: Uint8Array): Promise<void> {
    const { maxChunkBytes } = this.#ports;
    if (chunk.length > maxChunkBytes) {
      const message = `a chunk of ${chunk.length} bytes; ${maxChunkBytes} at most`;
      return Promise.reject(new RangeError(message));
    }
    return this.#enqueue(chunk);
  }

  end(): Promise<void> {
    return this.#enqueue(undefined);
  }

  abort(reason: string): void {
    this.#fail(reason, true);
  }

  received(frame: Extract<BulkFrame, { kind: "credit" | "accept" | "abortByReader" }>): void {
    this.#quietTicks = 0;
    if (frame.kind === "credit") {
      this.#limit = Math.max(this.#limit, frame.limitBytes);
      this.#pump();
    } else if (frame.kind === "abortByReader") this.#fail(frame.reason, false);
    else if (this.#endSent) this.#over("accepted");
    else this.#fail("accepted before its end", true);
  }

  tick(): void {
    if (this.#quietTicks >= this.#ports.ticksOfSilence) {
      this.#fail(`nothing heard from ${this.to}`, true);
      return;
    }
    this.#quietTicks++;
    const { streamId } = this.#ports;
    this.#send({ kind: this.#endSent ? "end" : "mark", streamId, sequence: this.#sequence });
  }

  #enqueue(chunk: Uint8Array | undefined): Promise<void> {
    if (this.#outcome instanceof StreamError) return Promise.reject(this.#outcome);
    if (this.#outcome !== undefined || this.#ending !== undefined) {
      return Promise.reject(new Error("the stream was ended before"));
    }
    return new Promise((resolve, reject) => {
      const waiting = { chunk, resolve, reject };
      this.#waiting.push(waiting);
      if (chunk === undefined) this.#ending = waiting;
      this.#pump();
    });
  }

  #pump(): void {
    const { streamId } = this.#ports;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { chunk, resolve } = next;
      const sequence = this.#sequence;
      if (chunk === undefined) {
        this.#waiting.shift();
        this.#endSent = true;
        this.#send({ kind: "end", streamId, sequence });
        return;
      }
      const cost = chunkCostBytes(chunk);
      if (this.#sentCost + cost > this.#limit) return;
      if (!this.#send({ kind: "chunk", streamId, sequence, chunk })) return;
      this.#waiting.shift();
      this.#sequence++;
      this.#sentCost += cost;
      resolve();
    }
  }

  #send(content: BulkContent): boolean {
    if (this.#ports.send(content)) return true;
    this.#fail("no connection", false);
    return false;
  }

  #fail(reason: string, tell: boolean): void {
    if (this.#outcome !== undefined) return;
    this.#over(new StreamError(reason));
    const { streamId } = this.#ports;
    if (tell) this.#ports.send({ kind: "abortByWriter", streamId, reason });
  }

  #over(outcome: StreamError | "accepted"): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#ports.onOver();
    if (outcome === "accepted") {
      this.#ending?.resolve();
      return;
    }
    for (const { reject } of this.#waiting.splice(0)) reject(outcome);
    this.#ending?.reject(outcome);
  }
}
