// Sockets that share one buffer for reading, over real connections: what one client sends is never
// seen in what another sent, and a socket stays a socket.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sharingReads } from "../../../actors/gateway/shared-reads.ts";

let server: Server;
const opened: Socket[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
  server.close();
});

/** A client, and the socket that serves it. */
async function pair(): Promise<{ client: Socket; served: Socket }> {
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  const [socket] = await accepted;
  const served = sharingReads(socket);
  expect(served).not.toBe(socket);
  opened.push(client, served);
  return { client, served };
}

/** Keeps the very chunks, as the decoder does. */
function chunksOf(socket: Socket): Buffer[] {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  return chunks;
}

const lengthOf = (chunks: readonly Buffer[]): number =>
  chunks.reduce((sum, { length }) => sum + length, 0);

test("chunks stay what they were while others read", async () => {
  const pairs = [await pair(), await pair(), await pair()];
  const received = pairs.map(({ served }) => chunksOf(served));
  const lengths = [1, 200, 5000, 70_000];
  for (const length of lengths) {
    for (const [i, { client }] of pairs.entries()) client.write(Buffer.alloc(length, 65 + i));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const total = lengths.reduce((sum, length) => sum + length);
  await expect.poll(() => received.map(lengthOf)).toEqual([total, total, total]);
  for (const [i, chunks] of received.entries()) {
    expect(Buffer.concat(chunks).equals(Buffer.alloc(total, 65 + i))).toBe(true);
  }
});

test("a paused one is sent nothing until it goes on", async () => {
  const { client, served } = await pair();
  const chunks = chunksOf(served);
  client.write("first");
  await expect.poll(() => lengthOf(chunks)).toBe(5);
  served.pause();
  client.write("second");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(lengthOf(chunks)).toBe(5);
  served.resume();
  await expect.poll(() => Buffer.concat(chunks).toString()).toBe("firstsecond");
});

test("a client that has ended its side is still answered", async () => {
  const { client, served } = await pair();
  const chunks = chunksOf(served);
  client.end("bye");
  await once(served, "end");
  expect(Buffer.concat(chunks).toString()).toBe("bye");
  const answer = chunksOf(client);
  served.end("answer");
  await once(client, "close");
  expect(Buffer.concat(answer).toString()).toBe("answer");
});

test("a client that breaks off closes the socket, and only its own", async () => {
  const [broken, other] = [await pair(), await pair()];
  broken.served.on("error", () => undefined);
  chunksOf(broken.served);
  const chunks = chunksOf(other.served);
  const closed = new Promise((resolve) => broken.served.on("close", resolve));
  broken.client.resetAndDestroy();
  await closed;
  other.client.write("still here");
  await expect.poll(() => Buffer.concat(chunks).toString()).toBe("still here");
});

test("who it serves is known as before", async () => {
  const { client, served } = await pair();
  expect(served.remotePort).toBe(client.localPort);
  expect(served.localPort).toBe((server.address() as AddressInfo).port);
});

test("a socket without a handle to read with is read as Node does", async () => {
  const wire = new PassThrough();
  wire.pause();
  const flowing = Object.assign(wire, { _handle: {} }) as unknown as Socket;
  expect(sharingReads(flowing)).toBe(flowing);
  const chunks = chunksOf(flowing);
  wire.write("as ever");
  await expect.poll(() => Buffer.concat(chunks).toString()).toBe("as ever");
});
