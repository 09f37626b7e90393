import { afterEach, expect, test } from "vitest";

import type { RegionRequest } from "../../../actors/store/protocol.ts";
import type { RegionCommand, SessionCommand } from "../../../resp/command.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

const shape = { categories: [], summary: "", since: "1.0.0", complexity: "" } as const;
const get = {
  ...shape,
  name: "get",
  arity: 2,
  flags: ["readonly"],
  group: "string",
  keys: { first: 1, last: 1, step: 1 },
  runs: "region",
  spread: "one",
  execute: () => null,
} satisfies RegionCommand;
const ping = {
  ...shape,
  name: "ping",
  arity: -1,
  flags: ["fast"],
  group: "connection",
  runs: "session",
  execute: () => "PONG",
} satisfies SessionCommand;

let world: World;
afterEach(() => world.close());

test("replies leave in the order of the commands however late the regions answer", async () => {
  world = await startWorld([get, ping]);
  const waiting: RegionRequest[] = [];
  for (const region of world.regions) region.onRequest = (request) => waiting.push(request);
  const client = await world.client();
  client.send("GET a", "PING", "GET b", "GET c");
  while (waiting.length < 3) await new Promise(setImmediate);
  for (const request of waiting.toReversed()) {
    request.settle(request.args[1] ?? null);
    await new Promise(setImmediate);
  }
  const reply = "$1\r\na\r\n+PONG\r\n$1\r\nb\r\n$1\r\nc\r\n";
  expect(await client.expect(reply.length)).toBe(reply);
});
