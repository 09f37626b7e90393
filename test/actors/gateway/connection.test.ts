// One connection of the gateway, from bytes in to bytes out: order, limits, slow and dead clients.
// Regions are played by the test; no socket and no store.

import { afterEach, describe, expect, test } from "vitest";

import type { RegionRequest } from "../../../actors/store/protocol.ts";
import { connectionCommands } from "../../../resp/commands/connection.ts";
import { serverCommands } from "../../../resp/commands/server.ts";
import { broken, get, literals } from "./literals.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

const commands = [...literals, ...connectionCommands, ...serverCommands];
const turn = (): Promise<void> => new Promise(setImmediate);

let world: World;
afterEach(() => world.close());

/** Requests pile up unanswered. */
function hold(): RegionRequest[] {
  const waiting: RegionRequest[] = [];
  for (const region of world.regions) region.onRequest = (request) => waiting.push(request);
  return waiting;
}

describe("order and writing", () => {
  test("replies leave in the order of the commands however late the regions answer", async () => {
    world = await startWorld(commands);
    const waiting = hold();
    const client = await world.client();
    client.send("GET a", "PING", "GET b", "GET c");
    while (waiting.length < 3) await turn();
    for (const request of waiting.toReversed()) {
      request.settle(request.args[1] ?? null);
      await turn();
    }
    const reply = "$1\r\na\r\n+PONG\r\n$1\r\nb\r\n$1\r\nc\r\n";
    expect(await client.expect(reply.length)).toBe(reply);
  });

  test("a pipeline of 5000 commands is answered whole and in order", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    const words = Array.from({ length: 5000 }, (_, i) => `w${i}`);
    client.send(...words.map((word) => `ECHO ${word}`));
    const reply = words.map((word) => `$${word.length}\r\n${word}\r\n`).join("");
    expect(await client.expect(reply.length)).toBe(reply);
  });

  test("one client's long pipeline does not hold up another's command", async () => {
    world = await startWorld(commands, { limits: { commandsPerTurnMax: 8 } });
    const [busy, other] = [await world.client(), await world.client()];
    busy.send(...Array.from({ length: 5000 }, () => "PING"));
    other.send("ECHO me");
    await other.until("me\r\n");
    expect(busy.received.length).toBeLessThan(5000 * 7);
    await busy.expect(5000 * 7);
  });

  test("replies of one turn go out in one write", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    let chunks = 0;
    client.socket.on("data", () => (chunks += 1));
    client.send("PING", "PING", "PING");
    await client.expect(21);
    expect(chunks).toBe(1);
  });

  test("a client that half-closes still gets its replies", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.socket.end("GET a\r\nPING\r\n");
    expect(await client.closed()).toBe("+get\r\n+PONG\r\n");
  });
});

