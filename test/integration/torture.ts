// `npm run torture -- --rounds 200 [--seed N]`: starts a node, loads it, kills it with SIGKILL at a
// random moment, starts it again on the same folder and checks that every acknowledged write is
// there. Ends with code 1 when one is lost, and prints the seed that repeats the choices.

import { rmSync } from "node:fs";
import { createRequire } from "node:module";

import { npmScript, number } from "../options.ts";
import { newFolder, SpireProcess, startNode, type ReadyNode } from "./harness.ts";
import { Connection, ErrorText } from "./connection.ts";
import { Ledger, type Discrepancy } from "./ledger.ts";
import { seeded, Writer } from "./load.ts";

/** What a run of the torture does. */
export interface TortureOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly connections?: number;
  readonly report: (line: string) => void;
}

/** What it found. */
export interface TortureResult {
  readonly acknowledged: number;
  readonly lost: readonly Discrepancy[];
  /** Replies no correct server gives. */
  readonly wrong: readonly string[];
  /** Slowest start to ready after a kill, in ms. */
  readonly slowestReadyMs: number;
}

const keysPerConnection = 200;
const nodeArgs = ["--journal-file-size", "8MiB", "--log-level", "warning"];

/** Runs all rounds; stops at the first round that lost something. */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  const random = seeded(options.seed);
  const ledger = new Ledger();
  const wrong: string[] = [];
  const dataDir = newFolder();
  const connections = options.connections ?? 8;
  let lost: Discrepancy[] = [];
  let slowestReadyMs = 0;
  for (let round = 0; round <= options.rounds && lost.length === 0; round++) {
    if (random() < 0.2) await killDuringStart(dataDir, random() * 600);
    const node = await startAgain(dataDir, options.report);
    slowestReadyMs = Math.max(slowestReadyMs, node.process.readyMs);
    lost = await verify(node, ledger);
    if (round < options.rounds && lost.length === 0) {
      const how = await loadAndEnd({ node, ledger, random, connections, wrong });
      const ready = Math.round(node.process.readyMs);
      const done = `round ${round + 1}/${options.rounds}: ready in ${ready} ms, ${how}`;
      options.report(`${done}, acknowledged=${ledger.acknowledged} lost=0 wrong=${wrong.length}`);
    } else {
      await node.process.stop();
    }
  }
  if (lost.length === 0) rmSync(dataDir, { recursive: true, force: true });
  else options.report(`the data directory is kept: ${dataDir}`);
  return { acknowledged: ledger.acknowledged, lost, wrong, slowestReadyMs };
}

/** A node that cannot start after a crash is as bad as a lost write: its folder is the evidence. */
async function startAgain(dataDir: string, report: (line: string) => void): Promise<ReadyNode> {
  try {
    return await startNode({ dataDir, args: nodeArgs });
  } catch (error) {
    report(`the node did not start again; the data directory is kept: ${dataDir}`);
    throw error;
  }
}

/** A crash in the middle of recovery must leave something that recovers. */
async function killDuringStart(dataDir: string, afterMs: number): Promise<void> {
  const args = ["--port", "0", "--http-port", "0", ...nodeArgs];
  const spire = new SpireProcess("start", { dataDir, args });
  await pause(afterMs);
  await spire.kill();
}

interface Round {
  readonly node: ReadyNode;
  readonly ledger: Ledger;
  readonly random: () => number;
  readonly connections: number;
  readonly wrong: string[];
}

async function loadAndEnd(round: Round): Promise<string> {
  const { node, ledger, random, wrong } = round;
  const writers: Writer[] = [];
  for (let index = 0; index < round.connections; index++) {
    const window = [1, 4, 16, 64][index % 4] ?? 1;
    writers.push(
      await Writer.start({
        port: node.port,
        name: `torture:${index}`,
        keyCount: keysPerConnection,
        window,
        random,
        ledger,
        onWrong: (what) => wrong.push(what),
      }),
    );
  }
  await pause(50 + random() * 1000);
  // One round in ten ends in order, so that what a clean stop leaves behind is checked as well.
  const inOrder = random() < 0.1;
  const end = inOrder ? await node.process.stop() : await node.process.kill();
  await Promise.all(writers.map((writer) => writer.stop()));
  if (inOrder && end.code !== 0) wrong.push(`SIGTERM ended with ${end.code ?? end.signal}`);
  return inOrder ? "SIGTERM" : "kill -9";
}

async function verify(node: ReadyNode, ledger: Ledger): Promise<Discrepancy[]> {
  const connection = await Connection.open(node.port);
  const found: Discrepancy[] = [];
  const reads = ledger.keys().map(async (key) => {
    const value = await connection.call("GET", key);
    if (value instanceof ErrorText || typeof value === "number" || Array.isArray(value)) {
      throw new TypeError(`GET ${key} answered ${JSON.stringify(value)}`);
    }
    const wrong = ledger.check(key, value);
    if (wrong !== undefined) found.push(wrong);
  });
  await Promise.all(reads);
  connection.close();
  return found;
}

/** The random moment of a kill is the one place where waiting for the clock is the point. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function short(value: string | null): string {
  return value === null ? "nothing" : `${value.length} B ${JSON.stringify(value.slice(0, 60))}`;
}

async function main(): Promise<void> {
  const { rounds, seed } = npmScript(
    "torture",
    "Kills a node again and again, and counts what is lost.",
  )
    .option("--rounds <n>", "how often it is killed", number, 200)
    .option("--seed <n>", "of what is written and when it is killed", number, Date.now() % 2 ** 32)
    .parse()
    .opts<{ rounds: number; seed: number }>();
  const builder = createRequire(import.meta.url)("../../deploy/build.cjs") as {
    isStale(): boolean;
    build(): void;
  };
  if (process.env["SPIREDB_FROM_SOURCE"] !== "1" && builder.isStale()) builder.build();
  console.log(`torture: ${rounds} rounds, seed ${seed}`);
  const result = await torture({ rounds, seed, report: (line) => console.log(line) });
  for (const each of result.lost.slice(0, 10)) {
    const allowed = each.allowed.map(short).join(" or ");
    console.log(`LOST ${each.key}: found ${short(each.found)}, expected ${allowed}`);
  }
  for (const each of result.wrong.slice(0, 10)) console.log(`WRONG ${each}`);
  const ready = `slowest start ${Math.round(result.slowestReadyMs)} ms`;
  const counts = `acknowledged=${result.acknowledged} lost=${result.lost.length}`;
  console.log(`${counts} wrong=${result.wrong.length} (${rounds} rounds, seed ${seed}, ${ready})`);
  process.exitCode = result.lost.length + result.wrong.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) await main();
