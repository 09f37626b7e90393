// What holds for the streams of every transport: order, credit, the last word of the reader, and
// that whatever breaks one ends it at both ends. Run by contract.ts over every wire.

import { expect, test } from "vitest";

import { FrameEncoder, decodeFrame, type BulkFrame } from "../../transport/codec.ts";
import type { BulkReader } from "../../transport/transport.ts";
import { bulkOf, message, readAll, silenceMs, until, type Stage } from "./world.ts";

/** What holds for streams over any wire. */
export function streamTests(stage: Stage): void {
  test("64 MiB go through in order, never more than the window ahead of the reader", async () => {
    const [a, b] = await stage.pair();
    const chunkBytes = 256 * 1024;
    const count = 256;
    let written = 0;
    let read = 0;
    let aheadMax = 0;
    let header = "";
    b.receiveStreams((from, bytes, reader) => {
      header = `${from} ${bytes.toString()}`;
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
    const [a, b] = await stage.pair();
    let reader: BulkReader | undefined;
    b.receiveStreams((_, __, incoming) => (reader = incoming));
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
    const [a, b] = await stage.pair();
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
    const [a, b] = await stage.pair();
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
    const [a] = await stage.pair();
    expect(await message(a.openStream("b", Buffer.alloc(0)).end())).toMatch(/nobody receives/);
    const started = performance.now();
    const end = message(a.openStream("absent", Buffer.alloc(0)).write(Buffer.alloc(1)));
    expect(await end).toBe("nothing heard from absent");
    expect(performance.now() - started).toBeLessThan(3 * silenceMs);
  });

  test("a chunk that is missing fails both ends", async () => {
    const [a, b] = await stage.pair();
    let streamId = -1;
    await stage.world.tap(bulkOf("b"), (bytes) => {
      streamId = (decodeFrame(bytes) as BulkFrame).streamId;
    });
    let reader: BulkReader | undefined;
    b.receiveStreams((_, __, incoming) => (reader = incoming));
    const writer = a.openStream("b", Buffer.alloc(0));
    await writer.write(Buffer.from("0"));
    await until(() => reader !== undefined && streamId >= 0);
    expect(await reader!.read()).toEqual(Buffer.from("0"));
    const chunk = Buffer.from("2, for 1 got lost");
    const late = new FrameEncoder("a").bulk({ kind: "chunk", streamId, sequence: 2, chunk });
    const reading = message(reader!.read());
    await stage.world.inject(bulkOf("b"), late);
    expect(await reading).toBe("chunk 1 was lost");
    expect(await message(writer.end())).toBe("chunk 1 was lost");
  });

  test("a broken connection in mid-stream fails both ends, and new streams work", async () => {
    const [a, b] = await stage.pair();
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
    await stage.world.down();
    expect(await writing).toBe("the connection was lost");
    await until(() => outcomes.length === 1);
    expect(outcomes[0]).toBe("the connection was lost");
    expect(performance.now() - started).toBeLessThan(5 * silenceMs);
    expect(await message(a.openStream("b", Buffer.alloc(0)).end())).toBe("no connection");
    await stage.world.up();
    await until(() => a.connected && b.connected);
    let again = "";
    const deadline = performance.now() + 5_000;
    while (again !== "no error" && performance.now() < deadline) {
      again = await message(a.openStream("b", Buffer.alloc(0)).end());
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(again).toBe("no error");
  });
}
