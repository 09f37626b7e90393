// The first sector and the names of the journal's files and of segments. Durable before the file's
// name is, so a bad header is damage, never a torn write. Writes nothing by itself.

import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { getInteger, putInteger, viewOf } from "./record.ts";

export const FILE_HEAD_BYTES = 512;
export const JOURNAL_FOLDER = "raft/journal";
const MAGIC = "SPIREJNL";
const VERSION = 1;
const DIGITS = 16;

/** Who a file is. Journal files belong to no region (both 0). */
export interface FileIdentity {
  /** Journal files count from 1; a segment has the number of the file its entries come from. */
  readonly sequence: number;
  readonly regionId: number;
  readonly replicaId: number;
  /** Random; every group of the file repeats it. */
  readonly saltLow: number;
  readonly saltHigh: number;
}

export function newIdentity(sequence: number, regionId: number, replicaId: number): FileIdentity {
  const salt = randomBytes(8);
  return {
    sequence,
    regionId,
    replicaId,
    saltLow: salt.readUInt32LE(0),
    saltHigh: salt.readUInt32LE(4),
  };
}

export function encodeFileHead(identity: FileIdentity): Buffer {
  const bytes = Buffer.alloc(FILE_HEAD_BYTES);
  const view = viewOf(bytes);
  bytes.write(MAGIC, 0, "latin1");
  view.setUint32(12, VERSION, true);
  putInteger(view, 16, identity.sequence);
  putInteger(view, 24, identity.replicaId);
  view.setUint32(32, identity.regionId, true);
  view.setUint32(36, identity.saltLow, true);
  view.setUint32(40, identity.saltHigh, true);
  view.setUint32(8, crc32(bytes.subarray(12)), true);
  return bytes;
}

/** The identity in a first sector; undefined when it is not one of ours or was changed. */
export function decodeFileHead(bytes: Buffer): FileIdentity | undefined {
  if (bytes.length < FILE_HEAD_BYTES) return undefined;
  const view = viewOf(bytes);
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
  const sum = crc32(bytes.subarray(12, FILE_HEAD_BYTES));
  if (sum !== view.getUint32(8, true) || view.getUint32(12, true) !== VERSION) return undefined;
  return {
    sequence: getInteger(view, 16),
    replicaId: getInteger(view, 24),
    regionId: view.getUint32(32, true),
    saltLow: view.getUint32(36, true),
    saltHigh: view.getUint32(40, true),
  };
}

export function journalPath(sequence: number): string {
  return `${JOURNAL_FOLDER}/${String(sequence).padStart(DIGITS, "0")}.journal`;
}

/** Sequence of a journal file's name; undefined for any other name. */
export function journalSequence(name: string): number | undefined {
  return /^\d{16}\.journal$/.test(name) ? Number(name.slice(0, DIGITS)) : undefined;
}

export function regionFolder(regionId: number): string {
  return `raft/region_${regionId}`;
}

export function segmentPath(regionId: number, replicaId: number, sequence: number): string {
  const name = `${replicaId}-${String(sequence).padStart(DIGITS, "0")}.segment`;
  return `${regionFolder(regionId)}/wal/${name}`;
}

/** replicaId and sequence of a segment's name; undefined for any other name. */
export function segmentName(name: string): { replicaId: number; sequence: number } | undefined {
  const match = /^(\d+)-(\d{16})\.segment$/.exec(name);
  return match === null ? undefined : { replicaId: Number(match[1]), sequence: Number(match[2]) };
}
