// The parts of `spiredb cluster` and `spiredb demo` that can be judged without a node: the demo's
// client and its verdict, the line it draws, ports, and the search for nats-server.

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";

import { missingThrough, leadersSeenBy, Tally, Writer } from "../../deploy/local/demo-load.ts";
import { counterLine } from "../../deploy/local/demo-screen.ts";
import { findNatsServer } from "../../deploy/local/nats-server.ts";
import { freePorts, isPortFree } from "../../deploy/local/ports.ts";
import { ErrorReply, RedisClient } from "../../deploy/local/redis-client.ts";
import { phash2 } from "../../storage/position.ts";

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** A server that answers each command with these bytes; undefined = it hangs up. */
async function answering(reply: (words: string[]) => string | undefined): Promise<number> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.setEncoding("latin1").on("error", Boolean);
    let text = "";
    socket.on("data", (chunk: string) => {
      text += chunk;
      // Commands of the client always arrive with all their words before the next begins.
      for (let match = /^\*\d+\r\n(?:\$\d+\r\n[^\r]*\r\n)+/u.exec(text); match !== null;) {
        text = text.slice(match[0].length);
        const words = [...match[0].matchAll(/\$\d+\r\n([^\r]*)\r\n/gu)].map(
          (each) => each[1] ?? "",
        );
        const answer = reply(words);
        if (answer === undefined) return socket.destroy();
        socket.write(answer, "latin1");
        match = /^\*\d+\r\n(?:\$\d+\r\n[^\r]*\r\n)+/u.exec(text);
      }
      return undefined;
    });
  }).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;

describe("the demo's client", () => {
  it("understands every kind of reply, also in pieces", async () => {
    const whole = `*5\r\n+OK\r\n:7\r\n$-1\r\n-ERR no\r\n${bulk("a\r\nb")}`;
    const port = await answering(() => whole);
    const client = await RedisClient.open(port);
    const error = new ErrorReply("ERR no");
    const expected = ["OK", 7, null, error, "a\r\nb"];
    expect(await client.call(["X"])).toEqual(expected);
    const calls = [client.call(["Y", "1"]), client.call(["Z"])];
    expect(await Promise.all(calls)).toEqual([expected, expected]);
    client.close();
  });

  it("rejects what was under way when the connection breaks or takes too long", async () => {
    const gone = await RedisClient.open(await answering(() => undefined));
    await expect(gone.call(["X"])).rejects.toThrow("the connection broke");
    await expect(gone.call(["X"])).rejects.toThrow("the connection is closed");
    const silent = await RedisClient.open(await answering(() => ""));
    await expect(silent.call(["X"], 20)).rejects.toThrow("the connection broke");
  });
});

describe("the demo's verdict", () => {
  const written = [
    { key: "a", value: "1" },
    { key: "b", value: "2" },
    { key: "c", value: "3" },
  ];

  it("finds what is missing and what is different", async () => {
    const values: Record<string, string> = { a: "1", b: "other" };
    const port = await answering(([, key = ""]) =>
      values[key] === undefined ? "$-1\r\n" : bulk(values[key]),
    );
    expect(await missingThrough(port, written)).toEqual(["b", "c"]);
  });

  it("asks again after an error: that proves nothing", async () => {
    let errors = 3;
    const port = await answering(([, key = ""]) =>
      errors-- > 0 ? "-CLUSTERDOWN no leader\r\n" : bulk({ a: "1", b: "2", c: "3" }[key] ?? ""),
    );
    expect(await missingThrough(port, written)).toEqual([]);
  });

  it("fails when the node does not answer", async () => {
    const port = await answering(() => undefined);
    await expect(missingThrough(port, written)).rejects.toThrow("the connection broke");
  });
});

describe("a writer of the demo", () => {
  it("writes keys of its own region, counts each outcome, and sees a lost write at once", async () => {
    const outcomes = ["+OK\r\n", "-UNKNOWN outcome: x\r\n", "-CLUSTERDOWN x\r\n", undefined];
    const keys: string[] = [];
    const port = await answering(([command, key = ""]) => {
      if (command === "GET") return "$-1\r\n";
      keys.push(key);
      return outcomes[keys.length - 1] ?? (keys.length > 4 ? "+OK\r\n" : undefined);
    });
    const tally = new Tally();
    const writer = new Writer(5, 16, [port], tally);
    const since = performance.now();
    const acknowledged = writer.nextAcknowledgement(since);
    const running = writer.run();
    expect(await acknowledged).toBeGreaterThan(since);
    const later = performance.now() + 400;
    expect(await writer.nextAcknowledgement(later)).toBeGreaterThan(later);
    writer.stop();
    await running;
    expect(tally).toMatchObject({ unknown: 2, refused: 1 });
    expect([...tally.lost][0]).toBe(keys[0]);
    const tags = keys.map((key) => /\{(.*)\}/u.exec(key)?.[1] ?? "");
    expect(new Set(tags.map((tag) => phash2(Buffer.from(tag), 16) + 1))).toEqual(new Set([5]));
    expect(new Set(keys).size).toBe(keys.length);
    // Two writes were neither acknowledged nor refused, one was refused.
    expect(writer.written()).toHaveLength(tally.acknowledged);
    expect(tally.acknowledged).toBe(keys.length - 3);
  });
});

const line = (region: number, leader: string): string =>
  `*4\r\n${bulk("region")}:${region}\r\n${bulk("leader")}${bulk(leader)}`;

it("leaders are read from SPIRE.REGIONS, unknown ones left out", async () => {
  const port = await answering(() => `*2\r\n${line(1, "node-2")}${line(2, "")}`);
  expect(await leadersSeenBy(port)).toEqual(new Map([[1, "node-2"]]));
});

it("the demo's line shows what was acknowledged, lost and how long a failover took", () => {
  const counters = { elapsedMs: 61_234, acknowledged: 12_345, lost: 0, kills: 3 };
  expect(counterLine({ ...counters, lastFailoverMs: 1234, maxFailoverMs: 2345 }, 99.6)).toBe(
    "61 s  acknowledged 12,345 (100/s)  lost 0  kills 3  failover 1.23 s, max 2.35 s",
  );
});

it("a port is free or taken, and free ones differ", async () => {
  const ports = await freePorts(3);
  expect(new Set(ports).size).toBe(3);
  const taken = await answering(() => "");
  expect([await isPortFree(ports[0] ?? 0), await isPortFree(taken)]).toEqual([true, false]);
});

it("nats-server is found on the path, or told how to get", () => {
  expect(findNatsServer(process.env["PATH"])).toMatch(/\/nats-server$/u);
  expect(() => findNatsServer("/nowhere")).toThrow("sudo apt-get install nats-server");
});
