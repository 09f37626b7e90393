// How a cluster comes to be, as a state machine without clock, network or disk: a node hears
// introductions, agrees durably to one proposal at most (`safety.md` 13), and belongs to a cluster
// once every founder has agreed or a member says so. It returns what is to be done; `founding.ts`
// does it.

import { Choice, type Founder } from "./choice.ts";
import { Heard } from "./heard.ts";
import { createProposal, incarnationIn, isSameProposal, shortId } from "./proposals.ts";
import type { Member, MembershipRecord, Proposal } from "./protocol.ts";
import type { Roster } from "./roster.ts";
import type { Answer, Introduction } from "./wire.ts";

/**
 * unformed: listening. pledging: its pledge is being written. pledged: waiting for those of the
 * others. joining: a formed cluster has welcomed it, another one may still turn up. forming: its
 * cluster is being written. formed: for good. refused: the process must end.
 */
export type Phase =
  | "unformed"
  | "pledging"
  | "pledged"
  | "joining"
  | "forming"
  | "formed"
  | "refused";

/** What the machine wants done, in order. */
export type FormationEffect =
  /** `written` must be called when it is durable. Nothing of it was said before. */
  | { readonly type: "write"; readonly record: MembershipRecord }
  /** Something changed that the others should hear now rather than at the next beat. */
  | { readonly type: "introduce" }
  | { readonly type: "answer"; readonly to: Member; readonly refusal: string | undefined }
  /** A node of the same cluster introduced itself. */
  | { readonly type: "met"; readonly nodeId: string }
  /** Another cluster lives under this name. */
  | { readonly type: "foreign"; readonly nodeId: string; readonly clusterId: string };

/** What a formation starts from. */
export interface FormationInput extends Founder {
  /** As it was read from disk. */
  readonly record: MembershipRecord;
  /** Filled with founders here and with everybody else by whoever hears them. */
  readonly roster: Roster;
}

/** How long a welcomed node listens for a second cluster of the name. */
const joinListenMs = 500;

export class FormationMachine {
  readonly heard = new Heard();
  readonly #input: FormationInput;
  #phase: Phase = "unformed";
  /** What is on disk, and what is being written. */
  #durable: MembershipRecord;
  #writing: MembershipRecord | undefined;
  readonly #choice: Choice;
  #joining: { readonly proposal: Proposal; readonly sinceMs: number } | undefined;
  #refusal: string | undefined;
  #effects: FormationEffect[] = [];

  constructor(input: FormationInput) {
    this.#input = input;
    this.#durable = input.record;
    this.#choice = new Choice(input, this.heard);
    if (input.record.formed !== undefined) this.#enter(input.record.formed);
    else if (input.record.pledge !== undefined) this.#phase = "pledged";
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The cluster; undefined until that is durable. */
  get formed(): Proposal | undefined {
    return this.#durable.formed;
  }

  /** What this node agreed to; undefined until that is durable. */
  get pledge(): Proposal | undefined {
    return this.#durable.pledge;
  }

  /** The cluster it is about to join. */
  get joining(): Proposal | undefined {
    return this.#joining?.proposal;
  }

  /** Why this node cannot go on. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** The first step, and what follows from time alone. */
  tick(nowMs: number): FormationEffect[] {
    return this.#step(() => this.#advance(nowMs));
  }

  /** The record of the last "write" is durable. */
  written(nowMs: number): FormationEffect[] {
    return this.#step(() => {
      if (this.#writing === undefined) throw new Error("nothing was being written");
      this.#durable = this.#writing;
      this.#writing = undefined;
      if (this.#durable.formed === undefined) this.#phase = "pledged";
      else this.#enter(this.#durable.formed);
      this.#effects.push({ type: "introduce" });
      this.#advance(nowMs);
    });
  }

  /** Another node introduced itself to everybody. */
  introduced(introduction: Introduction, nowMs: number): FormationEffect[] {
    return this.#step(() => {
      this.#note(introduction, nowMs);
      if (this.#phase === "formed") this.#answer(introduction);
      else this.#advance(nowMs);
    });
  }

  /** Whether both this node and that one belong to clusters, and to different ones. */
  isBeside({ formed }: Introduction): boolean {
    const mine = this.#durable.formed;
    return mine !== undefined && formed !== undefined && mine.clusterId !== formed.clusterId;
  }

  /** A node of a formed cluster answered this node's introduction. */
  answered({ introduction, incarnation, refusal }: Answer, nowMs: number): FormationEffect[] {
    return this.#step(() => {
      const { formed, info } = introduction;
      if (incarnation !== this.#input.self.incarnation || formed === undefined) return;
      this.#note(introduction, nowMs);
      if (this.#isForeign(formed)) {
        this.#effects.push({ type: "foreign", nodeId: info.nodeId, clusterId: formed.clusterId });
      } else if (refusal !== undefined) {
        this.#refuse(refusal);
      } else if (this.#phase === "formed") {
        if (this.#input.roster.admit(info))
          this.#effects.push({ type: "met", nodeId: info.nodeId });
      } else {
        this.#welcomed(formed, nowMs);
      }
    });
  }

  /** What to tell a node whose id belongs to another disk; nothing when it does not. */
  refusalFor(stranger: Member): FormationEffect[] {
    const known = this.#input.roster.incarnation(stranger.nodeId);
    if (known === undefined || known === stranger.incarnation) return [];
    return [{ type: "answer", to: stranger, refusal: refusalOf(stranger, known) }];
  }

