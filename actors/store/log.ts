// The actor that owns the shared journal (Ra's WAL process): every replica's hard state and entries
// go through it, and once per turn it starts one group write for all of them.

import assert from "node:assert/strict";
import { fromPromise, sendParent, setup } from "xstate";
import type { Journal, JournalWrite, OnDurable } from "../../storage/journal/types.ts";
import type { Clock } from "../system/clock.ts";
import { hot } from "../system/hot.ts";
import type { Turn } from "../system/turn.ts";
import { GroupCommit } from "./group-commit.ts";
import type { StoreHandles } from "./handles.ts";

/** Opens the one journal of a data directory; a second call first closes the former incarnation. */
export interface JournalOpener {
  open(): Promise<Journal>;
}

/** What the log actor is given. */
export interface LogInput {
  readonly opener: JournalOpener;
  readonly handles: StoreHandles;
  readonly turn: Turn;
  readonly clock: Clock;
  /** `GroupCommitOptions`. */
  readonly waveMs: number;
  /** Hears a failed open; failures of a write reach the node through the opener's options. */
  readonly onFatal: (error: Error) => void;
}

export type LogEvent =
  | { readonly type: "log.append"; readonly write: JournalWrite; readonly onDurable: OnDurable }
  | { readonly type: "shutdown" };

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
              const { handles, turn, clock, waveMs } = context.input;
              const { inFlight } = handles;
              const journal = event.output;
              context.commit = new GroupCommit({ journal, turn, clock, inFlight, waveMs });
              handles.setJournal(journal, context.commit);
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
