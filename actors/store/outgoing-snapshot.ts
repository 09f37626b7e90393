// One snapshot on its way to one replica: the cut it is read from, and the chunks that may not have
// arrived. When a stream breaks, another one goes on where the receiver stands; all that time the
// records are read through the same iterators, so that what arrives is of one instant (`safety.md` 8).

import type { BulkWriter } from "../../transport/transport.ts";
import type { SnapshotCut } from "./snapshot-cut.ts";
import { ChunkEncoder, type SnapshotHeader } from "./snapshot-format.ts";

/**
 * Bytes of chunks that are kept for the next stream. A receiver lacks at most what a stream may be
 * ahead of it (2 MiB) and what it is writing; one that lacks more has to begin again.
 */
const keptBytesMax = 4 * 1024 * 1024;
/** After so many streams it begins anew: perhaps it is the snapshot that they break of. */
const streamsMax = 32;

export class OutgoingSnapshot {
  readonly #cut: SnapshotCut;
  readonly #header: SnapshotHeader;
  readonly #chunks: AsyncGenerator<Buffer>;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** Number of the first chunk kept. */
  #first = 0;
  #streams = 0;
  /** The receiver has given room for a chunk. */
  #hasMoved = false;

  /** `header` for its first stream. The cut is this snapshot's from here on. */
  constructor(cut: SnapshotCut, header: SnapshotHeader) {
    this.#cut = cut;
    this.#header = header;
    this.#chunks = chunksOf(cut, header.snapshotId);
  }

  /** It has got somewhere, and another stream may go on from there. */
  get mayGoOn(): boolean {
    return this.#hasMoved && this.#streams < streamsMax;
  }

  /** For the stream that is opened next. */
  get header(): SnapshotHeader {
    return { ...this.#header, firstChunk: this.#first };
  }

  /**
   * Sends what is left; `check` throws when it must not go on. Resolves when all of it is installed
   * there. Rejects with StreamError when the stream broke, and may then be called again.
   */
  async send(stream: BulkWriter, check: () => void): Promise<void> {
    this.#streams++;
    try {
      for (const chunk of this.#kept) {
        check();
        await stream.write(chunk);
      }
      for (;;) {
        check();
        // By hand: leaving a loop over them would end them.
        const { value: chunk } = await this.#chunks.next();
        if (chunk === undefined) break;
        this.#keep(chunk);
        await stream.write(chunk);
        this.#hasMoved = true;
      }
    } catch (error) {
      stream.abort(error instanceof Error ? error.message : String(error));
      throw error;
    }
    await stream.end();
  }

  /** Lets the cut go. Not while it is being sent. */
  end(): Promise<void> {
    return this.#cut.end();
  }

  #keep(chunk: Buffer): void {
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    while (this.#keptBytes > keptBytesMax && this.#kept.length > 1) {
      this.#keptBytes -= this.#kept.shift()?.length ?? 0;
      this.#first++;
    }
  }
}

async function* chunksOf(cut: SnapshotCut, snapshotId: number): AsyncGenerator<Buffer, undefined> {
  const encoder = new ChunkEncoder(snapshotId);
  for await (const slice of cut.records()) {
    for (const record of slice) {
      const full = encoder.add(record);
      if (full !== undefined) yield full;
    }
  }
  const last = encoder.flush();
  if (last !== undefined) yield last;
  yield encoder.end();
}
