// INFO: the text is what clients and tools parse, and its numbers are those of the gateway.

import { afterEach, expect, test } from "vitest";

import { connectionCommands } from "../../../resp/commands/connection.ts";
import { serverCommands } from "../../../resp/commands/server.ts";
import { literals } from "./literals.ts";
import { startWorld } from "./world.ts";
import type { Client, World } from "./world.ts";

let world: World;
afterEach(() => world.close());

async function connected(): Promise<Client> {
  world = await startWorld([...literals, ...connectionCommands, ...serverCommands]);
  for (const region of world.regions) {
    region.onRequest = (request) =>
      request.settle(request.command.name === "spire.sizes" ? [2, 0, 1] : null);
  }
  return world.client();
}

/** The text of one INFO, cut into sections of name and value. */
async function info(client: Client, sections = ""): Promise<Map<string, Map<string, string>>> {
  client.send(`INFO ${sections}`, "ECHO end");
  const reply = await client.until("$3\r\nend\r\n");
  const [, length = ""] = /^\$(\d+)\r\n/.exec(reply) ?? [];
  const start = length.length + 3;
  expect(reply.length).toBe(start + Number(length) + 2 + 9);
  const found = new Map<string, Map<string, string>>();
  for (const block of reply.slice(start, start + Number(length)).split("\r\n\r\n")) {
    const [title = "", ...rows] = block.replace(/\r\n$/, "").split("\r\n");
    expect(title).toMatch(/^# [A-Z][A-Za-z]+$/);
    const fields = rows.map((row): [string, string] => {
      expect(row).toMatch(/^[^:\s]+:[^\r\n]*$/);
      return [row.slice(0, row.indexOf(":")), row.slice(row.indexOf(":") + 1)];
    });
    expect(found.has(title)).toBe(false);
    found.set(title.slice(2), new Map(fields));
  }
  return found;
}

test("every section parses, in Redis' order, each name once", async () => {
  const client = await connected();
  client.send("PING");
  await client.until("+PONG\r\n");
  expect([...(await info(client, "everything")).keys()]).toEqual([
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Commandstats",
    "Errorstats",
    "Cluster",
    "Keyspace",
    "Raft",
    "Regions",
  ]);
  expect((await info(client)).has("Commandstats")).toBe(false);
  expect([...(await info(client, "cpu SERVER nope")).keys()]).toEqual(["Server", "CPU"]);
});

test("counts calls, refusals and failures of each command, and errors by their code", async () => {
  const client = await connected();
  client.send("CONFIG RESETSTAT", "GET a", "GET a", "GET", "CLIENT", "CLIENT foo", "nope");
  client.send("SELECT x", "ECHO end");
  await client.until("end\r\n");
  const found = await info(client, "commandstats errorstats stats");
  const counts = (name: string): string | undefined =>
    found
      .get("Commandstats")
      ?.get(`cmdstat_${name}`)
      ?.replace(/usec.*?,(?=rej)/, "");
  expect(counts("get")).toBe("calls=2,rejected_calls=1,failed_calls=0");
  expect(counts("select")).toBe("calls=1,rejected_calls=0,failed_calls=1");
  expect(counts("client")).toBe("calls=0,rejected_calls=1,failed_calls=0");
  expect(found.get("Errorstats")?.get("errorstat_ERR")).toBe("count=5");
  expect(found.get("Stats")?.get("total_error_replies")).toBe("5");
});

test("adds the keys of all regions per database, and leaves out empty ones", async () => {
  const client = await connected();
  expect([...(await info(client, "keyspace")).get("Keyspace")!]).toEqual([
    ["db0", "keys=8,expires=0,avg_ttl=0"],
    ["db2", "keys=4,expires=0,avg_ttl=0"],
  ]);
});
