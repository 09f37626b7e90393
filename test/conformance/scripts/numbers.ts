// INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT: limits of 64 bits, what counts as a number, and how
// Redis prints a long double.

import type { Command } from "../client.ts";
import { script, type Script } from "../run.ts";

/** What may stand where a number is expected. */
const NUMBERS = [
  "0",
  "1",
  "-1",
  "+1",
  "-0",
  "01",
  "1.0",
  "1e3",
  "0x10",
  "",
  " ",
  " 1",
  "1 ",
  "abc",
  "1a",
  "inf",
  "-inf",
  "+inf",
  "infinity",
  "nan",
  "9223372036854775806",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775807",
  "-9223372036854775808",
  "-9223372036854775809",
  "18446744073709551616",
  "1\u0000",
  ".5",
  "5.",
  "-.5",
  "1e",
  "1e400",
  "1e4932",
  "1e-400",
  "3.0e3",
  "--1",
];

const integers: readonly Script[] = [
  {
    title: "integers as values",
    steps: NUMBERS.flatMap((value): Command[] => [
      ["SET", "a", value],
      ["INCR", "a"],
      ["SET", "a", value],
      ["DECR", "a"],
      ["INCRBY", "a", "10"],
      ["DECRBY", "a", "10"],
      ["GET", "a"],
    ]),
  },
  {
    title: "integers as arguments",
    steps: NUMBERS.flatMap((value): Command[] => [
      ["SET", "a", "5"],
      ["INCRBY", "a", value],
      ["DECRBY", "a", value],
      ["INCRBY", "missing", value],
      ["DEL", "missing"],
      ["DECRBY", "missing", value],
      ["DEL", "missing"],
      ["GET", "a"],
    ]),
  },
];

/** Sums whose text shows how a long double is printed. */
const FLOATS: ReadonlyArray<readonly [string, string]> = [
  ["10.50", "0.1"],
  ["5.0e3", "2.0e2"],
  ["3", "1.1"],
  ["3.0", "1.0"],
  ["1", "-1"],
  ["0.1", "0.2"],
  ["1.23", "-1.23"],
  ["-0.5", "0.25"],
  ["1e17", "1"],
  ["100000000000000000000", "1"],
  ["123456789.123456789", "0.000000001"],
  ["0.00000000000000001", "0"],
  ["0.000000000000000001", "0"],
  ["1e-17", "1e-17"],
  ["9007199254740993", "0"],
  ["9223372036854775807", "1"],
  ["-9223372036854775808", "-1"],
  ["18446744073709551615", "1"],
  ["3.14159265358979323846", "0"],
  ["2.5", "2.5"],
  ["1e10", "1e-10"],
  ["-1e-5", "0"],
  ["1.5", "1.5"],
  ["99999999999999999", "0.5"],
  ["0", "-0"],
  ["-0.0", "0"],
];

const floats: readonly Script[] = [
  {
    title: "INCRBYFLOAT prints",
    steps: FLOATS.flatMap(([value, by]): Command[] => [
      ["SET", "a", value],
      ["INCRBYFLOAT", "a", by],
      ["GET", "a"],
    ]),
  },
  {
    title: "INCRBYFLOAT of what may be no number",
    steps: NUMBERS.filter((value) => value !== "1e4932").flatMap((value): Command[] => [
      ["SET", "a", value],
      ["INCRBYFLOAT", "a", "1"],
      ["SET", "a", "1"],
      ["INCRBYFLOAT", "a", value],
      ["DEL", "a"],
      ["INCRBYFLOAT", "a", value],
      ["GET", "a"],
    ]),
  },
];

export const NUMBERS_FAMILY: readonly Script[] = [
  ...integers,
  ...floats,
  script(
    "counters keep their time to live",
    String.raw`
    INCR a
    INCR a
    EXPIRE a 1000
    INCR a
    INCRBY a 5
    DECR a
    DECRBY a 3
    INCRBYFLOAT a 1.5
    TTL a
    GET a
    DECR fresh
    DECRBY fresh2 5
    INCRBYFLOAT fresh3 5
    INCRBY a 1
    INCRBYFLOAT a 0.5
    INCRBY a 1
    `,
  ),
];
