// The proof of sameness for what needs more than one connection or another setting: clients that
// list and kill each other, and a server with a password, its limits for strangers included.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client, type Command } from "./client.ts";
import { reworded } from "./differences.ts";
import { clientFields, textOf } from "./fields.ts";
import { quote, render, type Typed } from "./parser.ts";
import { startRedis, startSpire, type Peer } from "./peers.ts";
import { words } from "./run.ts";

const PASSWORD = "secret";

/** Both servers, started with the same arguments for the tests of one block. */
function pair(extra: readonly string[]): () => readonly [Peer, Peer] {
  let peers: readonly [Peer, Peer] | undefined;
  beforeAll(async () => {
    peers = await Promise.all([startRedis(extra), startSpire(extra)]);
  });
  afterAll(async () => {
    await Promise.all(peers?.map((peer) => peer.stop()) ?? []);
  });
  return () => peers!;
}

/** What happens on a peer, as lines that must be the same on both. */
type Story = (open: () => Promise<Teller>) => Promise<unknown[]>;

/** A connection that tells replies as text. */
class Teller {
  readonly client: Client;
  constructor(client: Client) {
    this.client = client;
  }

  /** Replies to command lines, rendered. */
  async tell(...lines: string[]): Promise<string[]> {
    return (await this.ask(...lines.map(words))).map(render);
  }

  ask(...commands: Command[]): Promise<Typed[]> {
    return this.client.ask(commands);
  }

  async id(): Promise<string> {
    return textOf((await this.ask(["CLIENT", "ID"]))[0]!);
  }

  async address(field: "addr" | "laddr"): Promise<string> {
    const [info] = await this.ask(["CLIENT", "INFO"]);
    return clientFields(textOf(info!)).get(field) ?? "";
  }

  async rest(): Promise<unknown> {
    return this.client.drain(2_000);
  }
}

async function tellBoth(peers: readonly [Peer, Peer], story: Story): Promise<void> {
  const [redis, spire] = await Promise.all(peers.map((peer) => live(peer, story)));
  expect(spire).toEqual(peers[1].name === "spiredb" ? renew(redis) : redis);
}

/** Error texts as 7.2 words them, at any depth. */
function renew(told: unknown): unknown {
  if (typeof told === "string") return reworded(told);
  return Array.isArray(told) ? told.map(renew) : told;
}

async function live(peer: Peer, story: Story): Promise<unknown[]> {
  const open: Teller[] = [];
  try {
    return await story(async () => {
      const teller = new Teller(await Client.open(peer.address));
      open.push(teller);
      return teller;
    });
  } finally {
    for (const teller of open) teller.client.close();
  }
}

