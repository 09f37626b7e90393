// The twin of RocksDB for tests and simulation: the same port, answers in an order the caller
// controls, and the lies an unsynced RocksDB can tell after a power loss: any batch since the last
// synced one may be gone while a later one is there. It keeps everything in memory, for ever.

import type {
  Engine,
  EngineIterator,
  EngineOpener,
  IterateOptions,
  KeyRange,
  WriteOperation,
} from "./engine.ts";
import { SortedPairs, type StoredPair } from "./sorted-pairs.ts";

/** Keys that `clear` deletes in one batch; it is not atomic, like RocksDB's in the binding. */
const clearBatchKeys = 64;

export interface MemoryOptions {
  /** Runs each answer some time later, in any order; default `setImmediate`. */
  readonly schedule?: (task: () => void) => void;
}

/** An opener whose database can be struck by misfortune. */
export interface MemoryOpener extends EngineOpener {
  /**
   * Power loss: this opener and its engines never answer again. The new one holds everything up to
   * the last completed synced batch, and of the batches behind it those for which `random()` (in
   * [0, 1)) falls below a half, in any combination; unanswered ones, synced or not, are among them.
   */
  crash(random: () => number): MemoryOpener;
  /** From now on every write and clear rejects with this; whether a batch is there is open. */
  failWrites(error: Error): void;
}

export function createMemoryOpener(options: MemoryOptions = {}): MemoryOpener {
  return new Opener(new MemoryState(), options.schedule ?? ((task) => void setImmediate(task)));
}

type Batch = readonly WriteOperation[];
type Schedule = (task: () => void) => void;

/** What outlives an engine: the pairs, which of them are durable, and what is in between. */
class MemoryState {
  pairs = new SortedPairs();
  /** As of the last completed synced batch. */
  durable = new SortedPairs();
  /** Completed after that, in order. */
  unsynced: Batch[] = [];
  /** Handed in and not completed, or failed: nobody knows. */
  readonly uncertain = new Set<Batch>();
  failure: Error | undefined;
  isLost = false;

  complete(batch: Batch, sync: boolean): void {
    this.uncertain.delete(batch);
    applyBatch(this.pairs, batch);
    this.unsynced.push(batch);
    if (!sync) return;
    this.durable = this.pairs.snapshot();
    this.unsynced = [];
  }
}

function applyBatch(pairs: SortedPairs, batch: Batch): void {
  for (const operation of batch) {
    if (operation.type === "put") pairs.set(operation.key, operation.value);
    else pairs.delete(operation.key);
  }
}

class Opener implements MemoryOpener {
  readonly #state: MemoryState;
  readonly #schedule: Schedule;
  #former: MemoryEngine | undefined;

  constructor(state: MemoryState, schedule: Schedule) {
    this.#state = state;
    this.#schedule = schedule;
  }

