// The traffic of commands between this gateway and the others: it owns the streams that leave and the
// executor of those that come, gives each body to whom it is for, and keeps the clock of both. It
// stands between the router and the transport's mailbox "gateway".

import type { Transport } from "../../../transport/transport.ts";
import type { Places, RegionPlace } from "../../store/protocol.ts";
import type { Turn, TurnTask } from "../../system/turn.ts";
import type { Errand, GatewayClock } from "../protocol.ts";
import { Executor, type ExecutorPorts } from "./executor.ts";
import { kinds, readStart, sides } from "./messages.ts";
import { errandBytes, Stream, type StreamOwner, type StreamTarget } from "./stream.ts";
import { Transfers } from "./transfers.ts";
import { WireError, WireReader } from "./wire.ts";

const tickMs = 50;
/** Arguments on their way to one node; beyond them its commands wait here. */
const inFlightMax = 64 * 1024 * 1024;
/** Answers that another node has not collected; beyond them its commands wait there. */
const keptBytesMax = 64 * 1024 * 1024;

export interface ForwardingPorts {
  readonly transport: Transport;
  /** Of this process (`NodeInfo.epoch`). */
  readonly epoch: number;
  readonly places: Places;
  readonly turn: Turn;
  readonly clock: GatewayClock;
  readonly resolve: ExecutorPorts["resolve"];
  readonly keptBytesMax?: number;
  readonly onGarbled: (from: string, error: unknown) => void;
  /** Looks after what is held, for as long as it says that something is. */
  readonly tick: (nowMs: number) => boolean;
  /** There is room on the way to a node again. */
  readonly onRoom: () => void;
}

/** A way to one node's region in one term. */
export type ForwardTarget = Omit<StreamTarget, "epoch" | "number">;

export class Forwarding implements TurnTask {
  readonly #ports: ForwardingPorts;
  readonly #transfers: Transfers;
  readonly #executor: Executor;
  readonly #streams = new Map<number, Stream>();
  readonly #inFlight = new Map<string, number>();
  /** Nodes from which nothing was heard for too long. */
  readonly #down = new Set<string>();
  #lastNumber = 0;
  #toFlush: Stream[] = [];
  #isTicking = false;
  #isFull = false;

  constructor(ports: ForwardingPorts) {
    this.#ports = ports;
    const { transport, clock } = ports;
    const send = (to: string, body: Buffer): void => transport.send(to, "gateway", body);
    const now = (): number => clock.monotonicMs();
    this.#transfers = new Transfers({
      now,
      send,
      whole: (node, side, stream, seq) =>
        side === sides.command
          ? this.#own(node, stream.epoch, stream.number)?.whole(seq)
          : this.#executor.whole(node, stream, seq),
    });
    this.#executor = new Executor({
      places: ports.places,
      resolve: ports.resolve,
      now,
      send,
      defer: (task) => ports.turn.defer("reply", task),
      transfers: this.#transfers,
      keptBytesMax: ports.keptBytesMax ?? keptBytesMax,
    });
    transport.receive("gateway", (from, body) => this.#received(from, body));
    transport.onConnection((connected) => {
      if (!connected) return;
      for (const stream of this.#streams.values()) stream.reconnected();
      ports.onRoom();
    });
  }

  nodeUp(node: string): void {
    this.#down.delete(node);
    this.#ports.onRoom();
  }

  /** Its answers are not waited for; what was not sent waits for another leader. */
  nodeDown(node: string): void {
    this.#down.add(node);
    this.#breakStreamsTo(node, `node ${node} is down`);
  }

  /** Whatever its old process had is gone. */
  nodeRestarted(node: string): void {
    this.#breakStreamsTo(node, `node ${node} has restarted`);
  }

  /** Whether a node may be sent more: it can be reached, and has not too much on its way already. */
  hasRoom(node: string): boolean {
    if (!this.#ports.transport.connected || this.#down.has(node)) return false;
    const hasRoom = (this.#inFlight.get(node) ?? 0) < inFlightMax;
    if (!hasRoom) this.#isFull = true;
    return hasRoom;
  }

  /** A new stream. */
  open(target: ForwardTarget, owner: StreamOwner): Stream {
    const { transport, epoch, clock } = this.#ports;
    const number = ++this.#lastNumber;
    const stream = new Stream({ ...target, epoch, number }, owner, {
      now: () => clock.monotonicMs(),
      send: (to, body) => transport.send(to, "gateway", body),
      transfers: this.#transfers,
      released: (node, bytes) => this.#released(node, bytes),
      ended: (ended) => this.#streams.delete(ended.target.number),
    });
    this.#streams.set(number, stream);
    return stream;
  }

  /** Queues a command; what a turn queues leaves at its end. */
  push(stream: Stream, errand: Errand): void {
    const { node } = stream.target;
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 0) + errandBytes(errand));
    stream.push(errand);
    if (this.#toFlush.at(-1) === stream) return;
    this.#toFlush.push(stream);
    if (this.#toFlush.length === 1) this.#ports.turn.defer("journal", this);
    this.wake();
  }

  /** The end of a turn. */
  run(): void {
    const streams = new Set(this.#toFlush);
    this.#toFlush = [];
    for (const stream of streams) stream.flush();
  }

  /** Another node leads a region now, or this one in another term. */
  changed(place: RegionPlace): void {
    this.#executor.changed(place);
  }

  /** Something is to be watched by the clock. */
  wake(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    this.#ports.clock.later(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#isTicking = false;
    const nowMs = this.#ports.clock.monotonicMs();
    this.#transfers.tick(nowMs);
    this.#executor.tick(nowMs);
    let isBusy = !this.#transfers.idle || this.#executor.isBusy;
    for (const stream of this.#streams.values()) {
      stream.tick(nowMs);
      isBusy ||= stream.isBusy;
    }
    if (this.#ports.tick(nowMs) || isBusy) this.wake();
  }

  #released(node: string, bytes: number): void {
    const left = (this.#inFlight.get(node) ?? 0) - bytes;
    this.#inFlight.set(node, Math.max(0, left));
    if (!this.#isFull || left >= inFlightMax / 2) return;
    this.#isFull = false;
    this.#ports.onRoom();
  }

  #breakStreamsTo(node: string, reason: string): void {
    for (const stream of this.#streams.values()) {
      if (stream.target.node === node) stream.break(reason);
    }
  }

  #own(node: string, epoch: number, number: number): Stream | undefined {
    if (epoch !== this.#ports.epoch) return undefined;
    const stream = this.#streams.get(number);
    return stream?.target.node === node ? stream : undefined;
  }

  #received(from: string, body: Buffer): void {
    try {
      this.#read(from, new WireReader(body));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#ports.onGarbled(from, error);
    }
  }

  #read(from: string, reader: WireReader): void {
    const { kind, stream } = readStart(reader);
    switch (kind) {
      case kinds.commands:
        this.#executor.received(from, stream, reader);
        this.wake();
        return;
      case kinds.answers:
        this.#own(from, stream.epoch, stream.number)?.received(reader);
        if (!this.#transfers.idle) this.wake();
        return;
      case kinds.fetch:
        this.#transfers.asked(from, stream, reader);
        return;
      case kinds.piece:
        this.#transfers.received(from, stream, reader);
        return;
      default:
        throw new WireError(`a body of unknown kind ${kind}`);
    }
  }
}
