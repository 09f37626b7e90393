// Wrong numbers of arguments for every command and every sub-command, made from Redis' own arities.

import type { Command } from "../client.ts";
import type { Script } from "../run.ts";
import { COMMAND_NAMES } from "./server.ts";

/** Sub-commands with their arities, as in COMMAND INFO of Redis 7.0.15. */
const SUBCOMMANDS: ReadonlyArray<readonly [string, number]> = [
  ["CLIENT ID", 2],
  ["CLIENT INFO", 2],
  ["CLIENT GETNAME", 2],
  ["CLIENT SETNAME", 3],
  ["CLIENT LIST", -2],
  ["CLIENT KILL", -3],
  ["CLIENT NO-EVICT", 3],
  ["CLIENT HELP", 2],
  ["COMMAND COUNT", 2],
  ["COMMAND HELP", 2],
  ["CONFIG GET", -3],
  ["CONFIG SET", -4],
  ["CONFIG RESETSTAT", 2],
  ["CONFIG HELP", 2],
  ["OBJECT ENCODING", 3],
  ["OBJECT FREQ", 3],
  ["OBJECT IDLETIME", 3],
  ["OBJECT REFCOUNT", 3],
  ["OBJECT HELP", 2],
  ["MEMORY USAGE", -3],
  ["MEMORY HELP", 2],
  ["SLOWLOG GET", -2],
  ["SLOWLOG LEN", 2],
  ["SLOWLOG RESET", 2],
  ["SLOWLOG HELP", 2],
  ["FUNCTION LIST", -2],
  ["FUNCTION FLUSH", -2],
];

/** Never sent: it would end the server. */
const SKIPPED = new Set(["shutdown"]);

/** Too few and too many arguments, in lower, upper and mixed case. */
export function arityScripts(arityOf: ReadonlyMap<string, number>): readonly Script[] {
  const names = COMMAND_NAMES.filter((name) => !SKIPPED.has(name));
  const plain = names.flatMap((name) => wrong([name], arityOf.get(name) ?? -1));
  const nested = SUBCOMMANDS.flatMap(([name, arity]) => wrong(name.split(" "), arity));
  return [
    { title: "arity of commands", steps: plain },
    { title: "arity of sub-commands", steps: nested },
  ];
}

function wrong(name: Command, arity: number): Command[] {
  const least = Math.abs(arity);
  const few = Array.from({ length: Math.max(0, least - name.length) }, (_, n) => fill(name, n));
  const many = arity > 0 ? [fill(name, least - name.length + 1), fill(name, least + 3)] : [];
  return [...few, ...many].flatMap((command) => [
    command,
    [command[0]!.toUpperCase(), ...command.slice(1)],
    [command[0]!.replace(/^./, (c) => c.toUpperCase()), ...command.slice(1)],
  ]);
}

function fill(name: Command, count: number): Command {
  return [...name, ...Array.from({ length: count }, (_, i) => `arg${i}`)];
}
