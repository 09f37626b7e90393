// A set of commands that can be found by the bytes of their name, and the gate's first questions:
// does it exist, is the number of arguments right, where are its keys. Built once from literals
// (`table.ts`); it knows no particular command.

import type { Command, KeySpec } from "./command.ts";
import { quoted, wrongArity } from "./errors.ts";
import { ErrorReply } from "./reply.ts";

export interface Registry {
  /** Top-level commands in the order of their names, containers with all their sub-commands. */
  readonly commands: readonly Command[];
  /** By full name in any case: "get", "OBJECT|encoding". */
  find(name: string): Command | undefined;
  /**
   * The command of a request: existence, sub-command and arity are checked. `args` has at least
   * the name. An ErrorReply is the answer, in Redis' words.
   */
  resolve(args: readonly Buffer[]): Command | ErrorReply;
  /** The command or sub-command that a request names, whatever its number of arguments. */
  named(args: readonly Buffer[]): Command | undefined;
}

/** Longest name looked up: longer ones cannot exist. */
const maxNameBytes = 64;

/** Commands named "a|b" join the sub-commands of "a", which must be among the others. */
export function createRegistry(literals: readonly Command[]): Registry {
  const containers = new Map<string, Command[]>();
  for (const command of literals) {
    const bar = command.name.indexOf("|");
    if (bar < 0) continue;
    const container = command.name.slice(0, bar);
    const subcommands = containers.get(container) ?? [];
    subcommands.push(command);
    containers.set(container, subcommands);
  }
  const commands = literals
    .filter((command) => !command.name.includes("|"))
    .map((command) => withSubcommands(command, containers.get(command.name) ?? []))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const byName = new Map<string, Command>();
  // A client cannot call "client|list": that is a name in COMMAND's lists only.
  const topLevel = new Map<string, Command>();
  for (const command of commands) {
    addName(byName, command);
    addName(topLevel, command);
    for (const subcommand of command.subcommands ?? []) addName(byName, subcommand);
  }
  const find = (name: string): Command | undefined =>
    byName.get(name) ?? byName.get(name.toLowerCase());
  const called = (name: string): Command | undefined =>
    topLevel.get(name) ?? topLevel.get(name.toLowerCase());
  const topOf = (args: readonly Buffer[]): Command | undefined => {
    const first = args[0];
    if (first === undefined || first.length > maxNameBytes) return undefined;
    return called(first.toString("latin1"));
  };
  const named = (args: readonly Buffer[]): Command | undefined => {
    const command = topOf(args);
    const second = args[1];
    if (command?.subcommands === undefined || second === undefined) return command;
    return find(`${command.name}|${second.toString("latin1", 0, maxNameBytes).toLowerCase()}`);
  };
  const resolve = (args: readonly Buffer[]): Command | ErrorReply => {
    const command = topOf(args);
    if (command === undefined) return unknownCommand(args);
    if (command.subcommands !== undefined) return resolveSubcommand(command, args, find);
    return arityFits(command, args.length) ? command : wrongArity(command.name);
  };
  return { commands, find, resolve, named };
}

function withSubcommands(command: Command, more: readonly Command[]): Command {
  if (more.length === 0) return command;
  const own = (command.subcommands ?? []).filter(
    (subcommand) => !more.some(({ name }) => name === subcommand.name),
  );
  const subcommands = [...own, ...more].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { ...command, subcommands };
}

/** Both spellings clients send, so that looking one up needs no lower-casing. */
function addName(byName: Map<string, Command>, command: Command): void {
  if (byName.has(command.name)) throw new Error(`two commands named ${command.name}`);
  byName.set(command.name, command);
  byName.set(command.name.toUpperCase(), command);
}

/** Whether `count` arguments, the name (or container) included, fit. */
export function arityFits(command: Command, count: number): boolean {
  return command.arity >= 0 ? count === command.arity : count >= -command.arity;
}

function resolveSubcommand(
  container: Command,
  args: readonly Buffer[],
  find: (name: string) => Command | undefined,
): Command | ErrorReply {
  const second = args[1];
  if (second === undefined) {
    return arityFits(container, 1) ? container : wrongArity(container.name);
  }
  const command =
    second.length > maxNameBytes
      ? undefined
      : find(`${container.name}|${second.toString("latin1").toLowerCase()}`);
  if (command === undefined) {
    return unknownSubcommand(container, second);
  }
  if (arityFits(command, args.length)) return command;
  return container.looseArity ? unknownSubcommand(container, second) : wrongArity(command.name);
}

function unknownSubcommand(container: Command, name: Buffer): ErrorReply {
  const what = container.looseArity
    ? "unknown subcommand or wrong number of arguments for"
    : "unknown subcommand";
  const help = container.name.toUpperCase();
  return new ErrorReply(`ERR ${what} '${quoted(name, 128)}'. Try ${help} HELP.`);
}

/** Redis names at most 128 bytes of the command and about 128 of its arguments. */
function unknownCommand(args: readonly Buffer[]): ErrorReply {
  let shown = "";
  for (const arg of args.slice(1)) {
    if (shown.length >= 128) break;
    shown += `'${quoted(arg, 128 - shown.length)}' `;
  }
  const name = quoted(args[0], 128);
  return new ErrorReply(`ERR unknown command '${name}', with args beginning with: ${shown}`);
}

/** Positions in `args` of the command's keys. */
export function keyPositions(command: Command, args: readonly Buffer[]): number[] {
  if (command.findKeys !== undefined) return command.findKeys(args);
  return command.keys === undefined ? [] : expandKeys(command.keys, args.length);
}

/** Where the keys of a request with this many arguments stand. */
export function expandKeys(keys: KeySpec, argumentCount: number): number[] {
  const last = keys.last < 0 ? argumentCount + keys.last : keys.last;
  const positions: number[] = [];
  for (let i = keys.first; i <= last && i < argumentCount; i += keys.step) positions.push(i);
  return positions;
}
