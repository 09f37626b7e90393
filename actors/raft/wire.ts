// Raft messages as bytes: those of many regions for one node in one body, entries as they stand in
// the log. Written by hand because it is the hottest encoding between nodes. It knows no transport;
// what it decodes are views into the body, which must not be reused.

import type { EntryKind, LogEntry } from "../../storage/journal/types.ts";
import type { RaftMessage } from "./protocol.ts";

const version = 1;
const u48Bytes = 6;
/** type, regionId u32, from, to and term u48. */
const headBytes = 1 + 4 + 3 * u48Bytes;
/** term u48, kind, payload length u32. */
const entryHeadBytes = u48Bytes + 1 + 4;

const codes = {
  "vote.request": 1,
  "vote.reply": 2,
  "append.request": 3,
  "append.reply": 4,
  "timeout.now": 5,
} as const;

/** Bytes behind the head, without entries. */
const bodyBytes: Readonly<Record<RaftMessage["type"], number>> = {
  "vote.request": 1 + 2 * u48Bytes,
  "vote.reply": 1,
  "append.request": 3 * u48Bytes + 8 + 4,
  "append.reply": 1 + 3 * u48Bytes + 8 + 4,
  "timeout.now": 0,
};

/** A message and the region it is about. */
export interface RegionMessage {
  readonly regionId: number;
  readonly message: RaftMessage;
}

/** The body is of another version, or broken. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** One body for all of them, in order. */
export function encodeMessages(messages: readonly RegionMessage[]): Buffer {
  let size = 1;
  for (const { message } of messages) size += encodedBytes(message);
  const body = Buffer.allocUnsafe(size);
  body[0] = version;
  let at = 1;
  for (const { regionId, message } of messages) at = write(body, at, regionId, message);
  return body;
}

/** What a message adds to a body. */
export function encodedBytes(message: RaftMessage): number {
  let size = headBytes + bodyBytes[message.type];
  if (message.type !== "append.request") return size;
  for (const { payload } of message.entries) size += entryHeadBytes + payload.length;
  return size;
}

function write(body: Buffer, start: number, regionId: number, message: RaftMessage): number {
  let at = start;
  body[at++] = codes[message.type];
  at = body.writeUInt32BE(regionId, at);
  at = body.writeUIntBE(message.from, at, u48Bytes);
  at = body.writeUIntBE(message.to, at, u48Bytes);
  at = body.writeUIntBE(message.term, at, u48Bytes);
  switch (message.type) {
    case "vote.request":
      body[at++] = (message.pre ? 1 : 0) | (message.transfer ? 2 : 0);
      at = body.writeUIntBE(message.lastIndex, at, u48Bytes);
      return body.writeUIntBE(message.lastTerm, at, u48Bytes);
    case "vote.reply":
      body[at++] = (message.pre ? 1 : 0) | (message.granted ? 2 : 0);
      return at;
    case "append.request":
      at = body.writeUIntBE(message.prevIndex, at, u48Bytes);
      at = body.writeUIntBE(message.prevTerm, at, u48Bytes);
      at = body.writeUIntBE(message.commitIndex, at, u48Bytes);
      at = body.writeDoubleBE(message.sentAtMs, at);
      at = body.writeUInt32BE(message.entries.length, at);
      return writeEntries(body, at, message.entries);
    case "append.reply":
      body[at++] = message.matched ? 1 : 0;
      at = body.writeUIntBE(message.index, at, u48Bytes);
      at = body.writeUIntBE(message.hintTerm, at, u48Bytes);
      at = body.writeUIntBE(message.commitIndex, at, u48Bytes);
      at = body.writeDoubleBE(message.sentAtMs, at);
      return body.writeUInt32BE(message.promiseMs, at);
    case "timeout.now":
      return at;
    default:
      message satisfies never;
      return at;
  }
}

function writeEntries(body: Buffer, start: number, entries: readonly LogEntry[]): number {
  let at = start;
  for (const { term, kind, payload } of entries) {
    at = body.writeUIntBE(term, at, u48Bytes);
    body[at++] = kind;
    at = body.writeUInt32BE(payload.length, at);
    body.set(payload, at);
    at += payload.length;
  }
  return at;
}

