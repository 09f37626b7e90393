// A recorded snapshot of a real leader, and the follower that takes it from a leader that consists of
// what a test says in its name.

import { expect } from "vitest";
import {
  decodeSnapshotHeader,
  encodeSnapshotHeader,
  type SnapshotHeader,
} from "../../../actors/store/snapshot-format.ts";
import { encodeEntry } from "../../../storage/codec.ts";
import type { LogEntry } from "../../../storage/journal/types.ts";
import type { ReplicaNode } from "./replica-node.ts";
import { Pipe } from "./snapshot-pipe.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

export const leaderId = 1;

export interface Recorded {
  readonly header: Buffer;
  readonly chunks: readonly Buffer[];
  readonly index: number;
  readonly term: number;
  readonly leaderTerm: number;
  readonly content: readonly string[];
}

/** What a real leader streams for replica 3. */
export async function record(): Promise<Recorded> {
  const voters = [1, 2, 3];
  const world = new SnapshotWorld(1);
  const leader = await world.add(1, voters).start();
  const other = await world.add(2, voters).start();
  await world.until(() => leader.region!.serving || other.region!.serving, "somebody leads");
  // There and back: its term is not the one of the entries that the followers of these tests have.
  if (leader.region!.serving) leader.region!.inbox.transferTo(other.nodeId);
  await world.until(() => other.region!.serving, "replica 2 leads");
  other.region!.inbox.transferTo(leader.nodeId);
  await world.until(() => leader.region!.serving, "replica 1 leads");
  for (let i = 0; i < 60; i++)
    await leader.ask(`SET key${i} ${"v".repeat(9000)} PX 9999999`, i % 16);
  await leader.ask(`SET long ${"long".repeat(20_000)}`);
  await leader.ask(`SET left ${"left".repeat(20_000)}`, 4);
  await leader.ask("FLUSHDB", 4);
  await leader.cut();
  await world.settle();
  const chunks = world.recordChunks();
  await world.add(3, voters).start();
  await world.until(() => world.streams.at(-1)?.pipe.accepted === true, "the snapshot");
  const { header } = world.streams.at(-1)!;
  const { index, indexTerm, term } = decodeSnapshotHeader(header);
  await world.settle();
  const content = await leader.content();
  return { header, chunks, index, term: indexTerm, leaderTerm: term, content };
}

/** The snapshot from this chunk on, perhaps with another header. */
export function fromChunk(
  recorded: Recorded,
  first: number,
  change: Partial<SnapshotHeader> = {},
): Recorded {
  const header = { ...decodeSnapshotHeader(recorded.header), firstChunk: first, ...change };
  const chunks = recorded.chunks.slice(first);
  return { ...recorded, header: encodeSnapshotHeader(header), chunks };
}

export const entry = (index: number, term: number, text: string): LogEntry => ({
  index,
  term,
  kind: 1,
  payload: encodeEntry({
    nowMs: 1_700_000_000_000 + index,
    effects: [
      { type: "put", key: Buffer.from(`\u0010${text.padEnd(10, ".")}`), value: Buffer.from(text) },
    ],
  }),
});

/** A leader that consists of what the test says in its name. */
export class Follower {
  readonly world: SnapshotWorld;
  readonly node: ReplicaNode;
  readonly acks: number[] = [];

  constructor(seed: number) {
    this.world = new SnapshotWorld(seed);
    this.node = this.world.add(3, [1, 2, 3]);
    this.world.passes = (_from, _to, message) => {
      if (message.type === "append.reply" && message.matched) this.acks.push(message.index);
      return false;
    };
  }

  append(
    term: number,
    prevIndex: number,
    prevTerm: number,
    entries: LogEntry[],
    commitIndex: number,
  ) {
    this.node.region!.inbox.received(
      "n1",
      {
        type: "append.request",
        from: leaderId,
        to: 3,
        term,
        prevIndex,
        prevTerm,
        commitIndex,
        entries,
        sentAtMs: this.world.clock.monotonicMs(),
      },
      this.world.clock.monotonicMs(),
    );
  }

  /** Sends the recorded stream; what becomes of it shows in the pipe. */
  stream(recorded: Recorded): Pipe {
    return this.#send(recorded, true);
  }

  /** Sends these chunks, and then nothing more. */
  begin(recorded: Recorded): Pipe {
    return this.#send(recorded, false);
  }

  #send({ header, chunks }: Recorded, isWhole: boolean): Pipe {
    const pipe = new Pipe();
    this.node.region!.receiveSnapshot("n1", header, pipe.reader);
    const write = async (): Promise<void> => {
      for (const chunk of chunks) await pipe.writer.write(chunk);
      if (isWhole) await pipe.writer.end();
      else pipe.isDrained = true;
    };
    write().catch(() => undefined);
    return pipe;
  }

  /** With a few entries of an older term applied and a tail that nobody else has. */
  async prepare({ index, leaderTerm }: Recorded, tail: number, seen = true): Promise<void> {
    const { world, node } = this;
    await node.start();
    const entries = Array.from({ length: 4 + tail }, (_, i) => entry(i + 1, 1, `old${i}`));
    this.append(1, 0, 0, entries, 4);
    await world.until(() => node.raft.appliedIndex === 4, "the old entries");
    if (!seen) return;
    node.region!.inbox.heard(leaderId, leaderTerm);
    await world.until(() => node.region!.inbox.heard(leaderId, leaderTerm), "the leader is known");
    expect(index).toBeGreaterThan(4);
  }
}
