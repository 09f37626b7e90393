// What a replica hears from outside, as events of its core: the tick, messages of other replicas, what
// heartbeats prove, orders of the server. It stands between link and server, which call, and the
// replica's own actor, whose mailbox everything goes through, so that a failure is the actor's.

import { follows, isElectionDue } from "../raft/election.ts";
import { replicationFloor } from "../raft/progress.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import { quietMs } from "../raft/quiet.ts";
import { canRead, readConfirmed } from "../raft/reads.ts";
import type { RaftState } from "../raft/state.ts";
import type { EvidenceReplica, Proof } from "./evidence.ts";
import type { Outgoing } from "./outgoing.ts";
import type { RegionPorts, SendToReplica } from "./region-ports.ts";

/** Of its replica, as far as hearing needs it. */
export interface InboxHost {
  /** The core, for reading; undefined until the replica is open. */
  readonly raft: Readonly<RaftState> | undefined;
  /** True when this incarnation is over. */
  readonly ended: boolean;
}

export class Inbox implements EvidenceReplica {
  readonly #ports: RegionPorts;
  readonly #host: InboxHost;
  readonly #outgoing: Outgoing;
  readonly #send: SendToReplica;
  /** How long this replica waits for a leader before it stands for election; drawn per wait. */
  #electionTimeoutMs = 0;
  /** As the last tick said. */
  #mayLead = false;

  constructor(ports: RegionPorts, host: InboxHost, outgoing: Outgoing, send: SendToReplica) {
    this.#ports = ports;
    this.#host = host;
    this.#outgoing = outgoing;
    this.#send = send;
    this.drawTimeout();
  }

  /** Another role: another wait. */
  drawTimeout(): void {
    this.#electionTimeoutMs = 1500 + this.#ports.random() * 500;
  }

  /**
   * Tells the core the time and returns how long it may be left alone, ms (`quietMs`). `mayLead` false:
   * it does not stand for election until the next tick, whoever asks.
   */
  tick(nowMs: number, mayLead: boolean): number {
    this.#mayLead = mayLead;
    const { raft } = this.#host;
    if (raft === undefined) return 0;
    const isLeader = raft.role === "leader";
    const electionTimeoutMs = mayLead || isLeader ? this.#electionTimeoutMs : Infinity;
    const time = { nowMs, electionTimeoutMs };
    // Several times a second and region: one that would change nothing is not worth an event.
    if (isLeader || isElectionDue(raft, time)) this.#send({ type: "raft.tick", ...time });
    return quietMs(raft, time);
  }

  /** A message of another node's replica. */
  received(nodeId: string, message: RaftMessage, nowMs: number): void {
    this.#outgoing.heardFrom(message.from, nodeId);
    // Its leader does not know yet that the clock of this node is wrong (`safety.md` 26).
    if (message.type === "timeout.now" && !this.#mayLead) return;
    this.#send({ type: "raft.message", nowMs, message });
  }

  heard(leader: number, term: number): boolean {
    this.#send({ type: "raft.heard", nowMs: this.#nowMs(), leader, term });
    return this.follows(leader, term);
  }

  /** It is a live follower of that leader in that term, durably. */
  follows(leader: number, term: number): boolean {
    const { raft, ended } = this.#host;
    return raft !== undefined && !ended && follows(raft, leader, term);
  }

  evidence(nodeId: string, { term, ...proof }: Proof & { readonly term: number }): void {
    const { voters = [], learners = [] } = this.#host.raft?.membership ?? {};
    const nowMs = this.#nowMs();
    for (const from of [...voters, ...learners]) {
      if (this.#outgoing.nodeOf(from) !== nodeId) continue;
      this.#send({ type: "raft.evidence", nowMs, from, term, ...proof });
    }
  }

  /** The process that led in that term is gone for certain. */
  leaderLost(nodeId: string, term: number): void {
    const leader = this.#host.raft?.leader ?? 0;
    if (leader === 0 || this.#outgoing.nodeOf(leader) !== nodeId) return;
    if (this.#host.raft?.term !== term) return;
    this.#send({ type: "raft.leaderLost", leader, nowMs: this.#nowMs() });
  }

  /** Hands leadership to the replica on this node, if it is a voter. */
  transferTo(nodeId: string): void {
    const voters = this.#host.raft?.membership.voters ?? [];
    const to = voters.find((voter) => this.#outgoing.nodeOf(voter) === nodeId);
    if (to !== undefined) this.#send({ type: "raft.transfer", to, nowMs: this.#nowMs() });
  }

  /** Everybody this replica leads has the log up to here. */
  get replicationFloor(): number {
    const { raft } = this.#host;
    return raft === undefined ? 0 : replicationFloor(raft);
  }

  /** The journal keeps nothing at or below this index any more. */
  compacted(index: number): void {
    this.#send({ type: "raft.compacted", index });
  }

  /** 0: what is read now may be answered. Otherwise the round of heartbeats that has to be waited for. */
  readGate(): number {
    const { link } = this.#ports;
    const { raft } = this.#host;
    if (link === undefined || raft === undefined || link.readMode === "stale") return 0;
    if (link.readMode === "lease" && canRead(raft, this.#nowMs())) return 0;
    const others = raft.membership.voters.filter((voter) => voter !== raft.replicaId);
    if (others.length === 0) return 0;
    return link.confirm(others.map((voter) => this.#outgoing.nodeOf(voter) ?? ""));
  }

  isConfirmed(round: number): boolean {
    const { raft } = this.#host;
    return raft !== undefined && readConfirmed(raft, round);
  }

  #nowMs(): number {
    return this.#ports.clock.monotonicMs();
  }
}
