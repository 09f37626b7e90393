// Large commands and replies between gateways, in pieces: who needs one asks for piece after piece, so
// that a lost piece is asked for again, nothing is sent faster than it is taken, and the commands of
// others go on between. It stands beside the streams, which own what is fetched and say when to give up.

import { kinds, pieceBytes, readPieceId, writePieceId } from "./messages.ts";
import type { PieceId, Side, StreamId } from "./messages.ts";
import type { Whole } from "./whole.ts";
import { WireError, WireWriter } from "./wire.ts";
import type { WireReader } from "./wire.ts";

/** Pieces asked for and not yet there. */
const askedMax = 4;
/**
 * A piece that has not come is asked for again after twice the time the last one took, and within
 * these; then after twice as long, and so on: on a slow line it is still on its way.
 */
const askAgainMinMs = 300;
/** Shorter than the silence after which either end gives up. */
const askAgainMaxMs = 4000;
/** What may be fetched from one node and side at a time; one thing alone may be larger. */
const bytesPerNodeMax = 64 * 1024 * 1024;
/** Of what is asked for nothing came for this long: who kept it is gone. */
const abandonedMs = 10_000;
/** What is longer cannot be fetched: who has it has to say so instead. */
export const wholeBytesMax = 2 ** 30;

export interface TransferPorts {
  now(): number;
  send(to: string, body: Buffer): void;
  /** The whole that a piece was asked of; undefined when it is gone. */
  whole(node: string, side: Side, stream: StreamId, seq: number): Whole | undefined;
}

/** Something being fetched. */
export interface Fetch {
  /** Monotonic ms when the last piece came, of what it waits for as well, or when it was asked for. */
  readonly progressAtMs: number;
  cancel(): void;
}

type What = Omit<PieceId, "offset">;

const keyOf = (node: string, { side, stream, seq }: What): string =>
  `${node}/${side}/${stream.epoch}/${stream.number}/${stream.regionId}/${seq}`;

/** What comes from one node of one side. Commands do not wait for replies, which may be many. */
interface Lane {
  /** Monotonic ms when a piece came. */
  progressAtMs: number;
  /** From the first asking for that piece on. */
  roundTripMs: number;
}

/** A piece that was asked for and is not there; monotonic ms. */
interface Asked {
  readonly firstAtMs: number;
  lastAtMs: number;
  times: number;
}

class Pull implements Fetch {
  readonly node: string;
  readonly lane: Lane;
  readonly length: number;
  readonly #what: What;
  readonly #done: (whole: Buffer) => void;
  readonly #owner: Transfers;
  #buffer: Buffer | undefined;
  /** By the number of the piece. */
  readonly #asked = new Map<number, Asked>();
  #pieces = 0;
  #missing = 0;
  #nextPiece = 0;
  #progressAtMs: number;

  constructor(
    owner: Transfers,
    from: { readonly node: string; readonly what: What; readonly length: number },
    done: (whole: Buffer) => void,
  ) {
    this.#owner = owner;
    this.node = from.node;
    this.length = from.length;
    this.#what = from.what;
    this.lane = owner.laneOf(from.node, from.what.side);
    this.#done = done;
    this.#progressAtMs = owner.now();
  }

  get progressAtMs(): number {
    return this.started ? this.#progressAtMs : Math.max(this.#progressAtMs, this.lane.progressAtMs);
  }

