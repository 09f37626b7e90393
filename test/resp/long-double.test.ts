// Long doubles: sums as a real Redis 7.0.15 printed them on x86-64, and properties of the arithmetic.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addLongDoubles, formatLongDouble, parseLongDouble } from "../../resp/long-double.ts";

const sum = (a: string, b: string): string | undefined => {
  const [x, y] = [parseLongDouble(a), parseLongDouble(b)];
  const total = x && y && addLongDoubles(x, y);
  return total && formatLongDouble(total);
};

test.each([
  ["0.1", "0.2", "0.3"],
  ["10.50", "0.1", "10.6"],
  ["5.0e3", "2.0e2", "5200"],
  ["1e17", "0.3", "100000000000000000.296875"],
  ["123456789.123456789", "0.000000000000000001", "123456789.12345678899873747"],
  ["0.3333333333333333333", "0.3333333333333333333", "0.66666666666666667"],
  ["1e20", "1e-10", "100000000000000000000"],
  ["-0.1", "0.1", "0"],
  ["99999999999999999999", "1", "100000000000000000000"],
  ["1e-17", "4e-18", "0.00000000000000001"],
  ["1e-18", "1e-18", "0"],
  ["3", "1.1", "4.1"],
  ["0x1F", "1", "32"],
  ["1e300", "-1e300", "0"],
  ["1e30", "1.5", "1000000000000000000024696061952"],
  ["2.5e-5", "1e5", "100000.00002500000000083"],
  ["+5", ".5", "5.5"],
  ["1000000000000000000.5", "0.25", "1000000000000000000.75"],
])("%s + %s is %s", (a, b, expected) => {
  expect(sum(a, b)).toBe(expected);
});

test.each(["", " 1", "1 ", "abc", "nan", "1e5000", "1e-6000", ".", "1e", "0x", "--1"])(
  "refuses %j",
  (text) => {
    expect(parseLongDouble(text)).toBeUndefined();
  },
);

test("adds integers below 2^63 exactly and prints them without a fraction", () => {
  const int = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n });
  fc.assert(
    fc.property(int, int, (a, b) => {
      expect(sum(String(a), String(b))).toBe(String(a + b));
    }),
  );
});

test("is at least as exact as a double", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: -1000, max: 1000 }), (a, b) => {
      expect(Number(sum(String(a / 1000), String(b / 8)))).toBeCloseTo(a / 1000 + b / 8, 6);
    }),
  );
});
