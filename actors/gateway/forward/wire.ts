// Numbers, texts and bytes as they stand in the bodies that gateways exchange. It stands under the
// codecs of commands and replies and knows neither; what it reads are views into the body, which must
// not be reused.

/** The body is of another version, or broken. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** The writer starts with this much room, and goes back to it after a body this many times as long. */
const roomBytes = 64 * 1024;
const keptRooms = 16;
/** A shorter copy is faster byte by byte than through the typed array's own method. */
const shortCopyBytes = 24;

/** Collects one body at a time; made to be used again. */
export class WireWriter {
  #bytes = Buffer.allocUnsafeSlow(roomBytes);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** What was written since the last call, as a body of its own. */
  take(): Buffer {
    const written = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    if (this.#bytes.length <= roomBytes * keptRooms) return Buffer.from(written);
    this.#bytes = Buffer.allocUnsafeSlow(roomBytes);
    return written;
  }

  u8(value: number): void {
    this.#ensure(1);
    this.#bytes[this.#at++] = value;
  }

  /** A safe integer that is not negative, in one to eight bytes. */
  varint(value: number): void {
    this.#ensure(8);
    const bytes = this.#bytes;
    let rest = value;
    while (rest > 0x7fffffff) {
      bytes[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      bytes[this.#at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[this.#at++] = rest;
  }

  f64(value: number): void {
    this.#ensure(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** With its length before it. */
  bytes(value: Uint8Array): void {
    const { length } = value;
    this.varint(length);
    this.#ensure(length);
    if (length <= shortCopyBytes) {
      const bytes = this.#bytes;
      const at = this.#at;
      for (let i = 0; i < length; i++) bytes[at + i] = value[i] ?? 0;
    } else {
      this.#bytes.set(value, this.#at);
    }
    this.#at += length;
  }

  /** Several pieces as one value. */
  pieces(values: readonly Uint8Array[], length: number): void {
    this.varint(length);
    this.#ensure(length);
    for (const value of values) {
      this.#bytes.set(value, this.#at);
      this.#at += value.length;
    }
  }

  /** A short name of ASCII characters. */
  name(value: string): void {
    this.varint(value.length);
    this.#ensure(value.length);
    this.#at += this.#bytes.write(value, this.#at, "latin1");
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#ensure(length);
    this.#at += this.#bytes.write(value, this.#at, "utf8");
  }

  #ensure(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

/** Reads one body from its start. Throws WireError where it ends too early. */
export class WireReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get atEnd(): boolean {
    return this.#at >= this.#body.length;
  }

  u8(): number {
    const value = this.#body[this.#at++];
    if (value === undefined) throw new WireError("the body ends too early");
    return value;
  }

  varint(): number {
    let byte = this.u8();
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let scale = 128; byte > 127; scale *= 128) {
      byte = this.u8();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new WireError("a number is too large");
    }
    return value;
  }

  f64(): number {
    const at = this.#skip(8);
    return this.#body.readDoubleLE(at);
  }

  bytes(): Buffer {
    const length = this.varint();
    const at = this.#skip(length);
    return this.#body.subarray(at, at + length);
  }

  name(): string {
    const length = this.varint();
    const at = this.#skip(length);
    return this.#body.toString("latin1", at, at + length);
  }

  text(): string {
    const length = this.varint();
    const at = this.#skip(length);
    return this.#body.toString("utf8", at, at + length);
  }

  #skip(length: number): number {
    const at = this.#at;
    if (at + length > this.#body.length) throw new WireError("the body ends too early");
    this.#at = at + length;
    return at;
  }
}
