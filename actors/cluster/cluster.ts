// The cluster as the rest of the node sees it: one object that outlives restarts of the room's actors,
// with the heartbeats, the nodes, and the cluster this node belongs to. It gives each message from
// the transport to whom it is for; it knows nothing of regions.

import type { Transport } from "../../transport/transport.ts";
import type { Log } from "../observe/log.ts";
import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn } from "../system/turn.ts";
import { FormationMachine, type Phase } from "./formation.ts";
import { Founding } from "./founding.ts";
import { HeartbeatExchange } from "./heartbeats.ts";
import { Liveness } from "./liveness.ts";
import type { ClusterShape } from "./proposals.ts";
import { MembershipError } from "./protocol.ts";
import type { Formation, Heartbeats, Member, MembershipStore } from "./protocol.ts";
import type { NodeInfo, NodeListener, Nodes, Proposal } from "./protocol.ts";
import { Roster } from "./roster.ts";
import { clusterSpec } from "./supervisor.ts";
import { decodeMessage, WireError, type ClusterMessage } from "./wire.ts";

/** What a cluster room is made of. */
export interface ClusterOptions {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  readonly formation: Formation;
  /** For a cluster that this node proposes. */
  readonly bootstrap: ClusterShape;
  readonly membership: MembershipStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly turn: Turn;
  readonly log: Pick<Log, "info" | "warning" | "error">;
  readonly supervision: Pick<SupervisorInput, "now" | "onExit" | "onRestart">;
  /** A MembershipError of a node that had been formed, or membership that could not be written. */
  readonly onFatal: (error: unknown) => void;
}

/** Counters since the start and figures of now, for /metrics. */
export interface ClusterFigures {
  readonly phase: Phase;
  readonly heartbeatsSent: number;
  readonly heartbeatsReceived: number;
  /** Late, doubled, or of a process, disk or cluster that does not count. */
  readonly heartbeatsDropped: number;
  readonly introductionsSent: number;
  readonly introductionsReceived: number;
  /** Of another version, or broken. */
  readonly unreadable: number;
  readonly nodesKnown: number;
  readonly nodesUp: number;
}

