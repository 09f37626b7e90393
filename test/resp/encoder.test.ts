// Replies as bytes in both protocols, by table, and the output's promise not to touch what it gave.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Output, encodeReply } from "../../resp/encoder.ts";
import {
  BigIntegerReply,
  BooleanReply,
  BulkPiecesReply,
  DoubleReply,
  ErrorReply,
  MapReply,
  SetReply,
  VerbatimReply,
} from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";

const table: ReadonlyArray<readonly [Reply, string, string]> = [
  ["OK", "+OK\r\n", "+OK\r\n"],
  ["PONG", "+PONG\r\n", "+PONG\r\n"],
  [0, ":0\r\n", ":0\r\n"],
  [42, ":42\r\n", ":42\r\n"],
  [-7, ":-7\r\n", ":-7\r\n"],
  [1_000_000_000_000, ":1000000000000\r\n", ":1000000000000\r\n"],
  [null, "$-1\r\n", "_\r\n"],
  [Buffer.from("ab\r\n"), "$4\r\nab\r\n\r\n", "$4\r\nab\r\n\r\n"],
  [Buffer.alloc(0), "$0\r\n\r\n", "$0\r\n\r\n"],
  [
    [1, null, [Buffer.from("x")]],
    "*3\r\n:1\r\n$-1\r\n*1\r\n$1\r\nx\r\n",
    "*3\r\n:1\r\n_\r\n*1\r\n$1\r\nx\r\n",
  ],
  [[], "*0\r\n", "*0\r\n"],
  [new ErrorReply("ERR bad\r\nthing Ċ"), "-ERR bad  thing ?\r\n", "-ERR bad  thing ?\r\n"],
  [new DoubleReply(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"],
  [new DoubleReply(-Infinity), "$4\r\n-inf\r\n", ",-inf\r\n"],
  [new BigIntegerReply(-(2n ** 63n)), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"],
  [new BooleanReply(true), ":1\r\n", "#t\r\n"],
  [new BooleanReply(false), ":0\r\n", "#f\r\n"],
  [new MapReply([["a", 1]]), "*2\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n:1\r\n"],
  [new SetReply([1, 2]), "*2\r\n:1\r\n:2\r\n", "~2\r\n:1\r\n:2\r\n"],
  [new VerbatimReply("hé"), "$3\r\nhé\r\n", "=7\r\ntxt:hé\r\n"],
  [new BulkPiecesReply([Buffer.from("ab"), Buffer.from("c")]), "$3\r\nabc\r\n", "$3\r\nabc\r\n"],
];

describe("encoder", () => {
  test.each(table)("writes %o in both protocols", (reply, two, three) => {
    expect(encodeReply(reply, 2).toString()).toBe(two);
    expect(encodeReply(reply, 3).toString()).toBe(three);
  });

  test("every byte of an error goes out as it is", () => {
    const bytes = encodeReply(new ErrorReply("ERR '\xff\0\xc3'"), 2);
    expect(bytes.toString("latin1")).toBe("-ERR '\xff\0\xc3'\r\n");
  });

  test("writes every safe integer as decimal text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer()), (value) => {
        expect(encodeReply(value, 2).toString()).toBe(`:${value}\r\n`);
      }),
    );
  });

  test("gives large values on without copying them", () => {
    const large = Buffer.alloc(100_000, 1);
    const output = new Output();
    output.write("OK", 2);
    output.write(large, 2);
    output.write("OK", 2);
    const pieces = output.take();
    expect(pieces.some((piece) => piece === large)).toBe(true);
    expect(Buffer.concat(pieces).length).toBe(5 + 9 + 100_000 + 2 + 5);
  });

  test("never changes bytes that were taken, and counts what waits", () => {
    const reply = fc.oneof(
      fc.integer(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 40_000 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(reply, fc.boolean()), { maxLength: 40 }), (steps) => {
        const output = new Output();
        const pieces: Buffer[] = [];
        for (const [value, take] of steps) {
          output.write(value, 3);
          if (!take) continue;
          const bytes = output.bytes;
          const taken = output.take();
          expect(Buffer.concat(taken).length).toBe(bytes);
          pieces.push(...taken);
        }
        pieces.push(...output.take());
        expect(output.bytes).toBe(0);
        const whole = Buffer.concat(steps.map(([value]) => encodeReply(value, 3)));
        expect(Buffer.concat(pieces).equals(whole)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});
