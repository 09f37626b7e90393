// Carries out what the formation machine wants: introductions over the transport, pledges to disk
// before anybody hears of them, lines in the log. It outlives restarts of the formation's actor, so
// that a pledge being written is never forgotten and another one made.

import type { Transport } from "../../transport/transport.ts";
import type { Log } from "../observe/log.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import type { FormationEffect, FormationMachine, Phase } from "./formation.ts";
import type { Formation, Member, MembershipRecord, MembershipStore } from "./protocol.ts";
import type { NodeInfo, Proposal } from "./protocol.ts";
import { shortId } from "./proposals.ts";
import { TwinWatch, type Claim } from "./twin.ts";
import { describeWaiting } from "./waiting.ts";
import { encodeAnswer, encodeIntroduction, type Answer, type Introduction } from "./wire.ts";

/** How often a node that belongs to no cluster introduces itself. */
const introduceMs = 500;
/** How often it looks whether time alone has decided something. */
const tickMs = 100;
/** After a start and after each reconnection it introduces itself this often, `introduceMs` apart. */
const burstCount = 5;
/** From then on only as often as this, to be found by a cluster it does not know of; or by one it does. */
const formedIntroduceMs = 300_000;
const foreignIntroduceMs = 60_000;
/** One line a minute about each cluster or node that does not belong here. */
const complaintMs = 60_000;

/** What founding is given. */
export interface FoundingPorts {
  readonly machine: FormationMachine;
  readonly formation: Formation;
  readonly membership: MembershipStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Pick<Log, "info" | "warning" | "error">;
  readonly self: () => NodeInfo;
  /** Random 48 bits. */
  readonly process: number;
  /** A node of this cluster introduced itself. */
  readonly onMet: (nodeId: string) => void;
  /** This node belongs to a cluster, durably. */
  readonly onFormed: (formed: Proposal) => void;
  /** It cannot, and why. */
  readonly onRefused: (reason: string) => void;
  /** The membership could not be written. */
  readonly onFatal: (error: unknown) => void;
}

export class Founding implements TurnTask {
  /** Counters since the start. */
  readonly counters = { introductionsSent: 0, introductionsReceived: 0 };
  readonly #ports: FoundingPorts;
  readonly #startedMs: number;
  readonly #twins = new TwinWatch();
  /** When the log last had a line about a cluster or an incarnation. */
  readonly #complainedMs = new Map<string, number>();
  #foreignHeardMs = -Infinity;
  #told: Phase | undefined;
  #loggedWaiting: string | undefined;
  #introducedMs = -Infinity;
  #burstLeft = burstCount;
  #isDeferred = false;
  #timer: TimerId;
  #onPhase: ((phase: Phase) => void) | undefined;
  #stopListening: (() => void) | undefined;

  constructor(ports: FoundingPorts) {
    this.#ports = ports;
    this.#startedMs = ports.clock.monotonicMs();
  }

