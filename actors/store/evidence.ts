// What a store says in its node's heartbeats about Raft, and what it reads from others': the regions
// it leads, by a version, and which of a peer's it does not follow (`safety.md` 16). It turns that
// into events of single replicas; when heartbeats leave is the cluster room's business.

import { pack, unpack } from "msgpackr";
import type { HeartbeatNews } from "../cluster/protocol.ts";

/** A region this store leads. */
export interface Led {
  readonly regionId: number;
  /** replicaId of the leader. */
  readonly replicaId: number;
  readonly term: number;
}

/** A replica as the evidence sees it. */
export interface EvidenceReplica {
  /** The peer's node says that `leader` leads in `term`: true = this replica follows it there. */
  heard(leader: number, term: number): boolean;
  /** The node acknowledged a heartbeat that named this replica as leader of `term`. */
  evidence(nodeId: string, proof: Proof & { readonly term: number }): void;
}

/** Where this store's replicas are found. */
export interface EvidenceReplicas {
  replica(regionId: number): EvidenceReplica | undefined;
}

/** What an acknowledged heartbeat proves. */
export interface Proof {
  readonly round: number;
  readonly sentAtMs: number;
  readonly promiseMs: number;
}

/** [version, set unless the peer has it, promiseMs, acked round, acked version, regions not followed] */
type Cargo = [number, Array<[number, number, number]> | null, number, number, number, number[]];

interface Heard {
  /** Version of the peer's set and the set itself. */
  version: number;
  led: readonly Led[];
  /** Of the newest heartbeat: its round, and what of the set is not followed here. */
  round: number;
  notFollowed: readonly number[];
  /** Version of this store's set that the peer has. */
  knows: number;
}

export class Evidence {
  readonly #replicas: EvidenceReplicas;
  readonly #led: () => readonly Led[];
  readonly #promiseMs: number;
  readonly #peers = new Map<string, Heard>();
  #version = 0;
  #set: readonly Led[] = [];

  constructor(replicas: EvidenceReplicas, promiseMs: number, led: () => readonly Led[]) {
    this.#replicas = replicas;
    this.#promiseMs = promiseMs;
    this.#led = led;
  }

  /** The peer is another process now: it knows nothing of what was said before. */
  forget(nodeId: string): void {
    this.#peers.delete(nodeId);
  }

  /** The regions a peer said it leads, as far as heard. */
  ledBy(nodeId: string): readonly Led[] {
    return this.#peers.get(nodeId)?.led ?? [];
  }

  /** What the next heartbeat to this node carries. */
  cargoFor(nodeId: string): Buffer {
    this.#refresh();
    const heard = this.#peers.get(nodeId);
    const set: Cargo[1] =
      heard?.knows === this.#version
        ? null
        : this.#set.map(({ regionId, replicaId, term }) => [regionId, replicaId, term]);
    const cargo: Cargo = [
      this.#version,
      set,
      this.#promiseMs,
      heard?.round ?? 0,
      heard?.version ?? 0,
      heard === undefined ? [] : [...heard.notFollowed],
    ];
    return pack(cargo);
  }

  /** A heartbeat has come: what it says about its leaders first, then what it acknowledges. */
  received(nodeId: string, news: HeartbeatNews): void {
    const [version, set, promiseMs, ackRound, ackVersion, except] = unpack(news.cargo) as Cargo;
    const heard = this.#heardOf(nodeId);
    if (news.round < heard.round) return;
    if (set !== null) {
      heard.version = version;
      heard.led = set.map(([regionId, replicaId, term]) => ({ regionId, replicaId, term }));
    }
    heard.knows = ackVersion;
    // A set that is not known proves nothing; the peer sees by the version that it must send it.
    if (heard.version === version) this.#hear(heard, news.round);
    if (ackRound !== news.ackRound || ackRound === 0) return;
    this.#refresh();
    // Between the versions something was won or lost: the next heartbeat speaks of the new set.
    if (ackVersion !== this.#version) return;
    const refused = new Set(except);
    const proof = { round: ackRound, sentAtMs: news.ackSentAtMs, promiseMs };
    for (const { regionId, term } of this.#set) {
      if (refused.has(regionId)) continue;
      this.#replicas.replica(regionId)?.evidence(nodeId, { ...proof, term });
    }
  }

  #hear(heard: Heard, round: number): void {
    heard.round = round;
    const notFollowed: number[] = [];
    for (const { regionId, replicaId, term } of heard.led) {
      const replica = this.#replicas.replica(regionId);
      if (replica?.heard(replicaId, term) !== true) notFollowed.push(regionId);
    }
    heard.notFollowed = notFollowed;
  }

  #heardOf(nodeId: string): Heard {
    let heard = this.#peers.get(nodeId);
    if (heard === undefined) {
      heard = { version: 0, led: [], round: 0, notFollowed: [], knows: 0 };
      this.#peers.set(nodeId, heard);
    }
    return heard;
  }

  /** The version goes up with every change of what this store leads. */
  #refresh(): void {
    const led = this.#led();
    const isSame =
      led.length === this.#set.length &&
      led.every((now, i) => {
        const before = this.#set[i];
        return (
          before?.regionId === now.regionId &&
          before.replicaId === now.replicaId &&
          before.term === now.term
        );
      });
    if (isSame && this.#version > 0) return;
    this.#set = led;
    this.#version++;
  }
}
