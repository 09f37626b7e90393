// Runs scripts (tables of command lines) on both peers, each on connections of its own, and lists
// every reply that is not the same. Commands between two waits are sent as one pipeline, so order
// and framing are tested as well; SCAN is followed to its end and becomes one reply.

import { setTimeout as wait } from "node:timers/promises";
import { Client, type Command } from "./client.ts";
import { nameOf, same } from "./compare.ts";
import { itemsOf, textOf } from "./fields.ts";
import { quote, render, type Typed } from "./parser.ts";
import type { Peer } from "./peers.ts";

/** Commands that run one after the other on an empty server. */
export interface Script {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** A command, or a pause in ms. */
export type Step = Command | number;

/** The protocol that a connection speaks. */
export type Protocol = 2 | 3;

/** One reply that differs. */
export interface Mismatch {
  readonly title: string;
  readonly command: Command;
  readonly redis: Typed;
  readonly spire: Typed;
}

/**
 * A script from its text: one command a line, arguments as in redis-cli ("\x00" in double quotes);
 * `~50` waits 50 ms; empty lines and lines that start with `//` are left out.
 */
export function script(title: string, text: string): Script {
  const lines = text.split("\n").map((row) => row.trim());
  const steps = lines.filter((row) => row !== "" && !row.startsWith("//")).map(step);
  return { title, steps };
}

function step(row: string): Step {
  return /^~\d+$/.test(row) ? Number(row.slice(1)) : words(row);
}

/** Splits a line into arguments; quotes join, and double quotes know \n \r \t \\ \" \xNN. */
export function words(row: string): Command {
  const found = row.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'])+/g) ?? [];
  return found.map((word) =>
    word.replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'/g, (_, double?: string, single?: string) =>
      double === undefined ? (single ?? "") : unescape(double),
    ),
  );
}

function unescape(text: string): string {
  const named: Record<string, string> = { n: "\n", r: "\r", t: "\t", a: "\x07", b: "\b" };
  return text.replaceAll(/\\(x[0-9a-fA-F]{2}|.)/g, (_, escape: string) =>
    /^x../.test(escape)
      ? String.fromCharCode(Number.parseInt(escape.slice(1), 16))
      : (named[escape] ?? escape),
  );
}

/** All mismatches of all scripts. */
export async function mismatches(
  peers: readonly [redis: Peer, spire: Peer],
  protocol: Protocol,
  scripts: readonly Script[],
): Promise<Mismatch[]> {
  const found: Mismatch[] = [];
  for (const { title, steps } of scripts) {
    const [redis, spire] = await Promise.all(peers.map((peer) => replies(peer, protocol, steps)));
    found.push(...differing(title, steps, redis!, spire!));
  }
  return found;
}

function differing(
  title: string,
  steps: readonly Step[],
  redis: readonly Typed[],
  spire: readonly Typed[],
): Mismatch[] {
  const found: Mismatch[] = [];
  const commands = steps.filter((s) => typeof s !== "number");
  for (const [i, command] of commands.entries()) {
    const [a, b] = [redis[i]!, spire[i]!];
    if (!same(command, a, b)) found.push({ title, command, redis: a, spire: b });
    if (a.type === "none" || b.type === "none") break;
  }
  return found;
}

/** One reply for each command of `steps`, from an empty server and a new connection. */
export async function replies(
  peer: Peer,
  protocol: Protocol,
  steps: readonly Step[],
): Promise<Typed[]> {
  const client = await Client.open(peer.address);
  try {
    const start = protocol === 3 ? [["HELLO", "3"], ["FLUSHALL"]] : [["FLUSHALL"]];
    const ready = await client.ask(start);
    const bad = ready.find((reply) => reply.type === "-" || reply.type === "none");
    if (bad !== undefined) throw new Error(`${peer.name} does not start: ${render(bad)}`);
    return await walk(client, steps);
  } finally {
    client.close();
  }
}

async function walk(client: Client, steps: readonly Step[]): Promise<Typed[]> {
  const all: Typed[] = [];
  let batch: Command[] = [];
  const flush = async () => {
    if (batch.length > 0) all.push(...(await client.ask(batch)));
    batch = [];
  };
  for (const now of steps) {
    if (typeof now === "number") {
      await flush();
      await wait(now);
    } else if (nameOf(now) === "SCAN") {
      await flush();
      all.push(await scan(client, now));
    } else {
      batch.push(now);
    }
  }
  await flush();
  return all;
}

/** All pages of a SCAN as one reply, each key once; the reply itself when it is no page. */
async function scan(client: Client, command: Command): Promise<Typed> {
  const keys = new Map<string, Typed>();
  let cursor = command[1] ?? "";
  for (let page = 0; page < 10_000; page++) {
    const [reply] = await client.ask([
      [command[0]!, cursor, ...command.slice(2)].slice(0, command.length),
    ]);
    const [next, found] = itemsOf(reply!);
    if (next === undefined || found === undefined) return reply!;
    for (const key of itemsOf(found)) keys.set(render(key), key);
    cursor = textOf(next);
    if (cursor === "0") {
      return { type: "*", items: [next, { type: "*", items: [...keys.values()] }] };
    }
  }
  return { type: "none", text: "the scan does not end" };
}

/** For an assertion: "" when all is the same, else every mismatch in three lines. */
export function report(found: readonly Mismatch[]): string {
  return found.map(describeMismatch).join("\n");
}

function describeMismatch({ title, command, redis, spire }: Mismatch): string {
  const asked = command.map((arg) => clip(/^[!-~]+$/.test(arg) ? arg : quote(arg))).join(" ");
  return `${title}: ${clip(asked)}\n  redis   ${clip(render(redis))}\n  spiredb ${clip(render(spire))}`;
}

function clip(text: string): string {
  return text.length <= 400 ? text : `${text.slice(0, 300)}… (${text.length}) …${text.slice(-60)}`;
}
