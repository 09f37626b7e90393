// What regions are in worlds of several gateways: replicas that execute counting commands, depose
// their leaders and lose what was not agreed on. What was executed, and when, stands in a log.

import { notLeader, refuse, unknownOutcome } from "../../../../actors/store/protocol.ts";
import type { RegionEvent, RegionPlace } from "../../../../actors/store/protocol.ts";
import type { RegionCommand } from "../../../../resp/command.ts";
import { ErrorReply } from "../../../../resp/reply.ts";
import type { Reply } from "../../../../resp/reply.ts";
import type { TestNode } from "./world.ts";

const shape = {
  arity: 3,
  categories: [],
  summary: "",
  since: "1.0.0",
  complexity: "",
  group: "string",
  keys: { first: 1, last: 1, step: 1 },
  runs: "region",
  spread: "one",
  execute: () => null,
} as const;
/** `add key id` counts; `read key id` answers the count. */
export const add = { ...shape, name: "add", flags: ["write"] } satisfies RegionCommand;
/** `adds key id key id` counts both, wherever they are. */
export const adds = {
  ...shape,
  name: "adds",
  flags: ["write"],
  keys: { first: 1, last: -1, step: 2 },
  spread: "sum",
} satisfies RegionCommand;
export const read = { ...shape, name: "read", flags: ["readonly"] } satisfies RegionCommand;

/** Some of a region's replicas agree on an order of commands; here, all at once. */
export class Group {
  readonly regionId: number;
  term = 0;
  leader: string | undefined;
  readonly counts = new Map<string, number>();
  /** What `read` answers in place of a count. */
  readonly values = new Map<string, Reply>();
  /** Ids of executed commands in their order. */
  readonly log: string[] = [];
  readonly replicas = new Map<string, Replica>();

  constructor(regionId: number) {
    this.regionId = regionId;
  }

  execute(event: RegionEvent): Reply {
    if (event.type !== "region.request") return null;
    const key = String(event.args[1]);
    const count = this.counts.get(key) ?? 0;
    this.log.push(String(event.args[2]));
    if (isWrite(event)) {
      this.counts.set(key, count + 1);
      return count + 1;
    }
    if (event.command.name === "long") return event.args[1] ?? null;
    return this.values.get(key) ?? count;
  }
}

/** One node's replica, and the place its gateway sees. */
export class Replica implements RegionPlace {
  readonly group: Group;
  readonly node: TestNode;
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly epoch = 1;
  readonly peers: readonly string[];
  readonly recoveredTerm: number;
  readonly ref = this;
  isLeader = false;
  leaderNode: string | undefined;
  term = 0;
  pending: RegionEvent[] = [];
  /** Of these, the first ones were agreed on by a later leader. */
  #settledElsewhere = 0;

  constructor(group: Group, node: TestNode, peers: readonly string[]) {
    this.group = group;
    this.node = node;
    this.peers = peers;
    this.recoveredTerm = group.term;
    this.fromPosition = group.regionId === 1 ? 0 : 100;
    this.toPosition = group.regionId === 1 ? 99 : 0xffffffff;
  }

  get regionId(): number {
    return this.group.regionId;
  }

  send(event: RegionEvent): void {
    if (this.isLeader) this.pending.push(event);
    else refuse(event, notLeader);
  }

  /** The first `count` are agreed on. */
  commit(count: number): void {
    if (!this.isLeader || this.term !== this.group.term) return;
    for (const event of this.pending.splice(0, count)) answer(event, this.group.execute(event));
  }

  /** A new leader found the first `count` of these in its log. */
  inherit(count: number): void {
    for (const event of this.pending.slice(0, count)) {
      if (event.type === "region.request" && isWrite(event)) this.group.execute(event);
    }
    this.#settledElsewhere = count;
  }

  /** Hears of a term and who leads in it. */
  hear(term: number, leader: string | undefined): void {
    const wasLeader = this.isLeader;
    this.term = term;
    this.leaderNode = leader;
    this.isLeader = leader === this.node.id;
    const pending = wasLeader ? this.pending : [];
    if (wasLeader) this.pending = [];
    // As in a region: who leads is known before or after the refusals, within one step.
    const early = this.node.world.random() < 0.5;
    if (early) this.node.placeChanged(this);
    pending.forEach((event, at) => {
      const mayHaveHappened = at < this.#settledElsewhere || this.node.world.random() < 0.3;
      if (event.type === "region.request" && isWrite(event) && mayHaveHappened) {
        event.settle(new ErrorReply(unknownOutcome("leader changed")));
      } else refuse(event, "CLUSTERDOWN store restarting");
    });
    this.#settledElsewhere = 0;
    if (!early) this.node.placeChanged(this);
  }
}

const isWrite = (event: RegionEvent): boolean =>
  event.type === "region.request" && event.command.flags.includes("write");

function answer(event: RegionEvent, reply: Reply): void {
  if (event.type === "region.request") event.settle(reply);
  else if (event.type === "region.walk") {
    const keys = [Buffer.from("a1"), Buffer.from("b2")].filter((key) =>
      event.accepts(key, "string"),
    );
    event.settle({ keys, next: event.cursor === 0 ? 7 : undefined });
  }
}
