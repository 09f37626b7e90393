// The bytes of one message: version, sender, what it is, and a checksum at the end. It stands between
// the endpoint, which thinks in bodies and streams, and a wire, which carries bytes; what it cannot
// read comes back as a value that says why, never as an exception and never as a guess.
//
//   version u8 | sender length u8 | sender | cluster u48 | kind u8 | … | CRC-32 of all before, u32
//
// Version and sender stay where they are in every version to come, so that a stranger can be named.
// `cluster` tells clusters of one name apart. All numbers are little endian.

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

import { isName } from "./subjects.ts";

/** What this node speaks; there is no other yet. */
export const protocolVersion = 2;

/** What a message may hold besides one body, chunk or header, for the longest sender name. */
export const frameOverheadBytes = 96;

const tagBytes = 6;
const lengthBytes = 4;
const checksumBytes = 4;
const streamIdBytes = 6;
const sequenceBytes = 4;
const limitBytes = 6;
/** Stream ids are below this. */
export const streamIdCount = 2 ** (8 * streamIdBytes);
const reasonBytesMax = 1024;

/** What is said about one stream. Chunks are numbered from 0. */
export type BulkContent =
  | { readonly kind: "open"; readonly streamId: number; readonly header: Uint8Array }
  | {
      readonly kind: "chunk";
      readonly streamId: number;
      readonly sequence: number;
      readonly chunk: Uint8Array;
    }
  /** Still here; `sequence` is the number of chunks sent so far, also in `end`. */
  | { readonly kind: "mark"; readonly streamId: number; readonly sequence: number }
  | { readonly kind: "end"; readonly streamId: number; readonly sequence: number }
  | { readonly kind: "abortByWriter"; readonly streamId: number; readonly reason: string }
  /** The writer may send until its chunks have cost this much in all. */
  | { readonly kind: "credit"; readonly streamId: number; readonly limitBytes: number }
  | { readonly kind: "accept"; readonly streamId: number }
  | { readonly kind: "abortByReader"; readonly streamId: number; readonly reason: string };

/** A frame about a stream, and who sent it. Bytes are views of the message. */
export type BulkFrame = BulkContent & Origin;

/** Who sent a frame. */
export interface Origin {
  readonly sender: string;
  /** `clusterTag` of the cluster it belongs to; `noCluster` until it belongs to one. */
  readonly cluster: number;
}

export interface BodiesFrame extends Origin {
  readonly kind: "bodies";
  /** Views of the message. */
  readonly bodies: readonly Buffer[];
}

/** Bytes that are no message of ours. */
export interface Unreadable {
  readonly kind: "unreadable";
  readonly problem: "version" | "damaged";
  /** Undefined when not even a name can be made out. Of a damaged message it may be wrong. */
  readonly sender: string | undefined;
  readonly version: number;
}

const kinds = {
  bodies: 1,
  open: 2,
  chunk: 3,
  mark: 4,
  end: 5,
  abortByWriter: 6,
  credit: 7,
  accept: 8,
  abortByReader: 9,
} as const;

/** The tag of whoever belongs to no cluster yet. */
export const noCluster = 0;

/** 48 bits of a cluster id, whatever it looks like: one tag, one cluster; never `noCluster`. */
export function clusterTag(clusterId: string): number {
  return createHash("sha256").update(clusterId).digest().readUIntLE(0, tagBytes) || 1;
}

/** What a body adds to a message of bodies. */
export const bodyCostBytes = (body: Uint8Array): number => lengthBytes + body.length;

/** Makes the messages of one sender; each is fresh memory that nobody writes to again. */
export class FrameEncoder {
  readonly #prefix: Buffer;
  /** Length of a message of no bodies at all. */
  readonly emptyBytes: number;

  constructor(sender: string) {
    this.#prefix = Buffer.alloc(2 + sender.length + tagBytes);
    this.#prefix[0] = protocolVersion;
    this.#prefix[1] = sender.length;
    this.#prefix.write(sender, 2, "latin1");
    this.emptyBytes = this.#prefix.length + 1 + checksumBytes;
  }

  /** From here on every message says that its sender belongs to this cluster. */
  bind(cluster: number): void {
    this.#prefix.writeUIntLE(cluster, this.#prefix.length - tagBytes, tagBytes);
  }

  /** One message of `list[from]` up to before `list[to]`. */
  bodies(list: readonly Uint8Array[], from: number, to: number): Buffer {
    let bytes = 0;
    for (let index = from; index < to; index++) bytes += lengthBytes + (list[index]?.length ?? 0);
    const frame = this.#begin(kinds.bodies, bytes);
    let at = this.#prefix.length + 1;
    for (let index = from; index < to; index++) {
      const body = list[index];
      if (body === undefined) continue;
      at = frame.writeUInt32LE(body.length, at);
      frame.set(body, at);
      at += body.length;
    }
    return finish(frame);
  }

