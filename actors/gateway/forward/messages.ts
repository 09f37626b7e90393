// What gateways say to each other, as bytes: commands of one stream, the answers to them, and pieces
// of what is too large for a body. It stands between the two ends of forwarding and the transport. A
// command names itself; what it does is looked up where it runs.

import type { Errand, KeyFilter } from "../protocol.ts";
import { WireError } from "./wire.ts";
import type { WireReader, WireWriter } from "./wire.ts";

const version = 1;

/** Kinds of bodies. */
export const kinds = { commands: 1, answers: 2, fetch: 3, piece: 4 } as const;

/** What is longer goes in pieces of this length, asked for one by one. */
export const pieceBytes = 256 * 1024;
/** A body is closed when it has this many bytes; with one more command or reply it fits. */
export const bodySoftBytes = 320 * 1024;

/** A sequence of commands for one region, in one term of it; with the sender's node id it is unique. */
export interface StreamId {
  /** Of the sending process (`NodeInfo.epoch`). */
  readonly epoch: number;
  /** Counts the streams of that process. */
  readonly number: number;
  readonly regionId: number;
}

/** The head of a body of commands; the commands follow. */
export interface CommandsHead {
  readonly regionEpoch: number;
  readonly term: number;
  /** Everything below is answered. */
  readonly watermark: number;
  readonly firstSeq: number;
  /** The sender waits: it wants to hear everything known above the watermark. */
  readonly probes: boolean;
}

/** How the executor sees a stream. */
export const streamStates = {
  open: 0,
  /** A command is missing: go on from `expected`. */
  gap: 1,
  /** Nothing from `expected` on was or will be executed. */
  closed: 2,
  /** The same, but an earlier process of this node may have executed what was sent to it. */
  stranger: 3,
  /**
   * Nothing from `expected` on is taken at the moment: the sender has to collect large answers first,
   * or the command there is being fetched.
   */
  full: 4,
} as const;
export type StreamState = (typeof streamStates)[keyof typeof streamStates];

/** What became of one command. */
export const outcomes = { reply: 0, refused: 1, large: 2 } as const;

/** Which end keeps what is fetched: the sender a command, the executor a reply. */
export const sides = { command: 0, reply: 1 } as const;
export type Side = (typeof sides)[keyof typeof sides];

/** Part of something large. */
export interface PieceId {
  readonly side: Side;
  readonly stream: StreamId;
  readonly seq: number;
  readonly offset: number;
}

export function writeStart(writer: WireWriter, kind: number, stream: StreamId): void {
  writer.u8(version);
  writer.u8(kind);
  writer.varint(stream.epoch);
  writer.varint(stream.number);
  writer.varint(stream.regionId);
}

export function readStart(reader: WireReader): { kind: number; stream: StreamId } {
  const found = reader.u8();
  if (found !== version) throw new WireError(`forwarded commands of unknown version ${found}`);
  const kind = reader.u8();
  const epoch = reader.varint();
  const number = reader.varint();
  return { kind, stream: { epoch, number, regionId: reader.varint() } };
}

export function writeCommandsHead(writer: WireWriter, head: CommandsHead): void {
  writer.varint(head.regionEpoch);
  writer.varint(head.term);
  writer.varint(head.watermark);
  writer.varint(head.firstSeq);
  writer.u8(head.probes ? 1 : 0);
}

export function readCommandsHead(reader: WireReader): CommandsHead {
  const regionEpoch = reader.varint();
  const term = reader.varint();
  const watermark = reader.varint();
  const firstSeq = reader.varint();
  return { regionEpoch, term, watermark, firstSeq, probes: reader.u8() === 1 };
}

export function writePieceId(writer: WireWriter, kind: number, piece: PieceId): void {
  writeStart(writer, kind, piece.stream);
  writer.u8(piece.side);
  writer.varint(piece.seq);
  writer.varint(piece.offset);
}

export function readPieceId(reader: WireReader, stream: StreamId): PieceId {
  const side = reader.u8();
  if (side !== sides.command && side !== sides.reply) throw new WireError(`no side ${side}`);
  const seq = reader.varint();
  return { side, stream, seq, offset: reader.varint() };
}

const shapes = { request: 0, walk: 1, large: 2 } as const;

/** A command as the executor gets it. */
export type WireCommand =
  | {
      readonly shape: "request";
      readonly db: number;
      readonly session: number;
      readonly name: string;
      readonly args: readonly Buffer[];
    }
  | {
      readonly shape: "walk";
      readonly db: number;
      readonly session: number;
      readonly cursor: number;
      readonly count: number;
      readonly filter: KeyFilter;
    }
  /** Its bytes have to be fetched; what they hold is one of the others. */
  | { readonly shape: "large"; readonly length: number };

export function writeErrand(writer: WireWriter, errand: Errand): void {
  if (errand.type === "region.walk") return writeWalk(writer, errand);
  writer.u8(shapes.request);
  writer.u8(errand.db);
  writer.varint(errand.sessionId);
  writer.name(errand.command.name);
  const { args } = errand;
  writer.varint(args.length);
  for (const arg of args) writer.bytes(arg);
}

function writeWalk(writer: WireWriter, walk: Extract<Errand, { type: "region.walk" }>): void {
  const { pattern, type } = walk.filter;
  writer.u8(shapes.walk);
  writer.u8(walk.db);
  writer.varint(walk.sessionId);
  writer.varint(walk.cursor);
  // Zero stands for no limit.
  writer.varint(Number.isFinite(walk.count) ? walk.count : 0);
  writer.u8((pattern === undefined ? 0 : 1) | (type === undefined ? 0 : 2));
  if (pattern !== undefined) writer.bytes(pattern);
  if (type !== undefined) writer.text(type);
}

export function writeLarge(writer: WireWriter, length: number): void {
  writer.u8(shapes.large);
  writer.varint(length);
}

export function readCommand(reader: WireReader): WireCommand {
  const shape = reader.u8();
  if (shape === shapes.large) return { shape: "large", length: reader.varint() };
  const db = reader.u8();
  const session = reader.varint();
  if (shape === shapes.walk) return { shape: "walk", db, session, ...readWalk(reader) };
  if (shape !== shapes.request) throw new WireError(`a command of unknown shape ${shape}`);
  const name = reader.name();
  const args: Buffer[] = [];
  for (let left = reader.varint(); left > 0; left--) args.push(reader.bytes());
  return { shape: "request", db, session, name, args };
}

function readWalk(reader: WireReader) {
  const cursor = reader.varint();
  const count = reader.varint() || Infinity;
  const flags = reader.u8();
  const pattern = (flags & 1) === 0 ? undefined : reader.bytes();
  const type = (flags & 2) === 0 ? undefined : reader.text();
  return { cursor, count, filter: { pattern, type } };
}
