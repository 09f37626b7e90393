// What a node has heard of others while its cluster forms, and what that proves about proposals. It
// stands between introductions, which come late, twice or never, and the formation machine, which
// may only believe what stays true: a pledge once heard was durable, and a disk pledges once.

import type { Formation, Member, Proposal } from "./protocol.ts";
import { incarnationIn, isSameProposal } from "./proposals.ts";
import type { Introduction } from "./wire.ts";

/** A node heard this long ago still counts as there while the cluster forms. */
export const freshMs = 5000;

interface HeardNode {
  readonly introduction: Introduction;
  readonly atMs: number;
}

/** A node that is bound to nothing yet. */
export interface FreeNode extends Member {
  readonly formation: Formation;
}

export class Heard {
  readonly #nodes = new Map<string, HeardNode>();

  /** Takes an introduction in; true when it is the first of this disk. */
  note(introduction: Introduction, nowMs: number): boolean {
    const { nodeId, incarnation } = introduction.info;
    const before = this.#member({ nodeId, incarnation });
    // A message from before its pledge may come after one from behind it.
    const pledge = introduction.pledge ?? before?.pledge;
    const formed = introduction.formed ?? before?.formed;
    this.#nodes.set(nodeId, { introduction: { ...introduction, pledge, formed }, atMs: nowMs });
    return before === undefined;
  }

  /** Ids of the nodes heard lately, ascending. */
  lately(nowMs: number): string[] {
    return this.#fresh(nowMs)
      .map(({ info }) => info.nodeId)
      .toSorted();
  }

  /** Nodes heard lately that have agreed to nothing. */
  free(nowMs: number): FreeNode[] {
    return this.#fresh(nowMs)
      .filter(({ pledge, formed }) => pledge === undefined && formed === undefined)
      .map(({ info: { nodeId, incarnation }, formation }) => ({ nodeId, incarnation, formation }));
  }

  /** Proposals that others have agreed to lately and that name this node. */
  offers(self: Member, nowMs: number): Proposal[] {
    return this.#fresh(nowMs).flatMap(({ pledge }) =>
      pledge !== undefined && incarnationIn(pledge, self.nodeId) === self.incarnation
        ? [pledge]
        : [],
    );
  }

  /** Whether each of these nodes has heard all the others. */
  isMutual(nodeIds: readonly string[], selfId: string): boolean {
    return nodeIds.every((nodeId) => {
      if (nodeId === selfId) return true;
      const hears = this.#nodes.get(nodeId)?.introduction.hears ?? [];
      return nodeIds.every((other) => other === nodeId || hears.includes(other));
    });
  }

  /** Members whose pledge of this proposal was heard. */
  agreed(proposal: Proposal): string[] {
    return proposal.members.flatMap((member) => {
      const pledge = this.#member(member)?.pledge;
      return pledge !== undefined && isSameProposal(pledge, proposal) ? [member.nodeId] : [];
    });
  }

  /** Whether some node says that it is a member of this cluster. */
  isFormed(proposal: Proposal): boolean {
    return this.#all().some(
      ({ formed }) => formed !== undefined && isSameProposal(formed, proposal),
    );
  }

  /** Ids of the formed clusters heard. */
  clusters(): Set<string> {
    return new Set(this.#all().flatMap(({ formed }) => (formed ? [formed.clusterId] : [])));
  }

  /** Members that have certainly agreed to something else, so that this can never be formed. */
  elsewhere(proposal: Proposal): string[] {
    return proposal.members.flatMap((member) => {
      const other = this.#member(member);
      const bond = other?.formed ?? other?.pledge;
      return bond !== undefined && !isSameProposal(bond, proposal) ? [member.nodeId] : [];
    });
  }

  /**
   * Proposals that others have agreed to, that may still be formed, and that would be formed beside one
   * of these members: a member of both could agree to one only.
   */
  rivals(members: readonly Member[]): Proposal[] {
    return this.#all().flatMap(({ pledge }) => {
      if (pledge === undefined || this.elsewhere(pledge).length > 0) return [];
      const isBeside = members.every(
        ({ nodeId, incarnation }) => incarnationIn(pledge, nodeId) !== incarnation,
      );
      return isBeside ? [pledge] : [];
    });
  }

  /** Members heard last with another disk than the one that is asked to agree. */
  wiped({ members }: Proposal): string[] {
    return members.flatMap(({ nodeId, incarnation }) => {
      const other = this.#nodes.get(nodeId)?.introduction;
      return other !== undefined && other.info.incarnation !== incarnation ? [nodeId] : [];
    });
  }

  /**
   * Whether `formed` proves that `pledge` will never be formed, so that its signer may join instead:
   * a founder of both has agreed to `formed` only, and a member of `pledge` that belongs to another
   * cluster agrees to nothing any more.
   */
  isDisproved(pledge: Proposal, formed: Proposal): boolean {
    return pledge.members.some((member) => {
      if (incarnationIn(formed, member.nodeId) === member.incarnation) return true;
      const other = this.#member(member)?.formed;
      return other !== undefined && !isSameProposal(other, pledge);
    });
  }

  #member({ nodeId, incarnation }: Member): Introduction | undefined {
    const found = this.#nodes.get(nodeId)?.introduction;
    return found?.info.incarnation === incarnation ? found : undefined;
  }

  #all(): Introduction[] {
    return [...this.#nodes.values()].map(({ introduction }) => introduction);
  }

  #fresh(nowMs: number): Introduction[] {
    return [...this.#nodes.values()].flatMap(({ introduction, atMs }) =>
      nowMs - atMs <= freshMs ? [introduction] : [],
    );
  }
}
