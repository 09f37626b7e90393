// Reads a file from front to back through a window of a mebibyte, so that recovery never holds a
// whole journal file in memory. Interprets nothing.

import type { JournalFile } from "./stored-file.ts";

export const WINDOW_BYTES = 1024 * 1024;

export class FileWindow {
  readonly #file: JournalFile;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: JournalFile) {
    this.#file = file;
  }

  /** The bytes when the window covers them already; undefined otherwise. */
  peek(position: number, length: number): Buffer | undefined {
    const from = position - this.#start;
    if (from < 0 || from + length > this.#bytes.length) return undefined;
    return this.#bytes.subarray(from, from + length);
  }

  /** Moves the window; shorter than `length` only at the end of the file. */
  async read(position: number, length: number): Promise<Buffer> {
    const wanted = Math.max(length, WINDOW_BYTES);
    const left = Math.max(this.#file.size - position, 0);
    this.#bytes = await this.#file.handle.read(position, Math.min(wanted, left));
    this.#start = position;
    return this.#bytes.subarray(0, length);
  }
}
