// Logic errors in a running node: what restarts, what clients hear meanwhile, and that service comes
// back with everything that was acknowledged. Errors of the disk are in `disk-errors.test.ts`.

import { afterEach, describe, expect, test } from "vitest";
import { MaxRestartsExceeded } from "../../../actors/system/children.ts";
import { createPositions } from "../../../storage/position.ts";
import type { Connection, Reply } from "../../integration/connection.ts";
import { retried, shown, textOf, within, World } from "./world.ts";

const backWithinMs = 3000;
const root = "node";
const storeParts = [
  "node/store/engine",
  "node/store/log",
  "node/store/replicas",
  "node/store/replicas/regions",
  ...[0, 1, 2, 3, 4].map((id) => `node/store/replicas/regions/region.${id}`),
  "node/store/replicas/server",
  "node/store/expiry",
];
/** What stays when a part of the store fails. */
const others = [root, "node/store", "node/gateway", "node/gateway/listener"];

let world: World;

afterEach(() => world.stop());

const keys = Array.from({ length: 40 }, (_, i) => `key:${i}`);

async function running(): Promise<World> {
  world = await World.start();
  return world;
}

/** Writes every key, each acknowledged. */
async function fill(): Promise<void> {
  const client = await world.client();
  for (const key of keys) expect(await client.call("SET", key, `${key}!`)).toBe("OK");
}

/** Service is back for every key, and each has its value. */
async function expectAllThere(): Promise<void> {
  const client = await world.client();
  for (const key of keys) expect(await retried(client, backWithinMs, "GET", key)).toBe(`${key}!`);
  for (const key of keys) {
    expect(await retried(client, backWithinMs, "SET", `again:${key}`, "1")).toBe("OK");
  }
}

test("the tree is the one of the design", async () => {
  await running();
  expect([...world.actors().keys()].toSorted()).toEqual([...storeParts, ...others].toSorted());
});

describe("exactly what rests on the failed actor is replaced", () => {
  const cases: Array<[string, string, string, string[]]> = [
    ["store.engine", "store", "engine", storeParts],
    ["store.log", "store", "log", storeParts.slice(1)],
    ["store.server", "replicas", "server", storeParts.slice(3, -1)],
    ["store.expiry", "store", "expiry", ["node/store/expiry"]],
    ["region.2", "regions", "region.2", ["node/store/replicas/regions/region.2"]],
    ["gateway.listener", "gateway", "listener", ["node/gateway/listener"]],
  ];
  for (const [systemId, supervisor, child, replaced] of cases) {
    test(`${systemId}, and service comes back with every acknowledged write`, async () => {
      await running();
      await fill();
      const before = world.actors();
      world.breakActor(systemId, new Error("a logic error"));
      expect(world.restarts()).toEqual([`${supervisor}/${child}: a logic error`]);
      if (systemId !== "gateway.listener") await expectAllThere();
      await expect.poll(() => world.actors().size, { timeout: backWithinMs }).toBe(before.size);
      expect(world.replacedSince(before).toSorted()).toEqual(replaced.toSorted());
      await expectAllThere();
      expect(world.restarts()).toHaveLength(1);
      expect(world.fatal).toEqual([]);
    });
  }
});

const positions = createPositions(4, true);

/** A name for which the key lives in this region (1..4). */
function keyIn(regionId: number, prefix: string): string {
  const { fromPosition, toPosition } = positions.initialRegions()[regionId - 1]!;
  for (let i = 0; ; i++) {
    const key = `${prefix}${i}`;
    const position = positions.positionOf(Buffer.from(key));
    if (position >= fromPosition && position <= toPosition) return key;
  }
}

/** Lets what was sent reach the regions and be evaluated. */
const turns = async (): Promise<void> => {
  const client = await world.client();
  for (let i = 0; i < 5; i++) await client.call("PING");
};

describe("requests in flight", () => {
  for (const systemId of ["region.2", "store.engine", "store.log", "store.server"]) {
    test(`${systemId} fails: appended is UNKNOWN, what was not appended is CLUSTERDOWN`, async () => {
      await running();
      const warm = keyIn(2, "warm");
      const cold = keyIn(2, "cold");
      const client = await world.client();
      const [second, third] = [await world.client(), await world.client()];
      await client.call("SET", warm, "old");
      await turns();
      world.engineGate.hold();
      world.journalGate.hold();
      const write = client.call("SET", warm, "new");
      await turns();
      const read = second.call("GET", warm);
      const waiting = third.call("SET", cold, "1");
      await turns();
      world.breakActor(systemId, new Error("a logic error"));
      const answers = within(1000, "answers", Promise.all([write, read, waiting]));
      const [wrote, ...refused] = (await answers).map(shown);
      expect(wrote).toMatch(/^-UNKNOWN outcome: (a logic error|the store is stopping)$/);
      expect(refused).toEqual(Array(2).fill("-CLUSTERDOWN store restarting"));
      const late = client.call("GET", warm);
      world.engineGate.open();
      world.journalGate.open();
      await within(backWithinMs, "an answer while it restarts", late);
      expect(await retried(client, backWithinMs, "GET", warm)).toMatch(/^(old|new)$/);
      expect(await retried(third, backWithinMs, "GET", cold)).toBeNull();
      expect([client, second, third].some(({ closed }) => closed)).toBe(false);
      expect(world.fatal).toEqual([]);
    });
  }

  test("while the store restarts every request is refused at once", async () => {
    await running();
    const client = await world.client();
    await client.call("SET", "a", "1");
    world.journalGate.hold();
    world.engineGate.hold();
    world.breakActor("store.engine");
    for (const args of [
      ["GET", "a"],
      ["SET", "a", "2"],
      ["MSET", "a", "2", "b", "3"],
      ["DBSIZE"],
    ]) {
      const reply = shown(await within(500, args.join(" "), client.call(...args)));
      expect(reply).toMatch(/^-CLUSTERDOWN /);
    }
    expect(await client.call("PING")).toBe("PONG");
    world.journalGate.open();
    world.engineGate.open();
    expect(await retried(client, backWithinMs, "GET", "a")).toBe("1");
  });
});

