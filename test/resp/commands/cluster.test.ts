// CLUSTER as cluster-aware clients ask it: one shard of all slots, the node asked its master, others
// its replicas, at addresses that can be reached. No gateway behind it.

import { beforeEach, describe, expect, test } from "vitest";

import { fakeSession, FakeServer, run } from "./session-world.ts";
import type { FakeSession } from "./session-world.ts";

let server: FakeServer;
let session: FakeSession;
const ask = (line: string): string => run(server, session, line);
const hex = /^\$40\|[0-9a-f]{40}$/;

beforeEach(() => {
  server = new FakeServer();
  server.nodes = [
    { nodeId: "n1", host: "0.0.0.0", port: 1, isUp: true },
    { nodeId: "n2", host: "10.0.0.2", port: 6380, isUp: true },
    { nodeId: "n3", host: "10.0.0.3", port: 6381, isUp: false },
    { nodeId: "n4", host: "0.0.0.0", port: 6382, isUp: true },
    { nodeId: "n5", host: "", port: 0, isUp: true },
  ];
  session = fakeSession(1);
});

describe("CLUSTER", () => {
  test("SLOTS shows this node at the address it was reached by, then others that can be", () => {
    const own = ask("CLUSTER MYID");
    expect(own).toMatch(hex);
    const parts = ask("CLUSTER SLOTS").split("|");
    expect(parts.slice(0, 9).join("|")).toBe(`*1|*4|:0|:16383|*4|$9|127.0.0.1|:6379|$40`);
    expect(`$40|${parts[9]}`).toBe(own);
    expect(parts.slice(10, 15).join("|")).toBe("*0|*4|$8|10.0.0.2|:6380");
    expect(parts).toHaveLength(18);
  });

  test("names are the same whoever is asked, masters are not", () => {
    const own = ask("CLUSTER MYID");
    const lines = ask("CLUSTER NODES").split("\n");
    expect(lines.filter((line) => line.includes("myself,master"))).toHaveLength(1);
    expect(lines.find((line) => line.includes("10.0.0.2:6380@6380"))).toMatch(
      /^[0-9a-f]{40} 10\.0\.0\.2:6380@6380 slave [0-9a-f]{40} 0 0 1 connected$/,
    );
    expect(lines.find((line) => line.includes("10.0.0.3"))).toContain("slave,fail");
    const [id = ""] = lines
      .find((line) => line.includes("myself"))!
      .split("|")
      .at(-1)!
      .split(" ");
    expect(own).toBe(`$40|${id}`);
  });

  test("SHARDS and INFO", () => {
    const shards = ask("CLUSTER SHARDS");
    expect(shards.startsWith("*1|*4|$5|slots|*2|:0|:16383|$5|nodes|*5|*14|$2|id|")).toBe(true);
    expect(shards).toContain("$6|master");
    expect(shards).toContain("$4|fail");
    expect(ask("CLUSTER INFO")).toContain("cluster_state:ok");
    expect(ask("CLUSTER INFO")).toContain("cluster_known_nodes:5");
    expect(ask("CLUSTER MYSHARDID")).toMatch(hex);
    expect(ask("CLUSTER LINKS")).toBe("*0");
  });

  // https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ and redis-cli.
  test.each([
    ["123456789", 12_739],
    ["foo", 12_182],
    ["{foo}bar", 12_182],
    ["a{foo}bar{x}", 12_182],
    ["foo{}bar", 14_292],
    ["{}", 15_257],
  ])("KEYSLOT %s", (key, slot) => {
    expect(ask(`CLUSTER KEYSLOT ${key}`)).toBe(`:${slot}`);
  });

  test("what has no meaning here is an error, and what changes a cluster does not exist", () => {
    expect(ask("CLUSTER COUNTKEYSINSLOT 1")).toMatch(/^-ERR slots are shown/);
    expect(ask("CLUSTER GETKEYSINSLOT 1 2")).toMatch(/^-ERR slots are shown/);
    expect(ask("CLUSTER MEET a 1")).toBe("-ERR unknown subcommand 'MEET'. Try CLUSTER HELP.");
    expect(ask("CLUSTER SLOTS 1")).toMatch(/^-ERR wrong number of arguments/);
    expect(ask("CLUSTER HELP")).toContain("KEYSLOT");
  });
});

test.each(["READONLY", "READWRITE", "ASKING"])("%s is accepted", (name) => {
  expect(ask(name)).toBe("+OK");
});

test("SPIRE.STORES names every node", () => {
  server.nodes = server.nodes
    .slice(1, 3)
    .concat({ nodeId: "n6", host: "::1", port: 7, isUp: true });
  expect(
    ask("SPIRE.STORES")
      .split("|")
      .filter((part) => /^[a-z0-9.:[\]]+$/.test(part))
      .join(" "),
  ).toBe(
    "node n2 resp 10.0.0.2:6380 state up node n3 resp 10.0.0.3:6381 state down " +
      "node n6 resp [::1]:7 state up",
  );
});

test("WAIT counts the other copies that every write has", () => {
  expect(ask("WAIT 1 0")).toBe(":0");
  server.peers = ["n1", "n2", "n3"];
  expect(ask("WAIT 2 100")).toBe(":1");
  expect(ask("WAITAOF 1 1 100")).toBe("*2|:1|:1");
  server.peers = ["n1", "n2", "n3", "n4", "n5"];
  expect(ask("WAIT 2 100")).toBe(":2");
});
