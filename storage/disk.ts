// The port to files, under the journal only. `disk-node.ts` is the real one; the simulated disk of
// the tests loses, tears and reorders whatever was not synced, and fails on demand.

/** An open file. Positions and lengths in bytes. Failures reject with the system's error (EIO …). */
export interface DiskFile {
  /** Writes all bytes at the position through O_DSYNC: durable when it resolves. */
  writeSync(bytes: Buffer, position: number): Promise<void>;
  /** Writes without durability; `sync` makes it durable. */
  write(bytes: Buffer, position: number): Promise<void>;
  read(position: number, length: number): Promise<Buffer>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** A tree of files; paths are relative to the root given to the adapter, with "/" between parts. */
export interface Disk {
  open(path: string, mode: "read" | "create" | "write"): Promise<DiskFile>;
  /** Names in a folder, sorted; empty when the folder is absent. */
  list(folder: string): Promise<string[]>;
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  /** Makes creations, renames and removals inside the folder durable. */
  syncFolder(path: string): Promise<void>;
}
