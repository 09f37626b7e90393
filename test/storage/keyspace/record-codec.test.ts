// Meta values: the exact bytes, any record there and back, and refusal of everything else.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DamagedError } from "../../../storage/errors.ts";
import { decodeRecord, encodeRecord } from "../../../storage/keyspace/record-codec.ts";
import type { KeyRecord } from "../../../storage/keyspace/records.ts";

const u48 = fc.maxSafeInteger().map((value) => Math.abs(value) % 2 ** 48);
const record: fc.Arbitrary<KeyRecord> = fc.oneof(
  fc.record({
    type: fc.constant("string" as const),
    expireAtMs: u48,
    raw: fc.boolean(),
    bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  }),
  fc.record({
    type: fc.constant("string" as const),
    expireAtMs: u48,
    raw: fc.boolean(),
    oid: u48,
    length: u48,
  }),
);

describe("record codec", () => {
  test("has the documented bytes", () => {
    const inline = { type: "string", expireAtMs: 0, raw: false, bytes: Buffer.from("hi") } as const;
    expect(encodeRecord(inline).toString("hex")).toBe("01026869");
    expect(encodeRecord({ ...inline, expireAtMs: 258, raw: true }).toString("hex")).toBe(
      "01130000000001026869",
    );
    const chunked = { type: "string", expireAtMs: 0, raw: false, oid: 7, length: 20_000 } as const;
    expect(encodeRecord(chunked).toString("hex")).toBe("0104000000000007000000004e20");
  });

  test("gives any record back", () => {
    fc.assert(
      fc.property(record, (value) => {
        expect(decodeRecord(encodeRecord(value))).toEqual(value);
      }),
    );
  });

  test.each([
    "",
    "01",
    "0000",
    "0202",
    "4102",
    "0106",
    "0120",
    "0101",
    "010300",
    "0104",
    "01040000",
  ])("refuses %s", (hex) => {
    expect(() => decodeRecord(Buffer.from(hex, "hex"))).toThrow(DamagedError);
  });
});