test("an engine that fails with batches queued comes back and has them all", async () => {
  await running();
  await fill();
  const client = await world.client();
  world.engineGate.hold();
  for (const key of keys) expect(await client.call("SET", key, `${key}!`)).toBe("OK");
  world.breakActor("store.engine");
  await turns();
  world.engineGate.open();
  await expectAllThere();
  expect(world.fatal).toEqual([]);
  expect(world.restarts()).toEqual(["store/engine: broken"]);
});

interface Ledger {
  readonly acked: string[];
  readonly refused: string[];
  readonly unknown: string[];
}

/** Writes ever new keys, eight at a time, until told to stop; notes what each heard. */
async function keepWriting(client: Connection, name: string, ledger: Ledger, run: { on: boolean }) {
  for (let i = 0; run.on; i += 8) {
    const names = Array.from({ length: 8 }, (_, k) => `${name}:${i + k}`);
    const replies = names.map((key) => client.call("SET", key, key));
    const all: Reply[] = await within(5000, `answers to ${name}`, Promise.all(replies));
    all.map(shown).forEach((reply, k) => {
      const text = textOf(reply);
      if (text === "OK") ledger.acked.push(names[k]!);
      else if (text.startsWith("-UNKNOWN outcome: ")) ledger.unknown.push(names[k]!);
      else if (text.startsWith("-CLUSTERDOWN ")) ledger.refused.push(names[k]!);
      else throw new Error(`SET answered ${text}`);
    });
  }
}

test("under load, acknowledged writes stay and refused ones never happened", async () => {
  await running();
  const ledger: Ledger = { acked: [], refused: [], unknown: [] };
  const run = { on: true };
  const names = ["w1", "w2", "w3"];
  const clients = await Promise.all(names.map(() => world.client()));
  const writers = Promise.all(
    clients.map((client, i) => keepWriting(client, names[i]!, ledger, run)),
  );
  for (const systemId of ["region.1", "store.log", "store.server", "region.4", "store.engine"]) {
    await Promise.race([writers, new Promise((resolve) => setTimeout(resolve, 150))]);
    await expect.poll(() => world.node.root.system.get(systemId)).toBeDefined();
    world.breakActor(systemId);
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  run.on = false;
  await writers;
  expect(world.restarts()).toHaveLength(5);
  expect(clients.some(({ closed }) => closed)).toBe(false);
  const client = await world.client();
  for (const key of ledger.acked) {
    expect(await retried(client, backWithinMs, "GET", key)).toBe(key);
  }
  for (const key of ledger.refused) {
    expect(await retried(client, backWithinMs, "GET", key)).toBeNull();
  }
  // The test sees all three answers, or it proves little.
  expect(ledger.acked.length).toBeGreaterThan(100);
  expect(ledger.refused.length).toBeGreaterThan(0);
  expect(world.fatal).toEqual([]);
}, 60_000);

describe("a child that keeps failing", () => {
  for (const [systemId, path] of [
    ["region.3", ["node", "store", "replicas", "regions"]],
    ["store.engine", ["node", "store"]],
  ] as const) {
    test(`${systemId} takes its supervisors with it, and the process ends once`, async () => {
      await running();
      const error = new Error("again and again");
      const untilMs = performance.now() + 15_000;
      while (world.fatal.length === 0 && performance.now() < untilMs) {
        if (world.node.root.system.get(systemId) !== undefined) world.breakActor(systemId, error);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(world.fatal).toHaveLength(1);
      const chain: unknown[] = [];
      for (let next = world.fatal[0]; next instanceof Error; next = next.cause) chain.push(next);
      expect(chain.at(-1)).toBe(error);
      const supervisors = chain.slice(0, -1).map((one) => {
        expect(one).toBeInstanceOf(MaxRestartsExceeded);
        return (one as MaxRestartsExceeded).supervisor;
      });
      expect(supervisors).toEqual(path);
      expect(world.actors().size).toBe(0);
    }, 20_000);
  }
});

test("a node that stops ends its actors in the reverse order of their start", async () => {
  await running();
  await fill();
  world.watchEnds();
  world.events.length = 0;
  await world.stop();
  const ended = world.events.map((event) => event.replace(/^.*\/(.*) ended$/, "$1"));
  const regions = [4, 3, 2, 1, 0].map((id) => `region.${id}`);
  const front = ["listener", "gateway", "expiry", "server"];
  const back = ["regions", "replicas", "log", "engine", "store", "node ended"];
  expect(ended).toEqual([...front, ...regions, ...back]);
});
