// What every transport must do, whatever carries it: run by memory.test.ts over the hub and by
// integration/nats-transport.test.ts over a real nats-server. What holds for streams stands in
// stream-contract.ts.

import { describe, expect, test } from "vitest";

import { FrameEncoder } from "../../transport/codec.ts";
import { mailboxes } from "../../transport/subjects.ts";
import type { Transport } from "../../transport/transport.ts";
import { streamTests } from "./stream-contract.ts";
import { Stage, bulkOf, clusterName, collect, readAll, subjectOf, until } from "./world.ts";
import type { World } from "./world.ts";

export function describeTransport(name: string, createWorld: () => Promise<World>): void {
  describe(name, () => {
    const stage = new Stage(createWorld);
    messages(stage);
    foreigners(stage);
    strangers(stage);
    streamTests(stage);
  });
}

function messages(stage: Stage): void {
  test("bodies arrive in order within a mailbox, whole, at the right one", async () => {
    const [a, b] = await stage.pair();
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
    const [a, b] = await stage.pair();
    const received = collect(b, "raft");
    for (let index = 0; index < 500; index++) a.send("b", "raft", Buffer.from("x"));
    await until(() => received.length === 500);
    expect(a.statistics().messagesSent).toBe(1);
    expect(b.statistics().messagesReceived).toBe(1);
    expect(b.statistics().bytesReceived).toBe(a.statistics().bytesSent);
  });

  test("a turn's bodies that do not fit into one message take a few", async () => {
    const [a, b] = await stage.pair();
    const lengths: number[] = [];
    b.receive("store", (_, body) => lengths.push(body.length));
    const sizes = [a.maxBodyBytes, 100, a.maxBodyBytes - 300, 100, a.maxBodyBytes, 1];
    for (const size of sizes) a.send("b", "store", Buffer.alloc(size));
    await until(() => lengths.length === sizes.length);
    expect(lengths).toEqual(sizes);
    expect(a.statistics().messagesSent).toBe(3);
  });

  test("a body longer than maxBodyBytes is dropped alone, and that is told once", async () => {
    const [a, b] = await stage.pair();
    const received = collect(b, "raft");
    expect(a.maxBodyBytes).toBeGreaterThanOrEqual(640 * 1024);
    const long = Buffer.alloc(a.maxBodyBytes + 1);
    a.send("b", "raft", long);
    a.send("b", "raft", Buffer.from("short"));
    a.send("b", "raft", long);
    a.announce(long);
    await until(() => received.length === 1);
    expect(received).toEqual(["a:short"]);
    expect(a.statistics().dropped).toBe(3);
    expect(stage.problems.map(({ kind }) => kind)).toEqual(["tooLong", "tooLong"]);
    expect(stage.problems[0]?.message).toContain(subjectOf("b", "raft"));
  });

  test("a header or chunk longer than maxBodyBytes is refused", async () => {
    const [a] = await stage.pair();
    const long = Buffer.alloc(a.maxBodyBytes + 1);
    expect(() => a.openStream("b", long)).toThrow(RangeError);
    await expect(a.openStream("b", Buffer.alloc(0)).write(long)).rejects.toThrow(RangeError);
  });

  test("names that would be several subjects are refused", async () => {
    const [a] = await stage.pair();
    for (const to of ["", "b.c", "*", ">", "b c", "x".repeat(65)]) {
      expect(() => a.send(to, "raft", Buffer.alloc(1))).toThrow(TypeError);
    }
  });

  test("an announcement reaches all but its sender, also one of the same name", async () => {
    const transports = [
      await stage.open("a"),
      await stage.open("b"),
      await stage.open("c"),
      await stage.open("a"),
    ];
    const heard: string[] = [];
    for (const [index, transport] of transports.entries()) {
      transport.receiveAnnouncements((from, body) =>
        heard.push(`${index} ${from} ${body.toString()}`),
      );
    }
    transports[0]?.announce(Buffer.from("hi"));
    await until(() => heard.length >= 3);
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard.toSorted()).toEqual(["1 a hi", "2 a hi", "3 a hi"]);
  });

  test("what is sent while there is no connection never arrives; later messages do", async () => {
    const [a, b] = await stage.pair();
    const received = collect(b, "raft");
    const changes: boolean[] = [];
    a.onConnection((connected) => changes.push(connected));
    await stage.world.down();
    await until(() => !a.connected && !b.connected);
    for (let index = 0; index < 10; index++) a.send("b", "raft", Buffer.from("lost"));
    expect(a.statistics().dropped).toBe(10);
    await stage.world.up();
    await until(() => a.connected && b.connected);
    a.send("b", "raft", Buffer.from("found"));
    await until(() => received.length > 0);
    expect(received).toEqual(["a:found"]);
    expect(changes).toEqual([false, true]);
    expect(a.statistics().reconnects).toBe(1);
  });

  test("a listener that was taken off hears nothing", async () => {
    const [a] = await stage.pair();
    const changes: boolean[] = [];
    a.onConnection((connected) => changes.push(connected))();
    await stage.world.down();
    await until(() => !a.connected);
    expect(changes).toEqual([]);
    await stage.world.up();
  });

  test("a handler that throws is reported, and the next body still comes", async () => {
    const [a, b] = await stage.pair();
    const received: string[] = [];
    b.receive("raft", (_, body) => {
      received.push(body.toString());
      if (received.length === 1) throw new Error("broken");
    });
    a.send("b", "raft", Buffer.from("1"));
    a.send("b", "raft", Buffer.from("2"));
    await until(() => received.length === 2);
    expect(stage.problems).toMatchObject([{ kind: "handler", from: "a" }]);
  });

  test("close sends what is queued", async () => {
    const [a, b] = await stage.pair();
    const received = collect(b, "raft");
    a.send("b", "raft", Buffer.from("last words"));
    await a.close();
    await until(() => received.length === 1);
    expect(a.connected).toBe(false);
    a.send("b", "raft", Buffer.from("too late"));
    expect(a.statistics().dropped).toBe(1);
  });
}

