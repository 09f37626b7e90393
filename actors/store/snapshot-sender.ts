// Streams a leader's applied state to a replica that needs what the log no longer holds: takes a cut,
// verifies every record, sends chunks as the receiver gives credit. It stands between the region,
// whose core asked for it, and the link. When a stream breaks, the snapshot is kept for a while: the
// core asks again, and the next stream goes on with it.

import { DamagedError, DiskError } from "../../storage/errors.ts";
import { StreamError } from "../../transport/bulk-writer.ts";
import type { TimerId } from "../system/clock.ts";
import type { AppliedState } from "./apply.ts";
import { OutgoingSnapshot } from "./outgoing-snapshot.ts";
import type { RegionPorts } from "./region-ports.ts";
import { takeCut, type SnapshotCut } from "./snapshot-cut.ts";
import {
  cannotGoOn,
  encodeSnapshotHeader,
  keptForMs,
  type SnapshotHeader,
} from "./snapshot-format.ts";

/** What sending needs of its replica. */
export interface SnapshotSource {
  readonly applied: AppliedState;
  /** False once it has ended, too. */
  leads(term: number): boolean;
  nodeOf(replicaId: number): string | undefined;
  /** The stream has ended; `index` = what it covered, 0 when it failed. Called once a `send`. */
  snapshotSent(to: number, index: number): void;
}

interface Kept {
  readonly snapshot: OutgoingSnapshot;
  readonly timer: TimerId;
}

type SenderPorts = Pick<RegionPorts, "handles" | "link" | "clock" | "random" | "onFatal">;

export class SnapshotSender {
  readonly #ports: SenderPorts;
  readonly #source: SnapshotSource;
  /** By receiving replica: what waits for another stream. */
  readonly #kept = new Map<number, Kept>();

  constructor(ports: SenderPorts, source: SnapshotSource) {
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

  /** The replica ends: nothing waits any more. */
  end(): void {
    for (const to of this.#kept.keys()) void this.#take(to)?.end();
  }

  /** Resolves with the index that has been installed there; rejects when the stream failed. */
  async #stream(to: number, term: number): Promise<number> {
    const { link } = this.#ports;
    const nodeId = this.#source.nodeOf(to);
    if (link === undefined || nodeId === undefined) return 0;
    const snapshot = (await this.#goOn(to, term)) ?? (await this.#begin(to, term));
    if (snapshot === undefined) return 0;
    let isKept = false;
    try {
      const check = (): void => this.#refuseIfDeposed(term);
      check();
      const { header } = snapshot;
      await snapshot.send(link.openStream(nodeId, encodeSnapshotHeader(header)), check);
      return header.index;
    } catch (error) {
      const isBroken = error instanceof StreamError && error.message !== cannotGoOn;
      isKept = isBroken && snapshot.mayGoOn && this.#source.leads(term);
      throw error;
    } finally {
      if (isKept) this.#keep(to, snapshot);
      else await snapshot.end();
    }
  }

  async #begin(to: number, term: number): Promise<OutgoingSnapshot | undefined> {
    const { engine, writer } = this.#ports.handles.opened();
    const cut = await takeCut(engine, writer, this.#source.applied.meta);
    if (cut === undefined) return undefined;
    return new OutgoingSnapshot(cut, this.#headerOf(cut, to, term));
  }

  /** What a broken stream of the same term has left. */
  async #goOn(to: number, term: number): Promise<OutgoingSnapshot | undefined> {
    const snapshot = this.#take(to);
    if (snapshot === undefined || snapshot.header.term === term) return snapshot;
    await snapshot.end();
    return undefined;
  }

  #keep(to: number, snapshot: OutgoingSnapshot): void {
    const timer = this.#ports.clock.setTimeout(() => void this.#take(to)?.end(), keptForMs);
    this.#kept.set(to, { snapshot, timer });
  }

  #take(to: number): OutgoingSnapshot | undefined {
    const kept = this.#kept.get(to);
    if (kept === undefined) return undefined;
    this.#kept.delete(to);
    this.#ports.clock.clearTimeout(kept.timer);
    return kept.snapshot;
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
      firstChunk: 0,
    };
  }

  #refuseIfDeposed(term: number): void {
    if (!this.#source.leads(term)) throw new Error("not the leader of that term any more");
  }
}
