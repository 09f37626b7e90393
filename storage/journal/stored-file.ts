// An open file of the journal and where it lies in the address space of entries. Readers hold it,
// so that a roll-over can retire it while a read is still under way.

import type { Disk, DiskFile } from "../disk.ts";
import { DamagedError, DiskError, NoSpaceError } from "../errors.ts";
import {
  encodeFileHead,
  FILE_HEAD_BYTES,
  JOURNAL_FOLDER,
  journalPath,
  newIdentity,
  type FileIdentity,
} from "./file-header.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Zeroing is synced in slices, so that it never holds up a group write for long. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;
const PREPARING = `${JOURNAL_FOLDER}/preparing`;

export class JournalFile {
  readonly identity: FileIdentity;
  readonly path: string;
  readonly handle: DiskFile;
  /** Address of an entry = base + its offset in the file. */
  base = 0;
  /** Where the next group goes. */
  position = FILE_HEAD_BYTES;
  /** Bytes on disk. */
  size: number;
  #readers = 0;
  #retired = false;

  constructor(identity: FileIdentity, handle: DiskFile, size: number) {
    this.identity = identity;
    this.path = journalPath(identity.sequence);
    this.handle = handle;
    this.size = size;
  }

  /** First address behind the file's groups. */
  get endAddress(): number {
    return this.base + this.position;
  }

  async read(position: number, length: number): Promise<Buffer> {
    this.#readers++;
    try {
      return await this.handle.read(position, length);
    } finally {
      this.#readers--;
      if (this.#retired && this.#readers === 0) await this.handle.close();
    }
  }

  /** Closes the file as soon as nobody reads it. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.#readers === 0) await this.handle.close();
  }
}

/** True for the errors of a disk without room. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return error instanceof NoSpaceError || code === "ENOSPC" || code === "EDQUOT";
}

/** An error of the system as the rest of the house knows it; damage and bugs stay what they are. */
export function storageError(doing: string, error: unknown): unknown {
  if (error instanceof DamagedError || !(error instanceof Error)) return error;
  if (isNoSpace(error)) return new NoSpaceError(`${doing}: ${error.message}`, { cause: error });
  return new DiskError(`${doing}: ${error.message}`, { cause: error });
}

/**
 * Makes a zeroed file of `fileBytes` that appears under its name only when it is durable.
 * Rejects with the disk's error; what was begun is removed.
 */
export async function prepareFile(
  disk: Disk,
  sequence: number,
  fileBytes: number,
): Promise<JournalFile> {
  const identity = newIdentity(sequence, 0, 0);
  const size = Math.max(fileBytes, FILE_HEAD_BYTES);
  const handle = await disk.open(PREPARING, "create");
  try {
    await handle.write(encodeFileHead(identity), 0);
    const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, size));
    let unsynced = 0;
    for (let at = FILE_HEAD_BYTES; at < size;) {
      const length = Math.min(zeros.length, size - at);
      await handle.write(zeros.subarray(0, length), at);
      at += length;
      unsynced += length;
      if (unsynced >= SYNC_EVERY_BYTES) {
        await handle.sync();
        unsynced = 0;
      }
    }
    await handle.sync();
  } catch (error) {
    await handle.close();
    if (isNoSpace(error)) await disk.remove(PREPARING);
    throw error;
  }
  await handle.close();
  await disk.rename(PREPARING, journalPath(sequence));
  await disk.syncFolder(JOURNAL_FOLDER);
  return new JournalFile(identity, await disk.open(journalPath(sequence), "write"), size);
}

/** Removes what a crash left of a file in preparation. */
export async function removeUnprepared(disk: Disk, names: readonly string[]): Promise<void> {
  if (names.includes("preparing")) await disk.remove(PREPARING);
}

/** Removes files that nothing needs; when they come back after a crash, they are removed again. */
export async function removeFiles(disk: Disk, paths: readonly string[]): Promise<void> {
  for (const path of paths) await disk.remove(path);
  if (paths.length > 0) await disk.syncFolder(JOURNAL_FOLDER);
}
