// Store.KV.Engine: the actor that owns the open RocksDB and its single writer. Opens before anything
// else of the store starts, closes after everything else has stopped. An error of the disk is not
// its to survive: it is handed to the node, which ends the process.

import assert from "node:assert/strict";
import { fromPromise, sendParent, setup } from "xstate";
import type { Engine, EngineOpener } from "../../storage/engine.ts";
import type { Clock } from "../system/clock.ts";
import { hot } from "../system/hot.ts";
import type { Turn } from "../system/turn.ts";
import type { StoreHandles } from "./handles.ts";
import { EngineReader } from "./reader.ts";
import { EngineWriter, type ApplyGather, type ApplyJob } from "./writer.ts";

/** What the engine actor is given. */
export interface EngineInput {
  readonly opener: EngineOpener;
  readonly handles: StoreHandles;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly applyGather: ApplyGather;
  /** Hears the first failed write or a failed open; the process must end (`safety.md` 3). */
  readonly onFatal: (error: Error) => void;
}

export type EngineEvent =
  | { readonly type: "engine.apply"; readonly job: ApplyJob }
  | { readonly type: "shutdown" };

interface EngineContext {
  readonly input: EngineInput;
  writer: EngineWriter | undefined;
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));

const machine = setup({
  types: {} as { context: EngineContext; events: EngineEvent; input: EngineInput },
  actors: {
    open: fromPromise<Engine, EngineInput>(async ({ input: { opener, handles } }) => {
      // A former incarnation that failed still has writer and reader: the opener closes its engine,
      // and what they would then do would look like an error of the disk.
      const former = handles.engine;
      handles.setEngine(undefined);
      former?.reader.stop();
      await former?.writer.stop();
      return opener.open();
    }),
    close: fromPromise<void, EngineContext>(async ({ input: { input, writer } }) => {
      const engine = input.handles.engine?.engine;
      // A last marker: the next start has nothing to redo.
      if (writer !== undefined) await new Promise<void>((done) => writer.marker(() => done()));
      input.handles.setEngine(undefined);
      await engine?.close();
    }),
  },
}).createMachine({
  id: "engine",
  context: ({ input }) => ({ input, writer: undefined }),
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
              const { handles, turn, clock, applyGather, onFatal } = context.input;
              const engine = event.output;
              context.writer = new EngineWriter(engine, turn, clock, applyGather, onFatal);
              const reader = new EngineReader(engine, turn, onFatal);
              handles.setEngine({ engine, writer: context.writer, reader });
            },
            sendParent({ type: "child.ready", id: "engine" }),
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

type EngineApply = Extract<EngineEvent, { type: "engine.apply" }>;

/** `engine.apply` goes straight to the writer; everything else runs the chart. */
export const engineLogic = (pure: boolean) =>
  hot(
    machine,
    {
      isHot: (event): event is EngineApply => event.type === "engine.apply",
      step: ({ writer }, { job }) => {
        assert(writer !== undefined, "the engine is open before anyone applies");
        writer.submit(job);
        return undefined;
      },
    },
    pure,
  );