/** Inverse of `encodeMessages`; payloads are views of `body`. Throws WireError. */
export function decodeMessages(body: Buffer): RegionMessage[] {
  if (body[0] !== version) throw new WireError(`Raft messages of unknown version ${body[0]}`);
  const reader = new Reader(body);
  const messages: RegionMessage[] = [];
  try {
    while (!reader.isDone) messages.push(reader.message());
  } catch (error) {
    if (error instanceof WireError) throw error;
    // Node's readers throw RangeError behind the end.
    throw new WireError("a Raft message ends too early", { cause: error });
  }
  return messages;
}

class Reader {
  readonly #body: Buffer;
  #at = 1;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get isDone(): boolean {
    return this.#at === this.#body.length;
  }

  message(): RegionMessage {
    const code = this.#u8();
    const regionId = this.#u32();
    const head = { from: this.#u48(), to: this.#u48(), term: this.#u48() };
    return { regionId, message: this.#content(code, head) };
  }

  #content(code: number, head: { from: number; to: number; term: number }): RaftMessage {
    switch (code) {
      case codes["vote.request"]: {
        const flags = this.#flags(3);
        const last = { lastIndex: this.#u48(), lastTerm: this.#u48() };
        const type = "vote.request";
        return { type, ...head, pre: (flags & 1) > 0, transfer: (flags & 2) > 0, ...last };
      }
      case codes["vote.reply"]: {
        const flags = this.#flags(3);
        return { type: "vote.reply", ...head, pre: (flags & 1) > 0, granted: (flags & 2) > 0 };
      }
      case codes["append.request"]:
        return this.#appendRequest(head);
      case codes["append.reply"]:
        return {
          type: "append.reply",
          from: head.from,
          to: head.to,
          term: head.term,
          matched: this.#flags(1) === 1,
          index: this.#u48(),
          hintTerm: this.#u48(),
          commitIndex: this.#u48(),
          sentAtMs: this.#f64(),
          promiseMs: this.#u32(),
        };
      case codes["timeout.now"]:
        return { type: "timeout.now", ...head };
      default:
        throw new WireError(`a Raft message of unknown type ${code}`);
    }
  }

  #appendRequest(head: { from: number; to: number; term: number }): RaftMessage {
    const prevIndex = this.#u48();
    const prevTerm = this.#u48();
    const commitIndex = this.#u48();
    const sentAtMs = this.#f64();
    const entries: LogEntry[] = [];
    for (let left = this.#u32(), index = prevIndex + 1; left > 0; left--, index++) {
      const term = this.#u48();
      const kind = this.#kind();
      const length = this.#u32();
      const end = this.#at + length;
      if (end > this.#body.length) throw new WireError("an entry ends too early");
      entries.push({ index, term, kind, payload: this.#body.subarray(this.#at, end) });
      this.#at = end;
    }
    return {
      type: "append.request",
      from: head.from,
      to: head.to,
      term: head.term,
      prevIndex,
      prevTerm,
      commitIndex,
      entries,
      sentAtMs,
    };
  }

  #kind(): EntryKind {
    const kind = this.#u8();
    if (kind > 2) throw new WireError(`an entry of unknown kind ${kind}`);
    return kind as EntryKind;
  }

  #flags(known: number): number {
    const flags = this.#u8();
    if ((flags & ~known) !== 0) throw new WireError(`unknown bits ${flags} in a Raft message`);
    return flags;
  }

  #u8(): number {
    const value = this.#body.readUInt8(this.#at);
    this.#at += 1;
    return value;
  }

  #u32(): number {
    const value = this.#body.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  #u48(): number {
    const value = this.#body.readUIntBE(this.#at, u48Bytes);
    this.#at += u48Bytes;
    return value;
  }

  #f64(): number {
    const value = this.#body.readDoubleBE(this.#at);
    this.#at += 8;
    return value;
  }
}