/** So that a node id can be complained about once; beyond that many, nothing is said any more. */
const complaintsMax = 1000;

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #roster = new Roster();
  readonly #machine: FormationMachine;
  readonly #liveness: Liveness;
  readonly #exchange: HeartbeatExchange;
  readonly #founding: Founding;
  readonly #whenFormed: Promise<Proposal>;
  #settle!: { formed(proposal: Proposal): void; refused(error: MembershipError): void };
  #addresses = { respAddress: "", httpAddress: "" };
  #isFormed = false;
  #fail: ((error: unknown) => void) | undefined;
  #unreadable = 0;
  readonly #complained = new Set<string>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { transport, clock, turn, nodeId, incarnation, random, formation, bootstrap } = options;
    const process = Math.floor(random() * 2 ** 48);
    const self = (): NodeInfo => this.self;
    this.#whenFormed = new Promise((resolve, reject) => {
      this.#settle = { formed: resolve, refused: reject };
    });
    // Nobody may be waiting when it is refused.
    this.#whenFormed.catch(() => undefined);
    this.#machine = new FormationMachine({
      self: { nodeId, incarnation },
      formation,
      shape: bootstrap,
      random,
      record: options.membership.read(),
      roster: this.#roster,
    });
    this.#liveness = new Liveness({ clock, turn, self });
    this.#exchange = new HeartbeatExchange({
      transport,
      clock,
      turn,
      roster: this.#roster,
      liveness: this.#liveness,
      self,
      process,
      clusterId: () => this.formed?.clusterId,
      onStranger: (member: Member) => this.#founding.refuse(member),
      onForeign: (from, clusterId) => this.#founding.foreign(from, clusterId),
    });
    this.#founding = new Founding({
      ...options,
      machine: this.#machine,
      self,
      process,
      onMet: (met) => this.#exchange.poke([met]),
      onFormed: (formed) => {
        this.#isFormed = true;
        transport.bind(formed.clusterId);
        this.#settle.formed(formed);
      },
      onRefused: (reason) => this.#refused(reason),
    });
    transport.receive("cluster", (from, body) => this.#received(from, body));
    transport.receiveAnnouncements((from, body) => this.#received(from, body));
  }

  /** This node, as it introduces itself. */
  get self(): NodeInfo {
    const { nodeId, incarnation, epoch } = this.#options;
    return { nodeId, incarnation, epoch, ...this.#addresses };
  }

  get heartbeats(): Heartbeats {
    return this.#exchange;
  }

  get nodes(): Nodes {
    return this.#liveness;
  }

  /** The cluster this node belongs to; undefined until that is durable. */
  get formed(): Proposal | undefined {
    return this.#machine.formed;
  }

  /** The tree for the node's supervisor; nothing is said before it runs. Ready when formed. */
  spec(): ChildSpec {
    return clusterSpec({
      formation: { founding: this.#founding },
      liveness: {
        heartbeats: this.#exchange,
        liveness: this.#liveness,
        onFailer: (fail) => {
          this.#fail = fail;
        },
      },
      supervision: this.#options.supervision,
    });
  }

  /**
   * The cluster, once this node belongs to it. Rejects with MembershipError when it cannot; a node
   * that is refused later, as one of two with the same id, hears of it by `onFatal`.
   */
  whenFormed(): Promise<Proposal> {
    return this.#whenFormed;
  }

  /** Nodes that are on record elsewhere: another disk under one of their names is refused. */
  remember(members: readonly Member[]): void {
    for (const member of members) this.#roster.admit(member);
  }

  /** Hears of nodes from now on. */
  listen(listener: NodeListener): void {
    this.#liveness.listen(listener);
  }

  /** Others hear of it at the end of this turn. */
  setAddresses(addresses: { readonly respAddress: string; readonly httpAddress: string }): void {
    const { respAddress, httpAddress } = addresses;
    this.#addresses = { respAddress, httpAddress };
    this.#exchange.spread();
  }

  /** For health: a sentence while the node belongs to no cluster. */
  waitingFor(): string | undefined {
    return this.#founding.waitingFor();
  }

  /** This process is about to end: others count it as down at once, and hear no more of it. */
  goodbye(): void {
    this.#exchange.goodbye();
    this.#founding.stop();
  }

  figures(): ClusterFigures {
    const { sent, received, dropped } = this.#exchange.counters;
    const others = this.#liveness.others();
    return {
      phase: this.#machine.phase,
      heartbeatsSent: sent,
      heartbeatsReceived: received,
      heartbeatsDropped: dropped,
      ...this.#founding.counters,
      unreadable: this.#unreadable,
      nodesKnown: others.length,
      nodesUp: others.filter(({ isUp }) => isUp).length,
    };
  }

  #received(from: string, body: Buffer): void {
    const message = this.#read(from, body);
    if (message === undefined) return;
    try {
      this.#deliver(from, message);
    } catch (error) {
      // A bug here or in a listener: the actor that it belongs to fails, if it lives.
      if (this.#fail === undefined) this.#options.onFatal(error);
      else this.#fail(error);
    }
  }

  #read(from: string, body: Buffer): ClusterMessage | undefined {
    try {
      return decodeMessage(body);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#unreadable++;
      if (this.#complained.has(from) || this.#complained.size >= complaintsMax) return undefined;
      this.#complained.add(from);
      this.#options.log.error(`a node cannot be understood: ${error.message}`, { from });
      return undefined;
    }
  }

  #deliver(from: string, message: ClusterMessage): void {
    switch (message.kind) {
      case "introduction":
        if (message.introduction.info.nodeId === from) {
          this.#founding.introduced(message.introduction);
        }
        return;
      case "answer":
        this.#founding.answered(message.answer);
        return;
      case "heartbeat":
        this.#exchange.received(from, message.heartbeat);
        return;
      case "goodbye":
        this.#exchange.left(from, message.goodbye);
        return;
    }
  }

  #refused(reason: string): void {
    const error = new MembershipError(reason);
    this.#exchange.stop();
    if (this.#isFormed) this.#options.onFatal(error);
    else this.#settle.refused(error);
  }
}
