// The one list of wanted differences between SpireDB and redis-server 7.0.15, each with its reason.
// A difference leaves out as little as it can: a field or a number, never a whole command whose
// reply could be compared. What is not here has to be the same.
//
// Not expressible as a rule, so the scripts and generators keep out of their way:
// - several keys in several regions: MSETNX, RENAME, COPY, BITOP … answer CROSSSLOT; keys share {c};
// - values end at 64 MiB (Redis: 512 MB), so offsets stay below that or above 512 MB;
// - collections, MULTI, pub/sub, scripts, streams, ACL and TLS are not there yet;
// - one command has at most 1,048,576 arguments (Redis: 2^31 - 1);
// - SCAN cursors are opaque: a scan is compared as the set of keys of all its pages.

import type { Rule } from "./compare.ts";
import {
  clientFields,
  fieldsOf,
  infoSections,
  itemsOf,
  near,
  sameFields,
  textOf,
} from "./fields.ts";
import { render, type Typed } from "./parser.ts";

const sameType = (a: Typed, b: Typed) => a.type === b.type;

/** CLIENT LIST fields that say what a client did, not where and when. */
const CLIENT_STATE = ["name", "db", "cmd", "user", "resp", "flags", "sub", "psub", "multi"];

/** What Redis 7.2 adds to a line of CLIENT LIST. */
const CLIENT_NEW = ["lib-name", "lib-ver"];

function oldNames(fields: Map<string, string>): string[] {
  return [...fields.keys()].filter((name) => !CLIENT_NEW.includes(name)).toSorted();
}

function sameClientLine(redis: Typed, spire: Typed): boolean {
  const [a, b] = [clientFields(textOf(redis)), clientFields(textOf(spire))];
  return (
    sameType(redis, spire) &&
    oldNames(a).join() === oldNames(b).join() &&
    CLIENT_STATE.every((field) => a.get(field) === b.get(field))
  );
}

/** Commands that have other flags and categories in 7.2: WAIT became a blocking command. */
const NEW_FLAGS = ["wait"];

/**
 * Name, arity, flags, first key, last key, step and categories, flags and categories unordered; of
 * tips, key specifications and sub-commands only the type.
 */
function commandInfo(reply: Typed): string {
  if (reply.type !== "*") return render(reply);
  const renewed = NEW_FLAGS.includes(textOf(reply.items[0]!));
  const parts = reply.items.map((part, i) => {
    if (!("items" in part)) return render(part);
    return i > 6 || renewed ? part.type : part.type + part.items.map(render).toSorted().join();
  });
  return parts.join(" ");
}

function commandDocs(reply: Typed): string {
  const docs = reply.type === "%" ? reply.pairs : pairsOf(itemsOf(reply));
  const shown = docs.map(([name, doc]) => {
    const fields = fieldsOf(doc);
    return `${textOf(name)} ${fields?.get("since")} ${fields?.get("group")}`;
  });
  return `${reply.type} ${shown.toSorted().join("; ")}`;
}

function pairsOf(items: readonly Typed[]): Array<readonly [Typed, Typed]> {
  return items.flatMap((key, i) => (i % 2 === 0 && items[i + 1] ? [[key, items[i + 1]!]] : []));
}

/** The title and the entry for HELP itself; between them stand the sub-commands that exist. */
function helpFrame(reply: Typed): string {
  const lines = itemsOf(reply).map((line) => render(line).replace("Prints this", "Print this"));
  return [lines[0], ...lines.slice(-2)].join("\n");
}

/** The latest expiry that SpireDB keeps, Unix ms: the year 10889. */
const LATEST_MS = 2n ** 48n - 1n;

/** Two servers answer at slightly different moments; a busy machine makes that up to 2 s. */
const SLACK_MS = 2_000;

const noLater = (latest: () => bigint) => (value: bigint) => (value > latest() ? latest() : value);

const leftMs = () => LATEST_MS - BigInt(Date.now());

const LATER = "milliseconds pass, and an expiry after 2^48 - 1 ms is kept as that";

/** Errors that 7.2 words differently: the text of 7.0.15 and that of 7.2. */
const REWORDED: ReadonlyArray<readonly [string, string]> = [
  ["otherwise the HELLO AUTH <user> <pass>", "otherwise the HELLO <proto> AUTH <user> <pass>"],
];

