// The snapshots that come into and leave a store, counted for all of its regions: how many are sent
// at once, and which data ids are being filled, whose pending clears are therefore not due yet. What
// is sent and written is the business of `snapshot-sender.ts` and `snapshot-installer.ts`.

/** Streams out of one store at the same time; who comes later tries again. */
const sendingMax = 2;

export class SnapshotTraffic {
  readonly #sending = new Set<symbol>();
  readonly #arriving = new Set<number>();

  /** Leave to send one snapshot, to be given back; undefined while enough are under way. */
  beginSending(): symbol | undefined {
    if (this.#sending.size >= sendingMax) return undefined;
    const leave = Symbol("sending");
    this.#sending.add(leave);
    return leave;
  }

  endSending(leave: symbol): void {
    this.#sending.delete(leave);
  }

  /**
   * A snapshot is being written under these data ids. To be called before their pending clears are
   * handed to the engine.
   */
  beginArriving(dataIds: readonly number[]): void {
    for (const dataId of dataIds) this.#arriving.add(dataId);
  }

  /** It has landed or was given up, and nothing of it is on its way to the engine any more. */
  endArriving(dataIds: readonly number[]): void {
    for (const dataId of dataIds) this.#arriving.delete(dataId);
  }

  /**
   * The data ids whose clears are not due, as of this moment: asked in the same step in which the
   * clears are looked up, because a moment later such an id may have become a region's.
   */
  arriving(): ReadonlySet<number> {
    return new Set(this.#arriving);
  }

  /** Another engine: what was under way with the one before has ended without a word. */
  reset(): void {
    this.#sending.clear();
    this.#arriving.clear();
  }
}