  /** From here on the node takes part. `onPhase` hears the phase now and each change. */
  start(onPhase: (phase: Phase) => void): void {
    this.#onPhase = onPhase;
    this.#told = undefined;
    this.#stopListening = this.#ports.transport.onConnection((connected) => {
      if (!connected) return;
      this.#burstLeft = burstCount;
      this.#introduce();
      this.#rest();
    });
    this.#introduce();
    this.#perform(this.#ports.machine.tick(this.#nowMs()));
    this.#rest();
  }

  stop(): void {
    this.#onPhase = undefined;
    this.#stopListening?.();
    this.#stopListening = undefined;
    if (this.#timer !== undefined) this.#ports.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Undefined when the node belongs to a cluster; else a sentence. */
  waitingFor(): string | undefined {
    const { machine, formation, self, transport } = this.#ports;
    const waiting = describeWaiting(machine, formation, self(), this.#nowMs());
    if (waiting === undefined || transport.connected) return waiting;
    return `no connection to other nodes; ${waiting}`;
  }

  introduced(introduction: Introduction): void {
    if (this.#onPhase === undefined) return;
    this.counters.introductionsReceived++;
    const { info, process, upForMs } = introduction;
    const { machine, self } = this.#ports;
    // A node of another cluster may be called the same; it has as much right to live as this one.
    if (info.nodeId !== self().nodeId || machine.isBeside(introduction)) {
      this.#perform(machine.introduced(introduction, this.#nowMs()));
    } else this.#twin({ ...info, process, upForMs });
  }

  answered(answer: Answer): void {
    if (this.#onPhase === undefined) return;
    this.#perform(this.#ports.machine.answered(answer, this.#nowMs()));
  }

  /** Tells a node that its id belongs to another disk. */
  refuse(stranger: Member): void {
    if (this.#onPhase === undefined) return;
    this.#perform(this.#ports.machine.refusalFor(stranger));
  }

  /** Another cluster of this name was heard. */
  foreign(nodeId: string, clusterId: string): void {
    this.#foreignHeardMs = this.#nowMs();
    if (!this.#mayComplain(clusterId)) return;
    const { machine, log } = this.#ports;
    const mine = (machine.formed ?? machine.pledge)?.clusterId ?? "none";
    log.error("another cluster lives under this name: they never mix; rename or stop one of them", {
      cluster: shortId(mine),
      other_cluster: shortId(clusterId),
      other_node: nodeId,
    });
    this.#rest();
  }

  /** The end of the turn: one introduction says all that changed in it. */
  run(): void {
    this.#isDeferred = false;
    if (this.#onPhase === undefined) return;
    this.#introducedMs = this.#nowMs();
    this.counters.introductionsSent++;
    this.#ports.transport.announce(encodeIntroduction(this.#introduction()));
  }

  #introduction(): Introduction {
    const { machine, formation, self, process } = this.#ports;
    const nowMs = this.#nowMs();
    return {
      info: self(),
      process,
      upForMs: nowMs - this.#startedMs,
      formation,
      hears: machine.heard.lately(nowMs),
      pledge: machine.pledge,
      formed: machine.formed,
    };
  }

  #introduce(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#ports.turn.defer("journal", this);
  }

  #twin(theirs: Claim): void {
    const { machine, process, self } = this.#ports;
    const mine = { ...self(), process, upForMs: this.#nowMs() - this.#startedMs };
    const verdict = this.#twins.heard(mine, theirs);
    if (verdict === "dies") {
      machine.refuse(
        `node id ${mine.nodeId} is in use: another process introduces itself with it ` +
          `(incarnation ${shortId(theirs.incarnation)}, this one is ${shortId(mine.incarnation)}); ` +
          "give each node a --node-id and a data directory of its own",
      );
      this.#perform([]);
    } else if (verdict === "stays" && this.#nowMs() - this.#introducedMs >= introduceMs) {
      this.#introduce();
    }
  }

  #perform(effects: readonly FormationEffect[]): void {
    for (const effect of effects) this.#do(effect);
    this.#tellPhase();
    this.#logWaiting();
  }

  #do(effect: FormationEffect): void {
    switch (effect.type) {
      case "write":
        void this.#write(effect.record);
        return;
      case "introduce":
        this.#introduce();
        return;
      case "answer": {
        const { to, refusal } = effect;
        const { incarnation, nodeId } = to;
        const answer = { introduction: this.#introduction(), incarnation, refusal };
        this.#ports.transport.send(nodeId, "cluster", encodeAnswer(answer));
        if (refusal !== undefined && this.#mayComplain(incarnation)) {
          this.#ports.log.warning("a node is refused", { refusal });
        }
        return;
      }
      case "met":
        this.#ports.onMet(effect.nodeId);
        return;
      case "foreign":
        this.foreign(effect.nodeId, effect.clusterId);
        return;
    }
  }

  #mayComplain(about: string): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - (this.#complainedMs.get(about) ?? -Infinity) < complaintMs) return false;
    this.#complainedMs.set(about, nowMs);
    return true;
  }

  async #write(record: MembershipRecord): Promise<void> {
    try {
      await this.#ports.membership.write(record);
      this.#perform(this.#ports.machine.written(this.#nowMs()));
    } catch (error) {
      this.#ports.onFatal(error);
    }
  }

  /** Restarted actors hear the phase again; the rest of the node hears the last one once. */
  #tellPhase(): void {
    const { phase, formed, refusal } = this.#ports.machine;
    if (phase === this.#told) return;
    this.#told = phase;
    if (phase === "formed" && formed !== undefined) {
      this.#burstLeft = burstCount;
      this.#ports.log.info("the node belongs to a cluster", {
        cluster: formed.clusterId,
        founders: formed.members.map(({ nodeId }) => nodeId),
      });
      this.#ports.onFormed(formed);
    }
    if (phase === "refused") this.#ports.onRefused(refusal ?? "refused");
    this.#onPhase?.(phase);
    if (phase === "refused") this.stop();
  }

  #logWaiting(): void {
    const { phase } = this.#ports.machine;
    // Writing takes a moment and tells an operator nothing; a refusal is told by whoever ends the process.
    if (phase === "refused" || phase === "pledging" || phase === "forming") return;
    const waiting = this.waitingFor();
    if (waiting === this.#loggedWaiting) return;
    this.#loggedWaiting = waiting;
    if (waiting !== undefined) this.#ports.log.info(waiting);
  }

  /** Arms the timer for what comes next, in place of the one that was armed. */
  #rest(): void {
    if (this.#onPhase === undefined) return;
    const { clock, machine } = this.#ports;
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    const dueMs = this.#introducedMs + this.#periodMs() - this.#nowMs();
    const delayMs = machine.phase === "formed" ? Math.max(0, dueMs) : tickMs;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      this.#beat();
      this.#rest();
    }, delayMs);
  }

  #beat(): void {
    const { machine } = this.#ports;
    const nowMs = this.#nowMs();
    if (nowMs - this.#introducedMs >= this.#periodMs()) {
      if (machine.phase === "formed") this.#burstLeft = Math.max(0, this.#burstLeft - 1);
      // Counts from here; the message leaves at the end of this turn.
      this.#introducedMs = nowMs;
      this.#introduce();
    }
    this.#perform(machine.tick(nowMs));
  }

  #periodMs(): number {
    if (this.#ports.machine.phase !== "formed" || this.#burstLeft > 0) return introduceMs;
    const isContested = this.#nowMs() - this.#foreignHeardMs < 2 * foreignIntroduceMs;
    return isContested ? foreignIntroduceMs : formedIntroduceMs;
  }

  #nowMs(): number {
    return this.#ports.clock.monotonicMs();
  }
}
