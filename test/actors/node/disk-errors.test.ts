// Errors of the disk under a running node: they are not survived. The process is told to end at once,
// in words an operator understands, and nothing that was not durable is acknowledged. Logic errors
// are in `failures.test.ts`.

import { afterEach, expect, test } from "vitest";
import { DiskError } from "../../../storage/errors.ts";
import { diskFault, seededRandom } from "../../simulation/disk.ts";
import { textOf, within, World } from "./world.ts";

let world: World;

afterEach(() => world.kill());

/** Resolves when the node has asked for the end of the process. */
const fatal = (): Promise<void> =>
  expect.poll(() => world.fatal.length, { timeout: 2000 }).toBeGreaterThan(0);

test("a journal that cannot be written ends the process, and nothing is acknowledged", async () => {
  world = await World.start();
  const client = await world.client();
  expect(await client.call("SET", "before", "1")).toBe("OK");
  world.disk.fault = (operation) => (operation === "writeSync" ? diskFault("EIO") : undefined);
  const answers: string[] = [];
  client.send(["SET", "lost", "1"], (reply) => answers.push(textOf(reply)));
  await fatal();
  // The disk works again: what failed once is not tried again.
  world.disk.fault = () => undefined;
  client.send(["SET", "later", "1"], (reply) => answers.push(textOf(reply)));
  const other = await world.client();
  other.send(["SET", "other", "1"], (reply) => answers.push(textOf(reply)));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(answers).not.toContain("OK");
  expect(world.fatal).toHaveLength(1);
  expect(world.fatal[0]).toBeInstanceOf(DiskError);
  expect((world.fatal[0] as DiskError).message).toMatch(/journal/);
  expect((world.fatal[0] as DiskError).cause).toMatchObject({ code: "EIO" });
  expect(world.restarts()).toEqual([]);
});

test("an engine that cannot be written ends the process; what was acknowledged is in the log", async () => {
  world = await World.start();
  const client = await world.client();
  const acked: string[] = [];
  for (let i = 0; i < 20; i++) {
    if ((await client.call("SET", `key:${i}`, "1")) === "OK") acked.push(`key:${i}`);
  }
  world.engine.failWrites(new Error("simulated EIO"));
  client.send(["SET", "last", "1"], (reply) => {
    if (reply === "OK") acked.push("last");
  });
  await fatal();
  expect(world.fatal).toHaveLength(1);
  expect(world.fatal[0]).toBeInstanceOf(DiskError);
  expect(world.fatal[0]).toMatchObject({
    message: "writing to RocksDB failed",
    cause: { message: "simulated EIO" },
  });
  expect(world.restarts()).toEqual([]);
  const again = await world.afterPowerLoss(seededRandom(7));
  await world.kill();
  world = again;
  const reader = await world.client();
  for (const key of acked) expect(await reader.call("GET", key)).toBe("1");
  expect(world.fatal).toEqual([]);
});

for (const seed of [1, 2, 3, 4, 5]) {
  test(`a power loss in the middle of writes keeps what was acknowledged (seed ${seed})`, async () => {
    world = await World.start();
    const clients = await Promise.all([world.client(), world.client()]);
    const acked: string[] = [];
    for (let i = 0; i < 150; i++) {
      clients.forEach((client, c) => {
        const key = `${c}:${i}`;
        client.send(["SET", key, key], (reply) => {
          if (reply === "OK") acked.push(key);
        });
      });
      if (i % 16 === 0) await new Promise(setImmediate);
    }
    await expect.poll(() => acked.length, { interval: 1 }).toBeGreaterThan(50);
    const known = [...acked];
    const again = await world.afterPowerLoss(seededRandom(seed));
    await world.kill();
    world = again;
    const reader = await world.client();
    for (const key of known) {
      expect(await within(2000, key, reader.call("GET", key))).toBe(key);
    }
    expect(world.fatal).toEqual([]);
  });
}

test("an engine that cannot be opened again ends the process", async () => {
  world = await World.start();
  world.openFails = new DiskError("the data directory cannot be used");
  world.breakActor("store.engine");
  await fatal();
  expect(world.fatal).toEqual([world.openFails]);
});
