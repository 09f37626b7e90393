// LCS: the longest common subsequence of two strings, its length or its matching ranges. The table
// has one cell per pair of bytes, so the product of the lengths is bounded; Redis bounds it by memory.

import { optionWord, parseNumber } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { lcsExclusive, lcsTooLong, notInteger, syntaxError } from "../errors.ts";
import { MapReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

/** Cells of the largest table: 256 MiB, some 0.3 s. */
const maxCells = 64 * 1024 * 1024;
const emptyString = Buffer.alloc(0);

interface Options {
  length: boolean;
  indexes: boolean;
  withLength: boolean;
  shortest: number;
}

const lcs: Execute = (view, args) => {
  const [a, b] = [1, 2].map((index) => {
    const key = argument(args, index);
    const record = view.find(key);
    if (record === undefined) return emptyString;
    return view.readString(key, record, 0, view.stringLength(record));
  });
  const options: Options = { length: false, indexes: false, withLength: false, shortest: 0 };
  for (let i = 3; i < args.length; i += 1) {
    const word = optionWord(args[i]);
    if (word === "IDX") options.indexes = true;
    else if (word === "LEN") options.length = true;
    else if (word === "WITHMATCHLEN") options.withLength = true;
    else if (word === "MINMATCHLEN" && i + 1 < args.length) {
      i += 1;
      const shortest = parseNumber(argument(args, i));
      if (shortest === undefined) return notInteger;
      options.shortest = Math.max(0, shortest);
    } else return syntaxError;
  }
  if (options.indexes && options.length) return lcsExclusive;
  if (a === undefined || b === undefined) return syntaxError;
  if ((a.length + 1) * (b.length + 1) > maxCells) return lcsTooLong;
  return walk(a, b, lengths(a, b), options);
};

/** `table[i * (b.length + 1) + j]` = length of the LCS of a's first i and b's first j bytes. */
function lengths(a: Buffer, b: Buffer): Uint32Array {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = 1; i <= a.length; i += 1) {
    const byte = a[i - 1];
    const row = i * width;
    for (let j = 1; j <= b.length; j += 1) {
      if (byte === b[j - 1]) {
        table[row + j] = (table[row - width + j - 1] ?? 0) + 1;
      } else {
        const up = table[row - width + j] ?? 0;
        const left = table[row + j - 1] ?? 0;
        table[row + j] = up > left ? up : left;
      }
    }
  }
  return table;
}

/** Goes back through the table as Redis does, collecting the bytes or the ranges from the end. */
function walk(a: Buffer, b: Buffer, table: Uint32Array, options: Options): Reply {
  const width = b.length + 1;
  const total = table[a.length * width + b.length] ?? 0;
  if (options.length) return total;
  const result = Buffer.alloc(options.indexes ? 0 : total);
  const matches: Reply[] = [];
  let left = total;
  let i = a.length;
  let j = b.length;
  /** End of the open range in a and in b, and its length; 0 = none is open. */
  let [endA, endB, run] = [0, 0, 0];
  const close = (): void => {
    if (run > 0 && (options.shortest === 0 || run >= options.shortest)) {
      const match: Reply[] = [
        [endA - run + 1, endA],
        [endB - run + 1, endB],
      ];
      matches.push(options.withLength ? [...match, run] : match);
    }
    run = 0;
  };
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) {
      left -= 1;
      if (!options.indexes) result[left] = a[i - 1] ?? 0;
      if (run === 0 || endA - run !== i - 1 || endB - run !== j - 1) {
        close();
        [endA, endB] = [i - 1, j - 1];
      }
      run += 1;
      i -= 1;
      j -= 1;
    } else {
      const up = table[(i - 1) * width + j] ?? 0;
      const back = table[i * width + j - 1] ?? 0;
      if (up > back) i -= 1;
      else j -= 1;
    }
  }
  close();
  if (!options.indexes) return result;
  return new MapReply([
    [Buffer.from("matches"), matches],
    [Buffer.from("len"), total],
  ]);
}

/** LCS. */
export const lcsCommands: readonly Command[] = [
  {
    name: "lcs",
    arity: -3,
    flags: ["readonly"],
    categories: ["@read", "@string", "@slow"],
    summary: "Find longest common substring",
    since: "7.0.0",
    group: "string",
    complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
    keys: { first: 1, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: lcs,
  },
];