describe("back-pressure and limits", () => {
  test("no more commands are taken while too many wait for regions", async () => {
    world = await startWorld(commands, { limits: { commandsInFlightMax: 100 } });
    const waiting = hold();
    const client = await world.client();
    client.send(...Array.from({ length: 1000 }, () => "GET a"));
    for (let i = 0; i < 50; i += 1) await turn();
    expect(waiting.length).toBeGreaterThan(0);
    expect(waiting.length).toBeLessThanOrEqual(100);
    for (const region of world.regions) region.onRequest = (request) => request.settle("x");
    for (const request of waiting) request.settle("x");
    expect(await client.expect(4000)).toBe("+x\r\n".repeat(1000));
  });

  test("a client that does not read is held back, and others are served", async () => {
    world = await startWorld(commands, { limits: { outputSoftBytes: 100_000 } });
    const value = Buffer.alloc(50_000, "v");
    for (const region of world.regions) region.onRequest = (request) => request.settle(value);
    const { requests } = world.regionOf("a");
    const [slow, other] = [await world.client(), await world.client()];
    slow.socket.pause();
    slow.send(...Array.from({ length: 2000 }, () => "GET a"));
    while (requests.length < 60) await turn();
    for (let i = 0; i < 20; i += 1) {
      other.send("PING");
      await other.until("+PONG\r\n");
    }
    expect(requests.length).toBeLessThan(1000);
    const one = "$50000\r\n".length + 50_000 + 2;
    slow.socket.resume();
    expect((await slow.expect(2000 * one)).length).toBe(2000 * one);
  });

  test("a client that does not read is closed above the hard limit", async () => {
    world = await startWorld(commands, {
      limits: { outputSoftBytes: 10_000, outputHardBytes: 10_000_000 },
    });
    const waiting = hold();
    const slow = await world.client();
    slow.socket.pause();
    slow.send(...Array.from({ length: 64 }, () => "GET a"));
    while (waiting.length < 64) await turn();
    const value = Buffer.alloc(1_000_000, "v");
    for (const request of waiting) {
      request.settle(value);
      await turn();
    }
    expect(world.gateway.statistics.outputLimitClosed).toBe(1);
    expect(world.gateway.connections.size).toBe(0);
  });

  test("a broken stream is answered with Redis' error and closed", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send("PING");
    client.socket.write("*x\r\n");
    expect(await client.closed()).toBe(
      "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
    );
    expect(world.gateway.statistics.protocolErrors).toBe(1);
  });

  test("a connection above maxclients is told so and closed", async () => {
    world = await startWorld(commands, { settings: { maxclients: "1" } });
    const first = await world.client();
    first.send("PING");
    await first.until("+PONG\r\n");
    const second = await world.client();
    expect(await second.closed()).toBe("-ERR max number of clients reached\r\n");
    first.send("PING");
    await first.until("+PONG\r\n");
  });

  test("an idle connection is closed after the timeout, a busy one is not", async () => {
    let nowMs = 0;
    const clock = { wallMs: () => 0, monotonicMs: () => nowMs, later: () => () => undefined };
    world = await startWorld(commands, { settings: { timeout: "5" }, clock });
    const waiting = hold();
    const [idle, busy] = [await world.client(), await world.client()];
    idle.send("PING");
    await idle.until("+PONG\r\n");
    busy.send("GET a");
    while (waiting.length < 1) await turn();
    nowMs = 5001;
    world.gateway.sweep();
    await idle.closed();
    waiting[0]!.settle("late");
    await busy.until("+late\r\n");
  });
});

describe("life and death", () => {
  test("a reply for a client that is gone harms nobody", async () => {
    world = await startWorld(commands);
    const waiting = hold();
    const [gone, other] = [await world.client(), await world.client()];
    gone.send("GET a", "GET b");
    while (waiting.length < 2) await turn();
    gone.socket.destroy();
    for (const request of waiting) request.settle("late");
    while (world.gateway.connections.size > 1) await turn();
    other.send("PING");
    await other.until("+PONG\r\n");
  });

  test("a bug in a command's body closes that connection only", async () => {
    world = await startWorld(commands);
    const [victim, other] = [await world.client(), await world.client()];
    victim.send("BROKEN");
    await victim.closed();
    other.send("PING");
    await other.until("+PONG\r\n");
    expect(world.actor.getSnapshot().value).toBe("listening");
    expect(broken.arity).toBe(1);
  });

  test("a drain refuses new clients and sends what is under way", async () => {
    world = await startWorld(commands);
    const waiting = hold();
    const client = await world.client();
    client.send("GET a");
    while (waiting.length < 1) await turn();
    world.actor.send({ type: "shutdown" });
    await expect(world.client()).rejects.toThrow("ECONNREFUSED");
    waiting[0]!.settle("done");
    expect(await client.closed()).toBe("+done\r\n");
    while (world.actor.getSnapshot().status === "active") await turn();
    expect(world.actor.getSnapshot().value).toBe("closed");
  });

  test("a drain ends at its deadline though a region never answers", async () => {
    world = await startWorld(commands, {}, 30);
    const waiting = hold();
    const client = await world.client();
    client.send("GET a");
    while (waiting.length < 1) await turn();
    world.actor.send({ type: "shutdown" });
    await client.closed();
    expect(world.gateway.connections.size).toBe(0);
  });

  test("stopping the listener from outside leaves no socket open", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send("PING");
    await client.until("+PONG\r\n");
    world.actor.stop();
    await client.closed();
    await expect(world.client()).rejects.toThrow("ECONNREFUSED");
  });

  test("a used port makes the listener fail with the reason", async () => {
    world = await startWorld(commands);
    const error = await failureOfSecondListener(world);
    expect(String(error)).toContain("EADDRINUSE");
  });
});

