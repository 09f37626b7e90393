// When keys expire: the EXPIRE and TTL families. All become an absolute instant in ms at once; an
// instant that has passed removes the key (expire.c).

import { expiryMs, expiryUnits, optionWord, parseInt64 } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import {
  expireGtConflict,
  expireNxConflict,
  invalidExpire,
  notInteger,
  quoted,
  unknownOption,
} from "../errors.ts";
import { ErrorReply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

const conditions = ["NX", "XX", "GT", "LT"];

function parseConditions(args: readonly Buffer[]): Set<string> | ErrorReply {
  const found = new Set<string>();
  for (const arg of args.slice(3)) {
    const word = optionWord(arg);
    if (!conditions.includes(word)) return unknownOption(quoted(arg));
    found.add(word);
  }
  if (found.has("NX") && found.size > 1) return expireNxConflict;
  return found.has("GT") && found.has("LT") ? expireGtConflict : found;
}

/** Whether the conditions allow `next` after `now`; 0 = never expires, which counts as infinite. */
function allowed(found: ReadonlySet<string>, now: number, next: number): boolean {
  if (found.has("NX") && now !== 0) return false;
  if (found.has("XX") && now === 0) return false;
  if (found.has("GT") && (now === 0 || next <= now)) return false;
  return !(found.has("LT") && now !== 0 && next >= now);
}

function expire(name: string, word: string): Execute {
  const unit = expiryUnits[word];
  return (view, args) => {
    const found = parseConditions(args);
    if (found instanceof ErrorReply) return found;
    const value = parseInt64(argument(args, 2));
    if (value === undefined) return notInteger;
    const at = unit && expiryMs(value, unit, view.nowMs);
    if (at === undefined) return invalidExpire(name);
    const key = argument(args, 1);
    const record = view.find(key);
    if (record === undefined || !allowed(found, record.expireAtMs, at)) return 0;
    if (at <= view.nowMs) view.remove(key);
    else view.setExpiry(key, record, at);
    return 1;
  };
}

/** -2 = no such key, -1 = it never expires, else what `show` makes of the instant. */
function remaining(show: (expireAtMs: number, nowMs: number) => number): Execute {
  return (view, args) => {
    const record = view.find(argument(args, 1));
    if (record === undefined) return -2;
    return record.expireAtMs === 0 ? -1 : show(record.expireAtMs, Math.floor(view.nowMs));
  };
}

const inSeconds = (ms: number): number => Math.floor((ms + 500) / 1000);

const ttl = remaining((at, now) => inSeconds(at - now));
const pttl = remaining((at, now) => at - now);
const expiretime = remaining((at) => inSeconds(at));
const pexpiretime = remaining((at) => at);

const persist: Execute = (view, args) => {
  const key = argument(args, 1);
  const record = view.find(key);
  if (record === undefined || record.expireAtMs === 0) return 0;
  view.setExpiry(key, record, 0);
  return 1;
};

/** The EXPIRE and TTL families. */
export const expireCommands: readonly Command[] = [
  {
    name: "expire",
    arity: -3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Set a key's time to live in seconds",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: expire("expire", "EX"),
  },
  {
    name: "pexpire",
    arity: -3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Set a key's time to live in milliseconds",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: expire("pexpire", "PX"),
  },
  {
    name: "expireat",
    arity: -3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Set the expiration for a key as a UNIX timestamp",
    since: "1.2.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: expire("expireat", "EXAT"),
  },
  {
    name: "pexpireat",
    arity: -3,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: expire("pexpireat", "PXAT"),
  },
  {
    name: "ttl",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Get the time to live for a key in seconds",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: ttl,
  },
  {
    name: "pttl",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Get the time to live for a key in milliseconds",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: pttl,
  },
  {
    name: "expiretime",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Get the expiration Unix timestamp for a key",
    since: "7.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: expiretime,
  },
  {
    name: "pexpiretime",
    arity: 2,
    flags: ["readonly", "fast"],
    categories: ["@keyspace", "@read", "@fast"],
    summary: "Get the expiration Unix timestamp for a key in milliseconds",
    since: "7.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: pexpiretime,
  },
  {
    name: "persist",
    arity: 2,
    flags: ["write", "fast"],
    categories: ["@keyspace", "@write", "@fast"],
    summary: "Remove the expiration from a key",
    since: "2.2.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 1, last: 1, step: 1 },
    runs: "region",
    spread: "one",
    execute: persist,
  },
];
