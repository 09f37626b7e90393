// A large command or reply as it is kept until it has been fetched: its bytes as a row of slices. It
// stands between the codecs, which write it, and the transfers, which send pieces of it. Long values in
// it are shared with what it was made of, so that keeping it costs hardly more than they do.

import { WireWriter } from "./wire.ts";

/** Shorter values are copied. */
const sharedFromBytes = 1024;
/** What is copied is collected in slices of about this length. */
const collectedBytes = 256 * 1024;

export class Whole {
  readonly length: number;
  readonly #slices: readonly Uint8Array[];
  /** Where each slice begins. */
  readonly #starts: Float64Array;

  constructor(slices: readonly Uint8Array[]) {
    this.#slices = slices;
    this.#starts = new Float64Array(slices.length);
    let length = 0;
    slices.forEach((slice, at) => {
      this.#starts[at] = length;
      length += slice.length;
    });
    this.length = length;
  }

  /** Its bytes from `from` up to `to` or its end, in order. */
  slices(from: number, to: number): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (let at = this.#sliceAt(from); at < this.#slices.length; at++) {
      const start = this.#starts[at] ?? 0;
      if (start >= to) break;
      const slice = this.#slices[at];
      if (slice !== undefined) found.push(slice.subarray(Math.max(0, from - start), to - start));
    }
    return found;
  }

  /** The slice that holds a byte. */
  #sliceAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Writes one whole at a time; made to be used again. */
export class WholeWriter extends WireWriter {
  #slices: Uint8Array[] = [];

  /** What was written since the last call. */
  whole(): Whole {
    this.#cut();
    const slices = this.#slices;
    this.#slices = [];
    return new Whole(slices);
  }

  override bytes(value: Uint8Array): void {
    if (value.length >= sharedFromBytes) {
      this.varint(value.length);
      this.#share(value);
      return;
    }
    super.bytes(value);
    if (this.length >= collectedBytes) this.#cut();
  }

  override pieces(values: readonly Uint8Array[], length: number): void {
    this.varint(length);
    for (const value of values) this.#share(value);
  }

  #share(value: Uint8Array): void {
    this.#cut();
    if (value.length > 0) this.#slices.push(value);
  }

  #cut(): void {
    if (this.length > 0) this.#slices.push(this.take());
  }
}