  async open(): Promise<Engine> {
    await this.#former?.close();
    const engine = new MemoryEngine(this.#state, this.#schedule);
    this.#former = engine;
    return engine;
  }

  crash(random: () => number): MemoryOpener {
    this.#state.isLost = true;
    const survivor = new MemoryState();
    survivor.pairs = this.#state.durable.snapshot();
    for (const batch of [...this.#state.unsynced, ...this.#state.uncertain]) {
      if (random() < 0.5) applyBatch(survivor.pairs, batch);
    }
    survivor.durable = survivor.pairs.snapshot();
    return new Opener(survivor, this.#schedule);
  }

  failWrites(error: Error): void {
    this.#state.failure = error;
  }
}

class MemoryEngine implements Engine {
  readonly #state: MemoryState;
  readonly #schedule: Schedule;
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #cursors = new Set<MemoryCursor>();
  #closing: Promise<void> | undefined;

  constructor(state: MemoryState, schedule: Schedule) {
    this.#state = state;
    this.#schedule = schedule;
  }

  getMany(keys: readonly Buffer[]): Promise<Array<Buffer | undefined>> {
    const values = keys.map((key) => copyOf(this.#state.pairs.get(key)));
    return this.#answer(() => values);
  }

  write(operations: readonly WriteOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (operations.length === 0 && options.sync) {
      return Promise.reject(new RangeError("a synced write needs at least one operation"));
    }
    // Copied now: after the answer the caller's buffers are the caller's again.
    const batch = operations.map((operation): WriteOperation => {
      const key = Buffer.from(operation.key);
      if (operation.type === "del") return { type: "del", key };
      return { type: "put", key, value: Buffer.from(operation.value) };
    });
    if (this.#closing === undefined) this.#state.uncertain.add(batch);
    return this.#answer(() => {
      if (this.#state.failure !== undefined) throw this.#state.failure;
      this.#state.complete(batch, options.sync);
    });
  }

  iterate(options: IterateOptions): EngineIterator {
    if (this.#closing !== undefined) throw closedError();
    const pairs = this.#state.pairs.snapshot();
    const cursor = new MemoryCursor(
      pairs.range(options.gte, options.lt, options.reverse === true),
      options,
      (task) => this.#answer(task),
      () => this.#cursors.delete(cursor),
    );
    this.#cursors.add(cursor);
    return cursor;
  }

  clear(range: KeyRange): Promise<void> {
    const keys = [...this.#state.pairs.range(range.gte, range.lt, false)].map(({ key }) => key);
    return this.#answer(() => {
      if (this.#state.failure !== undefined) throw this.#state.failure;
      for (let i = 0; i < keys.length; i += clearBatchKeys) {
        const batch = keys.slice(i, i + clearBatchKeys);
        this.#state.complete(
          batch.map((key) => ({ type: "del", key })),
          false,
        );
      }
    });
  }

  approximateSize(range: KeyRange): Promise<number> {
    let bytes = 0;
    for (const { key, value } of this.#state.pairs.range(range.gte, range.lt, false)) {
      bytes += key.length + value.length;
    }
    return this.#answer(() => bytes);
  }

  property(): string {
    return "";
  }

  close(): Promise<void> {
    this.#closing ??= this.#close([...this.#inFlight]);
    return this.#closing;
  }

  async #close(inFlight: ReadonlyArray<Promise<unknown>>): Promise<void> {
    for (const cursor of this.#cursors) cursor.stop();
    this.#cursors.clear();
    await Promise.allSettled(inFlight);
  }

  /** The result of `task`, which runs when the schedule says so; never after a power loss. */
  #answer<T>(task: () => T): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    const answer = new Promise<T>((resolve, reject) => {
      this.#schedule(() => {
        if (this.#state.isLost) return;
        try {
          resolve(task());
        } catch (error) {
          reject(error);
        }
      });
    });
    this.#inFlight.add(answer);
    const forget = (): void => void this.#inFlight.delete(answer);
    answer.then(forget, forget);
    return answer;
  }
}

class MemoryCursor implements EngineIterator {
  readonly #pairs: Generator<StoredPair>;
  readonly #answer: <T>(task: () => T) => Promise<T>;
  readonly #onEnd: () => void;
  readonly #keysOnly: boolean;
  #left: number;
  #hasEnded = false;

  constructor(
    pairs: Generator<StoredPair>,
    options: IterateOptions,
    answer: <T>(task: () => T) => Promise<T>,
    onEnd: () => void,
  ) {
    this.#pairs = pairs;
    this.#answer = answer;
    this.#onEnd = onEnd;
    this.#keysOnly = options.keysOnly === true;
    this.#left = options.limit ?? Infinity;
  }

  next(count: number): Promise<Array<{ key: Buffer; value: Buffer }>> {
    if (this.#hasEnded) return Promise.reject(new Error("the iterator has ended"));
    return this.#answer(() => {
      if (this.#hasEnded) throw new Error("the iterator has ended");
      const slice: Array<{ key: Buffer; value: Buffer }> = [];
      while (slice.length < count && this.#left > 0) {
        const { value: pair, done } = this.#pairs.next();
        if (done === true) break;
        this.#left--;
        const value = this.#keysOnly ? Buffer.alloc(0) : Buffer.from(pair.value);
        slice.push({ key: Buffer.from(pair.key), value });
      }
      return slice;
    });
  }

  /** The engine has closed and ended it. */
  stop(): void {
    this.#hasEnded = true;
  }

  end(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    this.#hasEnded = true;
    this.#onEnd();
    return this.#answer(() => undefined);
  }
}

function copyOf(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value);
}

function closedError(): Error {
  return new Error("the engine has been closed");
}
