// Raft messages as bytes: what goes in comes out, and whatever else comes is refused with a WireError and
// never with anything worse.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { RaftMessage } from "../../../actors/raft/protocol.ts";
import { decodeMessages, encodeMessages, WireError } from "../../../actors/raft/wire.ts";

const u48 = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 48 - 1 }));
const instants = fc.double({ noNaN: true });
const head = { from: u48, to: u48, term: u48 };
const of = <T extends string>(type: T) => fc.constant(type);

const appends = fc
  .record({
    type: of("append.request"),
    ...head,
    prevIndex: fc.integer({ min: 0, max: 2 ** 47 }),
    prevTerm: u48,
    commitIndex: u48,
    bodies: fc.array(
      fc.record({
        term: u48,
        kind: fc.constantFrom(0 as const, 1 as const, 2 as const),
        payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      }),
      { maxLength: 5 },
    ),
    sentAtMs: instants,
  })
  .map(({ bodies, ...message }) => ({
    ...message,
    entries: bodies.map((body, i) => ({ index: message.prevIndex + 1 + i, ...body })),
  }));

const messages: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({
    type: of("vote.request"),
    ...head,
    pre: fc.boolean(),
    transfer: fc.boolean(),
    lastIndex: u48,
    lastTerm: u48,
  }),
  fc.record({ type: of("vote.reply"), ...head, pre: fc.boolean(), granted: fc.boolean() }),
  appends,
  fc.record({
    type: of("append.reply"),
    ...head,
    matched: fc.boolean(),
    index: u48,
    hintTerm: u48,
    commitIndex: u48,
    sentAtMs: fc.oneof(instants, fc.constant(-Infinity)),
    promiseMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
  fc.record({ type: of("timeout.now"), ...head }),
);

const regionMessages = fc.array(
  fc.record({ regionId: fc.integer({ min: 0, max: 2 ** 32 - 1 }), message: messages }),
  { maxLength: 6 },
);

test("all messages of all regions come out as they went in, in order", () => {
  fc.assert(
    fc.property(regionMessages, (list) => {
      expect(decodeMessages(encodeMessages(list))).toEqual(list);
    }),
  );
});

test("an unknown version is refused by its name", () => {
  const body = encodeMessages([]);
  body[0] = 2;
  expect(() => decodeMessages(body)).toThrow("unknown version 2");
  expect(() => decodeMessages(Buffer.alloc(0))).toThrow(WireError);
});

test("mutated and cut bodies are messages or a WireError, nothing else", () => {
  const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
  fc.assert(
    fc.property(regionMessages, flips, fc.nat(), (list, changes, cut) => {
      const whole = encodeMessages(list);
      for (const [at, bits] of changes) {
        whole[at % whole.length] = (whole[at % whole.length] ?? 0) ^ bits;
      }
      const body = cut % 3 === 0 ? whole.subarray(0, cut % whole.length) : whole;
      try {
        decodeMessages(body);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 500 },
  );
});

test("random bytes are no worse", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeMessages(Buffer.concat([Buffer.from([1]), bytes]));
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 500 },
  );
});

test("an entry of an unknown kind is refused", () => {
  const message = {
    type: "append.request",
    from: 1,
    to: 2,
    term: 3,
    prevIndex: 0,
    prevTerm: 0,
    commitIndex: 0,
    entries: [{ index: 1, term: 3, kind: 1, payload: Buffer.alloc(0) }],
    sentAtMs: 0,
  } as const;
  const body = encodeMessages([{ regionId: 1, message }]);
  body[body.length - 5] = 3;
  expect(() => decodeMessages(body)).toThrow("unknown kind 3");
});
