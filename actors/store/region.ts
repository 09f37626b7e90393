// One region's replica on this store: the Raft core with its shell. It opens by redoing the log
// from the last synced marker, persists through the log actor, applies through the engine actor,
// and hands commands to its evaluator. What commands mean and how keys look is not its business.

import assert from "node:assert/strict";
import type { Peer } from "../../storage/local-records.ts";
import { isServing, step } from "../raft/core.ts";
import { canPropose } from "../raft/leading.ts";
import type { ReplicaHost } from "../raft/machine.ts";
import { perform, type ReplicaListener } from "../raft/perform.ts";
import { replicationFloor } from "../raft/progress.ts";
import type { Membership, RaftEvent, Role } from "../raft/protocol.ts";
import type { BulkReader } from "../../transport/transport.ts";
import { startState, type RaftState } from "../raft/state.ts";
import { Applier, type ApplierHost } from "./applier.ts";
import { dataIdOfRegion, type AppliedState } from "./apply.ts";
import { Evaluator } from "./evaluate.ts";
import type { EvaluatorHost } from "./evaluator-host.ts";
import { Inbox, type InboxHost } from "./inbox.ts";
import { LogWindow } from "./log-window.ts";
import { Outgoing, type OutgoingHost } from "./outgoing.ts";
import {
  notLeader,
  refuse,
  storeRestarting,
  type RegionFailed,
  type RegionFetched,
  type RegionWalked,
} from "./protocol.ts";
import { recoverRegion } from "./recover.ts";
import type { RegionPorts, ReplicaEvent, SendToReplica } from "./region-ports.ts";
import type { SnapshotHeader } from "./snapshot-format.ts";
import { SnapshotInstaller, type SnapshotTarget } from "./snapshot-installer.ts";
import { dropStagings } from "./stagings.ts";

/** Applied entries of this many bytes stay in a leader's memory for followers that are behind. */
const keptBytes = 1024 * 1024;
/** … and durable ones of this many that wait for a slow engine; more is read from the journal again. */
const waitingMaxBytes = 16 * 1024 * 1024;