  get key(): string {
    return keyOf(this.node, this.#what);
  }

  get started(): boolean {
    return this.#buffer !== undefined;
  }

  start(): void {
    this.#progressAtMs = this.#owner.now();
    this.#buffer = Buffer.allocUnsafeSlow(this.length);
    this.#pieces = Math.ceil(this.length / pieceBytes);
    this.#missing = this.#pieces;
    for (let i = 0; i < askedMax; i++) this.#askNext();
  }

  cancel(): void {
    this.#owner.drop(this);
  }

  piece(offset: number, bytes: Buffer): void {
    const at = offset / pieceBytes;
    const asked = this.#asked.get(at);
    if (this.#buffer === undefined || asked === undefined) return;
    if (bytes.length !== Math.min(pieceBytes, this.length - offset)) return;
    this.#buffer.set(bytes, offset);
    this.#asked.delete(at);
    this.#missing -= 1;
    this.#progressAtMs = this.#owner.now();
    this.lane.progressAtMs = this.#progressAtMs;
    this.lane.roundTripMs = this.#progressAtMs - asked.firstAtMs;
    if (this.#missing > 0) return this.#askNext();
    this.#owner.drop(this);
    this.#done(this.#buffer);
  }

  tick(nowMs: number): void {
    const patienceMs = Math.max(askAgainMinMs, this.lane.roundTripMs * 2);
    for (const [at, asked] of this.#asked) {
      const waitMs = Math.min(patienceMs * 2 ** (asked.times - 1), askAgainMaxMs);
      if (nowMs - asked.lastAtMs < waitMs) continue;
      asked.lastAtMs = nowMs;
      asked.times += 1;
      this.#ask(at);
    }
  }

  #askNext(): void {
    if (this.#nextPiece >= this.#pieces) return;
    const at = this.#nextPiece++;
    const nowMs = this.#owner.now();
    this.#asked.set(at, { firstAtMs: nowMs, lastAtMs: nowMs, times: 1 });
    this.#ask(at);
  }

  #ask(at: number): void {
    this.#owner.ask(this.node, { ...this.#what, offset: at * pieceBytes });
  }
}

export class Transfers {
  readonly #ports: TransferPorts;
  readonly #writer = new WireWriter();
  readonly #pulls = new Map<string, Pull>();
  readonly #lanes = new Map<string, Lane>();

  constructor(ports: TransferPorts) {
    this.#ports = ports;
  }

  get idle(): boolean {
    return this.#pulls.size === 0;
  }

  now(): number {
    return this.#ports.now();
  }

  laneOf(node: string, side: Side): Lane {
    const name = `${side}/${node}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) this.#lanes.set(name, (lane = { progressAtMs: 0, roundTripMs: 0 }));
    return lane;
  }

  /** Fetches the whole; `done` gets it once. Asking for the same again returns the fetch under way. */
  fetch(node: string, what: What, length: number, done: (whole: Buffer) => void): Fetch {
    if (length > wholeBytesMax) throw new WireError(`${length} bytes in one command or reply`);
    const known = this.#pulls.get(keyOf(node, what));
    if (known !== undefined) return known;
    const pull = new Pull(this, { node, what, length }, done);
    this.#pulls.set(pull.key, pull);
    this.#startNext(pull);
    return pull;
  }

  /** Somebody asks for a piece of what is kept here. Returns whether it still is. */
  asked(from: string, stream: StreamId, reader: WireReader): boolean {
    const piece = readPieceId(reader, stream);
    const whole = this.#ports.whole(from, piece.side, stream, piece.seq);
    if (whole === undefined || piece.offset >= whole.length) return false;
    const end = Math.min(piece.offset + pieceBytes, whole.length);
    writePieceId(this.#writer, kinds.piece, piece);
    this.#writer.pieces(whole.slices(piece.offset, end), end - piece.offset);
    this.#ports.send(from, this.#writer.take());
    return true;
  }

  /** A piece has come. */
  received(from: string, stream: StreamId, reader: WireReader): void {
    const piece = readPieceId(reader, stream);
    this.#pulls.get(keyOf(from, piece))?.piece(piece.offset, reader.bytes());
  }

  ask(node: string, piece: PieceId): void {
    writePieceId(this.#writer, kinds.fetch, piece);
    this.#ports.send(node, this.#writer.take());
  }

  drop(pull: Pull): void {
    if (this.#pulls.delete(pull.key)) this.#startNext(pull);
  }

  tick(nowMs: number): void {
    for (const pull of this.#pulls.values()) {
      if (!pull.started) continue;
      if (nowMs - pull.progressAtMs >= abandonedMs) this.drop(pull);
      else pull.tick(nowMs);
    }
  }

  #startNext({ lane }: Pull): void {
    let bytes = 0;
    const waiting: Pull[] = [];
    for (const pull of this.#pulls.values()) {
      if (pull.lane !== lane) continue;
      if (pull.started) bytes += pull.length;
      else waiting.push(pull);
    }
    for (const pull of waiting) {
      if (bytes > 0 && bytes + pull.length > bytesPerNodeMax) return;
      bytes += pull.length;
      pull.start();
    }
  }
}
