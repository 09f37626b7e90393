// How far this node has come on its way into a cluster, as an actor to be watched: its states are the
// phases of `formation.ts`, which decides; `founding.ts` does the work and outlives it.

import { sendParent, setup } from "xstate";
import type { Phase } from "./formation.ts";
import type { Founding } from "./founding.ts";

/** What the actor is given. */
export interface FormationActorInput {
  readonly founding: Founding;
}

export type FormationActorEvent =
  | { readonly type: "formation.phase"; readonly phase: Phase }
  | { readonly type: "shutdown" };

/** Reports ready when the node belongs to a cluster. */
export const formationLogic = setup({
  types: {} as {
    context: FormationActorInput;
    events: FormationActorEvent;
    input: FormationActorInput;
  },
  guards: {
    is: ({ event }, phase: Phase) => event.type === "formation.phase" && event.phase === phase,
  },
  actions: {
    start: ({ context, self }) =>
      context.founding.start((phase) => self.send({ type: "formation.phase", phase })),
    stop: ({ context }) => context.founding.stop(),
  },
}).createMachine({
  id: "formation",
  context: ({ input }) => input,
  initial: "unformed",
  entry: "start",
  on: {
    "formation.phase": [
      { guard: { type: "is", params: "pledging" }, target: ".pledging" },
      { guard: { type: "is", params: "pledged" }, target: ".pledged" },
      { guard: { type: "is", params: "joining" }, target: ".joining" },
      { guard: { type: "is", params: "forming" }, target: ".forming" },
      { guard: { type: "is", params: "formed" }, target: ".formed" },
      { guard: { type: "is", params: "refused" }, target: ".refused" },
    ],
    shutdown: { target: ".stopped", actions: "stop" },
  },
  states: {
    unformed: {},
    pledging: {},
    pledged: {},
    joining: {},
    forming: {},
    formed: { entry: sendParent({ type: "child.ready", id: "formation" }) },
    refused: {},
    stopped: { type: "final" },
  },
});
