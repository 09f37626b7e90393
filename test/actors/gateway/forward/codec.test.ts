// Replies and commands as bytes: what goes in comes out, and broken bytes are found out.

import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  readCommand,
  readCommandsHead,
  readPieceId,
  readStart,
  writeCommandsHead,
  writeErrand,
  writeLarge,
  writePieceId,
} from "../../../../actors/gateway/forward/messages.ts";
import {
  readReply,
  replyBytes,
  writeReply,
} from "../../../../actors/gateway/forward/reply-codec.ts";
import { WireError, WireReader, WireWriter } from "../../../../actors/gateway/forward/wire.ts";
import { WalkErrand } from "../../../../actors/gateway/errand.ts";
import type { Errand } from "../../../../actors/gateway/protocol.ts";
import {
  BigIntegerReply,
  BooleanReply,
  BulkPiecesReply,
  DoubleReply,
  ErrorReply,
  MapReply,
  SetReply,
  VerbatimReply,
} from "../../../../resp/reply.ts";
import type { Reply } from "../../../../resp/reply.ts";
import { add } from "./group.ts";

const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
const unicode = fc.string({ unit: "binary" });

const { reply } = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<Reply>(null, "OK", "", 0),
    unicode,
    fc.maxSafeInteger(),
    bytes,
    unicode.map((message) => new ErrorReply(message)),
    fc.double().map((value) => new DoubleReply(value)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }).map((value) => new BigIntegerReply(value)),
    fc.boolean().map((value) => new BooleanReply(value)),
    unicode.map((value) => new VerbatimReply(value)),
    fc.array(tie("reply"), { maxLength: 5 }),
    fc.array(tie("reply"), { maxLength: 5 }).map((items) => new SetReply(items)),
    fc
      .array(fc.tuple(tie("reply"), tie("reply")), { maxLength: 4 })
      .map((entries) => new MapReply(entries)),
  ),
}));

function encoded(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter();
  write(writer);
  return writer.take();
}

test("every reply comes back as it was, and is no longer than it was said to be", () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 4 }), (replies) => {
      const body = encoded((writer) => {
        for (const one of replies) writeReply(writer, one);
      });
      const reader = new WireReader(body);
      expect(replies.map(() => readReply(reader))).toEqual(replies);
      expect(reader.atEnd).toBe(true);
      const said = replies.map(replyBytes).reduce((sum, one) => sum + one, 0);
      expect(body.length).toBeLessThanOrEqual(said);
    }),
    { numRuns: 500 },
  );
});

test("a bulk string in pieces comes back in one", () => {
  const pieces = [Buffer.from("ab"), Buffer.alloc(0), Buffer.alloc(70_000, "c")];
  const body = encoded((writer) => writeReply(writer, new BulkPiecesReply(pieces)));
  expect(readReply(new WireReader(body))).toEqual(Buffer.concat(pieces));
});

test("broken bytes end in a WireError, never in a wrong kind of failure", () => {
  fc.assert(
    fc.property(reply, fc.nat(), fc.nat(255), (one, at, byte) => {
      const body = encoded((writer) => writeReply(writer, one));
      const broken = Buffer.from(body);
      broken[at % broken.length] = byte;
      for (const wrong of [broken, body.subarray(0, at % body.length)]) {
        try {
          readReply(new WireReader(wrong));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("numbers of any size", () => {
  const numbers = fc.array(fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat()));
  fc.assert(
    fc.property(numbers, (values) => {
      const body = encoded((writer) => {
        for (const value of values) writer.varint(value);
      });
      const reader = new WireReader(body);
      expect(values.map(() => reader.varint())).toEqual(values);
    }),
  );
});

test("commands with any arguments, and steps of walks", () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 6 }), fc.nat(15), fc.maxSafeNat(), (args, db, id) => {
      const request = { type: "region.request", command: add, args, db, sessionId: id };
      const body = encoded((writer) => writeErrand(writer, request as unknown as Errand));
      const command = readCommand(new WireReader(body));
      expect(command).toEqual({ shape: "request", db, session: id, name: "add", args });
    }),
  );
  const filter = { pattern: Buffer.from("a*"), type: "string" };
  for (const count of [1, 10_000, Infinity]) {
    const walk = { db: 3, sessionId: 8, cursor: 2 ** 48 - 1, count, filter };
    const errand = new WalkErrand(walk, 0, () => undefined);
    const body = encoded((writer) => writeErrand(writer, errand));
    const { sessionId: session, ...rest } = walk;
    expect(readCommand(new WireReader(body))).toEqual({ shape: "walk", session, ...rest });
  }
  const large = encoded((writer) => writeLarge(writer, 2 ** 29));
  expect(readCommand(new WireReader(large))).toEqual({ shape: "large", length: 2 ** 29 });
});

test("heads and pieces", () => {
  const stream = { epoch: 70_000, number: 3, regionId: 16 };
  const head = { regionEpoch: 1, term: 2 ** 40, watermark: 5, firstSeq: 900, probes: true };
  const piece = { side: 1, stream, seq: 8, offset: 2 ** 29 } as const;
  const body = encoded((writer) => {
    writePieceId(writer, 4, piece);
    writeCommandsHead(writer, head);
  });
  const reader = new WireReader(body);
  expect(readStart(reader)).toEqual({ kind: 4, stream });
  expect(readPieceId(reader, stream)).toEqual(piece);
  expect(readCommandsHead(reader)).toEqual(head);
  body[0] = 2;
  expect(() => readStart(new WireReader(body))).toThrow("unknown version 2");
});

test("a body that was taken stays as it is", () => {
  const writer = new WireWriter();
  writer.text("first");
  const first = writer.take();
  writer.text("other");
  writer.take();
  expect(new WireReader(first).text()).toBe("first");
  writer.bytes(Buffer.alloc(3_000_000, 7));
  const long = writer.take();
  writer.bytes(Buffer.alloc(100, 9));
  expect(new WireReader(long).bytes().equals(Buffer.alloc(3_000_000, 7))).toBe(true);
});
