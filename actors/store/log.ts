// The actor that owns the shared journal (Ra's WAL process): every replica's hard state and entries
// go through it, and once per turn it starts one group write for all of them.

import assert from "node:assert/strict";
import { fromPromise, sendParent, setup } from "xstate";
import type { Journal, JournalWrite, OnDurable } from "../../storage/journal/types.ts";
import { hot } from "../system/hot.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import type { JournalGate, StoreHandles } from "./handles.ts";

/** Opens the one journal of a data directory; a second call first closes the former incarnation. */
export interface JournalOpener {
  open(): Promise<Journal>;
}

/** What the log actor is given. */
export interface LogInput {
  readonly opener: JournalOpener;
  readonly handles: StoreHandles;
  readonly turn: Turn;
  /** Hears a failed open; failures of a write reach the node through the opener's options. */
  readonly onFatal: (error: Error) => void;
}

export type LogEvent =
  | { readonly type: "log.append"; readonly write: JournalWrite; readonly onDurable: OnDurable }
  | { readonly type: "shutdown" };

/**
 * Queues appends and starts one flush a turn. While a group is being written, evaluators that have
 * writes wait here: what they append could not leave before, and waiting makes their batches larger.
 */
class GroupCommit implements TurnTask, JournalGate {
  readonly #journal: Journal;
  readonly #turn: Turn;
  #deferred = false;
  #waiting: TurnTask[] = [];

  constructor(journal: Journal, turn: Turn) {
    this.#journal = journal;
    this.#turn = turn;
    journal.onLanded = () => this.#landed();
  }

  append(write: JournalWrite, onDurable: OnDurable): void {
    this.#journal.append(write, onDurable);
    if (this.#deferred) return;
    this.#deferred = true;
    this.#turn.defer("journal", this);
  }

  run(): void {
    this.#deferred = false;
    this.#journal.flush();
  }

  waitsFor(task: TurnTask): boolean {
    if (!this.#journal.isWriting) return false;
    this.#waiting.push(task);
    return true;
  }

  /**
   * The replies of the group leave first, in this turn; who waited is evaluated in the next one,
   * together with what those clients send meanwhile.
   */
  #landed(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#turn.defer("reply", {
      run: () => {
        for (const task of waiting) this.#turn.defer("evaluate", task);
      },
    });
  }
}

interface LogContext {
  readonly input: LogInput;
  commit: GroupCommit | undefined;
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));

const machine = setup({
  types: {} as { context: LogContext; events: LogEvent; input: LogInput },
  actors: {
    open: fromPromise<Journal, LogInput>(({ input }) => input.opener.open()),
    close: fromPromise<void, LogContext>(async ({ input: { input } }) => {
      const journal = input.handles.journal;
      input.handles.setJournal(undefined);
      await journal?.close();
    }),
  },
}).createMachine({
  id: "log",
  context: ({ input }) => ({ input, commit: undefined }),
  initial: "opening",
  states: {
    opening: {
      invoke: {
        src: "open",
        input: ({ context }) => context.input,
        onDone: {
          target: "running",
          actions: [
            ({ context, event }) => {
              context.commit = new GroupCommit(event.output, context.input.turn);
              context.input.handles.setJournal(event.output, context.commit);
            },
            sendParent({ type: "child.ready", id: "log" }),
          ],
        },
        onError: {
          target: "failed",
          actions: ({ context, event }) => context.input.onFatal(asError(event.error)),
        },
      },
    },
    running: {
      on: { shutdown: "closing" },
    },
    closing: {
      invoke: {
        src: "close",
        input: ({ context }) => context,
        onDone: "closed",
        onError: "closed",
      },
    },
    failed: { on: { shutdown: "closed" } },
    closed: { type: "final" },
  },
});

type LogAppend = Extract<LogEvent, { type: "log.append" }>;

/** `log.append` goes straight to the journal; everything else runs the chart. */
export const logLogic = (pure: boolean) =>
  hot(
    machine,
    {
      isHot: (event): event is LogAppend => event.type === "log.append",
      step: ({ commit }, { write, onDurable }) => {
        assert(commit !== undefined, "the journal is open before anyone appends");
        commit.append(write, onDurable);
        return undefined;
      },
    },
    pure,
  );
