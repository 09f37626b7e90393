// Writes replies as bytes, in RESP2 or RESP3, into an output that collects the replies of a turn.
// It stands between evaluated commands and the socket: small replies share blocks, large bulk
// strings go out as pieces of their own without being copied. It never decides what to answer.

import {
  BigIntegerReply,
  BooleanReply,
  BulkPiecesReply,
  DoubleReply,
  ErrorReply,
  MapReply,
  SetReply,
  VerbatimReply,
} from "./reply.ts";
import type { Reply } from "./reply.ts";

export type Protocol = 2 | 3;

/** Bulk strings longer than this become pieces of their own. */
const ownPieceBytes = 16 * 1024;
const smallestBlockBytes = 512;
const largestBlockBytes = 64 * 1024;
/** Room for a type byte, a length and CR LF. */
const headerBytes = 24;
/** A shorter copy is faster byte by byte than through the typed array's own method. */
const shortCopyBytes = 24;

const fixed = (text: string): Buffer => Buffer.from(text, "latin1");
const okLine = fixed("+OK\r\n");
const nullBulkLine = fixed("$-1\r\n");
const nullLine = fixed("_\r\n");
const trueLine = fixed("#t\r\n");
const falseLine = fixed("#f\r\n");
const oneLine = fixed(":1\r\n");
const zeroLine = fixed(":0\r\n");

const bulkMark = 36;
const integerMark = 58;
const arrayMark = 42;
const mapMark = 37;
const setMark = 126;

/** Replies on their way to one socket. Blocks are written once: what `take` gave away stays as it is. */
export class Output {
  #pieces: Buffer[] = [];
  #block: Buffer = Buffer.allocUnsafeSlow(smallestBlockBytes);
  /** Bytes [start, at) of the block are written and not yet in `#pieces`. */
  #start = 0;
  #at = 0;
  #pieceBytes = 0;

  /** Bytes written and not yet taken. */
  get bytes(): number {
    return this.#pieceBytes + this.#at - this.#start;
  }

  /** Everything written since the last call, in order; empty when there is nothing. */
  take(): Buffer[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#pieceBytes = 0;
    return pieces;
  }

  /** Appends one reply. Buffers inside it may be referenced until their bytes have been sent. */
  write(reply: Reply, protocol: Protocol): void {
    if (typeof reply === "string") {
      if (reply === "OK") this.#fixed(okLine);
      else this.#line("+", reply);
    } else if (typeof reply === "number") {
      this.#header(integerMark, reply);
    } else if (reply === null) {
      this.#fixed(protocol === 2 ? nullBulkLine : nullLine);
    } else if (reply instanceof Uint8Array) {
      this.#bulk(reply);
    } else if (Array.isArray(reply)) {
      this.#items(arrayMark, reply, protocol);
    } else {
      this.#rare(reply, protocol);
    }
  }

