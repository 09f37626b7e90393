// Streams a leader's applied state to a replica that needs what the log no longer holds: takes a cut,
// verifies every record, sends chunks as the receiver gives credit. It stands between the region,
// whose core asked for it, and the link; a stream that breaks is not resumed, the core asks again.

import { DamagedError, DiskError } from "../../storage/errors.ts";
import type { BulkWriter } from "../../transport/transport.ts";
import type { AppliedState } from "./apply.ts";
import type { RegionPorts } from "./region-ports.ts";
import { takeCut, type SnapshotCut } from "./snapshot-cut.ts";
import { ChunkEncoder, encodeSnapshotHeader, type SnapshotHeader } from "./snapshot-format.ts";

/** What sending needs of its replica. */
export interface SnapshotSource {
  readonly applied: AppliedState;
  /** False once it has ended, too. */
  leads(term: number): boolean;
  nodeOf(replicaId: number): string | undefined;
  /** The stream has ended; `index` = what it covered, 0 when it failed. Called once a `send`. */
  snapshotSent(to: number, index: number): void;
}

export class SnapshotSender {
  readonly #ports: Pick<RegionPorts, "handles" | "link" | "random" | "onFatal">;
  readonly #source: SnapshotSource;

  constructor(
    ports: Pick<RegionPorts, "handles" | "link" | "random" | "onFatal">,
    source: SnapshotSource,
  ) {
    this.#ports = ports;
    this.#source = source;
  }

  /** Streams to a replica as the leader of `term`; tells the source how it ended, never in this step. */
  async send(to: number, term: number): Promise<void> {
    const { snapshots } = this.#ports.handles;
    const leave = snapshots.beginSending();
    let index = 0;
    try {
      if (leave !== undefined) index = await this.#stream(to, term);
    } catch (error) {
      // A broken stream is nothing special; a disk that cannot be read, or damage on it, is the end.
      if (error instanceof DamagedError || error instanceof DiskError) this.#ports.onFatal(error);
    } finally {
      if (leave !== undefined) snapshots.endSending(leave);
    }
    await Promise.resolve();
    this.#source.snapshotSent(to, index);
  }

  /** Resolves with the index that has been installed there; rejects when the stream failed. */
  async #stream(to: number, term: number): Promise<number> {
    const { handles, link } = this.#ports;
    const nodeId = this.#source.nodeOf(to);
    if (link === undefined || nodeId === undefined) return 0;
    const { engine, writer } = handles.opened();
    const cut = await takeCut(engine, writer, this.#source.applied.meta);
    if (cut === undefined) return 0;
    try {
      const header = this.#headerOf(cut, to, term);
      this.#refuseIfDeposed(term);
      const stream = link.openStream(nodeId, encodeSnapshotHeader(header));
      await this.#sendRecords(cut, header, stream);
      return header.index;
    } finally {
      await cut.end();
    }
  }

  #headerOf(cut: SnapshotCut, to: number, term: number): SnapshotHeader {
    const { meta, applied, counters, unclearedSlots } = cut;
    return {
      regionId: meta.regionId,
      from: meta.replicaId,
      to,
      term,
      snapshotId: Math.floor(this.#ports.random() * 2 ** 48),
      index: applied.index,
      indexTerm: applied.term,
      membership: meta.membership,
      membershipIndex: meta.membershipIndex,
      peers: meta.peers,
      epoch: meta.epoch,
      counters,
      extents: meta.extents.map(({ fromPosition, toPosition }) => ({ fromPosition, toPosition })),
      unclearedSlots,
    };
  }

  async #sendRecords(cut: SnapshotCut, header: SnapshotHeader, stream: BulkWriter): Promise<void> {
    const chunks = new ChunkEncoder(header.snapshotId);
    try {
      for await (const slice of cut.records()) {
        this.#refuseIfDeposed(header.term);
        for (const record of slice) {
          const full = chunks.add(record);
          if (full !== undefined) await stream.write(full);
        }
      }
      const last = chunks.flush();
      if (last !== undefined) await stream.write(last);
      await stream.write(chunks.end());
    } catch (error) {
      stream.abort(error instanceof Error ? error.message : String(error));
      throw error;
    }
    await stream.end();
  }

  #refuseIfDeposed(term: number): void {
    if (!this.#source.leads(term)) throw new Error("not the leader of that term any more");
  }
}