function foreigners(stage: Stage): void {
  /** Nodes a and b of two clusters of one name, so on the same subjects. */
  const four = async (): Promise<[Transport, Transport, Transport, Transport]> => {
    const [one, two] = [await stage.pair(), await stage.pair()];
    for (const transport of one) transport.bind("one");
    for (const transport of two) transport.bind("two");
    return [...one, ...two];
  };

  test.each(mailboxes.filter((mailbox) => mailbox !== "cluster"))(
    "%s is not heard by a node of another cluster with the same name and id, and that is told once",
    async (mailbox) => {
      const [a, b, , foreign] = await four();
      const [received, astray] = [collect(b, mailbox), collect(foreign, mailbox)];
      for (let sent = 1; sent <= 2; sent++) {
        a.send("b", mailbox, Buffer.from("1"));
        a.send("b", mailbox, Buffer.from("2"));
        await until(() => received.length === 2 * sent);
        await until(() => foreign.statistics().dropped === 2 * sent);
      }
      expect(astray).toEqual([]);
      expect(b.statistics().dropped).toBe(0);
      expect(stage.problems).toMatchObject([{ kind: "foreign", from: "a" }]);
      expect(stage.problems[0]?.message).toContain("another cluster of this name");
    },
  );

  test("a stream is neither read nor ended by nodes of another cluster", async () => {
    const [a, b, foreignA, foreignB] = await four();
    const opened: string[] = [];
    foreignB.receiveStreams(() => opened.push("astray"));
    b.receiveStreams((_, __, reader) => {
      opened.push("here");
      void readAll(reader).then(() => reader.accept());
    });
    const writer = a.openStream("b", Buffer.from("h"));
    await writer.write(Buffer.from("1"));
    await writer.end();
    await until(() => foreignB.statistics().dropped >= 3 && foreignA.statistics().dropped >= 2);
    expect(opened).toEqual(["here"]);
  });

  test("founding and announcements are heard across clusters, and by nodes of none", async () => {
    const [a, b, , foreign] = await four();
    const unbound = await stage.open("b");
    const heard = [b, foreign, unbound].map((transport) => {
      const received = collect(transport, "cluster");
      transport.receiveAnnouncements((_, body) => received.push(body.toString()));
      return received;
    });
    a.send("b", "cluster", Buffer.from("1"));
    await until(() => heard.every((received) => received.length === 1));
    a.announce(Buffer.from("2"));
    await until(() => heard.every((received) => received.length === 2));
    expect(stage.problems).toEqual([]);
  });

  test("before a node knows its cluster it hears none of another's, and nobody is blamed", async () => {
    const [a, b] = await stage.pair();
    const received = collect(b, "raft");
    a.bind("one");
    a.send("b", "raft", Buffer.from("early"));
    await until(() => b.statistics().dropped === 1);
    b.bind("one");
    b.bind("one");
    a.send("b", "raft", Buffer.from("now"));
    await until(() => received.length === 1);
    expect(received).toEqual(["a:now"]);
    expect(stage.problems).toEqual([]);
    expect(() => b.bind("two")).toThrow("another cluster");
  });
}

function strangers(stage: Stage): void {
  test("another protocol version is refused, counted, and reported once a sender", async () => {
    const [, b] = await stage.pair();
    const received = collect(b, "raft");
    const frame = new FrameEncoder("stranger").bodies([Buffer.from("x")], 0, 1);
    frame[0] = 9;
    for (let index = 0; index < 3; index++) await stage.world.inject(subjectOf("b", "raft"), frame);
    await stage.world.inject(bulkOf("b"), frame);
    await until(() => b.statistics().dropped === 4);
    expect(received).toEqual([]);
    expect(stage.problems).toMatchObject([{ kind: "version", from: "stranger" }]);
    expect(stage.problems[0]?.message).toContain("version 9");
  });

  test("garbage on every subject does no harm", async () => {
    const [a, b] = await stage.pair();
    const subjects = [
      ...mailboxes.map((mailbox) => subjectOf("b", mailbox)),
      bulkOf("b"),
      `spire.${clusterName}.announce`,
    ];
    const damaged = new FrameEncoder("a").bodies([Buffer.from("x")], 0, 1);
    damaged[damaged.length - 6]! ^= 1;
    const garbage = [Buffer.alloc(0), Buffer.from([1]), Buffer.alloc(300, 1), damaged];
    for (const subject of subjects) {
      for (const bytes of garbage) await stage.world.inject(subject, bytes);
    }
    await until(() => b.statistics().dropped === subjects.length * garbage.length);
    expect(new Set(stage.problems.map(({ kind }) => kind))).toEqual(
      new Set(["damaged", "version"]),
    );
    const received = collect(b, "raft");
    a.send("b", "raft", Buffer.from("fine"));
    await until(() => received.length === 1);
  });
}
