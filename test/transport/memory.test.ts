// The contract over the hub in memory, and what only the hub can do: lose, double and hold back
// chosen messages, on a clock of the test's own.

import { expect, test } from "vitest";

import { decodeFrame } from "../../transport/codec.ts";
import { MemoryHub } from "../../transport/memory.ts";
import type { BulkReader } from "../../transport/transport.ts";
import { describeTransport } from "./contract.ts";
import { clusterName, silenceMs } from "./world.ts";

describeTransport("memory", () => {
  const hub = new MemoryHub();
  const nodeIds = new Set<string>();
  const setAll = (connected: boolean): Promise<void> => {
    for (const nodeId of nodeIds) hub.setConnected(nodeId, connected);
    return Promise.resolve();
  };
  const outsider = hub.wire("outsider");
  return Promise.resolve({
    open: (nodeId, onProblem) => {
      nodeIds.add(nodeId);
      const options = { cluster: clusterName, nodeId, onProblem, streamSilenceMs: silenceMs };
      return Promise.resolve(hub.open(options));
    },
    down: () => setAll(false),
    up: () => setAll(true),
    inject: (subject, bytes) => {
      outsider.publish(subject, Buffer.from(bytes));
      return Promise.resolve();
    },
    tap: (subject, heard) => {
      outsider.subscribe(subject, heard);
      return Promise.resolve();
    },
    close: () => outsider.close(),
  });
});

/** Everything that waits, run by hand: arrivals, ends of turns, timers. */
class Hands {
  readonly #jobs: (() => void)[] = [];
  readonly #timers = new Map<number, { atMs: number; callback: () => void }>();
  #nowMs = 0;
  #ids = 0;

  readonly defer = (run: () => void): void => {
    this.#jobs.push(run);
  };

  readonly timers = {
    setTimeout: (callback: () => void, delayMs: number): number => {
      this.#timers.set(++this.#ids, { atMs: this.#nowMs + delayMs, callback });
      return this.#ids;
    },
    clearTimeout: (id: unknown): void => void this.#timers.delete(id as number),
  };

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Runs all jobs, and those they bring; microtasks too. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
        job();
        idle = 0;
      }
      await Promise.resolve();
    }
  }

  async pass(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      await this.settle();
      const due = [...this.#timers].toSorted(([, x], [, y]) => x.atMs - y.atMs)[0];
      if (due === undefined || due[1].atMs > end) break;
      this.#timers.delete(due[0]);
      this.#nowMs = due[1].atMs;
      due[1].callback();
    }
    this.#nowMs = end;
  }
}

const kindOf = (bytes: Buffer): string => decodeFrame(bytes).kind;

interface Stage {
  hands: Hands;
  outcome: () => string;
  reader: () => BulkReader;
  /** Writes three chunks and ends; `outcome` is how that went. */
  send: () => void;
}

/** A stream from a to b whose frames pass a filter: how often each arrives. */
function stage(arrivals: (kind: string, from: string) => number): Stage {
  const hands = new Hands();
  const hub = new MemoryHub({
    deliver: hands.defer,
    timers: hands.timers,
    random: () => 0.5,
    filter: ({ from, bytes }, arrive) => {
      for (let times = arrivals(kindOf(bytes), from); times > 0; times--) arrive();
    },
  });
  const open = (nodeId: string) =>
    hub.open({ cluster: "c", nodeId, schedule: hands.defer, streamSilenceMs: 4_000 });
  const [a, b] = [open("a"), open("b")];
  let reader: BulkReader | undefined;
  let outcome = "";
  b.receiveStreams((_, __, opened) => {
    expect(reader).toBe(undefined);
    reader = opened;
  });
  const send = (): void => {
    const writer = a.openStream("b", Buffer.from("h"));
    const all = async (): Promise<void> => {
      for (const text of ["0", "1", "2"]) await writer.write(Buffer.from(text));
      await writer.end();
    };
    all().then(
      () => (outcome = "accepted"),
      (error: Error) => (outcome = error.message),
    );
  };
  return { hands, send, outcome: () => outcome, reader: () => reader! };
}

const readText = async (reader: BulkReader): Promise<string> => {
  let text = "";
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) {
    text += chunk.toString();
  }
  return text;
};

test("a stream whose every frame comes twice is read once", async () => {
  const { hands, send, outcome, reader } = stage(() => 2);
  send();
  await hands.settle();
  expect(await readText(reader())).toBe("012");
  reader().accept();
  await hands.settle();
  expect(outcome()).toBe("accepted");
  await hands.pass(10_000);
  expect(hands.timerCount).toBe(0);
});

