// Cuts the bytes of a client connection into commands: RESP2 arrays of bulk strings and inline
// commands, pipelined, at any cut of the stream. It stands between a socket and the command gate
// and knows neither; arguments are views of the received chunk wherever a bulk arrived whole, so a
// chunk must never be changed or reused after `feed`.

import { splitInline } from "./inline.ts";

/** What a connection may send; the gateway sets them from its configuration. */
export interface DecoderLimits {
  /** proto-max-bulk-len, bytes of one bulk string. */
  maxBulkBytes: number;
  /** Arguments of one command. */
  maxArguments: number;
  /** client-query-buffer-limit: bytes of one unfinished command. */
  maxQueryBytes: number;
}

export const defaultLimits: DecoderLimits = {
  maxBulkBytes: 64 * 1024 * 1024,
  maxArguments: 1024 * 1024,
  maxQueryBytes: 1024 * 1024 * 1024,
};

/**
 * The stream cannot be understood any more: answer `message` as an error and close, as Redis does.
 * `message` is the whole error text without the leading minus.
 */
export class ProtocolError {
  readonly message: string;
  /** The command outgrew `maxQueryBytes`; the stream made sense so far. */
  readonly tooLong: boolean;
  constructor(reason: string, tooLong = false) {
    this.message = `ERR Protocol error: ${reason}`;
    this.tooLong = tooLong;
  }
}

/** Longest header or inline line without its end (Redis: PROTO_INLINE_MAX_SIZE). */
const maxLineBytes = 64 * 1024;
/** Before AUTH a client may send no more than this (Redis, networking.c, since 6.0.16). */
const maxUnauthenticatedArguments = 10;
const maxUnauthenticatedBulkBytes = 16_384;
/** First allocation for a bulk that arrives in parts; it doubles as bytes really come. */
const firstCollectBytes = 64 * 1024;

const carriageReturn = 13;
const lineFeed = 10;
const minus = 45;
const zero = 48;
const asterisk = 42;
const dollar = 36;

const incomplete = -1;
const failed = -2;
const notNumber = Number.NaN;
const empty = Buffer.alloc(0);

/** One connection's decoder. `feed` a chunk, then call `next` until it returns undefined. */
export class Decoder {
  /** True while the client has to authenticate first: the small limits hold. */
  unauthenticated = false;
  readonly #limits: DecoderLimits;
  #buffer: Buffer = empty;
  #at = 0;
  /** Where the bytes begin that were not all looked at when `next` last had no command. */
  #done = 0;
  /** Where the search for a line's end goes on; everything before it has been looked at. */
  #scanned = 0;
  /** `#buffer` was allocated here with this much room, so bytes may be appended behind its end. */
  #room: Buffer | undefined;
  #args: Buffer[] = [];
  /** Bulks still to come of the command in progress; 0 = between commands. */
  #remaining = 0;
  /** A bulk that arrives in parts, its CR LF included; undefined = none. */
  #collected: Buffer | undefined;
  #collectedBytes = 0;
  #collectTarget = 0;
  /** Bytes of the finished arguments of the command in progress. */
  #argumentBytes = 0;
  #error: ProtocolError | undefined;

  constructor(limits: DecoderLimits = defaultLimits) {
    this.#limits = limits;
  }

  /** Bytes held: of commands not whole yet, and of those returned since `next` last had none. */
  get queryBytes(): number {
    return this.#buffer.length - this.#done + this.#collectedBytes + this.#argumentBytes;
  }

