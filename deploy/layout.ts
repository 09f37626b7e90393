// `spiredb debug layout`: says in words and numbers where the log of each region lies and why. It
// reads folders and sizes only, so it may run beside a live node; it opens neither RocksDB nor the
// journal and changes nothing.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { layoutOf } from "./data-directory.ts";
import { SetupError } from "./failure.ts";
import { readIdent } from "./ident.ts";

interface FileSize {
  readonly name: string;
  readonly bytes: number;
}

function filesIn(folder: string): FileSize[] {
  try {
    return readdirSync(folder)
      .map((name) => ({ name, stat: statSync(join(folder, name)) }))
      .filter(({ stat }) => stat.isFile())
      .map(({ name, stat }) => ({ name, bytes: stat.size }))
      .toSorted((one, other) => one.name.localeCompare(other.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

const total = (files: readonly FileSize[]): number =>
  files.reduce((bytes, file) => bytes + file.bytes, 0);

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2
    ? `${Math.ceil(bytes / 1024)} KiB`
    : `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}

/**
 * The span the journal noted for people in the region's `position` file, as of the last roll-over
 * or stop. It may be older than the log, or absent: nothing relies on it.
 */
function spanOf(raft: string, regionId: number): string {
  try {
    const text = readFileSync(join(raft, `region_${regionId}`, "position"), "utf8");
    const span = JSON.parse(text) as Partial<Record<"firstIndex" | "lastIndex", number>>;
    const { firstIndex = 0, lastIndex = -1 } = span;
    if (lastIndex < firstIndex)
      return ` (last noted: all before index ${firstIndex} is in RocksDB)`;
    return ` (last noted: entries ${firstIndex} to ${lastIndex})`;
  } catch {
    return "";
  }
}

/** The text of the report. Throws `SetupError` when the folder holds no SpireDB data. */
export async function describeLayout(dataDir: string): Promise<string> {
  const layout = layoutOf(dataDir);
  const ident = readIdent(layout.root);
  if (ident === undefined) throw new SetupError(`${layout.root} holds no SpireDB data`);
  const journal = filesIn(layout.journal);
  const engine = filesIn(layout.engine);
  const lines = [
    `data directory  ${layout.root}`,
    `node ${ident.nodeId}, cluster ${ident.cluster}, incarnation ${ident.incarnation}`,
    `regions at bootstrap ${ident.numRegions}, hash tags ${ident.hashTags ? "on" : "off"}, ` +
      `format ${ident.format}`,
    "",
    `RocksDB         ${layout.engine}: ${engine.length} files, ${size(total(engine))}`,
    `shared journal  ${layout.journal}: ${journal.length} files, ${size(total(journal))}`,
    "  One journal serves every region: one synced write per turn makes the entries of all of",
    "  them durable together. Files are preallocated, so their size is not the size of the log.",
    ...journal.map((file) => `  ${file.name}  ${size(file.bytes)}`),
    "",
    "region  where its log lies",
  ];
  for (let regionId = 0; regionId <= ident.numRegions; regionId++) {
    const wal = filesIn(join(layout.raft, `region_${regionId}`, "wal"));
    const snapshot = filesIn(join(layout.raft, `region_${regionId}`, "snapshot"));
    const rolled =
      wal.length === 0
        ? `shared journal: nothing of it was rolled out${spanOf(layout.raft, regionId)}`
        : `raft/region_${regionId}/wal: ${wal.length} files, ${size(total(wal))}, ` +
          "rolled out of a full journal file; newer entries in the shared journal" +
          spanOf(layout.raft, regionId);
    const installing = snapshot.length === 0 ? "" : "; a snapshot install is in progress";
    const metadata = regionId === 0 ? " (placement metadata)" : "";
    lines.push(`${String(regionId).padStart(6)}  ${rolled}${installing}${metadata}`);
  }
  return `${lines.join("\n")}\n`;
}
