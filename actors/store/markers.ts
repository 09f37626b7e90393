// The synced markers of a store and the cutting of its log below them (design decision 9). It stands
// between the engine's writer, which says what is durable there, and the journal; what followers
// still need stays, up to a bound.

import type { Clock, TimerId } from "../system/clock.ts";
import type { StoreHandles } from "./handles.ts";
import type { Region } from "./region.ts";

const lookMs = 200;
/** … and when nothing has been written since the last marker. */
const idleLookMs = 1000;
/** A synced marker is taken when this much log has gathered, or this long after the last write. */
const markerBytes = 16 * 1024 * 1024;
const markerAfterMs = 60_000;
/** Log kept for followers that are behind; beyond it they get a snapshot. */
const keptLogBytes = 256 * 1024 * 1024;

export interface MarkerPorts {
  readonly handles: StoreHandles;
  readonly clock: Clock;
  readonly replica: (regionId: number) => Region | undefined;
  readonly failed: (error: unknown) => void;
}

export class Markers {
  readonly #ports: MarkerPorts;
  #timer: TimerId;
  #stopped = false;
  #markedBatches = 0;
  #markedAtMs = 0;
  #marking = false;
  /** Wall clock of the last one, Unix seconds; 0 before the first. */
  lastSeconds = 0;

  constructor(ports: MarkerPorts) {
    this.#ports = ports;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = this.#ports.clock.setTimeout(
      () => {
        try {
          this.#consider();
          this.start();
        } catch (error) {
          this.#ports.failed(error);
        }
      },
      this.#isDirty() ? lookMs : idleLookMs,
    );
  }

  #isDirty(): boolean {
    return this.#ports.handles.engine?.writer.statistics.batches !== this.#markedBatches;
  }

  stop(): void {
    this.#stopped = true;
    this.#ports.clock.clearTimeout(this.#timer);
  }

  #consider(): void {
    const { handles, clock } = this.#ports;
    const { writer, journal } = handles.opened();
    const isLong = clock.monotonicMs() - this.#markedAtMs >= markerAfterMs;
    if (this.#marking || !this.#isDirty()) return;
    if (journal.liveBytes() < markerBytes && !isLong) return;
    this.#marking = true;
    writer.marker((applied) => {
      this.#marking = false;
      this.#markedBatches = writer.statistics.batches;
      this.#markedAtMs = clock.monotonicMs();
      this.lastSeconds = Math.floor(clock.wallMs() / 1000);
      for (const [regionId, { index }] of applied) this.#cut(regionId, index);
    });
  }

  /** Entries below the marker go, but not yet what a follower still needs, up to a bound. */
  #cut(regionId: number, markerIndex: number): void {
    const region = this.#ports.replica(regionId);
    const { journal } = this.#ports.handles;
    const raft = region?.raft;
    if (region === undefined || raft === undefined || journal === undefined) return;
    const isLong = journal.liveBytes() > keptLogBytes;
    const index = isLong ? markerIndex : Math.min(markerIndex, region.inbox.replicationFloor);
    const term = raft.log.termAt(index);
    if (term === undefined || index <= raft.log.prevIndex) return;
    region.inbox.compacted(index);
    journal.compact(regionId, index, term);
  }
}
