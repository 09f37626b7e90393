// The streams of one node: opens them, knows them by their ids, and hands every frame about one to
// its end. It stands between the endpoint, which carries frames, and the two state machines in
// bulk-writer.ts and bulk-reader.ts; one timer for all keeps the quiet ones alive and ends the dead.

import { OutgoingStream } from "./bulk-writer.ts";
import { IncomingStream } from "./bulk-reader.ts";
import { streamIdCount, type BulkContent, type BulkFrame } from "./codec.ts";
import type { BulkReader, BulkWriter } from "./transport.ts";

/** Timers alone, so that any clock fits. */
export interface Timers {
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(id: unknown): void;
}

export interface BulkSettings {
  /** What a reader lets its writer send ahead of it; at least twice the longest chunk. */
  readonly windowBytes: number;
  /** Without a word of the other end for this long (up to a quarter more), a stream fails. */
  readonly silenceMs: number;
}

export interface BulkPorts extends BulkSettings {
  /** False when it certainly went nowhere. */
  readonly send: (to: string, content: BulkContent) => boolean;
  readonly maxChunkBytes: () => number;
  readonly timers: Timers;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onHandlerError: (from: string, error: unknown) => void;
}

export type StreamHandler = (from: string, header: Buffer, reader: BulkReader) => void;

/** Ends of streams that are over are remembered, so that late frames do not bring them back. */
const rememberedMax = 1024;
const ticksOfSilence = 4;

export class BulkStreams {
  readonly #ports: BulkPorts;
  readonly #writers = new Map<number, OutgoingStream>();
  readonly #readers = new Map<string, IncomingStream>();
  /** Streams read here that are over: true if accepted. */
  readonly #over = new Map<string, boolean>();
  #handler: StreamHandler | undefined;
  /** Random, so that a restarted process does not meet its former streams. */
  #nextId: number;
  #timer: unknown;

  constructor(ports: BulkPorts) {
    this.#ports = ports;
    this.#nextId = Math.floor(ports.random() * streamIdCount);
  }

  receive(handler: StreamHandler): void {
    this.#handler = handler;
  }

  open(to: string, header: Uint8Array): BulkWriter {
    const streamId = this.#nextId;
    this.#nextId = (streamId + 1) % streamIdCount;
    const writer = new OutgoingStream({
      streamId,
      to,
      ticksOfSilence,
      maxChunkBytes: this.#ports.maxChunkBytes(),
      send: (content) => this.#ports.send(to, content),
      onOver: () => this.#writers.delete(streamId),
    });
    this.#writers.set(streamId, writer);
    this.#arm();
    writer.open(header);
    return writer;
  }

  received(frame: BulkFrame): void {
    switch (frame.kind) {
      case "open":
        this.#opened(frame.sender, frame.streamId, frame.header);
        break;
      case "chunk":
      case "mark":
      case "end":
      case "abortByWriter":
        this.#fromWriter(frame);
        break;
      case "credit":
      case "accept":
      case "abortByReader":
        this.#fromReader(frame);
        break;
      default:
        frame satisfies never;
    }
  }

  /** The connection is gone, or closes: no stream outlives it. */
  failAll(reason: string): void {
    for (const writer of this.#writers.values()) writer.abort(reason);
    for (const reader of this.#readers.values()) reader.abort(reason);
  }

  #opened(from: string, streamId: number, header: Uint8Array): void {
    const key = `${from}/${streamId}`;
    if (this.#readers.has(key) || this.#over.has(key)) return;
    const handler = this.#handler;
    if (handler === undefined) {
      const reason = "nobody receives streams here";
      this.#ports.send(from, { kind: "abortByReader", streamId, reason });
      return;
    }
    const reader = new IncomingStream({
      streamId,
      from,
      ticksOfSilence,
      windowBytes: this.#ports.windowBytes,
      send: (content) => this.#ports.send(from, content),
      onOver: (accepted) => this.#ended(key, accepted),
    });
    this.#readers.set(key, reader);
    this.#arm();
    reader.open();
    try {
      handler(from, Buffer.from(header.buffer, header.byteOffset, header.length), reader);
    } catch (error) {
      reader.abort("the receiver of the stream failed");
      this.#ports.onHandlerError(from, error);
    }
  }

  #fromWriter(
    frame: Extract<BulkFrame, { kind: "chunk" | "mark" | "end" | "abortByWriter" }>,
  ): void {
    const { sender, streamId } = frame;
    const key = `${sender}/${streamId}`;
    const reader = this.#readers.get(key);
    if (reader !== undefined) reader.received(frame);
    else if (frame.kind === "end" && this.#over.get(key) === true) {
      this.#ports.send(sender, { kind: "accept", streamId });
    } else if (frame.kind !== "abortByWriter") {
      this.#ports.send(sender, { kind: "abortByReader", streamId, reason: "no such stream" });
    }
  }

  #fromReader(frame: Extract<BulkFrame, { kind: "credit" | "accept" | "abortByReader" }>): void {
    const { sender, streamId } = frame;
    const writer = this.#writers.get(streamId);
    if (writer !== undefined && writer.to === sender) writer.received(frame);
    else if (frame.kind === "credit") {
      this.#ports.send(sender, { kind: "abortByWriter", streamId, reason: "no such stream" });
    }
  }

  #ended(key: string, accepted: boolean): void {
    this.#readers.delete(key);
    this.#over.set(key, accepted);
    if (this.#over.size <= rememberedMax) return;
    for (const oldest of this.#over.keys()) {
      this.#over.delete(oldest);
      break;
    }
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const tickMs = this.#ports.silenceMs / ticksOfSilence;
    this.#timer = this.#ports.timers.setTimeout(() => this.#tick(), tickMs);
  }

  #tick(): void {
    this.#timer = undefined;
    for (const writer of this.#writers.values()) writer.tick();
    for (const reader of this.#readers.values()) reader.tick();
    if (this.#writers.size + this.#readers.size > 0) this.#arm();
  }

  /** No timer stays behind. */
  close(): void {
    this.failAll("the transport closes");
    if (this.#timer !== undefined) this.#ports.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
