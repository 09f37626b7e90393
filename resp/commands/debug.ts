// The part of DEBUG that test tools use, and FUNCTION as an empty library. The sub-commands here run
// at the gateway; DEBUG OBJECT reads a key and is a region's (`object.ts`).

import { optionWord } from "../arguments.ts";
import type { Command, SessionCommand } from "../command.ts";
import { quoted, syntaxError } from "../errors.ts";
import { ErrorReply, MapReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { Server, Session } from "../server.ts";

const shape = {
  runs: "session",
  group: "server",
  complexity: "O(1)",
  since: "1.0.0",
  flags: ["admin", "noscript", "loading", "stale"],
  categories: ["@admin", "@slow", "@dangerous"],
} as const;

/** Longest DEBUG SLEEP: a timer's range. */
const sleepMsMax = 2 ** 31 - 1;

function sleep(server: Server, session: Session, args: readonly Buffer[]): Reply | undefined {
  // As strtod in Redis: what is no number sleeps not at all.
  const seconds = Number.parseFloat(args[2]?.toString("latin1") ?? "");
  const delayMs = Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0;
  // Only this connection waits; Redis would stop everybody.
  server.later(Math.min(delayMs, sleepMsMax), () => session.reply("OK"));
  return undefined;
}

function setActiveExpire(server: Server, _session: Session, args: readonly Buffer[]): Reply {
  server.setActiveExpire(Number.parseInt(args[2]?.toString("latin1") ?? "", 10) !== 0);
  return "OK";
}

const debugHelp = [
  "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "OBJECT <key>",
  "    Show low level info about `key` and associated value.",
  "SET-ACTIVE-EXPIRE <0|1>",
  "    Setting it to 0 disables expiring keys (and hash-fields) in background",
  "SLEEP <seconds>",
  "    Stop the connection for <seconds>. Decimals allowed.",
  "HELP",
  "    Print this help.",
];

const debugSubcommands = [
  {
    ...shape,
    name: "debug|help",
    arity: 2,
    summary: "Returns helpful text about the different subcommands.",
    execute: () => debugHelp,
  },
  {
    ...shape,
    name: "debug|sleep",
    arity: 3,
    summary: "Delays the later replies of the connection.",
    execute: sleep,
  },
  {
    ...shape,
    name: "debug|set-active-expire",
    arity: 3,
    summary: "Switches the removal of expired keys in the background.",
    execute: setActiveExpire,
  },
] satisfies readonly SessionCommand[];

export const debugCommands: readonly Command[] = [
  {
    ...shape,
    name: "debug",
    arity: -2,
    looseArity: true,
    complexity: "Depends on subcommand.",
    summary: "A container for debugging commands.",
    subcommands: debugSubcommands,
    // The gate finds the sub-command; without a known one it has answered already.
    execute: () => syntaxError,
  },
];

const functionShape = {
  ...shape,
  group: "scripting",
  since: "7.0.0",
  flags: ["noscript"],
  categories: ["@slow", "@scripting"],
} as const;

function flushFunctions(_server: Server, _session: Session, args: readonly Buffer[]): Reply {
  const word = optionWord(args[2]);
  if (args.length > 3 || (args[2] !== undefined && word !== "SYNC" && word !== "ASYNC")) {
    return new ErrorReply("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  return "OK";
}

function listFunctions(_server: Server, _session: Session, args: readonly Buffer[]): Reply {
  for (let at = 2; at < args.length; at += 1) {
    const word = optionWord(args[at]);
    if (word === "WITHCODE") continue;
    if (word !== "LIBRARYNAME") {
      return new ErrorReply(`ERR Unknown argument ${quoted(args[at])}`);
    }
    at += 1;
    if (args[at] === undefined) return new ErrorReply("ERR library name argument was not given");
  }
  return [];
}

function functionStatistics(): Reply {
  return new MapReply([
    [Buffer.from("running_script"), null],
    [Buffer.from("engines"), new MapReply([])],
  ]);
}

const functionHelp = [
  "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "FLUSH [ASYNC|SYNC]",
  "    Delete all the libraries.",
  "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
  "    Return general information on all the libraries.",
  "STATS",
  "    Return information about the current function running.",
  "HELP",
  "    Prints this help.",
];

const functionSubcommands = [
  {
    ...functionShape,
    name: "function|help",
    arity: 2,
    flags: ["loading", "stale"],
    summary: "Returns helpful text about the different subcommands.",
    execute: () => functionHelp,
  },
  {
    ...functionShape,
    name: "function|flush",
    arity: -2,
    flags: ["write", "noscript"],
    categories: ["@write", "@slow", "@scripting"],
    summary: "Deletes all libraries and functions.",
    execute: flushFunctions,
  },
  {
    ...functionShape,
    name: "function|list",
    arity: -2,
    summary: "Returns information about all libraries.",
    execute: listFunctions,
  },
  {
    ...functionShape,
    name: "function|stats",
    arity: 2,
    flags: ["noscript", "allow_busy"],
    summary: "Returns information about a function during execution.",
    execute: functionStatistics,
  },
] satisfies readonly SessionCommand[];

export const functionCommands: readonly SessionCommand[] = [
  {
    ...functionShape,
    name: "function",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    complexity: "Depends on subcommand.",
    summary: "A container for function commands.",
    subcommands: functionSubcommands,
    execute: () => syntaxError,
  },
];
