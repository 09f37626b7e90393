// Replies as bytes between gateways: every kind of `resp/reply.ts` comes out as it went in. It stands
// between the executor, which has replies, and the stream that waits for them.

import {
  BigIntegerReply,
  BooleanReply,
  BulkPiecesReply,
  DoubleReply,
  ErrorReply,
  MapReply,
  SetReply,
  VerbatimReply,
} from "../../../resp/reply.ts";
import type { Reply } from "../../../resp/reply.ts";
import { WireError } from "./wire.ts";
import type { WireReader, WireWriter } from "./wire.ts";

const tags = {
  ok: 0,
  null: 1,
  bulk: 2,
  integer: 3,
  negative: 4,
  string: 5,
  array: 6,
  error: 7,
  double: 8,
  bigInteger: 9,
  true: 10,
  false: 11,
  map: 12,
  set: 13,
  verbatim: 14,
} as const;

/** About how many bytes a reply takes; never much less than it does. */
export function replyBytes(reply: Reply): number {
  if (reply === null || typeof reply === "number") return 9;
  // A character takes up to three bytes.
  if (typeof reply === "string") return reply.length * 3 + 8;
  if (reply instanceof Uint8Array) return reply.length + 8;
  if (Array.isArray(reply)) return sum(reply);
  if (reply instanceof BulkPiecesReply) {
    return reply.pieces.reduce((bytes, piece) => bytes + piece.length, 16);
  }
  if (reply instanceof SetReply) return sum(reply.items);
  if (reply instanceof MapReply) {
    return reply.entries.reduce((bytes, entry) => bytes + sum(entry), 8);
  }
  if (reply instanceof ErrorReply) return reply.message.length * 3 + 8;
  return reply instanceof VerbatimReply ? reply.text.length * 3 + 8 : 32;
}

function sum(replies: readonly Reply[]): number {
  let bytes = 8;
  for (const reply of replies) bytes += replyBytes(reply);
  return bytes;
}

export function writeReply(writer: WireWriter, reply: Reply): void {
  if (reply === "OK") writer.u8(tags.ok);
  else if (reply === null) writer.u8(tags.null);
  else if (reply instanceof Uint8Array) {
    writer.u8(tags.bulk);
    writer.bytes(reply);
  } else if (typeof reply === "number") {
    writer.u8(reply < 0 ? tags.negative : tags.integer);
    writer.varint(Math.abs(reply));
  } else if (typeof reply === "string") {
    writer.u8(tags.string);
    writer.text(reply);
  } else if (Array.isArray(reply)) {
    writeItems(writer, tags.array, reply);
  } else {
    writeRare(writer, reply);
  }
}

function writeItems(writer: WireWriter, tag: number, items: readonly Reply[]): void {
  writer.u8(tag);
  writer.varint(items.length);
  for (const item of items) writeReply(writer, item);
}

function writeRare(writer: WireWriter, reply: Reply): void {
  if (reply instanceof ErrorReply) {
    writer.u8(tags.error);
    writer.text(reply.message);
  } else if (reply instanceof DoubleReply) {
    writer.u8(tags.double);
    writer.f64(reply.value);
  } else if (reply instanceof BigIntegerReply) {
    writer.u8(tags.bigInteger);
    writer.name(reply.value.toString());
  } else if (reply instanceof BooleanReply) {
    writer.u8(reply.value ? tags.true : tags.false);
  } else if (reply instanceof MapReply) {
    writer.u8(tags.map);
    writer.varint(reply.entries.length);
    for (const [key, value] of reply.entries) {
      writeReply(writer, key);
      writeReply(writer, value);
    }
  } else if (reply instanceof SetReply) {
    writeItems(writer, tags.set, reply.items);
  } else if (reply instanceof VerbatimReply) {
    writer.u8(tags.verbatim);
    writer.text(reply.text);
  } else if (reply instanceof BulkPiecesReply) {
    // The same bulk string to a client; what comes as one body is in one piece.
    const length = reply.pieces.reduce((bytes, piece) => bytes + piece.length, 0);
    writer.u8(tags.bulk);
    writer.pieces(reply.pieces, length);
  }
}

export function readReply(reader: WireReader): Reply {
  const tag = reader.u8();
  switch (tag) {
    case tags.ok:
      return "OK";
    case tags.null:
      return null;
    case tags.bulk:
      return reader.bytes();
    case tags.integer:
      return reader.varint();
    case tags.negative:
      return -reader.varint();
    case tags.string:
      return reader.text();
    case tags.array:
      return readItems(reader);
    case tags.error:
      return new ErrorReply(reader.text());
    case tags.double:
      return new DoubleReply(reader.f64());
    case tags.bigInteger:
      return new BigIntegerReply(readBigInteger(reader));
    case tags.true:
      return new BooleanReply(true);
    case tags.false:
      return new BooleanReply(false);
    case tags.map:
      return new MapReply(readEntries(reader));
    case tags.set:
      return new SetReply(readItems(reader));
    case tags.verbatim:
      return new VerbatimReply(reader.text());
    default:
      throw new WireError(`a reply of unknown kind ${tag}`);
  }
}

function readBigInteger(reader: WireReader): bigint {
  const digits = reader.name();
  if (!/^-?\d+$/.test(digits)) throw new WireError("a big number of other characters than digits");
  return BigInt(digits);
}

function readItems(reader: WireReader): Reply[] {
  const items: Reply[] = [];
  for (let left = reader.varint(); left > 0; left--) items.push(readReply(reader));
  return items;
}

function readEntries(reader: WireReader): Array<[Reply, Reply]> {
  const entries: Array<[Reply, Reply]> = [];
  for (let left = reader.varint(); left > 0; left--) {
    const key = readReply(reader);
    entries.push([key, readReply(reader)]);
  }
  return entries;
}
