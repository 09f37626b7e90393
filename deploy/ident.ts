// ident.json: whose data this directory holds. Written at the first start, before any data, and once
// more when there is some; read and checked at every later start. It sits under `data-directory.ts`
// and decides nothing about settings: it only says what is written, or that the bytes are damaged.

import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

import { DamagedError } from "../storage/errors.ts";
import { SetupError } from "./failure.ts";

/** Format of the data directory as a whole; a higher one is refused. */
const formatVersion = 1;

/** The identity of a data directory. */
export interface Ident {
  readonly format: number;
  readonly cluster: string;
  readonly nodeId: string;
  /** 128 random bits in hex, drawn at the first start: tells a wiped disk from the old one. */
  readonly incarnation: string;
  /** Regions of the bootstrap (M), 1..65536. */
  readonly numRegions: number;
  readonly hashTags: boolean;
  /** Log and engine have been opened once: from then on an absent one is a loss, not a beginning. */
  readonly initialized: boolean;
}

const fileName = "ident.json";

/** CRC-32 over the fields in a fixed order: a flipped bit must not change M or a name unseen. */
function checksum(ident: Ident): string {
  const fields = [
    ident.format,
    ident.cluster,
    ident.nodeId,
    ident.incarnation,
    ident.numRegions,
    ident.hashTags,
    ident.initialized,
  ];
  return crc32(JSON.stringify(fields)).toString(16).padStart(8, "0");
}

/** A new identity with a fresh incarnation. */
export function newIdent(of: Pick<Ident, "cluster" | "nodeId" | "numRegions" | "hashTags">): Ident {
  const { cluster, nodeId, numRegions, hashTags } = of;
  const incarnation = randomBytes(16).toString("hex");
  return {
    format: formatVersion,
    cluster,
    nodeId,
    incarnation,
    numRegions,
    hashTags,
    initialized: false,
  };
}

/**
 * The identity kept in the folder, or undefined when there is no such file.
 * Throws `DamagedError` for bytes that are not what was written, `SetupError` for a newer format.
 */
export function readIdent(folder: string): Ident | undefined {
  const path = join(folder, fileName);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new DamagedError("the identity is not readable JSON", path);
  }
  // Only this field keeps its place in every format, so it is looked at before all others.
  if (typeof fields?.["format"] === "number" && fields["format"] > formatVersion) {
    throw new SetupError(
      `${folder} has data format ${fields["format"]}, written by a newer SpireDB; ` +
        `this one reads up to ${formatVersion}`,
    );
  }
  const ident = identOf(fields);
  if (ident === undefined || fields["checksum"] !== checksum(ident)) {
    throw new DamagedError("the identity fails its checksum", path);
  }
  return ident;
}

function identOf(fields: Record<string, unknown> | null): Ident | undefined {
  if (fields === null || typeof fields !== "object") return undefined;
  const { format, cluster, nodeId, incarnation, numRegions, hashTags, initialized } =
    fields as Partial<Record<keyof Ident, unknown>>;
  if (typeof format !== "number" || typeof numRegions !== "number") return undefined;
  if (typeof cluster !== "string" || typeof nodeId !== "string") return undefined;
  if (typeof incarnation !== "string" || typeof hashTags !== "boolean") return undefined;
  if (typeof initialized !== "boolean") return undefined;
  return { format, cluster, nodeId, incarnation, numRegions, hashTags, initialized };
}

/** Writes it so that a crash at any moment leaves either no ident.json or a whole, durable one. */
export function writeIdent(folder: string, ident: Ident): void {
  const temporary = join(folder, `${fileName}.new`);
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, `${JSON.stringify({ ...ident, checksum: checksum(ident) }, null, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, join(folder, fileName));
  syncFolder(folder);
}

/** Makes creations and renames inside the folder durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
