// A disk that fills up under a real node: writes are refused in time and go on by themselves, and
// when even the reserve is gone the process ends with its reason and comes back with everything.
// Needs a small file system of its own; where mounting is not permitted, the tests say so and pass over.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { Connection, ErrorText } from "./connection.ts";
import { newFolder, removeFolders, startAndWait, startNode, type ReadyNode } from "./harness.ts";

const mebi = 1024 * 1024;
const folder = newFolder();
const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=300m", "tmpfs", folder]);
const isMounted = mount.status === 0;
if (!isMounted) console.warn("full-disk tests are passed over: mounting a tmpfs is not permitted");

afterAll(() => {
  if (isMounted) spawnSync("umount", ["-l", folder]);
  removeFolders();
});

const ballast = join(folder, "ballast");

/** Takes space until only so much is left; as much as there is for 0. */
function leave(bytes: number): void {
  const file = openSync(ballast, "a");
  const block = Buffer.alloc(mebi);
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(folder);
      const excess = bavail * bsize - bytes;
      if (excess <= 0) break;
      writeSync(file, block, 0, Math.min(block.length, excess));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
}

function removeBallast(): void {
  rmSync(ballast, { force: true });
}

const dataDir = join(folder, "data");
const args = ["--journal-file-size", "8MiB"];
/** Nothing compresses it, so that it takes the space it has. */
const value = randomBytes(10_000).toString("latin1");

const nodes: ReadyNode[] = [];

async function start(): Promise<ReadyNode> {
  const node = await startNode({ dataDir, args });
  nodes.push(node);
  return node;
}

/** Every test begins with an empty file system. */
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.process.kill();
  rmSync(dataDir, { recursive: true, force: true });
  removeBallast();
});

/** Sends the command until its reply satisfies; fails after `timeoutMs`. */
async function until(
  connection: Connection,
  command: readonly string[],
  isEnough: (reply: unknown) => boolean,
  timeoutMs = 10_000,
): Promise<unknown> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const reply = await connection.call(...command);
    if (isEnough(reply)) return reply;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(reply).slice(0, 200)}`);
  }
}

const isRefusal = (reply: unknown): boolean =>
  reply instanceof ErrorText && reply.text.startsWith("CLUSTERDOWN the disk is full");

async function readiness(node: ReadyNode): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${node.httpPort}/readyz?verbose`);
  return { status: answer.status, text: await answer.text() };
}

describe.runIf(isMounted)("a full disk", () => {
  it("refuses writes while there is a reserve, serves reads, and goes on by itself", async () => {
    const node = await start();
    const connection = await Connection.open(node.port);
    expect(await connection.call("SET", "before", "here")).toBe("OK");
    leave(40 * mebi);
    await until(connection, ["SET", "during", value], isRefusal);
    expect(await connection.call("GET", "before")).toBe("here");
    const full = await readiness(node);
    expect(full.status).toBe(503);
    expect(full.text).toMatch(/disk.*full/u);
    removeBallast();
    await until(connection, ["SET", "after", "here"], (reply) => reply === "OK");
    expect((await readiness(node)).status).toBe(200);
    connection.close();
    const end = await node.process.stop();
    expect(end.code).toBe(0);
    expect(end.stderr).toContain("the disk is nearly full");
    expect(end.stderr).toContain("there is room on the disk again");
  });

  it(
    "filled by the data itself ends in refusals, not in a crash",
    { timeout: 120_000 },
    async () => {
      const node = await start();
      const connection = await Connection.open(node.port);
      let written = 0;
      let refused = 0;
      for (let round = 0; refused === 0 && round < 4000; round++) {
        const replies = await Promise.all(
          Array.from({ length: 16 }, (_, index) =>
            connection.call("SET", `fill:${round * 16 + index}`, `${round}${value}`),
          ),
        );
        for (const reply of replies) {
          if (reply === "OK") written += 1;
          else if (isRefusal(reply)) refused += 1;
          else throw new Error(`SET answered ${JSON.stringify(reply)}`);
        }
      }
      expect(refused).toBeGreaterThan(0);
      expect(await connection.call("GET", "fill:0")).toBe(`0${value}`);
      expect(Number(await connection.call("DBSIZE"))).toBeGreaterThanOrEqual(written);
      connection.close();
      expect((await node.process.stop()).code).toBe(0);
      rmSync(dataDir, { recursive: true });
    },
  );

  it("without any room ends the process with the reason; with room nothing is lost", async () => {
    const node = await start();
    const connection = await Connection.open(node.port);
    for (let index = 0; index < 50; index++) {
      expect(await connection.call("SET", `kept:${index}`, value)).toBe("OK");
    }
    leave(0);
    // Whoever writes in the quarter of a second before the watch sees it meets the disk itself.
    const isOver = connection.whenClosed().then(() => true);
    const writes = async (): Promise<false> => {
      for (let index = 0; index < 5000; index++) {
        if (isRefusal(await connection.call("SET", `late:${index % 100}`, value))) return false;
      }
      return false;
    };
    const hasEnded = await Promise.race([isOver, writes().catch(() => true)]);
    const end = hasEnded ? await node.process.waitEnd() : await node.process.kill();
    if (hasEnded) {
      expect(end.code).toBe(1);
      expect(end.stderr.trim().split("\n").at(-1)).toMatch(/no space left/iu);
    }
    const refused = await startAndWait({ dataDir, args });
    expect(refused.code).toBe(1);
    expect(refused.stderr.trim().split("\n").at(-1)).toMatch(/no space left/iu);
    removeBallast();
    const again = await start();
    const reader = await Connection.open(again.port);
    for (let index = 0; index < 50; index++) {
      expect((await reader.call("GET", `kept:${index}`)) === value).toBe(true);
    }
    reader.close();
    expect((await again.process.stop()).code).toBe(0);
  });
});