export class Region
  implements
    ReplicaHost<ReplicaEvent>,
    ReplicaListener,
    EvaluatorHost,
    ApplierHost,
    InboxHost,
    OutgoingHost,
    SnapshotTarget
{
  readonly regionId: number;
  /** What others tell this replica. */
  readonly inbox: Inbox;
  readonly #ports: RegionPorts;
  readonly #send: SendToReplica;
  readonly #onEnd: (region: Region) => void;
  readonly #evaluator: Evaluator;
  readonly #window = new LogWindow();
  readonly #applier: Applier;
  readonly #snapshotInstaller: SnapshotInstaller;
  readonly #outgoing: Outgoing;
  #raft: RaftState | undefined;
  #applied: AppliedState | undefined;
  /** Slots that the sweeper cleared while this incarnation was opening. */
  readonly #clearedEarly: Array<{ readonly dataId: number; readonly slot: number }> = [];
  #recoveredTerm = Infinity;
  #serving = false;
  #abandoned = false;
  /** Entries appended by this incarnation. */
  proposals = 0;

  constructor(
    regionId: number,
    ports: RegionPorts,
    send: SendToReplica,
    onEnd: (region: Region) => void,
  ) {
    this.regionId = regionId;
    this.#ports = {
      ...ports,
      // What fails behind this incarnation's back (an engine or a journal that a restart has closed)
      // is no error of the disk.
      onFatal: (error) => {
        if (!this.#abandoned) ports.onFatal(error);
      },
    };
    this.#send = send;
    this.#onEnd = onEnd;
    this.#outgoing = new Outgoing(this.#ports, this, this.#window, send);
    this.inbox = new Inbox(this.#ports, this, this.#outgoing, send);
    this.#applier = new Applier(this.#ports, this, this.#window);
    this.#snapshotInstaller = new SnapshotInstaller(this.#ports, this);
    this.#evaluator = new Evaluator(this.#ports, this);
  }

  get role(): Role {
    return this.#raft?.role ?? "follower";
  }

  get term(): number {
    return this.#raft?.term ?? 0;
  }

  get commitIndex(): number {
    return this.#raft?.commitIndex ?? 0;
  }

  get appliedIndex(): number {
    return this.#raft?.appliedIndex ?? 0;
  }

  get lastIndex(): number {
    return this.#raft?.log.lastIndex ?? 0;
  }

  /** The term its log had when this incarnation began; Infinity until it is open. */
  get recoveredTerm(): number {
    return this.#recoveredTerm;
  }

  get replicaId(): number {
    return this.applied.meta.replicaId;
  }

  get roleEpoch(): number {
    return this.#raft?.roleEpoch ?? 0;
  }

  /** The core, for reading; undefined until the replica is open. */
  get raft(): Readonly<RaftState> | undefined {
    return this.#raft;
  }

  /** The node that leads, as far as this replica knows. */
  get leaderNode(): string | undefined {
    return this.#outgoing.nodeOf(this.#raft?.leader ?? 0);
  }

  /** Only what is durable here may reach the engine (`safety.md` 7). */
  get applicableIndex(): number {
    const raft = this.#raft;
    return raft === undefined ? 0 : Math.min(raft.commitIndex, raft.durableIndex);
  }

  /** The applied state; only an opened region has one. */
  get applied(): AppliedState {
    assert(this.#applied !== undefined, "the region is open");
    return this.#applied;
  }

  logBytes(from: number, to: number): number {
    return this.#raft?.log.bytesBetween(from, to) ?? 0;
  }

  get evaluator(): Evaluator {
    return this.#evaluator;
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** No key of the region expires before this instant, Unix ms; Infinity while it does not serve. */
  get nextExpiryMs(): number {
    return this.#serving ? this.applied.nextExpiryMs : Infinity;
  }

  /** True when this incarnation is over. */
  get ended(): boolean {
    return this.#abandoned;
  }

  /** Which node a replica of this region lives on. */
  nodeOf(replicaId: number): string | undefined {
    return this.#outgoing.nodeOf(replicaId);
  }

  async open(): Promise<void> {
    const recovered = await recoverRegion(this.regionId, this.#ports);
    if (this.#abandoned) return;
    const { applied, ...log } = recovered;
    this.#applied = applied;
    const ownDataId = dataIdOfRegion(applied.meta);
    for (const { dataId, slot } of this.#clearedEarly.splice(0)) {
      // Recovery may have read the record of it before it went.
      if (dataId === ownDataId) applied.uncleared.delete(slot);
    }
    const { replicaId, membership, membershipIndex, peers } = applied.meta;
    this.#raft = startState({
      ...log,
      replicaId,
      membership,
      membershipIndex,
      peers,
      nowMs: this.#ports.clock.monotonicMs(),
    });
    this.#outgoing.place(peers);
    this.#outgoing.place(this.#raft.peers);
    this.#recoveredTerm = recovered.hardState.term;
    this.#applier.startAt(recovered.appliedIndex);
    this.#ports.onRole(this);
  }

  handle(event: ReplicaEvent): void {
    switch (event.type) {
      case "region.request":
      case "region.walk":
      case "region.expire":
      case "region.propose":
        if (this.role === "leader") this.#evaluator.enqueue(event);
        else refuse(event, this.#ports.link === undefined ? storeRestarting : notLeader);
        break;
      case "region.fetched":
        this.#evaluator.fetched(event);
        break;
      case "region.failed":
        throw event.error;
      case "region.walked":
        this.#evaluator.walked(event);
        break;
      default:
        this.#step(event);
    }
  }

  /** Nothing of this incarnation answers or acts any more; what waits hears why. */
  abandon(reason: string): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    this.#serving = false;
    this.#evaluator.pause(reason);
    this.#outgoing.end();
    this.#snapshotInstaller.end();
    this.#onEnd(this);
  }

  /** The sweeper has cleared a slot that a flush left: it may be used again. */
  slotCleared(dataId: number, slot: number): void {
    const applied = this.#applied;
    if (applied === undefined) this.#clearedEarly.push({ dataId, slot });
    if (applied === undefined || dataIdOfRegion(applied.meta) !== dataId) return;
    applied.uncleared.delete(slot);
    this.#evaluator.memory.slotCleared(slot);
    this.#applyCommitted();
  }

  tellSelf(event: RegionFetched | RegionWalked | RegionFailed): void {
    this.#send(event);
  }

  get canPropose(): boolean {
    return this.#raft !== undefined && canPropose(this.#raft);
  }

  /** Appends one entry for the evaluator. Only while serving; returns its index. */
  propose(payload: Buffer): number {
    this.proposals++;
    const nowMs = this.#ports.link === undefined ? 0 : this.#ports.clock.monotonicMs();
    this.#step({ type: "raft.propose", nowMs, payloads: [payload] });
    return this.lastIndex;
  }

  readGate(): number {
    return this.inbox.readGate();
  }

  isConfirmed(round: number): boolean {
    return this.inbox.isConfirmed(round);
  }

  #step(event: RaftEvent): void {
    const raft = this.#raft;
    if (raft === undefined || this.#abandoned) return;
    perform(step(raft, event), this.#outgoing, this);
    if (event.type === "raft.applied") this.#afterApply(event.index);
    else if (event.type === "raft.persisted") this.#afterPersist(raft.durableIndex);
    else if (event.type === "raft.evidence") this.#evaluator.confirmed();
    else if (event.type === "raft.tick") this.#evaluator.wake();
  }

  snapshotSent(to: number, index: number): void {
    const nowMs = this.#ports.clock.monotonicMs();
    this.#send({ type: "raft.snapshotSent", to, index, ok: index > 0, nowMs });
  }

  /** A leader's stream of this region; it is refused when it does not fit. */
  receiveSnapshot(_nodeId: string, header: Buffer, reader: BulkReader): void {
    void this.#snapshotInstaller.receive(header, reader);
  }

  heard(leader: number, term: number): boolean {
    return this.inbox.heard(leader, term);
  }

  follows(leader: number, term: number): boolean {
    return this.inbox.follows(leader, term);
  }

  leads(term: number): boolean {
    return this.role === "leader" && this.term === term && !this.#abandoned;
  }

  get submittedIndex(): number {
    return this.#applier.submitted;
  }

  holdApplying(): void {
    this.#applier.hold();
  }

  /** A snapshot lies in the engine: the replica goes on from there. */
  installed(applied: AppliedState, { index, indexTerm: term }: SnapshotHeader): void {
    const { membership, membershipIndex, peers } = applied.meta;
    this.#applied = applied;
    this.#outgoing.place(peers);
    this.#applier.startAt(index);
    const nowMs = this.#ports.clock.monotonicMs();
    const position = { index, term, membership, membershipIndex, peers };
    this.#send({ type: "raft.installed", ...position, nowMs });
    this.#applyCommitted();
  }

  changeMembership(_membership: Membership, peers: readonly Peer[]): void {
    this.#outgoing.place(peers);
    // Fewer voters may have confirmed a read already.
    this.#evaluator.confirmed();
    this.#ports.onRole(this);
  }

  commit(_from: number, to: number): void {
    this.#evaluator.committed(to);
    this.#applyCommitted();
  }

  onApplyFailed(error: unknown): void {
    this.tellSelf({ type: "region.failed", error });
  }

  onApplied(index: number): void {
    this.#send({ type: "raft.applied", index, nowMs: this.#ports.clock.monotonicMs() });
  }

  changeRole(role: Role): void {
    if (role !== "leader") this.#stopServing();
    this.inbox.drawTimeout();
    this.#ports.onRole(this);
  }

  #applyCommitted(): void {
    if (this.#applier.submitted >= this.applicableIndex) return;
    // A follower has time; a leader that cannot serve yet, or whose commands wait for it, has not.
    const isUrgent = this.role === "leader" && (!this.#serving || this.#evaluator.waitsForApply);
    this.#applier.wake(!isUrgent);
  }

  #afterPersist(durableIndex: number): void {
    this.#applyCommitted();
    this.#window.shrink(waitingMaxBytes, durableIndex);
  }

  #afterApply(index: number): void {
    const raft = this.#raft;
    // What nobody lacks is let go at once, before the collector of garbage takes it for long-lived.
    const keeps = raft !== undefined && this.#window.bytes <= keptBytes;
    this.#window.trim(keeps ? Math.min(index, replicationFloor(raft)) : index);
    this.#evaluator.applied(index);
    if (raft !== undefined && isServing(raft)) this.#setServing();
  }

  /** Gives up the large writes that a former leader left unfinished. */
  #dropStagings(): void {
    dropStagings(this.#ports, dataIdOfRegion(this.applied.meta), (effects) => {
      if (this.#abandoned) return;
      this.#send({ type: "region.propose", effects, settle: () => undefined });
    });
  }

  #setServing(): void {
    if (this.#serving) return;
    this.#serving = true;
    this.#dropStagings();
    this.#evaluator.serve(this.applied);
    this.#ports.onServing(this, true);
  }

  /** Also before it has begun to serve: what already waits for that is answered. */
  #stopServing(): void {
    const wasServing = this.#serving;
    this.#serving = false;
    this.#evaluator.pause("leadership changed");
    if (wasServing) this.#ports.onServing(this, false);
  }
}
