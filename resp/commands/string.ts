// SET, GET and their relatives: a string as one value, with its expiry. Pure over the keyspace
// view; option rules and their order of errors are those of Redis' t_string.c.

import type { KeyRecord } from "../../storage/keyspace/records.ts";
import type { KeyspaceView } from "../../storage/keyspace/view.ts";
import { expiryUnits, optionWord, parseExpiry } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { syntaxError } from "../errors.ts";
import { BulkPiecesReply, ErrorReply } from "../reply.ts";
import type { Reply } from "../reply.ts";

type Execute = RegionCommand["execute"];

/** `gate` has checked the arity: an argument that must be there is. */
export function argument(args: readonly Buffer[], index: number): Buffer {
  const found = args[index];
  if (found === undefined) throw new RangeError(`argument ${index} of ${args.length}`);
  return found;
}

/** A whole string as a reply, a long one as its pieces. */
export function stringReply(view: KeyspaceView, key: Buffer, record: KeyRecord): Reply {
  if ("bytes" in record) return record.bytes;
  return new BulkPiecesReply(view.readPieces(key, record, 0, view.stringLength(record)));
}

interface Options {
  nx: boolean;
  xx: boolean;
  get: boolean;
  keepTtl: boolean;
  persist: boolean;
  /** EX, PX, EXAT or PXAT with its argument. */
  unit: string;
  expiry: Buffer | undefined;
}

/** The options of SET and GETEX; undefined = a syntax error. */
function parseOptions(args: readonly Buffer[], from: number, isSet: boolean): Options | undefined {
  const options: Options = {
    nx: false,
    xx: false,
    get: false,
    keepTtl: false,
    persist: false,
    unit: "",
    expiry: undefined,
  };
  for (let i = from; i < args.length; i += 1) {
    const word = optionWord(args[i]);
    if (word in expiryUnits) {
      const taken = options.keepTtl || options.persist;
      if (taken || (options.unit !== "" && options.unit !== word)) return undefined;
      i += 1;
      options.unit = word;
      options.expiry = args[i];
      if (options.expiry === undefined) return undefined;
    } else if (!setFlag(options, word, isSet)) {
      return undefined;
    }
  }
  return options;
}

function setFlag(options: Options, word: string, isSet: boolean): boolean {
  if (word === "PERSIST" && !isSet && options.unit === "") return (options.persist = true);
  if (!isSet) return false;
  if (word === "NX" && !options.xx) return (options.nx = true);
  if (word === "XX" && !options.nx) return (options.xx = true);
  if (word === "GET") return (options.get = true);
  if (word === "KEEPTTL" && options.unit === "") return (options.keepTtl = true);
  return false;
}

/** Sets a string whose expiry may already be past: then the key is simply gone. */
function store(view: KeyspaceView, key: Buffer, value: Buffer, expireAtMs: number): void {
  if (expireAtMs !== 0 && expireAtMs <= view.nowMs) view.remove(key);
  else view.setString(key, value, { expireAtMs });
}

const set: Execute = (view, args) => {
  const key = argument(args, 1);
  const value = argument(args, 2);
  if (args.length === 3) {
    view.setString(key, value, { expireAtMs: 0 });
    return "OK";
  }
  const options = parseOptions(args, 3, true);
  if (options === undefined) return syntaxError;
  const expiry = expiryOf(options, view, "set");
  if (expiry instanceof ErrorReply) return expiry;
  const record = view.find(key);
  const before = options.get && record !== undefined ? stringReply(view, key, record) : null;
  if (options.nx ? record !== undefined : options.xx && record === undefined) return before;
  const kept = options.keepTtl ? (record?.expireAtMs ?? 0) : 0;
  store(view, key, value, expiry === 0 ? kept : expiry);
  return options.get ? before : "OK";
};

/** Unix ms, 0 = none given. */
function expiryOf(options: Options, view: KeyspaceView, command: string): number | ErrorReply {
  const unit = expiryUnits[options.unit];
  if (unit === undefined || options.expiry === undefined) return 0;
  return parseExpiry(options.expiry, unit, view.nowMs, command);
}

const get: Execute = (view, args) => {
  const key = argument(args, 1);
  const record = view.find(key);
  return record === undefined ? null : stringReply(view, key, record);
};

const getex: Execute = (view, args) => {
  const key = argument(args, 1);
  const options = parseOptions(args, 2, false);
  if (options === undefined) return syntaxError;
  const record = view.find(key);
  if (record === undefined) return null;
  const expiry = expiryOf(options, view, "getex");
  if (expiry instanceof ErrorReply) return expiry;
  const reply = stringReply(view, key, record);
  if (expiry !== 0 && expiry <= view.nowMs) view.remove(key);
  else if (expiry !== 0 || options.persist) view.setExpiry(key, record, expiry);
  return reply;
};

const getdel: Execute = (view, args) => {
  const reply = get(view, args);
  if (reply !== null) view.remove(argument(args, 1));
  return reply;
};

const getset: Execute = (view, args) => {
  const reply = get(view, args);
  view.setString(argument(args, 1), argument(args, 2), { expireAtMs: 0 });
  return reply;
};

const setnx: Execute = (view, args) => {
  const key = argument(args, 1);
  if (view.find(key) !== undefined) return 0;
  view.setString(key, argument(args, 2), { expireAtMs: 0 });
  return 1;
};

function setWithExpiry(name: string, word: "EX" | "PX"): Execute {
  const unit = expiryUnits[word];
  return (view, args) => {
    if (unit === undefined) return syntaxError;
    const expiry = parseExpiry(argument(args, 2), unit, view.nowMs, name);
    if (expiry instanceof ErrorReply) return expiry;
    store(view, argument(args, 1), argument(args, 3), expiry);
    return "OK";
  };
}

/** SET, GET and their relatives. */
export const stringCommands: readonly Command[] = [
  {
    name: "set",
    arity: -3,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Set the string value of a key",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: set,
  },
  {
    name: "get",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@read", "@string", "@fast"],
    summary: "Get the value of a key",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: get,
  },
  {
    name: "getex",
    arity: -2,
    flags: ["write", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Get the value of a key and optionally set its expiration",
    since: "6.2.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getex,
  },
  {
    name: "getdel",
    arity: 2,
    flags: ["write", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Get the value of a key and delete the key",
    since: "6.2.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getdel,
  },
  {
    name: "getset",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Set the string value of a key and return its old value",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: getset,
  },
  {
    name: "setnx",
    arity: 3,
    flags: ["write", "denyoom", "fast"],
    categories: ["@write", "@string", "@fast"],
    summary: "Set the value of a key, only if the key does not exist",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: setnx,
  },
  {
    name: "setex",
    arity: 4,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Set the value and expiration of a key",
    since: "2.0.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: setWithExpiry("setex", "EX"),
  },
  {
    name: "psetex",
    arity: 4,
    flags: ["write", "denyoom"],
    categories: ["@write", "@string", "@slow"],
    summary: "Set the value and expiration in milliseconds of a key",
    since: "2.6.0",
    group: "string",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: setWithExpiry("psetex", "PX"),
  },
];
