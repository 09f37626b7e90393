// RocksDB behind the port `engine.ts`, through the npm binding. Sits between the store's engine
// actor and the native code: callbacks become one promise per call, and what the binding would
// answer with a crash of the process (use after close) becomes an error. It never retries.

import rocksdb from "rocksdb";
import type { RocksDatabase, RocksIterator } from "rocksdb";

import type {
  Engine,
  EngineIterator,
  EngineOpener,
  IterateOptions,
  KeyRange,
  WriteOperation,
} from "./engine.ts";
import { DamagedError, DiskError } from "./errors.ts";

const mebibyte = 1024 * 1024;
/** One read of an iterator brings about this much: a slice, so that nobody waits long for it. */
const readAheadBytes = 32 * 1024;

export interface RocksOptions {
  /** Bytes of the block cache; default 64 MiB. */
  readonly cacheSize?: number;
  /** Bytes of a memtable; default 32 MiB. */
  readonly writeBufferSize?: number;
}

type Pair = { key: Buffer; value: Buffer };

/** The opener of the one database in folder `path`, which is made when absent (not its parents). */
export function createRocksOpener(path: string, options: RocksOptions = {}): EngineOpener {
  let former: RocksEngine | undefined;
  return {
    async open(): Promise<Engine> {
      await former?.close();
      former = undefined;
      const database = rocksdb(path);
      await promised<void>((done) =>
        database.open(
          {
            createIfMissing: true,
            compression: true,
            cacheSize: options.cacheSize ?? 64 * mebibyte,
            writeBufferSize: options.writeBufferSize ?? 32 * mebibyte,
          },
          done,
        ),
      ).catch((error: unknown) => {
        throw asOpenError(error, path);
      });
      former = new RocksEngine(database, path);
      return former;
    },
  };
}

/** One promise for one callback. */
function promised<T>(start: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * RocksDB names its status first: "Corruption: …", "IO error: …". A table that is gone is damage
 * too, though RocksDB calls it an IO error.
 */
function asError(error: unknown, path: string): Error {
  const text = textOf(error);
  if (text.includes("Corruption") || text.includes("No such file"))
    return new DamagedError(`RocksDB: ${text}`, path);
  return new DiskError(`RocksDB in ${path}: ${text}`, { cause: error });
}

/** As `asError`, and with what only an open can meet: the lock, a manifest that does not fit. */
function asOpenError(error: unknown, path: string): Error {
  const text = textOf(error);
  if (text.includes("does not match")) return new DamagedError(`RocksDB: ${text}`, path);
  if (/\block\b/i.test(text)) {
    const message = `RocksDB in ${path} is in use, by another process or by this one: ${text}`;
    return new DiskError(message, { cause: error });
  }
  return asError(error, path);
}

class RocksEngine implements Engine {
  readonly #database: RocksDatabase;
  readonly #path: string;
  readonly #iterators = new Set<RocksCursor>();
  #closing: Promise<void> | undefined;

  constructor(database: RocksDatabase, path: string) {
    this.#database = database;
    this.#path = path;
  }

  getMany(keys: readonly Buffer[]): Promise<Array<Buffer | undefined>> {
    if (keys.length === 0) return Promise.resolve([]);
    return this.#call((done) => this.#database.getMany(keys, {}, done));
  }

  write(batch: readonly WriteOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (batch.length === 0 && options.sync) {
      // The binding skips an empty batch, its sync included: it would be no marker.
      return Promise.reject(new RangeError("a synced write needs at least one operation"));
    }
    return this.#call((done) => {
      // Three times cheaper on the event loop than the array form, which copies each operation.
      const chained = this.#database.batch();
      for (const operation of batch) {
        if (operation.type === "put") chained.put(operation.key, operation.value);
        else chained.del(operation.key);
      }
      chained.write({ sync: options.sync }, done);
    });
  }

  iterate(options: IterateOptions): EngineIterator {
    if (this.#closing !== undefined) throw this.#closedError();
    const native = this.#database.iterator({
      gte: options.gte,
      lt: options.lt,
      reverse: options.reverse === true,
      limit: options.limit ?? -1,
      values: options.keysOnly !== true,
      fillCache: false,
      highWaterMark: readAheadBytes,
    });
    const cursor = new RocksCursor(native, this.#path, () => this.#iterators.delete(cursor));
    this.#iterators.add(cursor);
    return cursor;
  }

  clear(range: KeyRange): Promise<void> {
    return this.#call((done) => this.#database.clear({ gte: range.gte, lt: range.lt }, done));
  }

  approximateSize(range: KeyRange): Promise<number> {
    return this.#call((done) => this.#database.approximateSize(range.gte, range.lt, done));
  }

  property(name: string): string {
    return this.#closing === undefined ? this.#database.getProperty(name) : "";
  }

  /** Waits for the work in flight, ends what iterators are open, releases the folder's lock. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#iterators].map((cursor) => cursor.end()));
    await promised<void>((done) => this.#database.close(done)).catch((error: unknown) => {
      throw asError(error, this.#path);
    });
  }

  #call<T>(start: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> {
    // The binding would dereference the closed database and take the process with it.
    if (this.#closing !== undefined) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      start((error, value) => {
        if (error) reject(asError(error, this.#path));
        else resolve(value as T);
      });
    });
  }

  #closedError(): Error {
    return new Error(`the engine in ${this.#path} has been closed`);
  }
}

class RocksCursor implements EngineIterator {
  readonly #native: RocksIterator;
  readonly #path: string;
  readonly #onEnd: () => void;
  #isDone = false;
  #ending: Promise<void> | undefined;

  constructor(native: RocksIterator, path: string, onEnd: () => void) {
    this.#native = native;
    this.#path = path;
    this.#onEnd = onEnd;
  }

  next(count: number): Promise<Pair[]> {
    if (this.#ending !== undefined) return Promise.reject(new Error("the iterator has ended"));
    const pairs: Pair[] = [];
    this.#drain(pairs, count);
    if (pairs.length >= count || this.#isDone) return Promise.resolve(pairs);
    return new Promise((resolve, reject) => this.#read(pairs, count, resolve, reject));
  }

  /** Safe after the engine closed, which has then ended it; ending twice is ending once. */
  end(): Promise<void> {
    this.#ending ??= promised<void>((done) => this.#native.end(done)).finally(this.#onEnd);
    return this.#ending;
  }

  #read(
    pairs: Pair[],
    count: number,
    resolve: (pairs: Pair[]) => void,
    reject: (error: Error) => void,
  ): void {
    this.#native.next((error, key, value) => {
      if (error) {
        reject(asError(error, this.#path));
        return;
      }
      if (this.#ending !== undefined) {
        // A short answer could be taken for the end of the range.
        reject(new Error("the iterator has ended"));
        return;
      }
      if (key === undefined || value === undefined) {
        this.#isDone = true;
        resolve(pairs);
        return;
      }
      pairs.push({ key, value });
      this.#drain(pairs, count);
      if (pairs.length >= count) resolve(pairs);
      else this.#read(pairs, count, resolve, reject);
    });
  }

  /** Takes what the binding has read ahead at once; its own `next` spends a tick on each pair. */
  #drain(pairs: Pair[], count: number): void {
    const { cache } = this.#native;
    if (!cache) return;
    while (pairs.length < count) {
      const key = cache.pop();
      const value = cache.pop();
      if (key === undefined || value === undefined) return;
      pairs.push({ key, value });
    }
  }
}
