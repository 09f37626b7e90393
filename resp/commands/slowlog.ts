// SLOWLOG and its sub-commands (https://redis.io/docs/latest/commands/slowlog-get/) over the
// entries the node keeps.

import { parseInt64 } from "../arguments.ts";
import type { SessionCommand } from "../command.ts";
import { quoted, syntaxError } from "../errors.ts";
import { ErrorReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { Server, Session } from "../server.ts";

const shape = {
  runs: "session",
  group: "server",
  flags: ["admin", "loading", "stale"],
  categories: ["@admin", "@slow", "@dangerous"],
  since: "2.2.12",
} as const;

const defaultCount = 10;

function get(server: Server, _session: Session, args: readonly Buffer[]): Reply {
  if (args.length > 3) {
    const what = "unknown subcommand or wrong number of arguments for";
    return new ErrorReply(`ERR ${what} '${quoted(args[1])}'. Try SLOWLOG HELP.`);
  }
  let count = defaultCount;
  if (args[2] !== undefined) {
    const asked = parseInt64(args[2]);
    if (asked === undefined || asked < -1) {
      return new ErrorReply("ERR count should be greater than or equal to -1");
    }
    count = Number(asked);
  }
  return server.slowlog
    .entries(count)
    .map((entry) => [
      entry.id,
      entry.atSeconds,
      entry.microseconds,
      entry.args,
      Buffer.from(entry.address),
      Buffer.from(entry.name),
    ]);
}

const help = [
  "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "GET [<count>]",
  "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
  "    Entries are made of:",
  "    id, timestamp, time in microseconds, arguments array, client IP and port,",
  "    client name",
  "LEN",
  "    Return the length of the slowlog.",
  "RESET",
  "    Reset the slowlog.",
  "HELP",
  "    Print this help.",
];

const subcommands = [
  {
    ...shape,
    name: "slowlog|get",
    arity: -2,
    complexity: "O(N) where N is the number of entries returned",
    summary: "Returns the slow log's entries.",
    execute: get,
  },
  {
    ...shape,
    name: "slowlog|help",
    arity: 2,
    flags: ["loading", "stale"],
    categories: ["@slow"],
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Show helpful text about the different subcommands",
    execute: () => help,
  },
  {
    ...shape,
    name: "slowlog|len",
    arity: 2,
    complexity: "O(1)",
    summary: "Returns the number of entries in the slow log.",
    execute: (server) => server.slowlog.length(),
  },
  {
    ...shape,
    name: "slowlog|reset",
    arity: 2,
    complexity: "O(N) where N is the number of entries in the slowlog",
    summary: "Clears all entries from the slow log.",
    execute: (server) => {
      server.slowlog.reset();
      return "OK";
    },
  },
] satisfies readonly SessionCommand[];

export const slowlogCommands: readonly SessionCommand[] = [
  {
    ...shape,
    name: "slowlog",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    complexity: "Depends on subcommand.",
    summary: "A container for slow log commands.",
    subcommands,
    // The gate finds the sub-command; without a known one it has answered already.
    execute: () => syntaxError,
  },
];
