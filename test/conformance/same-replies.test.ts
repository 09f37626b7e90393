// The proof of sameness, written by hand: every family of commands, in RESP2 and in RESP3, sent to a
// real redis-server and to SpireDB; each test lists all replies that differ, not only the first.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { itemsOf, textOf } from "./fields.ts";
import { startRedis, startSpire, type Peer } from "./peers.ts";
import { mismatches, replies, report, type Protocol, type Script } from "./run.ts";
import { arityScripts } from "./scripts/arity.ts";
import { BITS } from "./scripts/bits.ts";
import { CONNECTION } from "./scripts/connection.ts";
import { EXPIRY } from "./scripts/expiry.ts";
import { KEYS } from "./scripts/keys.ts";
import { NUMBERS_FAMILY } from "./scripts/numbers.ts";
import { COMMAND_NAMES, SERVER } from "./scripts/server.ts";
import { SET_OPTIONS } from "./scripts/set-options.ts";
import { STRINGS } from "./scripts/strings.ts";

const FAMILIES: ReadonlyArray<readonly [string, readonly Script[]]> = [
  ["strings", STRINGS],
  ["SET and GETEX options", SET_OPTIONS],
  ["numbers", NUMBERS_FAMILY],
  ["bits", BITS],
  ["keys", KEYS],
  ["expiry", EXPIRY],
  ["connection", CONNECTION],
  ["server", SERVER],
];

/** What 7.2 added, see `redis-7.2.test.ts`. */
const NEW_COMMANDS = ["waitaof"];
const NEW_SUBCOMMANDS = ["client|no-touch", "client|setinfo", "cluster|myshardid"];

/** Answered for clients that ask at their start, without anything behind it. */
const PLACEHOLDERS = ["module"];

/** Refused by a redis-server outside cluster mode; `test/resp` and `cluster-clients.test.ts` have them. */
const CLUSTER_COMMANDS = ["asking", "cluster", "readonly", "readwrite"];

const PROTOCOLS: readonly Protocol[] = [2, 3];

let redis: Peer;
let spire: Peer;

beforeAll(async () => {
  [redis, spire] = await Promise.all([startRedis(), startSpire()]);
});

afterAll(async () => {
  await Promise.all([redis?.stop(), spire?.stop()]);
});

describe.each(PROTOCOLS)("in RESP%i, replies are those of redis-server", (protocol) => {
  it.each(FAMILIES)("%s", async (_, scripts) => {
    expect(report(await mismatches([redis, spire], protocol, scripts))).toBe("");
  });

  it("wrong numbers of arguments", async () => {
    const arities = await arityOf(redis, protocol);
    expect(report(await mismatches([redis, spire], protocol, arityScripts(arities)))).toBe("");
  });
});

describe("the hand-written tables", () => {
  it("compare at least 800 commands", () => {
    const scripts = FAMILIES.flatMap(([, family]) => family);
    const commands = scripts.flatMap(({ steps }) => steps.filter((s) => typeof s !== "number"));
    expect(commands.length).toBeGreaterThanOrEqual(800);
  });

  it("name every command that SpireDB lists, except its own", async () => {
    const [list] = await replies(spire, 2, [["COMMAND", "LIST"]]);
    const [theirs] = await replies(redis, 2, [["COMMAND", "LIST"]]);
    const known = new Set([...itemsOf(theirs!).map(textOf), ...NEW_COMMANDS, ...NEW_SUBCOMMANDS]);
    const ours = itemsOf(list!)
      .map(textOf)
      .filter((name) => !name.startsWith("spire."));
    expect(ours.filter((name) => !known.has(name))).toEqual([]);
    if (spire.name !== "spiredb") return;
    const compared = new Set([
      ...COMMAND_NAMES,
      ...NEW_COMMANDS,
      ...PLACEHOLDERS,
      ...CLUSTER_COMMANDS,
    ]);
    const top = ours.filter((name) => !name.includes("|"));
    expect(top.filter((name) => !compared.has(name))).toEqual([]);
    expect([...compared].filter((name) => !ours.includes(name))).toEqual([]);
  });
});

async function arityOf(peer: Peer, protocol: Protocol): Promise<Map<string, number>> {
  const [info] = await replies(peer, protocol, [["COMMAND", "INFO", ...COMMAND_NAMES]]);
  const rows = itemsOf(info!).map((row) => itemsOf(row).map(textOf));
  return new Map(rows.map(([name, arity]) => [name ?? "", Number(arity)]));
}
