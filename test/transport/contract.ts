// What every transport must do, whatever carries it: run by memory.test.ts over the hub and by
// integration/nats-transport.test.ts over a real nats-server. A world opens transports and can do
// to their connections what happens to connections.

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { FrameEncoder, decodeFrame, type BulkFrame } from "../../transport/codec.ts";
import type { TransportProblem } from "../../transport/problem.ts";
import { mailboxes } from "../../transport/subjects.ts";
import type { BulkReader, Mailbox, Transport } from "../../transport/transport.ts";

export const clusterName = "contract";
export const silenceMs = 800;

export interface World {
  open(nodeId: string, onProblem: (problem: TransportProblem) => void): Promise<Transport>;
  /** All connections break; nobody gets in until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Publishes bytes past all transports; resolves when they are on their way. */
  inject(subject: string, bytes: Buffer): Promise<void>;
  /** Hears what is published on a subject. */
  tap(subject: string, heard: (bytes: Buffer) => void): Promise<void>;
  close(): Promise<void>;
}

const subjectOf = (nodeId: string, mailbox: Mailbox): string =>
  `spire.${clusterName}.node.${nodeId}.${mailbox}`;
const bulkOf = (nodeId: string): string => `spire.${clusterName}.bulk.${nodeId}`;

/** Waits for `holds`, looking after every turn of the loop. */
async function until(holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${holds.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const collect = (transport: Transport, mailbox: Mailbox): string[] => {
  const received: string[] = [];
  transport.receive(mailbox, (from, body) => received.push(`${from}:${body.toString()}`));
  return received;
};

const message = async (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "no error",
    (error: Error) => error.message,
  );

const readAll = async (reader: BulkReader): Promise<Buffer[]> => {
  const chunks: Buffer[] = [];
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) {
    chunks.push(chunk);
  }
  return chunks;
};

export function describeTransport(name: string, createWorld: () => Promise<World>): void {
  describe(name, () => {
    let world: World;
    let opened: Transport[];
    let problems: TransportProblem[];
    const open = async (nodeId: string): Promise<Transport> => {
      const transport = await world.open(nodeId, (problem) => problems.push(problem));
      opened.push(transport);
      return transport;
    };
    const pair = async (): Promise<[Transport, Transport]> => [await open("a"), await open("b")];
    const reportedKinds = (): string[] => problems.map(({ kind }) => kind);

    beforeEach(async () => {
      opened = [];
      problems = [];
      world = await createWorld();
    });
    afterEach(async () => {
      await Promise.all(opened.map((transport) => transport.close()));
      await world.close();
    });

    messages();
    strangers();
    streams();

    function messages(): void {
      test("bodies arrive in order within a mailbox, whole, at the right one", async () => {
        const [a, b] = await pair();
        const [raft, store] = [collect(b, "raft"), collect(b, "store")];
        for (let turn = 0; turn < 50; turn++) {
          for (let index = 0; index < 20; index++) {
            a.send("b", "raft", Buffer.from(String(turn * 20 + index)));
          }
          a.send("b", "store", Buffer.alloc(0));
          await new Promise((resolve) => setImmediate(resolve));
        }
        await until(() => raft.length === 1000 && store.length === 50);
        expect(raft).toEqual(Array.from({ length: 1000 }, (_, index) => `a:${index}`));
        expect(new Set(store)).toEqual(new Set(["a:"]));
      });

      test("all bodies of a turn for one mailbox leave as one message", async () => {
        const [a, b] = await pair();
        const received = collect(b, "raft");
        for (let index = 0; index < 500; index++) a.send("b", "raft", Buffer.from("x"));
        await until(() => received.length === 500);
        expect(a.statistics().messagesSent).toBe(1);
        expect(b.statistics().messagesReceived).toBe(1);
        expect(b.statistics().bytesReceived).toBe(a.statistics().bytesSent);
      });

      test("a turn's bodies that do not fit into one message take a few", async () => {
        const [a, b] = await pair();
        const lengths: number[] = [];
        b.receive("store", (_, body) => lengths.push(body.length));
        const sizes = [a.maxBodyBytes, 100, a.maxBodyBytes - 300, 100, a.maxBodyBytes, 1];
        for (const size of sizes) a.send("b", "store", Buffer.alloc(size));
        await until(() => lengths.length === sizes.length);
        expect(lengths).toEqual(sizes);
        expect(a.statistics().messagesSent).toBe(3);
      });

      test("a body longer than maxBodyBytes is refused, one of 640 KiB never", async () => {
        const [a] = await pair();
        expect(a.maxBodyBytes).toBeGreaterThanOrEqual(640 * 1024);
        const long = Buffer.alloc(a.maxBodyBytes + 1);
        expect(() => a.send("b", "raft", long)).toThrow(RangeError);
        expect(() => a.announce(long)).toThrow(RangeError);
        expect(() => a.openStream("b", long)).toThrow(RangeError);
        await expect(a.openStream("b", Buffer.alloc(0)).write(long)).rejects.toThrow(RangeError);
      });

      test("names that would be several subjects are refused", async () => {
        const [a] = await pair();
        for (const to of ["", "b.c", "*", ">", "b c", "x".repeat(65)]) {
          expect(() => a.send(to, "raft", Buffer.alloc(1))).toThrow(TypeError);
        }
      });

      test("an announcement reaches all but its sender, also one of the same name", async () => {
        const transports = [await open("a"), await open("b"), await open("c"), await open("a")];
        const heard: string[] = [];
        for (const [index, transport] of transports.entries()) {
          transport.receiveAnnouncements((from, body) => heard.push(`${index} ${from} ${body}`));
        }
        transports[0]?.announce(Buffer.from("hi"));
        await until(() => heard.length >= 3);
        await new Promise((resolve) => setImmediate(resolve));
        expect(heard.toSorted()).toEqual(["1 a hi", "2 a hi", "3 a hi"]);
      });

      test("what is sent while there is no connection never arrives; later messages do", async () => {
        const [a, b] = await pair();
        const received = collect(b, "raft");
        const changes: boolean[] = [];
        a.onConnection((connected) => changes.push(connected));
        await world.down();
        await until(() => !a.connected && !b.connected);
        for (let index = 0; index < 10; index++) a.send("b", "raft", Buffer.from("lost"));
        expect(a.statistics().dropped).toBe(10);
        await world.up();
        await until(() => a.connected && b.connected);
        a.send("b", "raft", Buffer.from("found"));
        await until(() => received.length > 0);
        expect(received).toEqual(["a:found"]);
        expect(changes).toEqual([false, true]);
        expect(a.statistics().reconnects).toBe(1);
      });

      test("a listener that was taken off hears nothing", async () => {
        const [a] = await pair();
        const changes: boolean[] = [];
        a.onConnection((connected) => changes.push(connected))();
        await world.down();
        await until(() => !a.connected);
        expect(changes).toEqual([]);
        await world.up();
      });

      test("a handler that throws is reported, and the next body still comes", async () => {
        const [a, b] = await pair();
        const received: string[] = [];
        b.receive("raft", (_, body) => {
          received.push(body.toString());
          if (received.length === 1) throw new Error("broken");
        });
        a.send("b", "raft", Buffer.from("1"));
        a.send("b", "raft", Buffer.from("2"));
        await until(() => received.length === 2);
        expect(problems).toMatchObject([{ kind: "handler", from: "a" }]);
      });

      test("close sends what is queued", async () => {
        const [a, b] = await pair();
        const received = collect(b, "raft");
        a.send("b", "raft", Buffer.from("last words"));
        await a.close();
        await until(() => received.length === 1);
        expect(a.connected).toBe(false);
        a.send("b", "raft", Buffer.from("too late"));
        expect(a.statistics().dropped).toBe(1);
      });
    }

    function strangers(): void {
      test("another protocol version is refused, counted, and reported once a sender", async () => {
        const [, b] = await pair();
        const received = collect(b, "raft");
        const frame = new FrameEncoder("stranger").bodies([Buffer.from("x")], 0, 1);
        frame[0] = 9;
        for (let index = 0; index < 3; index++) await world.inject(subjectOf("b", "raft"), frame);
        await world.inject(bulkOf("b"), frame);
        await until(() => b.statistics().dropped === 4);
        expect(received).toEqual([]);
        expect(problems).toMatchObject([{ kind: "version", from: "stranger" }]);
        expect(problems[0]?.message).toContain("version 9");
      });

      test("garbage on every subject does no harm", async () => {
        const [a, b] = await pair();
        const subjects = [
          ...mailboxes.map((mailbox) => subjectOf("b", mailbox)),
          bulkOf("b"),
          `spire.${clusterName}.announce`,
        ];
        const damaged = new FrameEncoder("a").bodies([Buffer.from("x")], 0, 1);
        damaged[damaged.length - 6]! ^= 1;
        const garbage = [Buffer.alloc(0), Buffer.from([1]), Buffer.alloc(300, 1), damaged];
        for (const subject of subjects) {
          for (const bytes of garbage) await world.inject(subject, bytes);
        }
        await until(() => b.statistics().dropped === subjects.length * garbage.length);
        expect(new Set(reportedKinds())).toEqual(new Set(["damaged", "version"]));
        const received = collect(b, "raft");
        a.send("b", "raft", Buffer.from("fine"));
        await until(() => received.length === 1);
      });
    }

    function streams(): void {
      test("64 MiB go through in order, never more than the window ahead of the reader", async () => {
        const [a, b] = await pair();
        const chunkBytes = 256 * 1024;
        const count = 256;
        let written = 0;
        let read = 0;
        let aheadMax = 0;
        let header = "";
        b.receiveStreams((from, bytes, reader) => {
          header = `${from} ${bytes}`;
          void (async () => {
            for (;;) {
              const chunk = await reader.read();
              if (chunk === undefined) break;
              expect(chunk.length).toBe(chunkBytes);
              expect(chunk.readUInt32LE(chunkBytes - 4)).toBe(read);
              read++;
              aheadMax = Math.max(aheadMax, written - read);
            }
            reader.accept();
          })();
        });
        const writer = a.openStream("b", Buffer.from("snapshot 7"));
        for (let index = 0; index < count; index++) {
          const chunk = Buffer.alloc(chunkBytes);
          chunk.writeUInt32LE(index, chunkBytes - 4);
          await writer.write(chunk);
          written++;
        }
        await writer.end();
        expect(read).toBe(count);
        expect(header).toBe("a snapshot 7");
        expect(aheadMax).toBeLessThanOrEqual(8);
      });

      test("without a reader the writer stops at the window", async () => {
        const [a, b] = await pair();
        let reader: BulkReader | undefined;
        b.receiveStreams((_, __, opened) => (reader = opened));
        const writer = a.openStream("b", Buffer.alloc(0));
        let written = 0;
        const writing = (async () => {
          for (let index = 0; index < 20; index++) {
            await writer.write(Buffer.alloc(512 * 1024));
            written++;
          }
          await writer.end();
        })();
        await until(() => written === 3);
        // Longer than the silence that ends a stream: both ends say that they are still there.
        await new Promise((resolve) => setTimeout(resolve, 2 * silenceMs));
        expect(written).toBe(3);
        expect(await readAll(reader!)).toHaveLength(20);
        reader!.accept();
        await writing;
      });

      test("end waits until the reader accepts; its refusal rejects with the reason", async () => {
        const [a, b] = await pair();
        const readers: BulkReader[] = [];
        b.receiveStreams((_, __, reader) => readers.push(reader));
        const accepted = a.openStream("b", Buffer.alloc(0));
        const refused = a.openStream("b", Buffer.alloc(0));
        await accepted.write(Buffer.from("1"));
        await refused.write(Buffer.from("1"));
        let ends = "";
        const ending = accepted.end().then(() => (ends = "accepted"));
        const refusal = message(refused.end());
        expect(await readAll(readers[0]!)).toEqual([Buffer.from("1")]);
        expect(await readAll(readers[1]!)).toEqual([Buffer.from("1")]);
        expect(ends).toBe("");
        readers[0]!.accept();
        readers[1]!.abort("checksum differs");
        await ending;
        expect(await refusal).toBe("checksum differs");
        expect(await message(refused.write(Buffer.from("2")))).toBe("checksum differs");
      });

      test("the writer's abort reaches the reader, the reader's the writer", async () => {
        const [a, b] = await pair();
        const readers: BulkReader[] = [];
        b.receiveStreams((_, __, reader) => readers.push(reader));
        const first = a.openStream("b", Buffer.alloc(0));
        await until(() => readers.length === 1);
        const reading = message(readers[0]!.read());
        first.abort("no longer leader");
        expect(await reading).toBe("no longer leader");
        expect(await message(first.end())).toBe("no longer leader");
        const second = a.openStream("b", Buffer.alloc(0));
        await until(() => readers.length === 2);
        readers[1]!.abort("disk full");
        const chunk = Buffer.alloc(512 * 1024);
        const writing = (async () => {
          for (;;) await second.write(chunk);
        })();
        expect(await message(writing)).toBe("disk full");
        expect(await message(readers[1]!.read())).toBe("disk full");
      });

      test("a stream to a node that receives none, or is not there, fails", async () => {
        const [a] = await pair();
        expect(await message(a.openStream("b", Buffer.alloc(0)).end())).toMatch(/nobody receives/);
        const started = performance.now();
        const end = message(a.openStream("absent", Buffer.alloc(0)).write(Buffer.alloc(1)));
        expect(await end).toBe("nothing heard from absent");
        expect(performance.now() - started).toBeLessThan(3 * silenceMs);
      });

      test("a chunk that is missing fails both ends", async () => {
        const [a, b] = await pair();
        let streamId = -1;
        await world.tap(bulkOf("b"), (bytes) => {
          streamId = (decodeFrame(bytes) as BulkFrame).streamId;
        });
        let reader: BulkReader | undefined;
        b.receiveStreams((_, __, opened) => (reader = opened));
        const writer = a.openStream("b", Buffer.alloc(0));
        await writer.write(Buffer.from("0"));
        await until(() => reader !== undefined && streamId >= 0);
        expect(await reader!.read()).toEqual(Buffer.from("0"));
        const chunk = Buffer.from("2, for 1 got lost");
        const late = new FrameEncoder("a").bulk({ kind: "chunk", streamId, sequence: 2, chunk });
        const reading = message(reader!.read());
        await world.inject(bulkOf("b"), late);
        expect(await reading).toBe("chunk 1 was lost");
        expect(await message(writer.end())).toBe("chunk 1 was lost");
      });

      test("a broken connection in mid-stream fails both ends, and new streams work", async () => {
        const [a, b] = await pair();
        const outcomes: string[] = [];
        b.receiveStreams((_, __, reader) => {
          const all = readAll(reader).then(() => reader.accept());
          void message(all).then((outcome) => outcomes.push(outcome));
        });
        const writer = a.openStream("b", Buffer.alloc(0));
        let written = 0;
        const writing = message(
          (async () => {
            for (;;) {
              await writer.write(Buffer.alloc(64 * 1024));
              written++;
              await new Promise((resolve) => setImmediate(resolve));
            }
          })(),
        );
        await until(() => written > 20);
        const started = performance.now();
        await world.down();
        expect(await writing).toMatch(/connection/);
        await until(() => outcomes.length === 1);
        expect(outcomes[0]).toMatch(/connection/);
        expect(performance.now() - started).toBeLessThan(5 * silenceMs);
        expect(await message(a.openStream("b", Buffer.alloc(0)).end())).toBe("no connection");
        await world.up();
        await until(() => a.connected && b.connected);
        let again = "";
        const deadline = performance.now() + 5_000;
        while (again !== "no error" && performance.now() < deadline) {
          again = await message(a.openStream("b", Buffer.alloc(0)).end());
        }
        expect(again).toBe("no error");
      });
    }
  });
}
