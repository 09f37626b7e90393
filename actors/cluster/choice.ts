// Which proposal a node that is bound to nothing agrees to: one that others have agreed to already, or
// one of its own, which only the lowest of a set makes and only when all of it hear each other. Every
// pledge binds for ever, so a choice that cannot come true is worse than none; one that may come true
// beside another is worse still, for it would be a second cluster of the name.

import type { FreeNode, Heard } from "./heard.ts";
import { accepts, byNodeId, createProposal, type ClusterShape } from "./proposals.ts";
import type { Formation, Member, Proposal } from "./protocol.ts";

/** A node that may found a cluster. */
export interface Founder {
  readonly self: Member;
  readonly formation: Formation;
  /** For a proposal of its own. */
  readonly shape: ClusterShape;
  readonly random: () => number;
}

/** A set that only a count defines must have been the same for so long before it is proposed. */
const settleMs = 500;

export class Choice {
  readonly #founder: Founder;
  readonly #heard: Heard;
  /** The set this node would propose, and since when. */
  #candidate = { key: "", sinceMs: 0 };

  constructor(founder: Founder, heard: Heard) {
    this.#founder = founder;
    this.#heard = heard;
  }

  /** Undefined: nothing to agree to yet. */
  make(nowMs: number): Proposal | undefined {
    return this.#bestOffer(nowMs) ?? this.#propose(nowMs);
  }

  /** A proposal of others that names this node and can still be formed. */
  #bestOffer(nowMs: number): Proposal | undefined {
    const { self, formation } = this.#founder;
    const offers = this.#heard.offers(self, nowMs).filter((offer) => {
      const ids = offer.members.map(({ nodeId }) => nodeId);
      const broken = [...this.#heard.elsewhere(offer), ...this.#heard.wiped(offer)];
      const isAlone = this.#heard.rivals(offer.members).length === 0;
      return broken.length === 0 && isAlone && accepts(formation, ids);
    });
    // Everybody who hears the same offers takes the same one.
    return offers.toSorted((a, b) => (a.clusterId < b.clusterId ? -1 : 1))[0];
  }

  /**
   * What the lowest of a set proposes when all of it hear each other, nobody is bound, and nobody else
   * is known to found a cluster.
   */
  #propose(nowMs: number): Proposal | undefined {
    const { self, formation, shape, random } = this.#founder;
    const members = this.#set(nowMs);
    const ids = members.map(({ nodeId }) => nodeId);
    const isMine =
      ids[0] === self.nodeId &&
      this.#heard.isMutual(ids, self.nodeId) &&
      this.#heard.rivals(members).length === 0;
    const key = isMine ? members.map((each) => `${each.nodeId} ${each.incarnation}`).join() : "";
    if (key !== this.#candidate.key) this.#candidate = { key, sinceMs: nowMs };
    const waitMs = formation.kind === "expect" && formation.count > 1 ? settleMs : 0;
    if (!isMine || nowMs - this.#candidate.sinceMs < waitMs) return undefined;
    return createProposal(self, members, shape, random);
  }

  /** The members that a proposal of now would have, ascending; empty when they are not all there. */
  #set(nowMs: number): Member[] {
    const { self, formation } = this.#founder;
    const all = byNodeId<FreeNode>([{ ...self, formation }, ...this.#heard.free(nowMs)]);
    const set =
      formation.kind === "expect"
        ? all
            .filter((node) => isExpecting(node.formation, formation.count))
            .slice(0, formation.count)
        : all.filter(({ nodeId }) => isNamed(formation, nodeId));
    const ids = set.map(({ nodeId }) => nodeId);
    if (!set.every((node) => accepts(node.formation, ids))) return [];
    return set.map(({ nodeId, incarnation }) => ({ nodeId, incarnation }));
  }
}

function isExpecting(formation: Formation, count: number): boolean {
  return formation.kind === "expect" && formation.count === count;
}

function isNamed(formation: Formation, nodeId: string): boolean {
  return formation.kind === "named" && formation.nodeIds.includes(nodeId);
}
