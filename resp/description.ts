// A command as COMMAND INFO and COMMAND DOCS show it: the literal in Redis' shapes
// (https://redis.io/docs/latest/commands/command/). Pure; used by `commands/command.ts` only.

import { optionWord } from "./arguments.ts";
import type { Command, KeySpec } from "./command.ts";
import { expandKeys } from "./registry.ts";
import { MapReply, SetReply } from "./reply.ts";
import type { Reply } from "./reply.ts";

const text = (value: string): Buffer => Buffer.from(value);

/** What a command does to its keys where the flags of the whole command do not tell. */
const accessFlags: Readonly<Record<string, readonly string[]>> = {
  append: ["RW", "insert"],
  bitfield: ["RW", "access", "update", "variable_flags"],
  del: ["RM", "delete"],
  exists: ["RO"],
  expire: ["RW", "update"],
  expireat: ["RW", "update"],
  getdel: ["RW", "access", "delete"],
  "memory|usage": ["RO"],
  mset: ["OW", "update"],
  msetnx: ["OW", "insert"],
  "object|encoding": ["RO"],
  "object|freq": ["RO"],
  "object|idletime": ["RO"],
  "object|refcount": ["RO"],
  persist: ["RW", "update"],
  pexpire: ["RW", "update"],
  pexpireat: ["RW", "update"],
  psetex: ["OW", "update"],
  set: ["RW", "access", "update", "variable_flags"],
  setex: ["OW", "update"],
  setnx: ["OW", "insert"],
  setrange: ["RW", "update"],
  strlen: ["RO"],
  touch: ["RO"],
  type: ["RO"],
  unlink: ["RM", "delete"],
};

/** Some of a command's keys and what it does to them: RW, RO, OW or RM first. */
interface Access {
  readonly keys: KeySpec;
  readonly flags: readonly string[];
}

const first: KeySpec = { first: 1, last: 1, step: 1 };
const second: KeySpec = { first: 2, last: 2, step: 1 };

/** Commands that read some keys and write others. */
const mixedAccess: Readonly<Record<string, readonly Access[]>> = {
  bitop: [
    { keys: second, flags: ["OW", "update"] },
    { keys: { first: 3, last: -1, step: 1 }, flags: ["RO", "access"] },
  ],
  copy: [
    { keys: first, flags: ["RO", "access"] },
    { keys: second, flags: ["OW", "update"] },
  ],
  rename: [
    { keys: first, flags: ["RW", "access", "delete"] },
    { keys: second, flags: ["OW", "update"] },
  ],
  renamenx: [
    { keys: first, flags: ["RW", "access", "delete"] },
    { keys: second, flags: ["OW", "insert"] },
  ],
};

function accessesOf(command: Command): readonly Access[] {
  const mixed = mixedAccess[command.name];
  if (mixed !== undefined) return mixed;
  const { keys } = command;
  if (keys === undefined) return [];
  const known = accessFlags[command.name];
  const writes = command.flags.includes("write");
  return [{ keys, flags: known ?? (writes ? ["RW", "access", "update"] : ["RO", "access"]) }];
}

/** Where the arguments decide: SET without GET, BITFIELD with GET alone. */
function flagsFor(command: Command, flags: readonly string[], args: readonly Buffer[]) {
  const words = args.slice(2).map((arg) => optionWord(arg));
  if (command.name === "set") {
    return words.includes("GET", 1) ? ["RW", "access", "update"] : ["OW", "update"];
  }
  if (command.name === "bitfield") {
    const writes = words.includes("SET") || words.includes("INCRBY");
    return writes ? ["RW", "access", "update"] : ["RO", "access"];
  }
  return flags;
}

/** The keys of a full command with what it does to each: COMMAND GETKEYSANDFLAGS. */
export function keysAndFlags(command: Command, args: readonly Buffer[]): Reply[] {
  return accessesOf(command).flatMap(({ keys, flags }) =>
    expandKeys(keys, args.length).flatMap((at) => {
      const key = args[at];
      return key === undefined ? [] : [[key, new SetReply(flagsFor(command, flags, args))]];
    }),
  );
}

/** Sub-commands that Redis' own table has: those of DEBUG are none. */
export function listed(command: Command): readonly Command[] {
  return command.looseArity === true ? [] : (command.subcommands ?? []);
}

/** The ten fields of COMMAND INFO. There are no tips: those are for clients of Redis Cluster. */
export function describeCommand(command: Command): Reply {
  const { keys } = command;
  const subcommands = listed(command).map((each) => describeCommand(each));
  return [
    text(command.name),
    command.arity,
    new SetReply(command.flags),
    keys?.first ?? 0,
    keys?.last ?? 0,
    keys?.step ?? 0,
    new SetReply(command.categories),
    new SetReply([]),
    new SetReply(accessesOf(command).map(keySpecification)),
    // Redis writes an array here, but "none" as an empty set.
    subcommands.length === 0 ? new SetReply([]) : subcommands,
  ];
}

function keySpecification({ keys, flags }: Access): Reply {
  // Here `last` counts from the first key, and from the end when negative.
  const last = keys.last < 0 ? keys.last : keys.last - keys.first;
  return new MapReply([
    [text("flags"), new SetReply(flags)],
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
  const subcommands = listed(command);
  if (subcommands.length > 0) {
    const documented = subcommands.map(
      (subcommand) => [text(subcommand.name), documentCommand(subcommand)] as const,
    );
    entries.push([text("subcommands"), new MapReply(documented)]);
  }
  return new MapReply(entries);
}
