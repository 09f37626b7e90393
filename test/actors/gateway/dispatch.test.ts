// Which region a command goes to, what is refused before it goes anywhere, and how the answers of
// several regions become one. Regions are played by the test.

import { afterEach, describe, expect, test } from "vitest";

import { connectionCommands } from "../../../resp/commands/connection.ts";
import { serverCommands } from "../../../resp/commands/server.ts";
import { ErrorReply } from "../../../resp/reply.ts";
import { literals } from "./literals.ts";
import { startWorld } from "./world.ts";
import type { Client, World } from "./world.ts";

const commands = [...literals, ...connectionCommands, ...serverCommands];
let world: World;
afterEach(() => world.close());

async function ask(client: Client, command: string): Promise<string> {
  client.send(command);
  return client.until("\r\n");
}

/** Keys in the first two regions. */
function keysOf(region: number, count: number): string[] {
  const found: string[] = [];
  for (let i = 0; found.length < count; i += 1) {
    if (world.regionOf(`k${i}`) === world.regions[region]) found.push(`k${i}`);
  }
  return found;
}

describe("the gate", () => {
  test("refuses what does not exist, what has too few arguments and too long keys", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    expect(await ask(client, "nope a b")).toBe(
      "-ERR unknown command 'nope', with args beginning with: 'a' 'b' \r\n",
    );
    expect(await ask(client, "GET")).toBe("-ERR wrong number of arguments for 'get' command\r\n");
    expect(await ask(client, "CLIENT nope")).toBe(
      "-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n",
    );
    client.socket.write(`*2\r\n$3\r\nGET\r\n$65537\r\n${"k".repeat(65_537)}\r\n`);
    expect(await client.until("\r\n")).toBe("-ERR key is longer than 64 KiB\r\n");
    client.socket.write(`*2\r\n$3\r\nGET\r\n$65536\r\n${"k".repeat(65_536)}\r\n`);
    expect(await client.until("\r\n")).toBe("+get\r\n");
  });

  test("lets nothing but the handshake pass before AUTH", async () => {
    world = await startWorld(commands, { settings: { requirepass: "secret" } });
    const client = await world.client();
    expect(await ask(client, "GET a")).toBe("-NOAUTH Authentication required.\r\n");
    expect(await ask(client, "DBSIZE")).toBe("-NOAUTH Authentication required.\r\n");
    expect(await ask(client, "AUTH wrong")).toMatch(/^-WRONGPASS /);
    expect(await ask(client, "AUTH secret")).toBe("+OK\r\n");
    expect(await ask(client, "GET a")).toBe("+get\r\n");
    expect(await ask(client, "RESET")).toBe("+RESET\r\n");
    expect(await ask(client, "GET a")).toBe("-NOAUTH Authentication required.\r\n");
  });

  test("answers CLUSTERDOWN while the region's actor is down, and works again after", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    const route = world.routes.find((r) => r.ref === world.regionOf("a"))!;
    const ref = route.ref;
    route.ref = undefined;
    expect(await ask(client, "GET a")).toBe("-CLUSTERDOWN store restarting\r\n");
    expect(await ask(client, "DBSIZE")).toBe("-CLUSTERDOWN store restarting\r\n");
    route.ref = ref;
    expect(await ask(client, "GET a")).toBe("+get\r\n");
  });
});

test("CLIENT LIST names itself as the command in progress", async () => {
  world = await startWorld(commands);
  const client = await world.client();
  client.send("CLIENT LIST");
  expect(await client.until("\n\r\n")).toContain(" cmd=client|list ");
});