describe("clients of one server", () => {
  const peers = pair([]);

  it("kill another one by id, and it is closed", () =>
    tellBoth(peers(), async (open) => {
      const [a, b] = [await open(), await open()];
      const id = await b.id();
      return [
        await a.tell(`CLIENT KILL ID ${id}`, `CLIENT KILL ID ${id}`),
        await b.rest(),
        await a.tell("PING"),
      ];
    }));

  it("kill another one by address, in the old and in the new form", () =>
    tellBoth(peers(), async (open) => {
      const [a, b, c] = [await open(), await open(), await open()];
      const [second, third] = [await b.address("addr"), await c.address("addr")];
      return [
        await a.tell(`CLIENT KILL ${second}`, `CLIENT KILL ${second}`, `CLIENT KILL ADDR ${third}`),
        await b.rest(),
        await c.rest(),
      ];
    }));

  it("skip themselves unless told otherwise, and answer before they close", () =>
    tellBoth(peers(), async (open) => {
      const a = await open();
      const id = await a.id();
      return [
        await a.tell(`CLIENT KILL ID ${id}`, `CLIENT KILL ID ${id} SKIPME YES`),
        await a.tell(`CLIENT KILL ID ${id} SKIPME no`),
        await a.rest(),
      ];
    }));

  it("kill themselves by address and get OK", () =>
    tellBoth(peers(), async (open) => {
      const a = await open();
      return [await a.tell(`CLIENT KILL ${await a.address("addr")}`), await a.rest()];
    }));

  it("list each other by id and type, with names", () =>
    tellBoth(peers(), async (open) => {
      const [a, b] = [await open(), await open()];
      await a.tell("CLIENT SETNAME first");
      await b.tell("CLIENT SETNAME second", "SELECT 7");
      const ids = `${await a.id()} ${await b.id()}`;
      const lists = await a.ask(
        words(`CLIENT LIST ID ${ids}`),
        words(`CLIENT LIST ID ${await b.id()} 99999999`),
        words("CLIENT LIST TYPE normal"),
      );
      return lists.map((list) =>
        textOf(list)
          .split("\n")
          .map((line) => clientFields(line))
          .filter((fields) => ["first", "second"].includes(fields.get("name") ?? ""))
          .map((fields) => [fields.get("name"), fields.get("db"), fields.get("cmd")]),
      );
    }));

  it("see each other's writes at once, in each database of its own", () =>
    tellBoth(peers(), async (open) => {
      const [a, b] = [await open(), await open()];
      return [
        await a.tell("FLUSHALL", "SET shared 1", "SELECT 2", "SET shared 2"),
        await b.tell("GET shared", "INCR shared", "SELECT 2", "GET shared", "DBSIZE"),
        await a.tell("GET shared", "SELECT 0", "GET shared"),
      ];
    }));
});

describe("a server with a password", () => {
  const peers = pair(["--requirepass", PASSWORD]);

  it.each([
    "GET a",
    "SET a 1",
    "PING",
    "ECHO x",
    "CLIENT ID",
    "SELECT 1",
    "INFO",
    "COMMAND",
    "FOO",
    "GET",
    "CLIENT FOO",
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO 4",
    "HELLO 3 SETNAME me",
    "HELLO 3 AUTH default wrong",
    "HELLO 3 AUTH nobody secret",
    "AUTH wrong",
    "AUTH default wrong",
    "AUTH nobody secret",
    "AUTH",
    "RESET",
    "QUIT",
  ])("answers a stranger's %s, before and after a failed AUTH", (line) =>
    tellBoth(peers(), async (open) => {
      const a = await open();
      return [await a.tell(line, "AUTH wrong", line, "PING")];
    }),
  );

  it("lets in by AUTH in both forms and by HELLO, and RESET puts out again", () =>
    tellBoth(peers(), async (open) => {
      const [a, b, c] = [await open(), await open(), await open()];
      return [
        await a.tell("AUTH secret", "SET a 1", "GET a", "AUTH wrong", "GET a", "RESET", "GET a"),
        await b.tell("AUTH default secret", "GET a", "PING", "RESET", "AUTH secret", "PING"),
        (
          await c.tell("HELLO 3 AUTH default secret SETNAME me", "CLIENT GETNAME", "GET none")
        ).slice(1),
      ];
    }));

  it.each([
    ["an array of 11", `*11\r\n${"$1\r\na\r\n".repeat(11)}`],
    ["an array of 10", `*10\r\n${"$1\r\na\r\n".repeat(10)}`],
    ["a bulk of 16385 bytes", "*2\r\n$4\r\nAUTH\r\n$16385\r\n"],
    ["a bulk of 16384 bytes", `*2\r\n$4\r\nAUTH\r\n$16384\r\n${"x".repeat(16_384)}\r\n`],
  ])("limits a stranger to small commands: %s", (_, bytes) =>
    tellBoth(peers(), async (open) => {
      const a = await open();
      a.client.write(Buffer.from(bytes, "latin1"));
      const { text, closed } = await a.client.drain(1_000);
      return [quote(text), closed];
    }),
  );
});
