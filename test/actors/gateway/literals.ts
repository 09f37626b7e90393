// Command literals for the gateway's tests: the smallest of each kind.

import type { KeyspaceCommand, RegionCommand, SessionCommand } from "../../../resp/command.ts";

const shape = { categories: [], summary: "", since: "1.0.0", complexity: "", flags: [] } as const;

export const get = {
  ...shape,
  name: "get",
  arity: 2,
  flags: ["readonly"],
  group: "string",
  keys: { first: 1, last: 1, step: 1 },
  runs: "region",
  spread: "one",
  execute: () => null,
} satisfies RegionCommand;

const many = { ...get, arity: -2, keys: { first: 1, last: -1, step: 1 } } as const;

export const del = {
  ...many,
  name: "del",
  flags: ["write"],
  spread: "sum",
} satisfies RegionCommand;
export const mget = { ...many, name: "mget", spread: "array" } satisfies RegionCommand;
export const rename = { ...many, name: "rename", arity: 3 } satisfies RegionCommand;
export const mset = {
  ...many,
  name: "mset",
  arity: -3,
  flags: ["write"],
  keys: { first: 1, last: -1, step: 2 },
  spread: "ok",
} satisfies RegionCommand;

const walk = { ...shape, group: "generic", runs: "keyspace", arity: -1 } as const;

export const dbsize = {
  ...walk,
  name: "dbsize",
  parse: () => ({ walk: "dbsize" }),
} satisfies KeyspaceCommand;
export const flushall = {
  ...walk,
  name: "flushall",
  parse: () => ({ walk: "flushall" }),
} satisfies KeyspaceCommand;
export const randomkey = {
  ...walk,
  name: "randomkey",
  parse: () => ({ walk: "randomkey" }),
} satisfies KeyspaceCommand;
export const keys = {
  ...walk,
  name: "keys",
  arity: 2,
  parse: (args) => ({ walk: "keys", pattern: args[1] ?? Buffer.alloc(0) }),
} satisfies KeyspaceCommand;
/** SCAN cursor count. */
export const scan = {
  ...walk,
  name: "scan",
  arity: 3,
  parse: (args) => ({ walk: "scan", cursor: Number(args[1]), count: Number(args[2]) }),
} satisfies KeyspaceCommand;

/** Throws inside the gateway: a bug in a body. */
export const broken = {
  ...shape,
  name: "broken",
  arity: 1,
  group: "server",
  runs: "session",
  execute: () => {
    throw new Error("broken");
  },
} satisfies SessionCommand;

export const literals = [
  get,
  del,
  mget,
  mset,
  rename,
  dbsize,
  flushall,
  randomkey,
  keys,
  scan,
  broken,
];