describe("several regions", () => {
  test("one region's keys make one request", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    const [a, b] = keysOf(1, 2);
    expect(await ask(client, `MSET ${a} 1 ${b} 2`)).toBe("+mset\r\n");
    expect(world.regions.map((region) => region.requests.length)).toEqual([0, 1, 0, 0]);
    expect(await ask(client, `RENAME ${a} ${b}`)).toBe("+rename\r\n");
  });

  test("sums are added, arrays come back in the order of the keys", async () => {
    world = await startWorld(commands);
    for (const region of world.regions) {
      region.onRequest = (request) => {
        if (request.command.name === "del") request.settle(request.keyPositions.length);
        else request.settle(request.keyPositions.map((at) => request.args[at]!));
      };
    }
    const client = await world.client();
    const [a, b] = keysOf(0, 2);
    const [c, d] = keysOf(3, 2);
    expect(await ask(client, `DEL ${c} ${a} ${b} ${a}`)).toBe(":4\r\n");
    client.send(`MGET ${c} ${a} ${d} ${b} ${a}`);
    const bulk = [c, a, d, b, a].map((key) => `$${key!.length}\r\n${key}\r\n`).join("");
    expect(await client.expect(4 + bulk.length)).toBe(`*5\r\n${bulk}`);
  });

  test("MSET gives each region its pairs and says OK when all did", async () => {
    world = await startWorld(commands);
    for (const region of world.regions) region.onRequest = (request) => request.settle("OK");
    const client = await world.client();
    const [a, c] = [keysOf(0, 1)[0], keysOf(3, 1)[0]];
    expect(await ask(client, `MSET ${c} 1 ${a} 2`)).toBe("+OK\r\n");
    expect(world.regions[3]!.requests[0]?.args.map(String)).toEqual(["MSET", c, "1"]);
    expect(world.regions[0]!.requests[0]?.args.map(String)).toEqual(["MSET", a, "2"]);
    expect(world.regions[0]!.requests[0]?.keyPositions).toEqual([1]);
  });

  test("an MSET with an unpaired key goes whole to one region, which refuses it", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    const [a, c] = [keysOf(0, 1)[0], keysOf(3, 1)[0]];
    await ask(client, `MSET ${c} 1 ${a}`);
    expect(world.regions.map((region) => region.requests.length)).toEqual([0, 0, 0, 1]);
  });

  test("what cannot be split is refused before anything is sent", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    const [a, c] = [keysOf(0, 1)[0], keysOf(3, 1)[0]];
    expect(await ask(client, `RENAME ${a} ${c}`)).toBe(
      "-CROSSSLOT Keys in request don't hash to the same region; use a {hash tag}\r\n",
    );
    world.routes[3]!.ref = undefined;
    expect(await ask(client, `MSET ${a} 1 ${c} 2`)).toBe("-CLUSTERDOWN store restarting\r\n");
    expect(world.regions.every((region) => region.requests.length === 0)).toBe(true);
  });

  test("a write done in some regions only is never called not executed", async () => {
    world = await startWorld(commands);
    for (const region of world.regions) region.onRequest = (request) => request.settle("OK");
    world.regions[3]!.onRequest = (request) =>
      request.settle(new ErrorReply("CLUSTERDOWN region 4 has no leader"));
    const client = await world.client();
    const [a, c] = [keysOf(0, 1)[0], keysOf(3, 1)[0]];
    expect(await ask(client, `MSET ${a} 1 ${c} 2`)).toMatch(/^-UNKNOWN outcome: /);
    expect(await ask(client, `MSET ${c} 2`)).toMatch(/^-CLUSTERDOWN /);
  });

  test("nor one whose outcome is unknown somewhere, wherever else it was refused", async () => {
    world = await startWorld(commands);
    const unknown = "UNKNOWN outcome: node n2 is down";
    const answers = [new ErrorReply("CLUSTERDOWN no leader for region 1"), new ErrorReply(unknown)];
    for (const [first, last] of [answers, answers.toReversed()]) {
      for (const region of world.regions) region.onRequest = (request) => request.settle("OK");
      world.regions[0]!.onRequest = (request) => request.settle(first!);
      world.regions[3]!.onRequest = (request) => request.settle(last!);
      const client = await world.client();
      const [a, c] = [keysOf(0, 1)[0], keysOf(3, 1)[0]];
      expect(await ask(client, `MSET ${a} 1 ${c} 2`)).toBe(`-${unknown}\r\n`);
      expect(await ask(client, `DEL ${c} ${a}`)).toBe(`-${unknown}\r\n`);
      expect(await ask(client, "FLUSHALL")).toBe(`-${unknown}\r\n`);
    }
  });

  test("an error of one region does not hide that others executed their part", async () => {
    world = await startWorld(commands);
    const message = "ERR too many flushed databases are still being cleared, try again later";
    for (const region of world.regions) region.onRequest = (request) => request.settle("OK");
    world.regions[2]!.onRequest = (request) => request.settle(new ErrorReply(message));
    const client = await world.client();
    expect(await ask(client, "FLUSHALL")).toBe(
      `-UNKNOWN outcome: executed in some regions only: ${message}\r\n`,
    );
    for (const region of world.regions) {
      region.onRequest = (request) => request.settle(new ErrorReply(message));
    }
    expect(await ask(client, "FLUSHALL")).toBe(`-${message}\r\n`);
  });
});
