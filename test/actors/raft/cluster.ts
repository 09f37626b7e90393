// Three cores with a network that loses, doubles, delays and reorders, disks that take their time,
// and crashes. Every step is checked against what must always hold of elections; entries do not
// travel in this core, so each log grows only while its replica leads.

import assert from "node:assert/strict";
import { step } from "../../../actors/raft/core.ts";
import type { RaftEvent, RaftMessage } from "../../../actors/raft/protocol.ts";
import { startState, type RaftState } from "../../../actors/raft/state.ts";
import type { HardState } from "../../../storage/journal/types.ts";
import type { Persist } from "./replica.ts";

const voters = [1, 2, 3];

/** One thing that happens; `pick` in [0, 1) chooses among what can be chosen. */
export interface Happening {
  readonly what: "tick" | "deliver" | "double" | "lose" | "sync" | "crash" | "wait" | "propose";
  readonly replica: number;
  readonly pick: number;
}

/** What survives a crash. */
interface Disk {
  hardState: HardState;
  terms: number[];
}

class Replica {
  readonly id: number;
  readonly disk: Disk = { hardState: { term: 0, vote: 0 }, terms: [] };
  /** Handed to the disk, oldest first, not reported as durable. */
  writing: Persist[] = [];
  state: RaftState;

  constructor(id: number, nowMs: number) {
    this.id = id;
    this.state = this.#start(nowMs);
  }

  #start(nowMs: number): RaftState {
    return startState({
      replicaId: this.id,
      membership: { voters },
      hardState: { ...this.disk.hardState },
      appliedIndex: 0,
      appliedTerm: 0,
      terms: [...this.disk.terms],
      nowMs,
    });
  }

  /** The oldest write reaches the disk. */
  sync(): Persist | undefined {
    const write = this.writing.shift();
    if (write === undefined) return undefined;
    const { disk } = this;
    if (write.hardState !== undefined) {
      const { term, vote } = write.hardState;
      assert(term >= disk.hardState.term, "a durable term never goes back");
      if (term === disk.hardState.term && disk.hardState.vote !== 0) {
        assert.equal(vote, disk.hardState.vote, "a durable vote is never taken back");
      }
      disk.hardState = { term, vote };
    }
    for (const { index, term } of write.entries) {
      assert.equal(index, disk.terms.length + 1, "entries are consecutive");
      disk.terms.push(term);
    }
    return write;
  }

  /** Some of what was under way made it, in order; nobody was told. */
  crash(pick: number, nowMs: number): void {
    const survives = Math.floor(pick * (this.writing.length + 1));
    for (let i = 0; i < survives; i++) this.sync();
    this.writing = [];
    this.state = this.#start(nowMs);
  }
}

export class Cluster {
  readonly #replicas = voters.map((id) => new Replica(id, 0));
  /** Who led which term. */
  readonly leaders = new Map<number, number>();
  #network: RaftMessage[] = [];
  #nowMs = 0;

  happen({ what, replica: at, pick }: Happening): void {
    const replica = this.#replicas[at]!;
    switch (what) {
      case "wait":
        this.#nowMs += Math.floor(pick * 2000);
        break;
      case "tick":
        this.#step(replica, {
          type: "raft.tick",
          nowMs: this.#nowMs,
          electionTimeoutMs: 1500 + pick * 500,
        });
        break;
      case "deliver":
      case "double":
      case "lose":
        this.#message(what, pick);
        break;
      case "sync": {
        const write = replica.sync();
        if (write !== undefined)
          this.#step(replica, { type: "raft.persisted", token: write.token });
        break;
      }
      case "crash":
        replica.crash(pick, this.#nowMs);
        break;
      case "propose":
        if (replica.state.role !== "leader") break;
        this.#step(replica, { type: "raft.propose", payloads: [Buffer.from("x")] });
        break;
      default:
        what satisfies never;
    }
  }

  #message(what: "deliver" | "double" | "lose", pick: number): void {
    const index = Math.floor(pick * this.#network.length);
    const message = this.#network[index];
    if (message === undefined) return;
    if (what !== "double") this.#network.splice(index, 1);
    if (what === "lose") return;
    const to = this.#replicas.find(({ id }) => id === message.to)!;
    const event = { type: "raft.message", nowMs: this.#nowMs, message } as const;
    this.#step(to, { ...event, electionTimeoutMs: 1500 });
  }

  #step(replica: Replica, event: RaftEvent): void {
    const { state } = replica;
    const { term, vote } = state;
    for (const effect of step(state, event)) {
      if (effect.type === "persist") replica.writing.push(effect);
      else if (effect.type === "send") this.#send(replica, effect.message);
      else if (effect.type === "commit") assert.fail("nobody else has any entry");
      else if (effect.role === "leader") this.#led(replica, effect.term);
    }
    assert(state.term >= term, "a term never goes back");
    if (state.term === term && vote !== 0) assert.equal(state.vote, vote, "one vote a term");
  }

  #led({ id, disk }: Replica, term: number): void {
    const other = this.leaders.get(term);
    assert(other === undefined || other === id, `${other} and ${id} both lead term ${term}`);
    assert.deepEqual(disk.hardState, { term, vote: id }, "a leader's own vote is durable");
    this.leaders.set(term, id);
  }

  #send({ id, disk }: Replica, message: RaftMessage): void {
    this.#network.push(message);
    const { hardState } = disk;
    assert.equal(message.from, id);
    if (message.pre) {
      const isOwnTerm = message.type === "vote.reply" && !message.granted;
      if (isOwnTerm) assert(message.term <= hardState.term, "a term is durable before it is seen");
    } else if (message.type === "vote.request") {
      assert.deepEqual(hardState, { term: message.term, vote: id }, "an own vote is durable");
    } else {
      assert.equal(message.term, hardState.term, "a term is durable before it is seen");
      if (message.granted) assert.equal(hardState.vote, message.to, "a vote is durable");
    }
  }
}
