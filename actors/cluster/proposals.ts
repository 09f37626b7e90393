// Questions about proposals and formations that need no state: are two the same, does a node agree to
// a set, whom do they name. Formation and its wire format ask; nothing here decides.

import { createHash } from "node:crypto";

import type { Formation, Member, Proposal } from "./protocol.ts";

/** What a proposal fixes besides its members. */
export type ClusterShape = Pick<Proposal, "regionCount" | "hashTags" | "replicas">;

/** Compared whole: agreeing on an id while meaning different sets must never count. */
export function isSameProposal(a: Proposal, b: Proposal): boolean {
  return (
    a.clusterId === b.clusterId &&
    a.regionCount === b.regionCount &&
    a.hashTags === b.hashTags &&
    a.replicas === b.replicas &&
    a.members.length === b.members.length &&
    a.members.every((member, at) => {
      const other = b.members[at];
      return member.nodeId === other?.nodeId && member.incarnation === other.incarnation;
    })
  );
}

/** A proposal for these members. The same proposer and dice give the same id. */
export function createProposal(
  proposer: Member,
  members: readonly Member[],
  shape: ClusterShape,
  random: () => number,
): Proposal {
  // The incarnation is random by itself: weak dice cannot make two proposals share an id.
  const clusterId = createHash("sha256")
    .update(`${proposer.incarnation} ${random()} ${random()}`)
    .digest("hex")
    .slice(0, 32);
  const { regionCount, hashTags, replicas } = shape;
  return { clusterId, members: byNodeId(members), regionCount, hashTags, replicas };
}

/** Whether a node of this formation may found a cluster of exactly these nodes. */
export function accepts(formation: Formation, nodeIds: readonly string[]): boolean {
  if (formation.kind === "alone") return nodeIds.length === 1;
  if (formation.kind === "expect") return nodeIds.length === formation.count;
  const named = new Set(formation.nodeIds);
  return named.size === nodeIds.length && nodeIds.every((nodeId) => named.has(nodeId));
}

/** The incarnation a proposal names for a node; undefined when it does not name the node. */
export function incarnationIn({ members }: Proposal, nodeId: string): string | undefined {
  return members.find((member) => member.nodeId === nodeId)?.incarnation;
}

export function byNodeId<T extends { readonly nodeId: string }>(members: readonly T[]): T[] {
  return members.toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : Number(a.nodeId > b.nodeId)));
}

/** Enough of an id for people. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
