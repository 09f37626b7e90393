// COMMAND and its sub-commands: what commands there are, in the shapes clients read. Everything
// comes from the literals in the registry, so it can list only what exists.

import type { Command, SessionCommand } from "../command.ts";
import { describeCommand, documentCommand, keysAndFlags, listed } from "../description.ts";
import { syntaxError } from "../errors.ts";
import { matchGlob } from "../glob.ts";
import { arityFits, keyPositions } from "../registry.ts";
import type { Registry } from "../registry.ts";
import { ErrorReply, MapReply } from "../reply.ts";
import type { Reply } from "../reply.ts";

const invalidCommand = new ErrorReply("ERR Invalid command specified");
const invalidArity = new ErrorReply("ERR Invalid number of arguments specified for command");
const noKeys = new ErrorReply("ERR The command has no key arguments");

const shape = {
  runs: "session",
  since: "2.8.13",
  group: "server",
  complexity: "O(N) where N is the number of commands to look up",
  flags: ["loading", "stale"],
  categories: ["@slow", "@connection"],
} as const;

const help = [
  "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "(no subcommand)",
  "    Return details about all Redis commands.",
  "COUNT",
  "    Return the total number of commands in this Redis server.",
  "LIST",
  "    Return a list of all commands in this Redis server.",
  "INFO [<command-name> ...]",
  "    Return details about multiple Redis commands.",
  "    If no command names are given, documentation details for all",
  "    commands are returned.",
  "DOCS [<command-name> ...]",
  "    Return documentation details about multiple Redis commands.",
  "    If no command names are given, documentation details for all",
  "    commands are returned.",
  "GETKEYS <full-command>",
  "    Return the keys from a full Redis command.",
  "GETKEYSANDFLAGS <full-command>",
  "    Return the keys and the access flags from a full Redis command.",
  "HELP",
  "    Prints this help.",
];

const named = (registry: Registry, names: readonly Buffer[]): (Command | undefined)[] =>
  names.map((name) => registry.find(name.toString("latin1")));

function info(registry: Registry, names: readonly Buffer[]): Reply {
  const commands = names.length === 0 ? registry.commands : named(registry, names);
  return commands.map((command) => (command === undefined ? null : describeCommand(command)));
}

function docs(registry: Registry, names: readonly Buffer[]): Reply {
  const commands = names.length === 0 ? registry.commands : named(registry, names);
  return new MapReply(
    commands.flatMap((command) =>
      command === undefined ? [] : [[Buffer.from(command.name), documentCommand(command)] as const],
    ),
  );
}

/** LIST with its filter: MODULE (there are none), ACLCAT or PATTERN. */
function list(registry: Registry, args: readonly Buffer[]): Reply {
  const every = registry.commands.flatMap((command) => [command, ...listed(command)]);
  const words = args.slice(2, 4).map((arg) => arg.toString("latin1").toUpperCase());
  const value = args[4];
  if (args.length === 2) return every.map(({ name }) => Buffer.from(name));
  if (args.length !== 5 || words[0] !== "FILTERBY" || value === undefined) return syntaxError;
  const category = `@${value.toString("latin1").toLowerCase()}`;
  const filters: Readonly<Record<string, (command: Command) => boolean>> = {
    MODULE: () => false,
    ACLCAT: (command) => command.categories.includes(category),
    PATTERN: (command) => matchGlob(value, Buffer.from(command.name)),
  };
  const filter = filters[words[1] ?? ""];
  if (filter === undefined) return syntaxError;
  return every.filter((command) => filter(command)).map(({ name }) => Buffer.from(name));
}

/** What `show` finds of keys in a full command. */
function keysOf(
  registry: Registry,
  args: readonly Buffer[],
  show: (command: Command, full: readonly Buffer[]) => readonly Reply[],
): Reply {
  const full = args.slice(2);
  const name = full[0]?.toString("latin1") ?? "";
  const first = registry.find(name);
  const sub = full[1]?.toString("latin1").toLowerCase() ?? "";
  const command = first?.subcommands === undefined ? first : registry.find(`${first.name}|${sub}`);
  if (command === undefined) return invalidCommand;
  if (command.keys === undefined && command.findKeys === undefined) return noKeys;
  if (!arityFits(command, full.length)) return invalidArity;
  const keys = show(command, full);
  return keys.length === 0 ? noKeys : keys;
}

/** Made over the registry they themselves are in, hence the function. */
export function commandCommands(registry: () => Registry): readonly SessionCommand[] {
  const sub = (
    name: string,
    arity: number,
    summary: string,
    execute: (args: readonly Buffer[]) => Reply,
  ): SessionCommand => ({
    ...shape,
    name: `command|${name}`,
    arity,
    summary,
    execute: (_server, _session, args) => execute(args),
  });
  return [
    {
      ...shape,
      name: "command",
      arity: -1,
      summary: "Get array of Redis command details",
      execute: () => info(registry(), []),
    },
    sub("count", 2, "Get total number of Redis commands", () => registry().commands.length),
    sub("docs", -2, "Get array of specific Redis command documentation", (args) =>
      docs(registry(), args.slice(2)),
    ),
    sub("info", -2, "Get array of specific Redis command details", (args) =>
      info(registry(), args.slice(2)),
    ),
    sub("list", -2, "Get an array of Redis command names", (args) => list(registry(), args)),
    sub("getkeys", -3, "Extract keys given a full Redis command", (args) =>
      keysOf(registry(), args, (command, full) =>
        keyPositions(command, full).flatMap((at) => full[at] ?? []),
      ),
    ),
    sub("getkeysandflags", -3, "Extract keys and access flags given a full command", (args) =>
      keysOf(registry(), args, keysAndFlags),
    ),
    sub("help", 2, "Show helpful text about the different subcommands", () => help),
  ];
}
