// Reads entries back: from the group that is being built or written, from journal files, from
// segments. Plans in one synchronous step, because a roll-over may move entries at any later one.

import type { Disk } from "../disk.ts";
import { DamagedError } from "../errors.ts";
import { FILE_HEAD_BYTES } from "./file-header.ts";
import { RECORD, RECORD_HEAD_BYTES, RecordCursor, viewOf } from "./record.ts";
import type { RegionLog } from "./region-log.ts";
import type { JournalFile } from "./stored-file.ts";
import type { EntryKind, LogEntry } from "./types.ts";

/** One disk read covers neighbours up to this many bytes: the journal interleaves regions. */
const WINDOW_BYTES = 512 * 1024;

/** Something that bytes can be read from. */
interface ByteSource {
  readonly path: string;
  read(position: number, length: number): Promise<Buffer>;
}

/** Where an address lies: in memory (`bytes`) or in a file. */
export type Place =
  | { readonly bytes: Buffer }
  | { readonly source: ByteSource; readonly position: number };

interface Window {
  readonly source: ByteSource;
  readonly position: number;
  length: number;
  readonly first: number;
  count: number;
  /** Offsets in the window, by entry. */
  readonly offsets: number[];
}

type Step = Window | { readonly record: Buffer; readonly first: number };

/** Where an address lies that is in memory no longer. */
export function placeInFile(
  disk: Disk,
  files: readonly JournalFile[],
  log: RegionLog,
  address: number,
): Place {
  if (address < 0) {
    const segment = log.segmentOf(address);
    if (segment === undefined) throw new Error(`no segment holds address ${address}`);
    return { source: segmentSource(disk, segment.path), position: address - segment.base };
  }
  const source = files.findLast((file) => address >= file.base + FILE_HEAD_BYTES);
  if (source === undefined) throw new Error(`no journal file holds address ${address}`);
  return { source, position: address - source.base };
}

/** A segment as a source: opened for one read, since there may be very many. */
function segmentSource(disk: Disk, path: string): ByteSource {
  return {
    path,
    async read(position, length) {
      const file = await disk.open(path, "read");
      try {
        return await file.read(position, length);
      } finally {
        await file.close();
      }
    },
  };
}

/** See `Journal.read`. `place` finds the bytes of an address and length. */
export async function readEntries(
  log: RegionLog,
  from: number,
  to: number,
  maxBytes: number,
  place: (log: RegionLog, address: number, length: number) => Place,
): Promise<LogEntry[]> {
  const steps = plan(log, from, to, maxBytes, place);
  const reads = await Promise.all(
    steps.map((step) =>
      "record" in step
        ? Promise.resolve(step.record)
        : step.source.read(step.position, step.length),
    ),
  );
  const entries: LogEntry[] = [];
  for (const [i, step] of steps.entries()) {
    const bytes = reads[i];
    if (bytes === undefined) break;
    if ("record" in step) {
      entries.push(decode(bytes, 0, log.regionId, step.first, "memory:0"));
      continue;
    }
    for (const [j, offset] of step.offsets.entries()) {
      const where = `${step.source.path}:${step.position + offset}`;
      entries.push(decode(bytes, offset, log.regionId, step.first + j, where));
    }
  }
  return entries;
}

function plan(
  log: RegionLog,
  from: number,
  to: number,
  maxBytes: number,
  place: (log: RegionLog, address: number, length: number) => Place,
): Step[] {
  if (from <= log.prevIndex) {
    throw new RangeError(`entry ${from} of region ${log.regionId} is compacted`);
  }
  const steps: Step[] = [];
  let window: Window | undefined;
  let total = 0;
  for (let index = from; index <= Math.min(to, log.lastIndex); index++) {
    const length = log.lengthAt(index);
    total += length - RECORD_HEAD_BYTES;
    if (total > maxBytes && index > from) break;
    const found = place(log, log.addressAt(index), length);
    if ("bytes" in found) {
      steps.push({ record: found.bytes, first: index });
      window = undefined;
      continue;
    }
    const { source, position } = found;
    const offset = position - (window?.position ?? 0);
    const fits = offset >= 0 && offset + length <= WINDOW_BYTES;
    if (window !== undefined && window.source.path === source.path && fits) {
      window.offsets.push(offset);
      window.length = offset + length;
      window.count++;
      continue;
    }
    window = { source, position, length, first: index, count: 1, offsets: [0] };
    steps.push(window);
  }
  return steps;
}

function decode(
  bytes: Buffer,
  at: number,
  regionId: number,
  index: number,
  where: string,
): LogEntry {
  const view = viewOf(bytes);
  const record = new RecordCursor();
  const whole = record.load(view, at, bytes.length) && record.intact(bytes, view);
  const wanted = record.regionId === regionId && record.a === index;
  if (!whole || !wanted || record.type !== RECORD.entry) {
    throw new DamagedError(`entry ${index} of region ${regionId} is not what was written`, where);
  }
  const payload = bytes.subarray(at + RECORD_HEAD_BYTES, at + record.length);
  return {
    index,
    term: record.b,
    kind: record.kind as EntryKind,
    // A view would keep a whole window alive for one small payload.
    payload: payload.length * 2 < bytes.length ? Buffer.from(payload) : payload,
  };
}
