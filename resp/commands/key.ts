// Commands on keys whatever they hold: DEL, EXISTS, TYPE, RENAME, COPY, MOVE. A long string is
// written again under the new key, because its chunks lie at the key's position.

import type { KeyRecord } from "../../storage/keyspace/records.ts";
import type { KeyspaceView } from "../../storage/keyspace/view.ts";
import { optionWord, parseDatabase } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { noSuchKey, sameObject, syntaxError } from "../errors.ts";
import { ErrorReply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

const del: Execute = (view, args) => {
  let removed = 0;
  for (let i = 1; i < args.length; i += 1) if (view.remove(argument(args, i))) removed += 1;
  return removed;
};

const exists: Execute = (view, args) => {
  let found = 0;
  for (let i = 1; i < args.length; i += 1) {
    if (view.find(argument(args, i)) !== undefined) found += 1;
  }
  return found;
};

const type: Execute = (view, args) => view.find(argument(args, 1))?.type ?? "none";

/** Makes `target` hold what `source` holds, expiry and encoding included. */
function duplicate(
  view: KeyspaceView,
  source: Buffer,
  record: KeyRecord,
  into: KeyspaceView,
  target: Buffer,
): void {
  const value = view.readString(source, record, 0, view.stringLength(record));
  into.setString(target, value, { expireAtMs: record.expireAtMs, raw: record.raw });
}

const rename: Execute = (view, args) => {
  const source = argument(args, 1);
  const target = argument(args, 2);
  const record = view.find(source);
  if (record === undefined) return noSuchKey;
  if (!source.equals(target)) {
    duplicate(view, source, record, view, target);
    view.remove(source);
  }
  return "OK";
};

const renamenx: Execute = (view, args) => {
  if (view.find(argument(args, 1)) === undefined) return noSuchKey;
  if (view.find(argument(args, 2)) !== undefined) return 0;
  rename(view, args);
  return 1;
};

const copy: Execute = (view, args) => {
  let db = view.db;
  let replace = false;
  for (let i = 3; i < args.length; i += 1) {
    const word = optionWord(args[i]);
    if (word === "REPLACE") {
      replace = true;
    } else if (word === "DB" && i + 1 < args.length) {
      i += 1;
      const parsed = parseDatabase(argument(args, i));
      if (parsed instanceof ErrorReply) return parsed;
      db = parsed;
    } else {
      return syntaxError;
    }
  }
  const source = argument(args, 1);
  const target = argument(args, 2);
  if (db === view.db && source.equals(target)) return sameObject;
  const into = view.select(db);
  const record = view.find(source);
  if (record === undefined) return 0;
  if (!replace && into.find(target) !== undefined) return 0;
  duplicate(view, source, record, into, target);
  return 1;
};

const move: Execute = (view, args) => {
  const db = parseDatabase(argument(args, 2));
  if (db instanceof ErrorReply) return db;
  if (db === view.db) return sameObject;
  const key = argument(args, 1);
  const into = view.select(db);
  const record = view.find(key);
  if (record === undefined || into.find(key) !== undefined) return 0;
  duplicate(view, key, record, into, key);
  view.remove(key);
  return 1;
};

/** Commands on keys whatever they hold. */
export const keyCommands: readonly Command[] = [
  {
    name: "del",
    arity: -2,
    flags: ["write"],
    categories: ["@keyspace", "@write", "@slow"],
    summary: "Delete a key",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N)",
    keys: { first: 1, last: -1, step: 1 },
    runs: "region",
    spread: "sum",
    execute: del,
  },
  {
    name: "unlink",
    arity: -2,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary:
      "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
    since: "4.0.0",
    group: "generic",
    complexity: "O(1) for each key removed regardless of its size",
    keys: { first: 1, last: -1, step: 1 },
    runs: "region",
    spread: "sum",
    execute: del,
  },
  {
    name: "exists",
    arity: -2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Determine if a key exists",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N) where N is the number of keys to check.",
    keys: { first: 1, last: -1, step: 1 },
    runs: "region",
    spread: "sum",
    execute: exists,
  },
  {
    name: "touch",
    arity: -2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary:
      "Alters the last access time of a key(s). Returns the number of existing keys specified.",
    since: "3.2.1",
    group: "generic",
    complexity: "O(N) where N is the number of keys that will be touched.",
    keys: { first: 1, last: -1, step: 1 },
    runs: "region",
    spread: "sum",
    execute: exists,
  },
  {
    name: "type",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Determine the type stored at key",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: type,
  },
  {
    name: "rename",
    arity: 3,
    flags: ["write"],
    categories: ["@keyspace", "@write", "@slow"],
    summary: "Rename a key",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: rename,
  },
  {
    name: "renamenx",
    arity: 3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Rename a key, only if the new key does not exist",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: renamenx,
  },
  {
    name: "copy",
    arity: -3,
    flags: ["write", "denyoom"],
    categories: ["@keyspace", "@write", "@slow"],
    summary: "Copy a key",
    since: "6.2.0",
    group: "generic",
    complexity: "O(N) worst case for collections,",
    keys: { first: 1, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: copy,
  },
  {
    name: "move",
    arity: 3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Move a key to another database",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: move,
  },
];
