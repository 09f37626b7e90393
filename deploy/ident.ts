// ident.json: whose data this directory holds, and what its node promised to the cluster it is in.
// Read, checked and rewritten at every start. It sits under `data-directory.ts` and decides nothing
// about settings: it only says what is written, or that the bytes are damaged.

import { createHash, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

import type { MembershipRecord, Proposal } from "../actors/cluster/protocol.ts";
import { DamagedError } from "../storage/errors.ts";
import { SetupError } from "./failure.ts";

/**
 * Format of the data directory as a whole; a higher one is refused. Format 1 had neither `epoch` nor
 * a membership: it was written by nodes that were alone. It is read, and rewritten as 2 at a start.
 */
const formatVersion = 2;

/** The identity of a data directory. */
export interface Ident extends MembershipRecord {
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
  /** Process starts of this directory; 1 is the first. */
  readonly epoch: number;
}

const fileName = "ident.json";

/** CRC-32 over the fields in a fixed order: a flipped bit must not change M or a name unseen. */
function checksum(ident: Ident): string {
  const fields: unknown[] = [
    ident.format,
    ident.cluster,
    ident.nodeId,
    ident.incarnation,
    ident.numRegions,
    ident.hashTags,
    ident.initialized,
  ];
  if (ident.format > 1) fields.push(ident.epoch, order(ident.pledge), order(ident.formed));
  return crc32(JSON.stringify(fields)).toString(16).padStart(8, "0");
}

/** A proposal's fields in a fixed order. */
function order(proposal: Proposal | undefined): unknown {
  if (proposal === undefined) return null;
  const { clusterId, members, regionCount, hashTags, replicas } = proposal;
  const disks = members.map(({ nodeId, incarnation }) => [nodeId, incarnation]);
  return [clusterId, disks, regionCount, hashTags, replicas];
}

/** A new identity with a fresh incarnation, before its first start. */
export function newIdent(of: Pick<Ident, "cluster" | "nodeId" | "numRegions" | "hashTags">): Ident {
  const { cluster, nodeId, numRegions, hashTags } = of;
  return {
    format: formatVersion,
    cluster,
    nodeId,
    incarnation: randomBytes(16).toString("hex"),
    numRegions,
    hashTags,
    initialized: false,
    epoch: 0,
    pledge: undefined,
    formed: undefined,
  };
}

/** The cluster of a node that was started alone; its id follows from the incarnation. */
export function formedAlone(ident: Ident): Proposal {
  const { nodeId, incarnation, numRegions, hashTags } = ident;
  const digest = createHash("sha256").update(`cluster of ${incarnation}`).digest("hex");
  return {
    clusterId: digest.slice(0, 32),
    members: [{ nodeId, incarnation }],
    regionCount: numRegions,
    hashTags,
    replicas: 1,
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
  const known = { format, cluster, nodeId, incarnation, numRegions, hashTags, initialized };
  if (format === 1)
    return identOfAlone({ ...known, epoch: 0, pledge: undefined, formed: undefined });
  const { epoch } = fields;
  const [pledge, formed] = [proposalOf(fields["pledge"]), proposalOf(fields["formed"])];
  if (typeof epoch !== "number" || pledge === "damaged" || formed === "damaged") return undefined;
  return { ...known, epoch, pledge, formed };
}

/** Format 1: with data it is a cluster of its own. */
function identOfAlone(ident: Ident): Ident {
  return ident.initialized ? { ...ident, formed: formedAlone(ident) } : ident;
}

function proposalOf(value: unknown): Proposal | undefined | "damaged" {
  if (value === null) return undefined;
  if (typeof value !== "object") return "damaged";
  const { clusterId, members, regionCount, hashTags, replicas } = value as Partial<
    Record<keyof Proposal, unknown>
  >;
  if (typeof clusterId !== "string" || typeof regionCount !== "number") return "damaged";
  if (typeof hashTags !== "boolean" || typeof replicas !== "number") return "damaged";
  if (!Array.isArray(members) || !members.every((each) => isMember(each))) return "damaged";
  return { clusterId, members, regionCount, hashTags, replicas };
}

function isMember(value: unknown): boolean {
  const { nodeId, incarnation } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof nodeId === "string" && typeof incarnation === "string";
}

/**
 * Writes it, in the present format, so that a crash at any moment leaves the former ident.json (or
 * none) or a whole, durable one.
 */
export function writeIdent(folder: string, present: Ident): void {
  const ident: Ident = { ...present, format: formatVersion };
  const fields = { ...ident, pledge: ident.pledge ?? null, formed: ident.formed ?? null };
  const text = `${JSON.stringify({ ...fields, checksum: checksum(ident) }, null, 2)}\n`;
  const temporary = join(folder, `${fileName}.new`);
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, text);
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
