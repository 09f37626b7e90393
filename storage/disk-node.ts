// The real disk: node:fs under a root folder. Sits between the journal and the operating system;
// uses callbacks and one O_DSYNC descriptor per file on the write path, retries nothing.

import * as fs from "node:fs";
import { join } from "node:path";
import type { Disk, DiskFile } from "./disk.ts";

type Mode = "read" | "create" | "write";

const FLAGS: Record<Mode, number> = {
  read: fs.constants.O_RDONLY,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
  write: fs.constants.O_RDWR,
};

class NodeDiskFile implements DiskFile {
  readonly #path: string;
  readonly #fd: number;
  /** Opened by the first `writeSync`; the file must still have the name it was opened by. */
  #syncFd: number | undefined;

  constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  writeSync(bytes: Buffer, position: number): Promise<void> {
    this.#syncFd ??= fs.openSync(this.#path, fs.constants.O_RDWR | fs.constants.O_DSYNC);
    return writeAll(this.#syncFd, bytes, position);
  }

  write(bytes: Buffer, position: number): Promise<void> {
    return writeAll(this.#fd, bytes, position);
  }

  async read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const count = await readSome(this.#fd, bytes, done, position + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }

  sync(): Promise<void> {
    return settle((done) => fs.fsync(this.#fd, done));
  }

  truncate(length: number): Promise<void> {
    return settle((done) => fs.ftruncate(this.#fd, length, done));
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error === null) resolve(stats.size);
        else reject(error);
      });
    });
  }

  async close(): Promise<void> {
    const syncFd = this.#syncFd;
    this.#syncFd = undefined;
    if (syncFd !== undefined) await settle((done) => fs.close(syncFd, done));
    await settle((done) => fs.close(this.#fd, done));
  }
}

/** A disk whose paths lie under `root`; the folder must exist. Rejects with the system's errors. */
export function openNodeDisk(root: string): Disk {
  const at = (path: string): string => join(root, path);
  return {
    open: (path, mode) =>
      new Promise((resolve, reject) => {
        fs.open(at(path), FLAGS[mode], 0o640, (error, fd) => {
          if (error === null) resolve(new NodeDiskFile(at(path), fd));
          else reject(error);
        });
      }),
    async list(folder) {
      try {
        return (await fs.promises.readdir(at(folder))).toSorted();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
        throw error;
      }
    },
    async makeFolder(path) {
      await fs.promises.mkdir(at(path), { recursive: true });
    },
    rename: (from, to) => fs.promises.rename(at(from), at(to)),
    remove: (path) => fs.promises.rm(at(path)),
    removeFolder: (path) => fs.promises.rm(at(path), { recursive: true }),
    async syncFolder(path) {
      const folder = await fs.promises.open(at(path), "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    },
  };
}

function settle(
  start: (done: (error: NodeJS.ErrnoException | null | undefined) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

/** Writes everything; the system may take less than it was given. */
function writeAll(fd: number, bytes: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const writeFrom = (from: number): void => {
      fs.write(fd, bytes, from, bytes.length - from, position + from, (error, count) => {
        if (error !== null) reject(error);
        else if (from + count >= bytes.length) resolve();
        else writeFrom(from + count);
      });
    };
    writeFrom(0);
  });
}

function readSome(fd: number, bytes: Buffer, from: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, bytes, from, bytes.length - from, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