  #rare(reply: Reply, protocol: Protocol): void {
    if (reply instanceof ErrorReply) {
      this.#line("-", reply.message.replaceAll(/[\r\n]/g, " ").replaceAll(/[^\0-\xff]/g, "?"));
    } else if (reply instanceof DoubleReply) {
      const text = doubleText(reply.value);
      if (protocol === 2) this.#bulk(Buffer.from(text, "latin1"));
      else this.#line(",", text);
    } else if (reply instanceof BigIntegerReply) {
      this.#line(":", reply.value.toString());
    } else if (reply instanceof BooleanReply) {
      if (protocol === 3) this.#fixed(reply.value ? trueLine : falseLine);
      else this.#fixed(reply.value ? oneLine : zeroLine);
    } else if (reply instanceof MapReply) {
      const size = reply.entries.length;
      if (protocol === 2) this.#header(arrayMark, size * 2);
      else this.#header(mapMark, size);
      for (const [key, value] of reply.entries) {
        this.write(key, protocol);
        this.write(value, protocol);
      }
    } else if (reply instanceof SetReply) {
      this.#items(protocol === 2 ? arrayMark : setMark, reply.items, protocol);
    } else if (reply instanceof VerbatimReply) {
      if (protocol === 2) this.#bulk(Buffer.from(reply.text));
      else this.#verbatim(reply.text);
    } else if (reply instanceof BulkPiecesReply) {
      this.#bulkPieces(reply.pieces);
    }
  }

  #items(mark: number, items: readonly Reply[], protocol: Protocol): void {
    this.#header(mark, items.length);
    for (const item of items) this.write(item, protocol);
  }

  #verbatim(text: string): void {
    const bytes = Buffer.from(`txt:${text}`);
    this.#header(61, bytes.length);
    this.#raw(bytes);
    this.#end();
  }

  #bulk(bytes: Buffer): void {
    this.#header(bulkMark, bytes.length);
    this.#raw(bytes);
    this.#end();
  }

  #bulkPieces(pieces: readonly Buffer[]): void {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    this.#header(bulkMark, length);
    for (const piece of pieces) this.#raw(piece);
    this.#end();
  }

  /** Bytes as they are: copied when short, referenced when long. */
  #raw(bytes: Buffer): void {
    const length = bytes.length;
    if (length > ownPieceBytes) {
      this.#cut();
      this.#pieces.push(bytes);
      this.#pieceBytes += length;
      return;
    }
    this.#ensure(length);
    if (length <= shortCopyBytes) {
      const block = this.#block;
      const at = this.#at;
      for (let i = 0; i < length; i += 1) block[at + i] = bytes[i] ?? 0;
    } else {
      this.#block.set(bytes, this.#at);
    }
    this.#at += length;
  }

  #fixed(line: Buffer): void {
    this.#ensure(headerBytes);
    const block = this.#block;
    const at = this.#at;
    for (let i = 0; i < line.length; i += 1) block[at + i] = line[i] ?? 0;
    this.#at = at + line.length;
  }

  #line(mark: string, text: string): void {
    const line = `${mark}${text}\r\n`;
    this.#ensure(line.length);
    this.#at += this.#block.write(line, this.#at, "latin1");
  }

  #end(): void {
    this.#ensure(2);
    this.#block[this.#at] = 13;
    this.#block[this.#at + 1] = 10;
    this.#at += 2;
  }

  /** A type byte, an integer and CR LF. */
  #header(mark: number, value: number): void {
    this.#ensure(headerBytes);
    const block = this.#block;
    let at = this.#at;
    block[at] = mark;
    at += 1;
    if (value >= 0 && value < 10) {
      block[at] = 48 + value;
      at += 1;
    } else if (value >= 0 && value <= 0x3fffffff) {
      let end = at + digitsOf(value);
      const next = end;
      let rest = value;
      while (end > at) {
        end -= 1;
        const tens = (rest / 10) | 0;
        block[end] = 48 + rest - tens * 10;
        rest = tens;
      }
      at = next;
    } else {
      at += block.write(String(value), at, "latin1");
    }
    block[at] = 13;
    block[at + 1] = 10;
    this.#at = at + 2;
  }

  #ensure(bytes: number): void {
    if (this.#at + bytes <= this.#block.length) return;
    this.#cut();
    const larger = Math.min(this.#block.length * 2, largestBlockBytes);
    this.#block = Buffer.allocUnsafeSlow(Math.max(larger, bytes));
    this.#start = 0;
    this.#at = 0;
  }

  #cut(): void {
    if (this.#at === this.#start) return;
    this.#pieces.push(this.#block.subarray(this.#start, this.#at));
    this.#pieceBytes += this.#at - this.#start;
    this.#start = this.#at;
  }
}

/** One reply as bytes, for tests and rare paths. */
export function encodeReply(reply: Reply, protocol: Protocol): Buffer {
  const output = new Output();
  output.write(reply, protocol);
  return Buffer.concat(output.take());
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits += 1;
  return digits;
}

/** Redis 7.2 writes the shortest text that reads back as the same double, as JS does. */
function doubleText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (value === Infinity) return "inf";
  if (value === -Infinity) return "-inf";
  return Object.is(value, -0) ? "-0" : String(value);
}
