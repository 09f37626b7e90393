// What this house uses of the npm package `rocksdb` 5.2.1, typed here because the published types
// lack `getMany`. Sits between `rocks.ts` and the binding; it describes and adds nothing.

declare module "rocksdb" {
  type Done = (error?: Error | null) => void;

  interface OpenOptions {
    createIfMissing?: boolean;
    compression?: boolean;
    /** Bytes of the block cache; 0 turns it off. */
    cacheSize?: number;
    /** Bytes of a memtable. */
    writeBufferSize?: number;
    maxOpenFiles?: number;
    infoLogLevel?: "debug" | "info" | "warn" | "error" | "fatal" | "header";
  }

  interface IteratorOptions {
    gte?: Buffer;
    lt?: Buffer;
    reverse?: boolean;
    limit?: number;
    values?: boolean;
    fillCache?: boolean;
    /** Bytes that one read on the thread pool brings at most (and then some: the last pair). */
    highWaterMark?: number;
  }

  interface RocksIterator {
    /** Calls back with nothing but `null` or `undefined` at the end of the range. */
    next(callback: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void;
    end(callback: Done): void;
    /** Read ahead and not yet handed out: value, key, value, key … from the last pair to the next. */
    cache: Buffer[] | null | undefined;
  }

  interface ChainedBatch {
    put(key: Buffer, value: Buffer): this;
    del(key: Buffer): this;
    write(options: { sync: boolean }, callback: Done): void;
  }

  interface RocksDatabase {
    open(options: OpenOptions, callback: Done): void;
    close(callback: Done): void;
    getMany(
      keys: readonly Buffer[],
      options: { fillCache?: boolean },
      callback: (error: Error | null | undefined, values?: Array<Buffer | undefined>) => void,
    ): void;
    batch(): ChainedBatch;
    iterator(options: IteratorOptions): RocksIterator;
    clear(options: { gte: Buffer; lt: Buffer }, callback: Done): void;
    approximateSize(
      start: Buffer,
      end: Buffer,
      callback: (error: Error | null | undefined, bytes?: number) => void,
    ): void;
    getProperty(name: string): string;
  }

  export default function rocksdb(location: string): RocksDatabase;
}
