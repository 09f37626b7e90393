// Cluster-aware clients connect to a gateway as to a Redis cluster and send everything to it.

import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { afterEach, expect, test } from "vitest";

import { clusterCommands } from "../../../resp/commands/cluster.ts";
import { commandCommands } from "../../../resp/commands/command.ts";
import { connectionCommands } from "../../../resp/commands/connection.ts";
import { serverCommands } from "../../../resp/commands/server.ts";
import { createRegistry } from "../../../resp/registry.ts";
import type { Command } from "../../../resp/command.ts";
import { literals } from "./literals.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

const commands: Command[] = [
  ...literals,
  ...connectionCommands,
  ...serverCommands,
  ...clusterCommands,
  ...commandCommands(() => createRegistry(commands)),
];
let world: World;
afterEach(() => world.close());

test("ioredis", async () => {
  world = await startWorld(commands);
  const client = new Cluster([{ host: "127.0.0.1", port: world.port }], { scaleReads: "all" });
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`);
  expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys.map(() => "get"));
  client.disconnect();
});

test("node-redis", async () => {
  world = await startWorld(commands);
  const url = `redis://127.0.0.1:${world.port}`;
  const client = createCluster({ rootNodes: [{ url }], useReplicas: true });
  await client.connect();
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`);
  expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys.map(() => "get"));
  client.destroy();
});
