// One turn of the event loop, in phases. Sockets are read in the poll phase; then, once, every
// region evaluates what arrived, the journal starts one group write for all of them, and every
// session writes its replies with one call. That is where group commit and pipelining come from.

/** Order inside a turn: evaluate, then journal, then flush replies. */
export type Phase = "evaluate" | "journal" | "reply";

/** Something that has work at the end of this turn. */
export interface TurnTask {
  run(): void;
}

/** Schedules `callback` once after the current poll phase: `setImmediate`, or a simulation's step. */
export type ScheduleTurn = (callback: () => void) => void;

/** Collects tasks and runs them once per turn; a task added twice before its phase runs once. */
export class Turn {
  readonly #schedule: ScheduleTurn;
  readonly #onError: (error: unknown) => void;
  #evaluate: TurnTask[] = [];
  #journal: TurnTask[] = [];
  #reply: TurnTask[] = [];
  #scheduled = false;

  /** `onError` hears what a task threw; the other tasks of the turn still run. */
  constructor(schedule: ScheduleTurn, onError: (error: unknown) => void) {
    this.#schedule = schedule;
    this.#onError = onError;
  }

  /** The task runs at the end of this turn, in it when its phase is not over. Callers dedupe. */
  defer(phase: Phase, task: TurnTask): void {
    if (phase === "evaluate") this.#evaluate.push(task);
    else if (phase === "journal") this.#journal.push(task);
    else this.#reply.push(task);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(this.#drain);
  }

  readonly #drain = (): void => {
    this.#scheduled = false;
    const evaluate = this.#evaluate;
    this.#evaluate = [];
    this.#runAll(evaluate);
    const journal = this.#journal;
    this.#journal = [];
    this.#runAll(journal);
    const reply = this.#reply;
    this.#reply = [];
    this.#runAll(reply);
  };

  #runAll(tasks: readonly TurnTask[]): void {
    for (const task of tasks) {
      try {
        task.run();
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
