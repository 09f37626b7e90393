// SCAN, KEYS, RANDOMKEY and DBSIZE over all regions of a node: nothing twice, nothing forgotten.
// Regions are played by the test.

import { afterEach, expect, test } from "vitest";

import type { GatewayOptions } from "../../../actors/gateway/gateway.ts";
import type { RegionRequest } from "../../../actors/store/protocol.ts";
import { connectionCommands } from "../../../resp/commands/connection.ts";
import { literals } from "./literals.ts";
import { startWorld } from "./world.ts";
import type { Client, FakeRegion, World } from "./world.ts";

let world: World;
afterEach(() => world.close());

/** Regions that hold these keys, one bucket per key, and walk them as the real ones do. */
async function worldWith(
  keys: readonly string[],
  options: Partial<GatewayOptions> = {},
): Promise<Client> {
  world = await startWorld([...literals, ...connectionCommands], options);
  for (const region of world.regions) {
    const mine = keys
      .filter((key) => world.regionOf(key) === region)
      .map((key) => ({ key: Buffer.from(key), at: world.positionOf(key) * 65_536 }))
      .toSorted((a, b) => a.at - b.at);
    region.onRequest = (request) => request.settle(mine.length);
    answerWalks(region, mine);
  }
  return world.client();
}

function answerWalks(region: FakeRegion, mine: ReadonlyArray<{ key: Buffer; at: number }>): void {
  region.onWalk = (walk) => {
    const rest = mine.filter(({ at }) => at >= walk.cursor);
    const seen = rest.slice(0, walk.count);
    const next = rest.length > seen.length ? seen.at(-1)!.at + 1 : undefined;
    const kept = seen.map(({ key }) => key).filter((key) => walk.accepts(key, "string"));
    setImmediate(() => walk.settle({ keys: kept, next }));
  };
}

const hundred = Array.from({ length: 100 }, (_, i) => `key:${i}`);

async function scanAll(client: Client, count: number): Promise<string[]> {
  const found: string[] = [];
  let cursor = "0";
  do {
    client.send(`SCAN ${cursor} ${count}`, "ECHO end");
    const lines = (await client.until("end\r\n")).split("\r\n");
    cursor = lines[2]!;
    expect(Number(cursor)).toBeLessThan(2 ** 48);
    found.push(...lines.filter((line) => line.startsWith("key:")));
  } while (cursor !== "0");
  return found;
}

test("SCAN meets every key exactly once, over all regions, at any count", async () => {
  const client = await worldWith(hundred);
  for (const count of [1, 7, 1000]) {
    expect((await scanAll(client, count)).toSorted()).toEqual(hundred.toSorted());
  }
});

test("SCAN with a cursor behind the end is over", async () => {
  const client = await worldWith(hundred);
  client.send("SCAN 999999999999999999 10");
  expect(await client.until("*0\r\n")).toBe("*2\r\n$1\r\n0\r\n*0\r\n");
});

test("KEYS merges the regions and keeps what matches", async () => {
  const client = await worldWith(hundred);
  client.send("KEYS *:9*", "ECHO end");
  const reply = await client.until("end\r\n");
  expect(reply.startsWith("*11\r\n")).toBe(true);
});

test("a walk waits for earlier commands, and later ones wait for it", async () => {
  const client = await worldWith(hundred);
  const order: string[] = [];
  const region = world.regionOf("key:1");
  const held: RegionRequest[] = [];
  region.onRequest = (request) => {
    order.push(request.command.name);
    if (request.command.name === "get") held.push(request);
    else request.settle(1);
  };
  client.send("GET key:1", "DBSIZE", "DEL key:1", "ECHO end");
  while (order.length < 1) await new Promise(setImmediate);
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate);
  expect(order).toEqual(["get"]);
  held[0]!.settle(1);
  await client.until("end\r\n");
  expect(order).toEqual(["get", "dbsize", "del"]);
});

test("DBSIZE adds the regions, FLUSHALL asks all of them", async () => {
  const client = await worldWith(hundred);
  client.send("DBSIZE");
  expect(await client.until("\r\n")).toBe(":100\r\n");
  client.send("FLUSHALL");
  expect(await client.until("\r\n")).toBe("+OK\r\n");
  for (const region of world.regions) {
    expect(region.requests.map((request) => request.command.name)).toEqual(["dbsize", "flushall"]);
  }
});

test("no region is sent anything while it answers, which its failure would lose", async () => {
  const client = await worldWith(hundred, { limits: { walkKeysPerStepMax: 2 } });
  let answering = 0;
  let lost = 0;
  const answers = <T>(event: { settle(answer: T): void }, answer: T): void => {
    answering += 1;
    event.settle(answer);
    answering -= 1;
  };
  for (const region of world.regions) {
    region.onRequest = (request) => {
      lost += answering;
      answers(request, 3);
    };
    region.onWalk = (walk) => {
      lost += answering;
      const next = walk.cursor % 65_536 === 0 ? walk.cursor + 1 : undefined;
      answers(walk, { keys: [Buffer.from("key:0")], next });
    };
  }
  client.send("KEYS *", "SCAN 0 1000", "RANDOMKEY", "ECHO end");
  await client.until("end\r\n");
  expect(world.regions.flatMap(({ walks }) => walks).length).toBeGreaterThan(8);
  expect(lost).toBe(0);
});

test("RANDOMKEY does not favour the key behind a wide gap", async () => {
  // Numerical Recipes' generator in place of chance.
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const client = await worldWith(hundred, { random });
  const met = new Map<string, number>();
  const asked = 2000;
  client.send(...Array.from({ length: asked }, () => "RANDOMKEY"), "ECHO end");
  for (const line of (await client.until("end\r\n")).split("\r\n")) {
    if (line.startsWith("key:")) met.set(line, (met.get(line) ?? 0) + 1);
  }
  expect([...met.values()].reduce((sum, n) => sum + n)).toBe(asked);
  // Evenly it would be 20 each; the widest gap alone is 4 % of all positions.
  expect(Math.max(...met.values())).toBeLessThan(50);
  expect(met.size).toBeGreaterThan(90);
});

test("RANDOMKEY finds the only key wherever it is, and nothing in an empty store", async () => {
  const client = await worldWith(["only"]);
  client.send("RANDOMKEY");
  expect(await client.until("only\r\n")).toBe("$4\r\nonly\r\n");
  world.close();
  const empty = await worldWith([]);
  empty.send("RANDOMKEY");
  expect(await empty.until("\r\n")).toBe("$-1\r\n");
});