async function failureOfSecondListener(first: World): Promise<unknown> {
  const { createActor } = await import("xstate");
  const { listener } = await import("../../../actors/gateway/listener.ts");
  const actor = createActor(listener, {
    input: {
      gateway: first.gateway,
      listen: { host: "127.0.0.1", port: first.port },
      drainMs: 10,
      onBound: () => undefined,
    },
  });
  return new Promise((resolve) => {
    actor.subscribe({ error: resolve });
    actor.start();
  });
}

test("the literal of GET reaches the region with the positions of its keys", async () => {
  world = await startWorld(commands);
  const client = await world.client();
  client.send("get a");
  await client.until("+get\r\n");
  const [request] = world.regionOf("a").requests;
  expect(request?.command).toBe(get);
  expect(request?.keyPositions).toEqual([1]);
  expect(request?.args.map(String)).toEqual(["get", "a"]);
});

describe("what is no Redis client", () => {
  test.each(["POST / HTTP/1.1", "Host: localhost"])("%s closes without a reply", async (line) => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send(line, "PING");
    expect(await client.closed()).toBe("");
    expect(world.gateway.statistics.protocolErrors).toBe(1);
  });
});

describe("CLIENT over a socket", () => {
  test("REPLY SKIP leaves out one reply, OFF all until ON", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send("CLIENT REPLY SKIP", "ECHO a", "ECHO b", "CLIENT REPLY OFF", "ECHO c", "nope");
    client.send("CLIENT REPLY ON", "ECHO d");
    expect(await client.until("$1\r\nd\r\n")).toBe("$1\r\nb\r\n+OK\r\n$1\r\nd\r\n");
  });

  test("KILL ends another connection, and the caller's own after its reply", async () => {
    world = await startWorld(commands);
    const [killer, other] = [await world.client(), await world.client()];
    other.send("CLIENT ID");
    const id = (await other.until("\r\n")).trim().slice(1);
    killer.send(`CLIENT KILL ID ${id}`);
    expect(await killer.until("\r\n")).toBe(":1\r\n");
    expect(await other.closed()).toBe("");
    killer.send("CLIENT KILL TYPE normal SKIPME no", "PING");
    expect(await killer.closed()).toBe(":1\r\n");
    while (world.gateway.connections.size > 0) await turn();
  });

  test("LIST shows the bytes of the command in progress", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.socket.write("*2\r\n$6\r\nclient\r\n$4\r\nlist\r\n");
    expect(await client.until("\n\r\n")).toContain(" qbuf=26 ");
  });
});

describe("limits", () => {
  test("client-output-buffer-limit closes a client whose replies outgrow it", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send("CONFIG SET client-output-buffer-limit 'normal 100kb 0 0'");
    await client.until("+OK\r\n");
    client.send(`ECHO ${"x".repeat(50_000)}`);
    await client.until("x\r\n");
    client.send(...Array.from({ length: 3 }, () => `ECHO ${"x".repeat(50_000)}`));
    await client.closed();
    expect(world.gateway.statistics.outputLimitClosed).toBe(1);
  });

  test("a command that outgrows client-query-buffer-limit is counted as that", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.send("CONFIG SET client-query-buffer-limit 1mb");
    await client.until("+OK\r\n");
    client.socket.write("*2\r\n$4\r\nECHO\r\n$2000000\r\n");
    expect(await client.closed()).toContain("query buffer limit exceeded");
    expect(world.gateway.statistics.queryLimitClosed).toBe(1);
    expect(world.gateway.statistics.protocolErrors).toBe(0);
  });

  test("a client that goes on sending after a protocol error is cut off", async () => {
    world = await startWorld(commands);
    const client = await world.client();
    client.socket.write("*x\r\n");
    const flood = setInterval(() => client.socket.write("A".repeat(1024)), 5);
    expect(await client.closed()).toBe("-ERR Protocol error: invalid multibulk length\r\n");
    clearInterval(flood);
    expect(client.socket.writable).toBe(false);
  });
});
