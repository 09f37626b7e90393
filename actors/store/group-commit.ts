// When a store writes: the journal gets one group a turn, and evaluators that have writes wait until
// it is worth evaluating them. It stands between the evaluators, which would write at once, and the
// journal, which has one group in flight; what is written is not its business.

import type { Journal, JournalWrite, OnDurable } from "../../storage/journal/types.ts";
import type { Clock } from "../system/clock.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import type { CommandsInFlight, JournalGate } from "./handles.ts";

/** With fewer commands under way than this a wait gathers nothing: it would only be a wait. */
const wavesFromInFlight = 2;

/** What the group commit of one opened journal is given. */
export interface GroupCommitOptions {
  readonly journal: Pick<Journal, "append" | "flush" | "isWriting" | "onLanded">;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly inFlight: CommandsInFlight;
  /**
   * While commands are under way evaluators gather for so many ms, so that all regions of the store go
   * together and their entries hold more than one command; 0 = they wait for the journal only. An
   * entry costs work on every replica, which is dear where a store is one of several.
   */
  readonly waveMs: number;
}

/**
 * Queues appends and starts one flush a turn. While a group is being written, evaluators that have
 * writes wait here: what they append could not leave before, and waiting makes their batches larger.
 */
export class GroupCommit implements TurnTask, JournalGate {
  readonly #options: GroupCommitOptions;
  #deferred = false;
  #waiting: TurnTask[] = [];
  /** A wave is gathering: its timer lets everybody go. */
  #isGathering = false;
  /** A wave is going: it does not wait for the journal too, which followers may keep busy. */
  #isGoing = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    options.journal.onLanded = () => this.#landed();
  }

  append(write: JournalWrite, onDurable: OnDurable): void {
    this.#options.journal.append(write, onDurable);
    if (this.#deferred) return;
    this.#deferred = true;
    this.#options.turn.defer("journal", this);
  }

  run(): void {
    this.#deferred = false;
    this.#options.journal.flush();
  }

  waitsFor(task: TurnTask): boolean {
    if (this.#isGoing || !(this.#gathers() || this.#options.journal.isWriting)) return false;
    this.#waiting.push(task);
    return true;
  }

  #gathers(): boolean {
    const { clock, inFlight, waveMs } = this.#options;
    if (this.#isGathering) return true;
    if (waveMs === 0 || inFlight.count < wavesFromInFlight) return false;
    this.#isGathering = true;
    clock.setTimeout(() => {
      this.#isGathering = false;
      this.#isGoing = true;
      this.#evaluate(this.#takeWaiting());
      this.#options.turn.defer("journal", { run: () => (this.#isGoing = false) });
    }, waveMs);
    return true;
  }

  /**
   * The replies of the group leave first, in this turn; who waited is evaluated in the next one,
   * together with what those clients send meanwhile.
   */
  #landed(): void {
    if (this.#isGathering || this.#waiting.length === 0) return;
    const waiting = this.#takeWaiting();
    this.#options.turn.defer("reply", { run: () => this.#evaluate(waiting) });
  }

  #evaluate(tasks: readonly TurnTask[]): void {
    for (const task of tasks) this.#options.turn.defer("evaluate", task);
  }

  #takeWaiting(): TurnTask[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
