// The life of heartbeats and liveness as an actor: they run while it does. The work is in
// `heartbeats.ts` and `liveness.ts`, whose memory of other nodes outlives a restart of this actor.

import { setup } from "xstate";
import type { HeartbeatExchange } from "./heartbeats.ts";
import type { Liveness } from "./liveness.ts";

/** What the actor is given. */
export interface LivenessActorInput {
  readonly heartbeats: HeartbeatExchange;
  readonly liveness: Liveness;
  /** Hears how to report a failure while it lives, undefined after. */
  readonly onFailer: (fail: ((error: unknown) => void) | undefined) => void;
}

export type LivenessActorEvent =
  | { readonly type: "liveness.failed"; readonly error: unknown }
  | { readonly type: "shutdown" };

export const livenessLogic = setup({
  types: {} as {
    context: LivenessActorInput;
    events: LivenessActorEvent;
    input: LivenessActorInput;
  },
  actions: {
    start: ({ context, self }) => {
      context.onFailer((error) => self.send({ type: "liveness.failed", error }));
      context.liveness.start();
      context.heartbeats.start();
    },
    stop: ({ context }) => {
      context.heartbeats.stop();
      context.liveness.stop();
      context.onFailer(undefined);
    },
  },
}).createMachine({
  id: "liveness",
  context: ({ input }) => input,
  initial: "running",
  entry: "start",
  on: {
    shutdown: { target: ".stopped", actions: "stop" },
    "liveness.failed": {
      actions: [
        "stop",
        ({ event }) => {
          throw event.error;
        },
      ],
    },
  },
  states: { running: {}, stopped: { type: "final" } },
});
