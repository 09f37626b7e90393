// A command as COMMAND INFO and COMMAND DOCS show it: the literal in Redis' shapes
// (https://redis.io/docs/latest/commands/command/). Pure; used by `commands/command.ts` only.

import type { Command } from "./command.ts";
import { MapReply, SetReply } from "./reply.ts";
import type { Reply } from "./reply.ts";

const text = (value: string): Buffer => Buffer.from(value);

/** What a command does to its keys where the flags of the whole command do not tell. */
const accessFlags: Readonly<Record<string, readonly string[]>> = {
  append: ["RW", "insert"],
  bitop: ["OW", "update"],
  copy: ["OW", "update"],
  del: ["RM", "delete"],
  exists: ["RO"],
  expire: ["RW", "update"],
  getdel: ["RW", "access", "delete"],
  mset: ["OW", "update"],
  msetnx: ["OW", "insert"],
  psetex: ["OW", "update"],
  set: ["RW", "access", "update", "variable_flags"],
  setex: ["OW", "update"],
  setnx: ["OW", "insert"],
  setrange: ["RW", "update"],
  strlen: ["RO"],
  touch: ["RO"],
  ttl: ["RO", "access"],
  type: ["RO"],
  unlink: ["RM", "delete"],
};

/** RW, RO, OW or RM and what is done: COMMAND GETKEYSANDFLAGS, key specifications. */
export function keyFlags(command: Command): readonly string[] {
  const known = accessFlags[command.name];
  if (known !== undefined) return known;
  return command.flags.includes("write") ? ["RW", "access", "update"] : ["RO", "access"];
}

/** The ten fields of COMMAND INFO. */
export function describeCommand(command: Command): Reply {
  const { keys } = command;
  return [
    text(command.name),
    command.arity,
    new SetReply(command.flags),
    keys?.first ?? 0,
    keys?.last ?? 0,
    keys?.step ?? 0,
    new SetReply(command.categories),
    [],
    keys === undefined ? [] : [keySpecification(command, keys)],
    (command.subcommands ?? []).map((subcommand) => describeCommand(subcommand)),
  ];
}

function keySpecification(command: Command, keys: NonNullable<Command["keys"]>): Reply {
  // Here `last` counts from the first key, and from the end when negative.
  const last = keys.last < 0 ? keys.last : keys.last - keys.first;
  return new MapReply([
    [text("flags"), new SetReply(keyFlags(command))],
    [
      text("begin_search"),
      new MapReply([
        [text("type"), text("index")],
        [text("spec"), new MapReply([[text("index"), keys.first]])],
      ]),
    ],
    [
      text("find_keys"),
      new MapReply([
        [text("type"), text("range")],
        [
          text("spec"),
          new MapReply([
            [text("lastkey"), last],
            [text("keystep"), keys.step],
            [text("limit"), 0],
          ]),
        ],
      ]),
    ],
  ]);
}

/** What COMMAND DOCS says of one command. */
export function documentCommand(command: Command): Reply {
  const entries: [Reply, Reply][] = [
    [text("summary"), text(command.summary)],
    [text("since"), text(command.since)],
    [text("group"), text(command.group)],
    [text("complexity"), text(command.complexity)],
  ];
  const { subcommands } = command;
  if (subcommands !== undefined) {
    const documented = subcommands.map(
      (subcommand) => [text(subcommand.name), documentCommand(subcommand)] as const,
    );
    entries.push([text("subcommands"), new MapReply(documented)]);
  }
  return new MapReply(entries);
}
