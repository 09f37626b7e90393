// The port to the ordered key-value store under every region: what the store actors may ask of a
// disk engine. `rocks.ts` (RocksDB) and `memory.ts` (for tests and simulation, with the same lies
// an unsynced RocksDB can tell) stand behind it. It knows bytes only: what keys mean is `keys.ts`.

/** One operation of a write batch. Keys and values are owned by the engine until the write ends. */
export type WriteOperation =
  | { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: "del"; readonly key: Buffer };

/** A half-open range of physical keys, `gte <= key < lt`. */
export interface KeyRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

export interface IterateOptions extends KeyRange {
  readonly reverse?: boolean;
  /** At most this many pairs; absent = no limit. */
  readonly limit?: number;
  /** Keys only: `value` is then an empty buffer. */
  readonly keysOnly?: boolean;
}

/**
 * A cursor over the snapshot taken synchronously when `Engine.iterate` was called: it sees exactly
 * the writes whose completion had been reported before (and perhaps the one in flight).
 */
export interface EngineIterator {
  /** The next pairs in order, at most `count` of them; an empty array once the range is done. */
  next(count: number): Promise<Array<{ key: Buffer; value: Buffer }>>;
  /** Frees the snapshot. Must be called exactly once, also after an error. */
  end(): Promise<void>;
}

export interface Engine {
  /** The values of these keys at one instant, `undefined` where absent. */
  getMany(keys: readonly Buffer[]): Promise<Array<Buffer | undefined>>;
  /**
   * Applies the batch atomically. `sync: true` also makes it and *every earlier* write durable
   * before it resolves (a synced marker, `safety.md` 2 of the design). Callers keep one write in flight.
   */
  write(batch: readonly WriteOperation[], options: { readonly sync: boolean }): Promise<void>;
  iterate(options: IterateOptions): EngineIterator;
  /** Deletes a range; not atomic and not synced: a caller records the intent first. */
  clear(range: KeyRange): Promise<void>;
  /** Rough bytes on disk in the range. */
  approximateSize(range: KeyRange): Promise<number>;
  /** A property of the engine such as "rocksdb.stats"; empty text when unknown. */
  property(name: string): string;
  close(): Promise<void>;
}

/**
 * Opens the one engine of a data directory. A supervisor restarts the engine actor by calling
 * `open` again: it first closes whatever the former incarnation left open.
 * Rejects with `DiskError` when the directory cannot be used and `DamagedError` when its content is broken.
 */
export interface EngineOpener {
  open(): Promise<Engine>;
}