  bulk(content: BulkContent): Buffer {
    const tail = tailOf(content);
    const frame = this.#begin(
      kinds[content.kind],
      streamIdBytes + numberBytes(content) + tail.length,
    );
    let at = frame.writeUIntLE(content.streamId, this.#prefix.length + 1, streamIdBytes);
    if ("sequence" in content) at = frame.writeUInt32LE(content.sequence, at);
    if ("limitBytes" in content) at = frame.writeUIntLE(content.limitBytes, at, limitBytes);
    frame.set(tail, at);
    return finish(frame);
  }

  #begin(kind: number, bytes: number): Buffer {
    const frame = Buffer.allocUnsafe(this.emptyBytes + bytes);
    frame.set(this.#prefix);
    frame[this.#prefix.length] = kind;
    return frame;
  }
}

function finish(frame: Buffer): Buffer {
  const end = frame.length - checksumBytes;
  frame.writeUInt32LE(crc32(frame.subarray(0, end)), end);
  return frame;
}

const nothing = Buffer.alloc(0);

function tailOf(content: BulkContent): Uint8Array {
  if (content.kind === "open") return content.header;
  if (content.kind === "chunk") return content.chunk;
  if ("reason" in content) return Buffer.from(content.reason).subarray(0, reasonBytesMax);
  return nothing;
}

function numberBytes(content: BulkContent): number {
  if ("sequence" in content) return sequenceBytes;
  return "limitBytes" in content ? limitBytes : 0;
}

/** Reads a message. What it returns are views: the memory of `frame` must never be written again. */
export function decodeFrame(frame: Buffer): BodiesFrame | BulkFrame | Unreadable {
  const version = frame[0] ?? 0;
  const nameEnd = 2 + (frame[1] ?? 0);
  const name = frame.toString("latin1", 2, nameEnd);
  const sender = nameEnd < frame.length && isName(name) ? name : undefined;
  if (version !== protocolVersion)
    return { kind: "unreadable", problem: "version", sender, version };
  const damaged: Unreadable = { kind: "unreadable", problem: "damaged", sender, version };
  const end = frame.length - checksumBytes;
  const headEnd = nameEnd + tagBytes;
  if (sender === undefined || headEnd >= end) return damaged;
  if (crc32(frame.subarray(0, end)) !== frame.readUInt32LE(end)) return damaged;
  const cluster = frame.readUIntLE(nameEnd, tagBytes);
  const kind = frame[headEnd];
  if (kind === kinds.bodies) {
    const bodies = decodeBodies(frame, headEnd + 1, end);
    return bodies === undefined ? damaged : { kind: "bodies", sender, cluster, bodies };
  }
  const content = decodeBulk(kind, frame, headEnd + 1, end);
  return content === undefined ? damaged : { ...content, sender, cluster };
}

function decodeBodies(frame: Buffer, start: number, end: number): Buffer[] | undefined {
  const bodies: Buffer[] = [];
  let at = start;
  while (at < end) {
    if (end - at < lengthBytes) return undefined;
    const length = frame.readUInt32LE(at);
    at += lengthBytes;
    if (length > end - at) return undefined;
    bodies.push(frame.subarray(at, at + length));
    at += length;
  }
  return bodies;
}

function decodeBulk(
  kind: number | undefined,
  frame: Buffer,
  start: number,
  end: number,
): BulkContent | undefined {
  const at = start + streamIdBytes;
  if (at > end) return undefined;
  const streamId = frame.readUIntLE(start, streamIdBytes);
  const rest = end - at;
  switch (kind) {
    case kinds.open:
      return { kind: "open", streamId, header: frame.subarray(at, end) };
    case kinds.chunk: {
      if (rest < sequenceBytes) return undefined;
      const chunk = frame.subarray(at + sequenceBytes, end);
      return { kind: "chunk", streamId, sequence: frame.readUInt32LE(at), chunk };
    }
    case kinds.mark:
    case kinds.end: {
      if (rest !== sequenceBytes) return undefined;
      const sequence = frame.readUInt32LE(at);
      return { kind: kind === kinds.mark ? "mark" : "end", streamId, sequence };
    }
    case kinds.credit: {
      if (rest !== limitBytes) return undefined;
      return { kind: "credit", streamId, limitBytes: frame.readUIntLE(at, limitBytes) };
    }
    case kinds.accept:
      return rest === 0 ? { kind: "accept", streamId } : undefined;
    case kinds.abortByWriter:
    case kinds.abortByReader: {
      if (rest > reasonBytesMax) return undefined;
      const reason = frame.toString("utf8", at, end);
      const by = kind === kinds.abortByWriter ? "abortByWriter" : "abortByReader";
      return { kind: by, streamId, reason };
    }
    default:
      return undefined;
  }
}
