// Every mutant still names one place of the sources: otherwise the table would shrink unseen.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeMutants } from "./node-mutants.ts";
import { mutants } from "./raft-mutants.ts";

const root = join(import.meta.dirname, "../..");
const all = [
  ...mutants.map((mutant) => ({ ...mutant, file: join("actors/raft", mutant.file) })),
  ...nodeMutants,
];

test.each(all)("$name", ({ file, search, replacement }) => {
  const pieces = readFileSync(join(root, file), "utf8").split(search);
  expect(pieces).toHaveLength(2);
  expect(replacement).not.toBe(search);
});

test("no two have the same name", () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});
