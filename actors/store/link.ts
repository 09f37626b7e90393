// The store's end of the wire: Raft messages out and in, the evidence in heartbeats, and what a change
// of another node means to the replicas here. It outlives restarts of the store's actors; replicas
// are looked up in the directory for each message, and a message for none is lost.

import type { BulkReader, BulkWriter, Transport } from "../../transport/transport.ts";
import type { HeartbeatNews, Heartbeats, NodeInfo, NodeListener } from "../cluster/protocol.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import { minElectionTimeoutMs } from "../raft/protocol.ts";
import { decodeMessages } from "../raft/wire.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn } from "../system/turn.ts";
import type { RegionDirectory } from "./directory.ts";
import { Evidence, type Led } from "./evidence.ts";
import { RaftMail } from "./mail.ts";
import type { ReadMode } from "./protocol.ts";
import type { RegionLink } from "./region-link.ts";
import { snapshotRegionOf } from "./snapshot-format.ts";

/** What a node of several gives its store. */
export interface LinkPorts {
  readonly transport: Transport;
  readonly heartbeats: Heartbeats;
  readonly readMode: ReadMode;
  readonly directory: RegionDirectory;
  readonly clock: Clock;
  readonly turn: Turn;
  /** A body that cannot be read: another version, or broken. */
  readonly onGarbled: (from: string, error: unknown) => void;
}

export class StoreLink implements RegionLink, NodeListener {
  readonly readMode: ReadMode;
  readonly #ports: LinkPorts;
  readonly #mail: RaftMail;
  readonly #evidence: Evidence;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
    this.readMode = ports.readMode;
    this.#mail = new RaftMail(ports.transport, ports.turn);
    this.#evidence = new Evidence(
      { replica: (regionId) => ports.directory.replica(regionId)?.inbox },
      minElectionTimeoutMs,
      () => this.#led(),
    );
    ports.transport.receive("raft", (from, body) => this.#received(from, body));
    ports.transport.receiveStreams((from, header, reader) => this.#stream(from, header, reader));
    ports.heartbeats.carry({
      cargoFor: (nodeId) => this.#evidence.cargoFor(nodeId),
      received: (from, news) => this.#heartbeat(from, news),
    });
  }

  send(nodeId: string, regionId: number, message: RaftMessage): void {
    this.#mail.send(nodeId, regionId, message);
  }

  confirm(nodeIds: readonly string[]): number {
    const round = this.#ports.heartbeats.nextRound();
    this.#ports.heartbeats.poke(nodeIds);
    return round;
  }

  openStream(nodeId: string, header: Uint8Array): BulkWriter {
    return this.#ports.transport.openStream(nodeId, header);
  }

  nodeUp(): void {
    // Its heartbeats say the rest.
  }

  /** Only where no replica here follows its leader: those have promises to keep. */
  nodeDown({ nodeId }: NodeInfo): void {
    this.#ports.directory.forgetLeader(nodeId);
  }

  /**
   * The node's process is another one now: what the old one led, it leads no more. Only what that one
   * itself said it led: the new one may lead already, and its promises must stand, because messages
   * of its Raft may come before its first heartbeat.
   */
  nodeRestarted({ nodeId }: NodeInfo): void {
    for (const { regionId, term } of this.#evidence.ledBy(nodeId)) {
      this.#ports.directory.replica(regionId)?.inbox.leaderLost(nodeId, term);
    }
    this.#evidence.forget(nodeId);
    this.#ports.directory.forgetLeader(nodeId);
  }

  #heartbeat({ nodeId }: NodeInfo, news: HeartbeatNews): void {
    try {
      this.#evidence.received(nodeId, news);
    } catch (error) {
      this.#ports.onGarbled(nodeId, error);
      return;
    }
    for (const { regionId, term } of this.#evidence.ledBy(nodeId)) {
      this.#ports.directory.noteLeader(regionId, nodeId, term);
    }
  }

  #stream(from: string, header: Buffer, reader: BulkReader): void {
    const regionId = snapshotRegionOf(header);
    const replica = regionId === undefined ? undefined : this.#ports.directory.replica(regionId);
    if (replica === undefined) reader.abort("no replica of that region here");
    else replica.receiveSnapshot(from, header, reader);
  }

  #led(): Led[] {
    const led: Led[] = [];
    for (const { regionId, raft } of this.#ports.directory.replicas()) {
      if (raft?.role !== "leader") continue;
      led.push({ regionId, replicaId: raft.replicaId, term: raft.term });
    }
    return led;
  }

  #received(from: string, body: Buffer): void {
    const nowMs = this.#ports.clock.monotonicMs();
    try {
      for (const { regionId, message } of decodeMessages(body)) {
        this.#ports.directory.replica(regionId)?.inbox.received(from, message, nowMs);
      }
    } catch (error) {
      this.#ports.onGarbled(from, error);
    }
  }
}
