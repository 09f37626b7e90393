// MGET, MSET and MSETNX. Over several regions the gateway splits the first two; MSETNX must see all
// its keys in one region.

import type { Command, RegionCommand } from "../command.ts";
import { wrongArity } from "../errors.ts";
import type { Reply } from "../reply.ts";
import { argument, stringReply } from "./string.ts";

type Execute = RegionCommand["execute"];

const mget: Execute = (view, args) => {
  const values: Reply[] = [];
  for (let i = 1; i < args.length; i += 1) {
    const key = argument(args, i);
    const record = view.find(key);
    values.push(record === undefined ? null : stringReply(view, key, record));
  }
  return values;
};

const mset: Execute = (view, args) => {
  if (args.length % 2 === 0) return wrongArity("mset");
  for (let i = 1; i < args.length; i += 2) {
    view.setString(argument(args, i), argument(args, i + 1), { expireAtMs: 0 });
  }
  return "OK";
};

const msetnx: Execute = (view, args) => {
  if (args.length % 2 === 0) return wrongArity("msetnx");
  for (let i = 1; i < args.length; i += 2) {
    if (view.find(argument(args, i)) !== undefined) return 0;
  }
  mset(view, args);
  return 1;
};

/** Strings, several at once. */
export const multiKeyCommands: readonly Command[] = [
  {
    name: "mget",
    arity: -2,
    flags: ["readonly", "fast"],
    categories: ["@read", "@string", "@fast"],
    summary: "Get the values of all the given keys",
    since: "1.0.0",
    group: "string",
    complexity: "O(N) where N is the number of keys to retrieve.",
    keys: { first: 1, last: -1, step: 1 },
    runs: "region",
    spread: "array",
    execute: mget,
  },
  {
    name: "mset",
    arity: -3,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Set multiple keys to multiple values",
    since: "1.0.1",
    group: "string",
    complexity: "O(N) where N is the number of keys to set.",
    keys: { first: 1, last: -1, step: 2 },
    runs: "region",
    spread: "ok",
    execute: mset,
  },
  {
    name: "msetnx",
    arity: -3,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Set multiple keys to multiple values, only if none of the keys exist",
    since: "1.0.1",
    group: "string",
    complexity: "O(N) where N is the number of keys to set.",
    keys: { first: 1, last: -1, step: 2 },
    runs: "region",
    spread: "one",
    execute: msetnx,
  },
];