/** An error text of redis-server 7.0.15 as 7.2 words it. */
export function reworded(text: string): string {
  return REWORDED.reduce((now, [old, renewed]) => now.replace(old, renewed), text);
}

/** Every wanted difference. */
export const WANTED: readonly Rule[] = [
  {
    commands: ["PEXPIRETIME"],
    reason: LATER,
    same: near(
      SLACK_MS,
      noLater(() => LATEST_MS),
    ),
  },
  {
    commands: ["EXPIRETIME"],
    reason: LATER,
    same: near(
      2,
      noLater(() => LATEST_MS / 1_000n),
    ),
  },
  { commands: ["PTTL"], reason: LATER, same: near(SLACK_MS, noLater(leftMs)) },
  {
    commands: ["TTL"],
    reason: LATER,
    same: near(
      2,
      noLater(() => leftMs() / 1_000n),
    ),
  },
  {
    commands: ["HELLO"],
    reason: "version says 7.2.4, and connection ids are counted by each server",
    same: (redis, spire) => sameFields(redis, spire, ["version", "id"]),
  },
  {
    commands: ["INFO"],
    reason:
      "values are the server's own; SpireDB adds sections, and has its percentiles in /metrics",
    same: (redis, spire) => {
      const sections = [...infoSections(textOf(redis)).keys()];
      const theirs = sections.filter((section) => section !== "Latencystats");
      const ours = infoSections(textOf(spire));
      return sameType(redis, spire) && theirs.every((section) => ours.has(section));
    },
  },
  {
    commands: ["CONFIG GET"],
    reason:
      "names are Redis', values are SpireDB's own defaults; slowlog-log-slower-than is 100 ms, " +
      "because the time it compares holds the wait for the synced log",
    same: (redis, spire) => sameFields(redis, spire, [...(fieldsOf(redis)?.keys() ?? [])]),
  },
  {
    commands: ["CLIENT LIST", "CLIENT INFO"],
    reason: "7.2 has lib-name and lib-ver; addresses, ids, ages and memory are the server's own",
    same: sameClientLine,
  },
  {
    commands: ["CLIENT ID", "COMMAND COUNT", "MEMORY USAGE", "SLOWLOG LEN"],
    reason: "a number of the server's own",
    same: sameType,
  },
  {
    commands: ["SLOWLOG GET", "DEBUG OBJECT"],
    reason: "what is slow, and where a value lies, is the server's own",
    same: sameType,
  },
  {
    commands: ["OBJECT REFCOUNT"],
    reason: "SpireDB shares no integer objects: 1 where Redis says 2147483647",
    same: (redis, spire) =>
      render(spire) === render(redis) || (redis.type === ":" && render(spire) === ":1"),
  },
  {
    commands: ["OBJECT ENCODING"],
    reason: "a value is kept as its text: a whole result of INCRBYFLOAT is int, embstr in Redis",
    same: (redis, spire) =>
      render(spire) === render(redis) ||
      (render(redis) === '$"embstr"' && render(spire) === '$"int"'),
  },
  {
    commands: ["ROLE"],
    reason: "the replication offset is the server's own",
    same: (redis, spire) =>
      sameType(redis, spire) &&
      [0, 2].every((i) => render(itemsOf(redis)[i]!) === render(itemsOf(spire)[i]!)),
  },
  {
    commands: ["COMMAND", "COMMAND INFO"],
    reason: "tips, key specifications and sub-commands follow 7.2; SpireDB lists what it has",
    same: (redis, spire) =>
      sameType(redis, spire) &&
      itemsOf(spire).every((item, i) => commandInfo(item) === commandInfo(itemsOf(redis)[i]!)),
  },
  {
    commands: ["COMMAND DOCS"],
    reason: "summaries and arguments are worded by 7.2",
    same: (redis, spire) => commandDocs(redis) === commandDocs(spire),
  },
  {
    commands: [
      "CLIENT HELP",
      "COMMAND HELP",
      "CONFIG HELP",
      "DEBUG HELP",
      "FUNCTION HELP",
      "MODULE HELP",
      "MEMORY HELP",
      "OBJECT HELP",
      "SLOWLOG HELP",
    ],
    reason: "HELP lists the sub-commands that exist; 7.2 says Print where 7.0 says Prints",
    same: (redis, spire) => sameType(redis, spire) && helpFrame(redis) === helpFrame(spire),
  },
];
