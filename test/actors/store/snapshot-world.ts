// Replicas of one region on simulated ground: a network that loses nothing unless told to, streams in
// memory, what heartbeats would say, one clock, one seed. It stands below the snapshot tests; what a
// node consists of is `replica-node.ts`.

import type { RaftMessage } from "../../../actors/raft/protocol.ts";
import type { BulkWriter } from "../../../transport/transport.ts";
import { HeapClock } from "../../simulation/clock.ts";
import { seededRandom, type Random } from "../../simulation/disk.ts";
import { ReplicaNode } from "./replica-node.ts";
import { Pipe } from "./snapshot-pipe.ts";

const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Task {
  readonly node: ReplicaNode;
  readonly life: number;
  readonly run: () => void;
}

export interface Stream {
  readonly from: string;
  readonly to: string;
  readonly header: Buffer;
  readonly pipe: Pipe;
}

export class SnapshotWorld {
  readonly random: Random;
  readonly clock = new HeapClock(10_000);
  readonly nodes = new Map<string, ReplicaNode>();
  readonly streams: Stream[] = [];
  tasks: Task[] = [];
  /** Called for each stream opened, before anything moves in it. */
  onStream: (stream: Stream) => void = () => undefined;
  /** Raft messages that arrive. */
  passes: (from: string, to: string, message: RaftMessage) => boolean = () => true;
  #round = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** A node with replica `replicaId` among `voters` (replica i lives on node "n<i>"). */
  add(replicaId: number, voters: readonly number[]): ReplicaNode {
    const node = new ReplicaNode(this, replicaId, voters);
    this.nodes.set(node.nodeId, node);
    return node;
  }

  async step(): Promise<void> {
    await microtasks();
    this.tasks = this.tasks.filter(({ node, life }) => node.life === life);
    // Now and then time passes although there is work.
    const isLate = this.random() < 0.02;
    const at = Math.floor(this.random() * this.tasks.length);
    const [task] = isLate ? [] : this.tasks.splice(at, 1);
    if (task === undefined) this.#pass(20);
    else task.run();
    await microtasks();
  }

  /** Time goes on: ticks for everybody, and what heartbeats would say. */
  #pass(ms: number): void {
    this.clock.advance(ms);
    const nowMs = this.clock.monotonicMs();
    this.#round++;
    const running = [...this.nodes.values()].filter((node) => node.region?.raft !== undefined);
    for (const leader of running) {
      const { raft } = leader.region!;
      if (raft?.role !== "leader") continue;
      for (const other of running) {
        const said = { type: "timeout.now", from: leader.replicaId, to: 0, term: 0 } as const;
        if (other === leader || !this.passes(leader.nodeId, other.nodeId, said)) continue;
        if (!other.region!.inbox.heard(leader.replicaId, raft.term)) continue;
        const proof = { round: this.#round, sentAtMs: nowMs, promiseMs: 1500 };
        leader.region!.inbox.evidence(other.nodeId, { term: raft.term, ...proof });
      }
    }
    for (const node of running) node.region!.inbox.tick(nowMs, true);
  }

  async until(done: () => boolean, what: string, limit = 20_000): Promise<void> {
    for (let count = 0; !done(); count++) {
      for (const { failures } of this.nodes.values()) {
        if (failures.length > 0) throw failures[0] as Error;
      }
      if (count > limit) throw new Error(`never happened: ${what}`);
      await this.step();
    }
  }

  async stepMany(count: number): Promise<void> {
    for (let left = count; left > 0; left--) await this.step();
  }

  /** Until nothing has been under way for a while. */
  async settle(): Promise<void> {
    let quiet = 0;
    await this.until(
      () => (quiet = this.tasks.length === 0 ? quiet + 1 : 0) > 30,
      "everything comes to rest",
    );
  }

  /** From now on what the stream opened last has carried. */
  recordChunks(): readonly Buffer[] {
    const chunks: Buffer[] = [];
    this.onStream = ({ pipe }) => {
      chunks.length = 0;
      pipe.tamper = (chunk) => {
        chunks.push(Buffer.from(chunk));
        return chunk;
      };
    };
    return chunks;
  }

  deliver(from: string, to: string, message: RaftMessage): void {
    const node = this.nodes.get(to);
    if (!this.passes(from, to, message) || node?.region === undefined) return;
    node.later(() => node.region?.inbox.received(from, message, this.clock.monotonicMs()));
  }

  open(from: string, to: string, header: Buffer): BulkWriter {
    const stream = { from, to, header, pipe: new Pipe() };
    this.streams.push(stream);
    this.onStream(stream);
    const node = this.nodes.get(to);
    if (node?.region === undefined) stream.pipe.fail("nobody there");
    else node.later(() => node.region?.receiveSnapshot(from, header, stream.pipe.reader));
    return stream.pipe.writer;
  }
}
