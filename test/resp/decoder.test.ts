// The decoder against every cut of a stream, against Redis' error texts, and against big values.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Decoder, ProtocolError, defaultLimits } from "../../resp/decoder.ts";

const encode = (args: readonly Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from("\r\n")]),
  ]);

const drain = (decoder: Decoder): Buffer[][] => {
  const commands: Buffer[][] = [];
  for (;;) {
    const next = decoder.next();
    if (next === undefined) return commands;
    if (next instanceof ProtocolError) throw new Error(next.message);
    commands.push(next);
  }
};

const feedAll = (decoder: Decoder, chunks: readonly Buffer[]): Buffer[][] =>
  chunks.flatMap((chunk) => {
    decoder.feed(chunk);
    return drain(decoder);
  });

const texts = (commands: readonly (readonly Buffer[])[]): string[][] =>
  commands.map((args) => args.map((arg) => arg.toString("latin1")));

const errorOf = (input: string | Buffer, unauthenticated = false): string | undefined => {
  const decoder = new Decoder();
  decoder.unauthenticated = unauthenticated;
  decoder.feed(Buffer.from(input));
  const next = decoder.next();
  return next instanceof ProtocolError ? next.message : undefined;
};

describe("decoder", () => {
  const stream = Buffer.concat([
    encode([Buffer.from("SET"), Buffer.from("k\r\n*1"), Buffer.from("")]),
    Buffer.from("  PING \"a\\x41\\n\" 'b\\'c' \r\n\r\n*0\r\n*-1\r\n"),
    encode([Buffer.from("GET"), Buffer.alloc(100, 7)]),
    Buffer.from("QUIT\n"),
  ]);
  const expected = [
    ["SET", "k\r\n*1", ""],
    ["PING", "aA\n", "b'c"],
    ["GET", "\x07".repeat(100)],
    ["QUIT"],
  ];

  test("gives the same commands when the stream is cut at any position", () => {
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const chunks = [stream.subarray(0, cut), stream.subarray(cut)];
      expect(texts(feedAll(new Decoder(), chunks)), `cut at ${cut}`).toEqual(expected);
    }
  });

  test("gives the same commands byte by byte", () => {
    const chunks = Array.from(stream, (byte) => Buffer.from([byte]));
    expect(texts(feedAll(new Decoder(), chunks))).toEqual(expected);
  });

  test("gives back any commands in any cut, and earlier arguments never change", () => {
    const command = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (commands, cuts) => {
          const bytes = Buffer.concat(
            commands.map((args) => encode(args.map((arg) => Buffer.from(arg)))),
          );
          const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))];
          const sorted = [0, ...places.toSorted((a, b) => a - b), bytes.length];
          const chunks = sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end));
          const got = feedAll(new Decoder(), chunks);
          expect(texts(got)).toEqual(
            texts(commands.map((args) => args.map((arg) => Buffer.from(arg)))),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test("collects a large bulk of many chunks without holding the rest", () => {
    const value = Buffer.alloc(3_000_001, "abcdefg");
    const bytes = Buffer.concat([encode([Buffer.from("SET"), value]), encode([Buffer.from("X")])]);
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.subarray(at, at + 65_536));
    const decoder = new Decoder();
    const commands = feedAll(decoder, chunks);
    expect(commands.length).toBe(2);
    expect(commands[0]?.[1]?.equals(value)).toBe(true);
    expect(decoder.queryBytes).toBe(0);
  });

  test("does not copy arguments that arrive whole", () => {
    const chunk = encode([Buffer.from("GET"), Buffer.from("key")]);
    const decoder = new Decoder();
    decoder.feed(chunk);
    const [args] = drain(decoder);
    expect(args?.[1]?.buffer).toBe(chunk.buffer);
  });

  test("allocates for a large bulk only as bytes arrive", () => {
    const decoder = new Decoder();
    decoder.feed(Buffer.from("*1\r\n$67108864\r\nabc"));
    expect(decoder.next()).toBeUndefined();
    expect(decoder.queryBytes).toBe(3);
  });

  test.each([
    ["*1\r\nPING\r\n", "expected '$', got 'P'"],
    ["*a\r\n", "invalid multibulk length"],
    ["*01\r\n", "invalid multibulk length"],
    ["*1048577\r\n", "invalid multibulk length"],
    ["*99999999999999999999\r\n", "invalid multibulk length"],
    ["*1\r\n$-1\r\n", "invalid bulk length"],
    ["*1\r\n$x\r\n", "invalid bulk length"],
    ["*1\r\n$67108865\r\n", "invalid bulk length"],
    [`*${"1".repeat(65_600)}`, "too big mbulk count string"],
    [`*1\r\n$${"1".repeat(65_600)}`, "too big bulk count string"],
    ["a".repeat(65_600), "too big inline request"],
    ['set "a\r\n', "unbalanced quotes in request"],
    ['set "a"b\r\n', "unbalanced quotes in request"],
  ])("refuses %j as Redis does", (input, reason) => {
    expect(errorOf(input)).toBe(`ERR Protocol error: ${reason}`);
  });

  test("holds the small limits before authentication only", () => {
    expect(errorOf("*11\r\n", true)).toBe("ERR Protocol error: unauthenticated multibulk length");
    expect(errorOf("*1\r\n$16385\r\n", true)).toBe(
      "ERR Protocol error: unauthenticated bulk length",
    );
    expect(errorOf("*11\r\n")).toBeUndefined();
    expect(errorOf("*10\r\n$16384\r\n", true)).toBeUndefined();
  });

  test("stops a command that outgrows the query buffer limit", () => {
    const decoder = new Decoder({ ...defaultLimits, maxQueryBytes: 1000 });
    decoder.feed(Buffer.from(`*2\r\n$900\r\n${"a".repeat(900)}\r\n$200\r\nb`));
    expect(decoder.next()).toBeInstanceOf(ProtocolError);
  });

  test("answers the same error for ever after and ignores later bytes", () => {
    const decoder = new Decoder();
    decoder.feed(Buffer.from("*x\r\n"));
    const first = decoder.next();
    decoder.feed(encode([Buffer.from("PING")]));
    expect(decoder.next()).toBe(first);
  });
});
