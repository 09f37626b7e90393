// Decides whether two replies to the same command are the same: byte for byte with their types,
// except where time passes between two servers or an order is not promised. Wanted differences are
// not here but in `differences.ts`; an error reply is always compared exactly.

import type { Command } from "./client.ts";
import { reworded, WANTED } from "./differences.ts";
import { near } from "./fields.ts";
import { render, type Typed } from "./parser.ts";

/** How replies to some commands are compared when neither is an error. */
export interface Rule {
  /** Upper case names, sub-commands as "CLIENT LIST". */
  readonly commands: readonly string[];
  readonly reason: string;
  readonly same: (redis: Typed, spire: Typed) => boolean;
}

const CONTAINERS = new Set([
  "CLIENT",
  "COMMAND",
  "CONFIG",
  "DEBUG",
  "FUNCTION",
  "MEMORY",
  "MODULE",
  "OBJECT",
  "SLOWLOG",
]);

const NATURE: readonly Rule[] = [
  { commands: ["LASTSAVE", "OBJECT IDLETIME"], reason: "seconds pass", same: near(60) },
  { commands: ["KEYS", "SCAN", "COMMAND LIST"], reason: "no order is promised", same: sameSet },
  {
    commands: ["TIME"],
    reason: "two readings of the clock",
    same: (redis, spire) => shape(redis) === shape(spire),
  },
];

const RULES = new Map(
  [...NATURE, ...WANTED].flatMap((r) => r.commands.map((c) => [c, r] as const)),
);

/** True when SpireDB's reply is as good as Redis' one. */
export function same(command: Command, redis: Typed, spire: Typed): boolean {
  const strict = redis.type === "-" || spire.type === "-" || spire.type === "none";
  const rule = strict ? undefined : RULES.get(nameOf(command));
  if (rule !== undefined) return rule.same(redis, spire);
  if (equal(redis, spire)) return true;
  return redis.type === "-" && reworded(render(redis)) === render(spire);
}

/** "GET", or "CLIENT LIST" for a container with its sub-command. */
export function nameOf(command: Command): string {
  const [first = "", second] = command.map((word) => word.toUpperCase());
  return CONTAINERS.has(first) && second !== undefined ? `${first} ${second}` : first;
}

/** Same type bytes and same content. */
export function equal(a: Typed, b: Typed): boolean {
  if (a.type !== b.type) return false;
  if ("text" in a) return "text" in b && a.text === b.text;
  if ("items" in a) return "items" in b && allEqual(a.items, b.items);
  return !("pairs" in a) || ("pairs" in b && allEqual(a.pairs.flat(), b.pairs.flat()));
}

function allEqual(a: readonly Typed[], b: readonly Typed[]): boolean {
  return a.length === b.length && a.every((item, i) => equal(item, b[i]!));
}

/** Same members in any order, at any depth. */
export function sameSet(a: Typed, b: Typed): boolean {
  return render(sorted(a)) === render(sorted(b));
}

function sorted(reply: Typed): Typed {
  if (!("items" in reply)) return reply;
  const items = reply.items.map(sorted);
  return { type: reply.type, items: items.toSorted((a, b) => (render(a) < render(b) ? -1 : 1)) };
}

/** The type bytes alone: `*[$ $]`. */
export function shape(reply: Typed): string {
  if ("items" in reply) return `${reply.type}[${reply.items.map(shape).join(" ")}]`;
  if ("pairs" in reply) return `%{${reply.pairs.map(([k, v]) => shape(k) + shape(v)).join(" ")}}`;
  return reply.type;
}
