// The ways storage can fail, as the rest of the house tells them apart. A `DiskError` ends the
// process (nobody retries an fsync: the kernel may already have dropped the pages); `DamagedError`
// means bytes that were durable are not what was written: refuse, say where, exit 2.

/** Reading, writing or syncing failed. Fatal to the process; never retried in place. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

/** No space left while a *new* journal file was being prepared: writes pause until there is room. */
export class NoSpaceError extends Error {
  override readonly name = "NoSpaceError";
}

/** Durable bytes fail their checksum or contradict each other; `where` names file and offset. */
export class DamagedError extends Error {
  override readonly name = "DamagedError";
  readonly where: string;
  constructor(message: string, where: string) {
    super(`${message} (${where})`);
    this.where = where;
  }
}