  /** Bytes at the head of an unfinished bulk go straight into its own buffer, the rest is queued. */
  feed(chunk: Buffer): void {
    if (this.#error !== undefined) return;
    if (this.#at === this.#buffer.length) {
      this.#buffer = chunk;
      this.#at = 0;
      this.#done = 0;
      this.#scanned = 0;
      this.#room = undefined;
    } else {
      this.#append(chunk);
    }
    if (this.#collected !== undefined) this.#collect();
  }

  /** The next whole command (at least its name), or undefined until more bytes come. */
  next(): Buffer[] | undefined | ProtocolError {
    const next = this.#next();
    if (next === undefined) this.#done = this.#at;
    return next;
  }

  #next(): Buffer[] | undefined | ProtocolError {
    if (this.#error !== undefined) return this.#error;
    while (this.#at < this.#buffer.length || this.#remaining > 0) {
      if (this.#remaining === 0) {
        if (this.#buffer[this.#at] !== asterisk) {
          const args = this.#inline();
          if (args === undefined) return this.#error;
          if (args.length === 0) continue;
          return args;
        }
        const count = this.#arrayHeader();
        if (count < 0) return this.#error;
        if (count === 0) continue;
        this.#remaining = count;
        this.#args = [];
      }
      if (!this.#bulks()) return this.#error;
      const args = this.#args;
      this.#args = [];
      this.#argumentBytes = 0;
      return args;
    }
    return undefined;
  }

  /** Reads bulks until the command is whole; false when bytes are missing or wrong. */
  #bulks(): boolean {
    while (this.#remaining > 0) {
      if (this.#collected !== undefined) {
        if (this.#collectedBytes < this.#collectTarget) return false;
        this.#push(this.#collected.subarray(0, this.#collectTarget - 2));
        this.#collected = undefined;
        this.#collectedBytes = 0;
        continue;
      }
      const length = this.#bulkHeader();
      if (length < 0) return false;
      const end = this.#at + length;
      if (end + 2 <= this.#buffer.length) {
        this.#push(this.#buffer.subarray(this.#at, end));
        this.#at = end + 2;
        this.#scanned = this.#at;
        continue;
      }
      if (this.#argumentBytes + length > this.#limits.maxQueryBytes) {
        this.#fail("query buffer limit exceeded", true);
        return false;
      }
      this.#collectTarget = length + 2;
      this.#collected = Buffer.allocUnsafeSlow(Math.min(this.#collectTarget, firstCollectBytes));
      this.#collect();
    }
    return true;
  }

  #push(argument: Buffer): void {
    this.#args.push(argument);
    this.#argumentBytes += argument.length;
    this.#remaining -= 1;
  }

  /** Moves what has come of the unfinished bulk into its buffer, which grows by doubling. */
  #collect(): void {
    let into = this.#collected;
    if (into === undefined) return;
    const take = Math.min(
      this.#buffer.length - this.#at,
      this.#collectTarget - this.#collectedBytes,
    );
    const needed = this.#collectedBytes + take;
    if (needed > into.length) {
      let size = into.length;
      while (size < needed) size = Math.min(size * 2, this.#collectTarget);
      const larger = Buffer.allocUnsafeSlow(size);
      into.copy(larger, 0, 0, this.#collectedBytes);
      into = larger;
      this.#collected = larger;
    }
    this.#buffer.copy(into, this.#collectedBytes, this.#at, this.#at + take);
    this.#collectedBytes = needed;
    this.#at += take;
    this.#scanned = this.#at;
  }

  /** Joins an unfinished line with the next chunk, in place where there is room behind it. */
  #append(chunk: Buffer): void {
    const left = this.#buffer.length - this.#at;
    const room = this.#room;
    if (room !== undefined) {
      const end = this.#buffer.byteOffset - room.byteOffset + this.#buffer.length;
      if (end + chunk.length <= room.length) {
        chunk.copy(room, end);
        this.#buffer = room.subarray(end - left, end + chunk.length);
        this.#scanned -= this.#at;
        this.#at = 0;
        this.#done = 0;
        return;
      }
    }
    const needed = left + chunk.length;
    const larger = Buffer.allocUnsafeSlow(chunk.length < left ? needed * 2 : needed);
    this.#buffer.copy(larger, 0, this.#at);
    chunk.copy(larger, left);
    this.#room = larger;
    this.#buffer = larger.subarray(0, needed);
    this.#scanned -= this.#at;
    this.#at = 0;
    this.#done = 0;
  }

  /** Arguments of `*<n>`: 0 for an empty or negative array, else > 0; < 0 = cannot go on. */
  #arrayHeader(): number {
    const count = this.#number("too big mbulk count string");
    if (count === incomplete || count === failed) return count;
    if (!(count <= this.#limits.maxArguments)) return this.#fail("invalid multibulk length");
    if (this.unauthenticated && count > maxUnauthenticatedArguments) {
      return this.#fail("unauthenticated multibulk length");
    }
    return count < 0 ? 0 : count;
  }

  /** Bytes of `$<n>`; < 0 = cannot go on. */
  #bulkHeader(): number {
    if (this.#at >= this.#buffer.length) return incomplete;
    const length = this.#number("too big bulk count string", dollar);
    if (length === incomplete || length === failed) return length;
    if (!(length >= 0 && length <= this.#limits.maxBulkBytes)) {
      return this.#fail("invalid bulk length");
    }
    if (this.unauthenticated && length > maxUnauthenticatedBulkBytes) {
      return this.#fail("unauthenticated bulk length");
    }
    return length;
  }

  /**
   * The number behind the marker byte at `#at`, moving behind its line: NaN when it is none, and
   * negative numbers other than -1 and -2, which mean `incomplete` and `failed`, come as -3.
   */
  #number(tooBig: string, marker?: number): number {
    const buffer = this.#buffer;
    const start = this.#at;
    let end = Math.max(this.#scanned, start);
    while (end < buffer.length && buffer[end] !== carriageReturn) end += 1;
    if (end + 1 >= buffer.length) {
      this.#scanned = end;
      return end - start > maxLineBytes ? this.#fail(tooBig) : incomplete;
    }
    if (marker !== undefined && buffer[start] !== marker) {
      const got = String.fromCharCode(buffer[start] ?? 0);
      return this.#fail(`expected '$', got '${got}'`);
    }
    this.#at = end + 2;
    this.#scanned = this.#at;
    return decimal(buffer, start + 1, end);
  }

  /** The words of an inline command, empty for an empty line; undefined = cannot go on. */
  #inline(): Buffer[] | undefined {
    const from = Math.max(this.#scanned, this.#at);
    const newline = this.#buffer.indexOf(lineFeed, from);
    // To Redis a NUL byte ends the text it searches: such a line has no end.
    const nul = newline < 0 ? -1 : this.#buffer.subarray(from, newline).indexOf(0);
    if (newline < 0 || nul >= 0) {
      if (nul >= 0) this.#scanned = from + nul;
      else if (this.#buffer.indexOf(0, from) < 0) this.#scanned = this.#buffer.length;
      if (this.#buffer.length - this.#at > maxLineBytes) this.#fail("too big inline request");
      return undefined;
    }
    const end =
      newline > this.#at && this.#buffer[newline - 1] === carriageReturn ? newline - 1 : newline;
    const args = splitInline(this.#buffer.subarray(this.#at, end));
    this.#at = newline + 1;
    this.#scanned = this.#at;
    if (args === undefined) this.#fail("unbalanced quotes in request");
    return args;
  }

  #fail(reason: string, tooLong = false): number {
    this.#error = new ProtocolError(reason, tooLong);
    this.#buffer = empty;
    this.#at = 0;
    this.#done = 0;
    this.#collected = undefined;
    this.#collectedBytes = 0;
    this.#args = [];
    this.#argumentBytes = 0;
    return failed;
  }
}

/** Redis' string2ll: no sign but minus, no leading zero, no empty text. Negatives come as -3. */
function decimal(buffer: Buffer, from: number, end: number): number {
  const negative = buffer[from] === minus;
  const start = negative ? from + 1 : from;
  const digits = end - start;
  if (digits === 0 || digits > 15) return notNumber;
  let value = 0;
  for (let i = start; i < end; i += 1) {
    const digit = (buffer[i] ?? 0) - zero;
    if (digit < 0 || digit > 9) return notNumber;
    value = value * 10 + digit;
  }
  if (buffer[start] === zero && (digits > 1 || negative)) return notNumber;
  return negative ? -3 : value;
}
