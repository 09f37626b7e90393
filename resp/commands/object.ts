// What Redis tells about the form of a value: OBJECT, MEMORY USAGE and DEBUG OBJECT. Our form on disk
// is another, so these say what Redis would: encodings exactly, sizes about right.

import type { KeyRecord } from "../../storage/keyspace/records.ts";
import type { KeyspaceView } from "../../storage/keyspace/view.ts";
import { optionWord, parseInt64, parseNumber } from "../arguments.ts";
import type { Command, RegionCommand } from "../command.ts";
import { noMaxmemoryLfu, noSuchKey, notInteger, syntaxError } from "../errors.ts";
import type { Reply } from "../reply.ts";
import { argument } from "./string.ts";

type Execute = RegionCommand["execute"];

/** Longest string that Redis keeps together with its object header (OBJ_ENCODING_EMBSTR_SIZE_LIMIT). */
const longestEmbedded = 44;
const longestInt64 = 20;
/** Redis shares the objects of small integers and says so with this count. */
const sharedIntegers = 10_000;
const sharedReferenceCount = 2_147_483_647;
/** Bytes of a dictionary entry, a key's string header and an object, as jemalloc rounds them. */
const entryBytes = 24;
const objectBytes = 16;
const stringHeaderBytes = 9;

type Encoding = "int" | "embstr" | "raw";

function encodingOf(view: KeyspaceView, key: Buffer, record: KeyRecord): Encoding {
  const length = view.stringLength(record);
  if (record.raw || length > longestEmbedded) return "raw";
  if (length > longestInt64) return "embstr";
  return parseInt64(view.readString(key, record, 0, length)) === undefined ? "embstr" : "int";
}

/** Null for an absent key, else what `show` says. */
function describe(
  show: (view: KeyspaceView, key: Buffer, record: KeyRecord) => Reply,
  absent: Reply = null,
): Execute {
  return (view, args) => {
    const key = argument(args, 2);
    const record = view.find(key);
    return record === undefined ? absent : show(view, key, record);
  };
}

const encoding = describe((view, key, record) => Buffer.from(encodingOf(view, key, record)));
const frequency = describe(() => noMaxmemoryLfu);
/** Accesses are not tracked: every key counts as just used. */
const idleTime = describe(() => 0);

const referenceCount = describe((view, key, record) => {
  if (encodingOf(view, key, record) !== "int") return 1;
  const value = parseNumber(view.readString(key, record, 0, view.stringLength(record))) ?? -1;
  return value >= 0 && value < sharedIntegers ? sharedReferenceCount : 1;
});

const debugObject = describe((view, key, record) => {
  const kind = encodingOf(view, key, record);
  const length = view.stringLength(record) + 1;
  return (
    `Value at:0x000000000000 refcount:1 encoding:${kind} serializedlength:${length} ` +
    "lru:0 lru_seconds_idle:0"
  );
}, noSuchKey);

/** Rounded up to a size class of about jemalloc's. */
function allocated(bytes: number): number {
  if (bytes <= 8) return 8;
  if (bytes <= 128) return Math.ceil(bytes / 16) * 16;
  const step = 2 ** Math.floor(Math.log2(bytes - 1) - 2);
  return Math.ceil(bytes / step) * step;
}

const memoryUsage: Execute = (view, args) => {
  for (let i = 3; i < args.length; i += 2) {
    if (optionWord(args[i]) !== "SAMPLES" || args[i + 1] === undefined) return syntaxError;
    const samples = parseNumber(argument(args, i + 1));
    if (samples === undefined) return notInteger;
    if (samples < 0) return syntaxError;
  }
  const key = argument(args, 2);
  const record = view.find(key);
  if (record === undefined) return null;
  const kind = encodingOf(view, key, record);
  const length = view.stringLength(record);
  let value = objectBytes;
  if (kind === "embstr") value = allocated(objectBytes + length + 4);
  else if (kind === "raw") value += allocated(length + stringHeaderBytes);
  return entryBytes + allocated(key.length + stringHeaderBytes) + value;
};

const objectHelp = [
  "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "ENCODING <key>",
  "    Return the kind of internal representation used in order to store the value",
  "    associated with a <key>.",
  "FREQ <key>",
  "    Return the access frequency index of the <key>. The returned integer is",
  "    proportional to the logarithm of the recent access frequency of the key.",
  "IDLETIME <key>",
  "    Return the idle time of the <key>, that is the approximated number of",
  "    seconds elapsed since the last access to the key.",
  "REFCOUNT <key>",
  "    Return the number of references of the value associated with the specified",
  "    <key>.",
  "HELP",
  "    Prints this help.",
];

const memoryHelp = [
  "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "USAGE <key> [SAMPLES <count>]",
  "    Return memory in bytes used by <key> and its value. Nested values are",
  "    sampled up to <count> times (default: 5, 0 means sample all).",
  "HELP",
  "    Prints this help.",
];

/** OBJECT, MEMORY and DEBUG OBJECT. */
export const objectCommands: readonly Command[] = [
  {
    name: "object",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    summary: "A container for object introspection commands",
    since: "2.2.3",
    group: "generic",
    complexity: "Depends on subcommand.",
    runs: "session",
    execute: () => syntaxError,
  },
  {
    name: "object|help",
    arity: 2,
    flags: ["loading", "stale"],
    categories: ["@keyspace", "@slow"],
    summary: "Show helpful text about the different subcommands",
    since: "6.2.0",
    group: "generic",
    complexity: "O(1)",
    runs: "session",
    execute: () => objectHelp,
  },
  {
    name: "object|encoding",
    arity: 3,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Inspect the internal encoding of a Redis object",
    since: "2.2.3",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: encoding,
  },
  {
    name: "object|freq",
    arity: 3,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Get the logarithmic access frequency counter of a Redis object",
    since: "4.0.0",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: frequency,
  },
  {
    name: "object|idletime",
    arity: 3,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Get the time since a Redis object was last accessed",
    since: "2.2.3",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: idleTime,
  },
  {
    name: "object|refcount",
    arity: 3,
    flags: ["readonly"],
    categories: ["@keyspace", "@read", "@slow"],
    summary: "Get the number of references to the value of the key",
    since: "2.2.3",
    group: "generic",
    complexity: "O(1)",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: referenceCount,
  },
  {
    name: "memory",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    summary: "A container for memory diagnostics commands",
    since: "4.0.0",
    group: "server",
    complexity: "Depends on subcommand.",
    runs: "session",
    execute: () => syntaxError,
  },
  {
    name: "memory|help",
    arity: 2,
    flags: ["loading", "stale"],
    categories: ["@slow"],
    summary: "Show helpful text about the different subcommands",
    since: "4.0.0",
    group: "server",
    complexity: "O(1)",
    runs: "session",
    execute: () => memoryHelp,
  },
  {
    name: "memory|usage",
    arity: -3,
    flags: ["readonly"],
    categories: ["@read", "@slow"],
    summary: "Estimate the memory usage of a key",
    since: "4.0.0",
    group: "server",
    complexity: "O(N) where N is the number of samples.",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: memoryUsage,
  },
  {
    name: "debug|object",
    arity: 3,
    flags: ["admin", "noscript", "loading", "stale"],
    categories: ["@admin", "@slow", "@dangerous"],
    summary: "Shows low-level information about a key.",
    since: "1.0.0",
    group: "server",
    complexity: "O(1)",
    keys: { first: 2, last: 2, step: 1 },
    runs: "region",
    spread: "one",
    execute: debugObject,
  },
];