test("an opening that comes again after the end does not open it again", async () => {
  const hands = new Hands();
  let openAgain: (() => void) | undefined;
  const hub = new MemoryHub({
    deliver: hands.defer,
    timers: hands.timers,
    filter: ({ bytes }, arrive) => {
      if (kindOf(bytes) === "open") openAgain = arrive;
      arrive();
    },
  });
  const open = (nodeId: string) => hub.open({ cluster: "c", nodeId, schedule: hands.defer });
  const [a, b] = [open("a"), open("b")];
  const readers: BulkReader[] = [];
  b.receiveStreams((_, __, reader) => readers.push(reader));
  const ending = a.openStream("b", Buffer.from("h")).end();
  await hands.settle();
  expect(await readText(readers[0]!)).toBe("");
  readers[0]!.accept();
  await hands.settle();
  await ending;
  openAgain?.();
  await hands.settle();
  expect(readers).toHaveLength(1);
});

test.each(["chunk", "end"])("a lost %s of a stream is noticed", async (lost) => {
  let seen = 0;
  const nth = lost === "chunk" ? 2 : 1;
  const { hands, send, outcome, reader } = stage((kind) =>
    kind === lost && ++seen === nth ? 0 : 1,
  );
  send();
  await hands.settle();
  let result = "";
  void readText(reader()).then(
    (text) => (result = text),
    (error: Error) => (result = error.message),
  );
  await hands.pass(1_500);
  if (lost === "chunk") {
    expect(result).toBe("chunk 1 was lost");
    expect(outcome()).toBe("chunk 1 was lost");
  } else {
    // The end is said again with every sign of life.
    expect(result).toBe("012");
  }
});

test.each(["credit", "accept"])("the first lost %s is made good for", async (lost) => {
  let seen = 0;
  const { hands, send, outcome, reader } = stage((kind) => (kind === lost && ++seen === 1 ? 0 : 1));
  send();
  await hands.pass(1_500);
  expect(await readText(reader())).toBe("012");
  reader().accept();
  await hands.pass(1_500);
  expect(outcome()).toBe("accepted");
});

test("silence in one direction fails both ends in bounded time and leaves no timer", async () => {
  let cut = false;
  const { hands, send, outcome, reader } = stage((_, from) => (cut && from === "a" ? 0 : 1));
  send();
  await hands.settle();
  cut = true;
  const reading = readText(reader()).then(
    () => "",
    (error: Error) => error.message,
  );
  await hands.settle();
  // The end had arrived: its reader waits for nothing more until it accepts.
  expect(await reading).toBe("");
  await hands.pass(5_100);
  expect(outcome()).toBe("nothing heard from a");
  await expect(reader().read()).rejects.toThrow("nothing heard from a");
  await hands.pass(10_000);
  expect(hands.timerCount).toBe(0);
});

test("a message held back arrives when the filter lets it", async () => {
  const held: (() => void)[] = [];
  const hands = new Hands();
  const hub = new MemoryHub({
    deliver: hands.defer,
    filter: ({ from, to, subject }, arrive) => {
      expect([from, to, subject]).toEqual(["a", "b", "spire.c.node.b.raft"]);
      held.push(arrive);
    },
  });
  const a = hub.open({ cluster: "c", nodeId: "a", schedule: hands.defer });
  const b = hub.open({ cluster: "c", nodeId: "b", schedule: hands.defer });
  const received: string[] = [];
  b.receive("raft", (_, body) => received.push(body.toString()));
  for (const text of ["1", "2"]) {
    a.send("b", "raft", Buffer.from(text));
    await hands.settle();
  }
  expect(received).toEqual([]);
  for (const arrive of held.toReversed()) arrive();
  await hands.settle();
  expect(received).toEqual(["2", "1"]);
});

test("over the outbound cap bodies are dropped and counted", async () => {
  const hands = new Hands();
  const hub = new MemoryHub({ deliver: hands.defer });
  const options = { cluster: "c", schedule: hands.defer, outboundCapBytes: 1000 };
  const a = hub.open({ ...options, nodeId: "a" });
  const b = hub.open({ ...options, nodeId: "b" });
  let received = 0;
  b.receive("raft", () => received++);
  for (let index = 0; index < 20; index++) a.send("b", "raft", Buffer.alloc(96));
  await hands.settle();
  expect([received, a.statistics().dropped]).toEqual([10, 10]);
});
