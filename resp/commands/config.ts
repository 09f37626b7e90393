// CONFIG and its sub-commands (https://redis.io/docs/latest/commands/config-get/) over the
// parameters the node keeps. There is no configuration file of Redis' kind, so REWRITE says what
// Redis says without one.

import type { SessionCommand } from "../command.ts";
import { syntaxError } from "../errors.ts";
import { matchGlob } from "../glob.ts";
import { ErrorReply, MapReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { Server, Session } from "../server.ts";

const shape = {
  runs: "session",
  group: "server",
  flags: ["admin", "noscript", "loading", "stale"],
  categories: ["@admin", "@slow", "@dangerous"],
} as const;

function get(server: Server, _session: Session, args: readonly Buffer[]): Reply {
  const { config } = server;
  const found = new Map<string, string>();
  for (const pattern of args.slice(2)) {
    const word = pattern.toString("latin1");
    const lower = Buffer.from(word.toLowerCase(), "latin1");
    if (/[*?[]/.test(word)) {
      for (const name of config.names()) {
        if (matchGlob(lower, Buffer.from(name))) found.set(name, config.get(name) ?? "");
      }
    } else {
      // A plain name comes back in the letters it was asked in, as in Redis.
      const value = config.get(lower.toString("latin1"));
      if (value !== undefined) found.set(word, value);
    }
  }
  return new MapReply([...found].map(([name, value]) => [Buffer.from(name), Buffer.from(value)]));
}

function set(server: Server, _session: Session, args: readonly Buffer[]): Reply {
  if (args.length % 2 === 1) return syntaxError;
  const pairs: Array<readonly [string, string]> = [];
  for (let at = 2; at < args.length; at += 2) {
    pairs.push([args[at]?.toString() ?? "", args[at + 1]?.toString() ?? ""]);
  }
  const problem = server.config.set(pairs);
  if (problem === undefined) return "OK";
  // Errors are written as Latin-1; this one may quote a name or value.
  return new ErrorReply(Buffer.from(`ERR ${problem}`).toString("latin1"));
}

const help = [
  "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "GET <pattern>",
  "    Return parameters matching the glob-like <pattern> and their values.",
  "SET <directive> <value>",
  "    Set the configuration <directive> to <value>.",
  "RESETSTAT",
  "    Reset statistics reported by the INFO command.",
  "REWRITE",
  "    Rewrite the configuration file.",
  "HELP",
  "    Print this help.",
];

const subcommands = [
  {
    ...shape,
    name: "config|get",
    arity: -3,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Returns the effective values of configuration parameters.",
    execute: get,
  },
  {
    ...shape,
    name: "config|help",
    arity: 2,
    flags: ["loading", "stale"],
    categories: ["@slow"],
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Returns helpful text about the different subcommands.",
    execute: () => help,
  },
  {
    ...shape,
    name: "config|resetstat",
    arity: 2,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Resets the server's statistics.",
    execute: (server) => {
      server.config.resetStatistics();
      return "OK";
    },
  },
  {
    ...shape,
    name: "config|rewrite",
    arity: 2,
    since: "2.8.0",
    complexity: "O(1)",
    summary: "Persists the effective configuration to file.",
    execute: () => new ErrorReply("ERR The server is running without a config file"),
  },
  {
    ...shape,
    name: "config|set",
    arity: -4,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Sets configuration parameters in-flight.",
    execute: set,
  },
] satisfies readonly SessionCommand[];

export const configCommands: readonly SessionCommand[] = [
  {
    ...shape,
    name: "config",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    since: "2.0.0",
    complexity: "Depends on subcommand.",
    summary: "A container for server configuration commands.",
    subcommands,
    // The gate finds the sub-command; without a known one it has answered already.
    execute: () => syntaxError,
  },
];
