// What the cluster room offers the rest of a node: who the other nodes are and whether they are
// there, the heartbeats that every pair of nodes exchanges, and what of a node's membership has to be
// durable. It stands between the transport and everything that must know about nodes; it knows no
// regions: what rides in a heartbeat is the store's business.

/** A node as it introduces itself. */
export interface NodeInfo {
  /** [A-Za-z0-9_-]{1,64}; unique in the cluster. */
  readonly nodeId: string;
  /** 128 random bits in hex, drawn with the data directory: tells a wiped disk from the old one. */
  readonly incarnation: string;
  /**
   * Counts the process starts of this data directory, durably: a higher one means that the old
   * process is dead.
   */
  readonly epoch: number;
  /** "host:port" of the RESP listener; "" until it is bound. */
  readonly respAddress: string;
  readonly httpAddress: string;
}

/** A node as this one sees it. */
export interface NodeStatus {
  readonly info: NodeInfo;
  readonly isUp: boolean;
  /** Monotonic ms of the last change between up and down. */
  readonly sinceMs: number;
  /**
   * Its wall clock minus this node's monotonic one, at its last heartbeat, ms (as heard: network delay
   * included). Not minus the wall clock: that of this node may have been set since.
   */
  readonly wallOffsetMs: number;
}

/** What the other rooms ask about nodes. */
export interface Nodes {
  /** Monotonic ms since when it is up; undefined while it is down or unknown. This node is up. */
  upSinceMs(nodeId: string): number | undefined;
  info(nodeId: string): NodeInfo | undefined;
  /** Every node ever heard by this process, this one excluded, by nodeId. */
  others(): readonly NodeStatus[];
}

/** What happens to nodes. Called synchronously while a heartbeat is handled or a timer runs. */
export interface NodeListener {
  nodeUp(info: NodeInfo): void;
  /** Nothing was heard of it for `nodeDownMs`. */
  nodeDown(info: NodeInfo): void;
  /** Its process is another one now (higher epoch); the old one is certainly dead. Comes before `nodeUp`. */
  nodeRestarted(info: NodeInfo): void;
}

/** One heartbeat as it was received, with what it acknowledges. */
export interface HeartbeatNews {
  /** The sender's number of it; ascending for as long as its process lives. */
  readonly round: number;
  /** Round of the newest heartbeat of *this* process that the peer had received when it sent; 0 = none. */
  readonly ackRound: number;
  /** This process's monotonic clock when that one left. */
  readonly ackSentAtMs: number;
  /** What the peer's store put in. */
  readonly cargo: Buffer;
}

/** What the store puts into heartbeats and takes out of them. */
export interface HeartbeatCargo {
  cargoFor(nodeId: string): Buffer;
  received(from: NodeInfo, news: HeartbeatNews): void;
}

/** The heartbeats of this node with every other one (`safety.md` 15, 16). */
export interface Heartbeats {
  /** One cargo; set before the first heartbeat leaves. */
  carry(cargo: HeartbeatCargo): void;
  /** The number that the heartbeats of the next `poke` will carry; higher than any sent so far. */
  nextRound(): number;
  /** A heartbeat to each of these nodes leaves at the end of this turn and is answered at once. */
  poke(nodeIds: readonly string[]): void;
}

/** A node of a bootstrap: which disk, not only which name. */
export interface Member {
  readonly nodeId: string;
  readonly incarnation: string;
}

/** What founders of a cluster agree on (`safety.md` 13). */
export interface Proposal {
  /** 128 random bits in hex. */
  readonly clusterId: string;
  /** By nodeId, ascending. */
  readonly members: readonly Member[];
  /** Fixed with it: M, hash tags, voters a region gets. */
  readonly regionCount: number;
  readonly hashTags: boolean;
  readonly replicas: number;
}

/** What of its membership a node keeps on disk. */
export interface MembershipRecord {
  /** The one proposal this node ever agreed to. */
  readonly pledge: Proposal | undefined;
  /** The cluster it belongs to, founder or not; `members` are the founders. */
  readonly formed: Proposal | undefined;
}

/** Keeps the record; `write` resolves when it is durable. */
export interface MembershipStore {
  read(): MembershipRecord;
  write(record: MembershipRecord): Promise<void>;
}

/** How the bootstrap finds its members. */
export type Formation =
  /** A cluster of this node alone, which others may join. */
  | { readonly kind: "alone" }
  /** The first `count` nodes that hear each other. */
  | { readonly kind: "expect"; readonly count: number }
  /** Exactly these; of none: it founds nothing and waits for a cluster that it can join. */
  | { readonly kind: "named"; readonly nodeIds: readonly string[] };

/** Why a node cannot be part of the cluster; the process ends with exit 1 and this message. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
}

/** Every node sends each other one this often when nothing else makes it. */
export const heartbeatMs = 500;
/** Silence after which a node counts as down. */
export const nodeDownMs = 1500;
/** A node that is further off than this from the median of all wall clocks must not lead (`safety.md` 26). */
export const clockSkewMaxMs = 5000;
