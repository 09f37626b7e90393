// The wire between simulated nodes: it loses, doubles, delays and reorders messages, and is cut in
// one direction or both between any two nodes. Each node's end of it is a `Transport`; streams break
// when the way is cut. What a message says is not its business.

import { crc32 } from "node:zlib";
import type {
  BulkReader,
  BulkWriter,
  Mailbox,
  Transport,
  TransportStatistics,
} from "../../transport/transport.ts";
import type { Random } from "./disk.ts";
import { SimulatedStream } from "./stream.ts";
import { kinds, type Life, type Timeline } from "./timeline.ts";

/** How bad the network is; chances per message in [0, 1). */
export interface NetworkConditions {
  readonly loss: number;
  readonly duplicate: number;
  /** Chance of an extra delay of up to `slowMs`, by which later messages overtake it. */
  readonly reorder: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly slowMs: number;
}

export const goodNetwork: NetworkConditions = {
  loss: 0,
  duplicate: 0,
  reorder: 0,
  minMs: 0.1,
  maxMs: 0.4,
  slowMs: 0,
};

/** What happened to messages so far. */
export interface NetworkFigures {
  sent: number;
  lost: number;
  doubled: number;
  reordered: number;
  cut: number;
  streams: number;
}

export class SimulatedNetwork {
  readonly figures: NetworkFigures = {
    sent: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    cut: 0,
    streams: 0,
  };
  conditions: NetworkConditions = goodNetwork;
  readonly timeline: Timeline;
  readonly random: Random;
  /** One end per node; the newest process has it. */
  readonly #ends = new Map<string, NetworkEnd>();
  readonly #cuts = new Set<string>();

  constructor(timeline: Timeline, random: Random) {
    this.timeline = timeline;
    this.random = random;
  }

  /** The end of a node's new process. */
  open(nodeId: string, life: Life): NetworkEnd {
    const end = new NetworkEnd(this, nodeId, life);
    this.#ends.set(nodeId, end);
    return end;
  }

  end(nodeId: string): NetworkEnd | undefined {
    return this.#ends.get(nodeId);
  }

  nodeIds(): Iterable<string> {
    return this.#ends.keys();
  }

  /** Nothing gets from one node to the other any more. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }

  delayMs(): number {
    const { minMs, maxMs, reorder, slowMs } = this.conditions;
    let delayMs = minMs + this.random() * (maxMs - minMs);
    if (reorder > 0 && this.random() < reorder) {
      delayMs += this.random() * slowMs;
      this.figures.reordered++;
    }
    return delayMs;
  }

  /** A message on its way; `deliver` is called at the other end, if and as often as it gets there. */
  carry(from: string, to: string, deliver: (end: NetworkEnd) => void): void {
    this.figures.sent++;
    if (this.isCut(from, to)) {
      this.figures.cut++;
      return;
    }
    const { loss, duplicate } = this.conditions;
    if (loss > 0 && this.random() < loss) {
      this.figures.lost++;
      return;
    }
    this.#launch(from, to, deliver);
    if (duplicate > 0 && this.random() < duplicate) {
      this.figures.doubled++;
      this.#launch(from, to, deliver);
    }
  }

  #launch(from: string, to: string, deliver: (end: NetworkEnd) => void): void {
    this.timeline.later(this.delayMs(), () => {
      const end = this.#ends.get(to);
      if (end === undefined || !end.connected || this.isCut(from, to)) return;
      this.timeline.happen(end.life, kinds.message, () => deliver(end));
    });
  }
}

type Receiver = (from: string, body: Buffer) => void;
type StreamReceiver = (from: string, header: Buffer, reader: BulkReader) => void;

/** One node's connection to the network, for as long as its process lives. */
export class NetworkEnd implements Transport {
  readonly nodeId: string;
  readonly maxBodyBytes = 640 * 1024;
  readonly life: Life;
  readonly #network: SimulatedNetwork;
  readonly #receivers = new Map<Mailbox, Receiver>();
  /** Mailboxes whose messages get lost on their last yard: a subscription that is gone for a while. */
  readonly deafTo = new Set<Mailbox>();
  #announced: Receiver = () => undefined;
  #streamed: StreamReceiver | undefined;
  #listeners = new Set<(connected: boolean) => void>();
  #connected = true;
  #closed = false;
  readonly #counters = {
    messagesSent: 0,
    bytesSent: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    dropped: 0,
    reconnects: 0,
  };

  constructor(network: SimulatedNetwork, nodeId: string, life: Life) {
    this.#network = network;
    this.nodeId = nodeId;
    this.life = life;
  }

  get connected(): boolean {
    return this.#connected && !this.#closed && this.life.alive;
  }

  send(to: string, mailbox: Mailbox, body: Uint8Array): void {
    if (body.length > this.maxBodyBytes) throw new RangeError("the body is too long");
    if (!this.connected) {
      this.#counters.dropped++;
      return;
    }
    this.#counters.messagesSent++;
    this.#counters.bytesSent += body.length;
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
    this.#network.timeline.mix(crc32(bytes));
    this.#network.carry(this.nodeId, to, (end) => end.#deliver(this.nodeId, mailbox, bytes));
  }

  announce(body: Uint8Array): void {
    if (!this.connected) return;
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
    this.#network.timeline.mix(crc32(bytes));
    for (const to of this.#network.nodeIds()) {
      if (to === this.nodeId) continue;
      this.#network.carry(this.nodeId, to, (end) => end.#announced(this.nodeId, bytes));
    }
  }

  #deliver(from: string, mailbox: Mailbox, body: Buffer): void {
    if (this.deafTo.has(mailbox)) return;
    this.#counters.messagesReceived++;
    this.#counters.bytesReceived += body.length;
    this.#receivers.get(mailbox)?.(from, body);
  }

  bind(): void {
    // Nodes of other clusters do not come here.
  }

  receive(mailbox: Mailbox, handler: Receiver): void {
    this.#receivers.set(mailbox, handler);
  }

  receiveAnnouncements(handler: Receiver): void {
    this.#announced = handler;
  }

  openStream(to: string, header: Uint8Array): BulkWriter {
    this.#network.figures.streams++;
    return new SimulatedStream(this.#network, this, to, Buffer.from(header)).writer;
  }

  /** A stream has been opened from elsewhere; false when nobody takes any. */
  acceptStream(from: string, header: Buffer, reader: BulkReader): boolean {
    if (this.#streamed === undefined) return false;
    this.#streamed(from, header, reader);
    return true;
  }

  receiveStreams(handler: StreamReceiver): void {
    this.#streamed = handler;
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The connection to the server breaks or comes back. */
  setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    if (connected) this.#counters.reconnects++;
    for (const listener of this.#listeners) listener(connected);
  }

  statistics(): TransportStatistics {
    return { ...this.#counters };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