  /** Ends it from outside: another process has this node's id. */
  refuse(reason: string): void {
    this.#refuse(reason);
  }

  #step(work: () => void): FormationEffect[] {
    if (this.#phase !== "refused") work();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #enter(formed: Proposal): void {
    this.#phase = "formed";
    for (const member of formed.members) this.#input.roster.admit(member);
    this.#input.roster.admit(this.#input.self);
  }

  #refuse(reason: string): void {
    this.#phase = "refused";
    this.#refusal = reason;
  }

  #note(introduction: Introduction, nowMs: number): void {
    const isNew = this.heard.note(introduction, nowMs);
    // A node seen for the first time has not seen this one either.
    if (isNew && this.#phase !== "formed") this.#effects.push({ type: "introduce" });
  }

  /** A node of a formed cluster heard an introduction. */
  #answer(introduction: Introduction): void {
    const { info, formed } = introduction;
    const { nodeId } = info;
    if (formed !== undefined && this.isBeside(introduction)) {
      this.#effects.push({ type: "foreign", nodeId, clusterId: formed.clusterId });
      // It may not have heard of this one.
      this.#effects.push({ type: "answer", to: info, refusal: undefined });
      return;
    }
    const refusal = this.refusalFor(info);
    if (refusal.length > 0) {
      this.#effects.push(...refusal);
    } else if (formed === undefined) {
      this.#effects.push({ type: "answer", to: info, refusal: undefined });
    } else {
      this.#input.roster.admit(info);
      this.#effects.push({ type: "met", nodeId });
    }
  }

  /** Whether this is a cluster that this node, bound to another one, can only refuse. */
  #isForeign(formed: Proposal): boolean {
    const { formed: mine, pledge } = this.#writing ?? this.#durable;
    if (mine !== undefined) return mine.clusterId !== formed.clusterId;
    if (pledge === undefined || isSameProposal(pledge, formed)) return false;
    return !this.heard.isDisproved(pledge, formed);
  }

  #welcomed(formed: Proposal, nowMs: number): void {
    const { self } = this.#input;
    const listed = incarnationIn(formed, self.nodeId);
    const { pledge } = this.#durable;
    if (pledge !== undefined && isSameProposal(pledge, formed)) {
      this.#advance(nowMs);
    } else if (listed !== undefined && listed !== self.incarnation) {
      this.#refuse(refusalOf(self, listed));
    } else if (listed !== undefined) {
      this.#refuse(
        `cluster ${shortId(formed.clusterId)} was founded with this node, but its data directory ` +
          "does not know that: it is an older copy, which must not be used; start with the newest " +
          "one, or with an empty one under a --node-id the cluster has not seen",
      );
    } else if (this.#phase === "unformed" || this.#phase === "pledged") {
      this.#phase = "joining";
      this.#joining = { proposal: formed, sinceMs: nowMs };
      this.#advance(nowMs);
    }
  }

  #advance(nowMs: number): void {
    if (this.#phase === "unformed") this.#consider(nowMs);
    else if (this.#phase === "pledged") this.#count();
    else if (this.#phase === "joining") this.#join(nowMs);
  }

  /** Unformed: agree to a proposal, make one, or see that there is nothing to choose from. */
  #consider(nowMs: number): void {
    const { self, formation, shape, random } = this.#input;
    if (formation.kind === "alone") {
      const alone = createProposal(self, [self], shape, random);
      this.#write("forming", { pledge: alone, formed: alone });
      return;
    }
    // A cluster that exists will answer; another one of the name must not be founded beside it.
    if (this.heard.clusters().size > 0) return;
    const proposal = this.#choice.make(nowMs);
    if (proposal !== undefined) this.#write("pledging", { pledge: proposal, formed: undefined });
  }

  /** Pledged: the cluster is formed when everybody has pledged it, or a member says that it is. */
  #count(): void {
    const { pledge } = this.#durable;
    if (pledge === undefined) return;
    const { self } = this.#input;
    const agreed = new Set(this.heard.agreed(pledge)).add(self.nodeId);
    const isUnanimous = pledge.members.every(({ nodeId }) => agreed.has(nodeId));
    if (isUnanimous || this.heard.isFormed(pledge)) {
      this.#write("forming", { pledge, formed: pledge });
    }
  }

  #join(nowMs: number): void {
    const target = this.#joining;
    if (target === undefined) return;
    const clusters = this.heard.clusters();
    if (clusters.size > 1) this.#refuseToChoose(clusters);
    else if (nowMs - target.sinceMs >= joinListenMs) {
      this.#write("forming", { pledge: this.#durable.pledge, formed: target.proposal });
    }
  }

  #write(phase: "pledging" | "forming", record: MembershipRecord): void {
    this.#phase = phase;
    this.#writing = record;
    this.#effects.push({ type: "write", record });
  }

  #refuseToChoose(clusters: ReadonlySet<string>): void {
    const ids = [...clusters].toSorted().map(shortId).join(" and ");
    this.#refuse(
      `clusters ${ids} both live under this name and a new node cannot choose between them; ` +
        "give one of them another --cluster name",
    );
  }
}

function refusalOf({ nodeId, incarnation }: Member, known: string): string {
  return (
    `node id ${nodeId} belongs to another data directory in this cluster (incarnation ` +
    `${shortId(known)}, this one is ${shortId(incarnation)}): it was wiped, or two nodes share the id; ` +
    "start with the old data directory, or under a --node-id the cluster has not seen"
  );
}
