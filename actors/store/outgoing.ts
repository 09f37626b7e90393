// What a replica writes and sends: entries to the journal and to the other replicas, from memory
// while they are young, from the journal when they are not. It stands between the core's effects and
// the log actor and link; it knows where replicas live and decides nothing.

import type { HardState, JournalWrite, LogEntry } from "../../storage/journal/types.ts";
import type { Peer } from "../../storage/local-records.ts";
import type { LogPosition, PersistToken, RaftEffect, RaftMessage } from "../raft/protocol.ts";
import type { ReplicaWriter } from "../raft/perform.ts";
import type { LogWindow } from "./log-window.ts";
import type { RegionPorts, SendToReplica } from "./region-ports.ts";
import { SnapshotSender, type SnapshotSource } from "./snapshot-sender.ts";

type SendEntries = Extract<RaftEffect, { type: "sendEntries" }>;

/** Of its replica, as far as writing and sending need it. */
export interface OutgoingHost extends SnapshotSource {
  readonly regionId: number;
  /** This replica. */
  readonly replicaId: number;
  /** Changes with the role: what was asked for under another one is not sent any more. */
  readonly roleEpoch: number;
}

export class Outgoing implements ReplicaWriter {
  readonly #ports: RegionPorts;
  readonly #host: OutgoingHost;
  readonly #window: LogWindow;
  readonly #send: SendToReplica;
  readonly #snapshots: SnapshotSender;
  /** Where replicas live: from the membership, and from who has written. */
  readonly #nodes = new Map<number, string>();

  constructor(ports: RegionPorts, host: OutgoingHost, window: LogWindow, send: SendToReplica) {
    this.#ports = ports;
    this.#host = host;
    this.#window = window;
    this.#send = send;
    this.#snapshots = new SnapshotSender(ports, host);
  }

  /** Which node a replica of this region lives on. */
  nodeOf(replicaId: number): string | undefined {
    return this.#nodes.get(replicaId);
  }

  place(peers: readonly Peer[]): void {
    for (const { replicaId, nodeId } of peers) this.#nodes.set(replicaId, nodeId);
  }

  /** An answer must find its way even to a replica this one has not heard of yet. */
  heardFrom(replicaId: number, nodeId: string): void {
    if (!this.#nodes.has(replicaId)) this.#nodes.set(replicaId, nodeId);
  }

  persist(
    hardState: HardState | undefined,
    entries: readonly LogEntry[],
    token: PersistToken,
    reset: LogPosition | undefined,
  ): void {
    this.#window.append(entries);
    const { regionId, replicaId } = this.#host;
    const write: JournalWrite = { regionId, replicaId, entries, hardState, reset };
    this.#ports.log.send({
      type: "log.append",
      write,
      onDurable: () =>
        this.#send({ type: "raft.persisted", token, nowMs: this.#ports.clock.monotonicMs() }),
    });
  }

  send(message: RaftMessage): void {
    const nodeId = this.#nodes.get(message.to);
    if (nodeId !== undefined) this.#ports.link?.send(nodeId, this.#host.regionId, message);
  }

  sendEntries(effect: SendEntries): void {
    const { first, last } = effect;
    const held = this.#window.range(first, last);
    if (held !== undefined) {
      this.#sendAppend(effect, held);
      return;
    }
    const { journal } = this.#ports.handles;
    journal?.read(this.#host.regionId, first, last, Infinity).then(
      (entries) => {
        if (this.#host.roleEpoch !== effect.roleEpoch || entries.length === 0) return;
        this.#sendAppend(effect, entries);
      },
      // Cut in the meantime: the core probes again, and finds that a snapshot is needed.
      () => undefined,
    );
  }

  sendSnapshot(to: number, term: number): void {
    void this.#snapshots.send(to, term);
  }

  /** The replica ends. */
  end(): void {
    this.#snapshots.end();
  }

  truncate(from: number): void {
    this.#window.truncate(from);
  }

  #sendAppend(effect: SendEntries, entries: readonly LogEntry[]): void {
    const { to, term, prevIndex, prevTerm, commitIndex } = effect;
    const from = this.#host.replicaId;
    const sentAtMs = this.#ports.clock.monotonicMs();
    this.send({
      type: "append.request",
      from,
      to,
      term,
      prevIndex,
      prevTerm,
      commitIndex,
      entries,
      sentAtMs,
    });
  }
}
