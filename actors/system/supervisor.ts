// An OTP-style supervisor as an XState machine (Erlang's supervisor behaviour): it starts children
// in order, restarts what failed, shuts down in reverse order with deadlines, and fails itself when
// restarts come too often, so that its parent decides. It sits between a room's root and its
// actors; the bookkeeping is children.ts, the rules restart-policy.ts. It works serially: while one
// child is being shut down or awaited, other restarts and requests queue up.

import { assign, cancel, raise, setup } from "xstate";

import { Children } from "./children.ts";
import type { ExitEvent, SupervisorInput, SupervisorRequest } from "./children.ts";

/** Everything a supervisor understands. */
export type SupervisorEvent =
  | SupervisorRequest
  /** From a child with `awaitReady`: the next one may start. */
  | { readonly type: "child.ready"; readonly id: string }
  /** Stop every child in reverse order, then end. */
  | { readonly type: "shutdown" }
  | { readonly type: "supervisor.begin" }
  | { readonly type: "grace.over" }
  | ExitEvent;

/** `registry.ts` recognises a supervisor by this. */
export interface SupervisorContext {
  readonly children: Children;
}

const types = {} as {
  context: SupervisorContext;
  events: SupervisorEvent;
  input: SupervisorInput;
};

const machine = setup({
  types,
  delays: {
    grace: ({ context }) => Number(context.children.grace()),
    backoff: ({ context }) => context.children.pauseMs,
    readyTimeout: ({ context }) => context.children.readyWithinMs(),
  },
  guards: {
    mustStop: ({ context }) => context.children.hasToStop,
    fails: ({ context }) => context.children.outcome === "fail",
    ends: ({ context }) => context.children.outcome === "stop",
    backsOff: ({ context }) => context.children.pauseMs > 0,
    awaits: ({ context }) => context.children.awaited !== undefined,
    isAwaited: ({ context, event }) =>
      event.type === "child.ready" && event.id === context.children.awaited,
    isCurrent: ({ context, event }) =>
      "actorId" in event && event.actorId === context.children.current,
    allDown: ({ context }) => context.children.current === undefined,
    isBrutal: ({ context }) => context.children.grace() === "brutal",
  },
  actions: {
    // An assign and not a plain action: a child's machine runs its own built-in actions when it is
    // created, which XState's development build warns of inside plain ones.
    launch: assign(({ context }) => {
      context.children.launch();
      return {};
    }),
    markReady: ({ context, event }) => {
      if (event.type === "child.ready") context.children.markReady(event.id);
    },
    giveUpWaiting: ({ context }) => context.children.giveUpWaiting(),
    judge: ({ context, event }) => {
      if ("actorId" in event) context.children.judge(event);
    },
    postpone: ({ context, event }) => {
      if ("actorId" in event) context.children.postponedExits.push(event);
      else if (event.type === "child.start" || event.type === "child.terminate") {
        context.children.postponedRequests.push(event);
      }
    },
    replayExits: ({ context }) => context.children.replay(false),
    replayAll: ({ context }) => context.children.replay(true),
    plan: ({ context, event }) => {
      if (event.type === "child.start") context.children.planStart(event.spec);
      else if (event.type === "child.terminate") context.children.planTermination(event.id);
      else if (event.type === "shutdown") context.children.planShutdown();
    },
    chooseNext: ({ context }) => context.children.chooseNext(),
    askToStop: ({ context }) => context.children.askToStop(),
    killCurrent: ({ context }) => context.children.killCurrent(),
    // An assign for the same reason: the parent may start its next child inside.
    announce: assign(({ context }) => {
      context.children.announce();
      return {};
    }),
    settleStops: ({ context }) => context.children.settleStops(),
    endPause: ({ context }) => {
      context.children.pauseMs = 0;
    },
    giveUp: ({ context }) => {
      throw context.children.failure ?? new Error("supervisor failed without a reason");
    },
  },
}).createMachine({
  id: "supervisor",
  context: ({ input, self }) => ({ children: new Children(self, input) }),
  initial: "created",
  // What a state does not handle itself waits; an unhandled exit would fail the machine.
  on: {
    "xstate.error.actor.*": { actions: "postpone" },
    "xstate.done.actor.*": { actions: "postpone" },
    "child.start": { actions: "postpone" },
    "child.terminate": { actions: "postpone" },
    "child.ready": { actions: "markReady" },
    shutdown: { target: ".deciding", actions: "plan" },
  },
  states: {
    // XState computes the initial state before it runs entry actions, so guards that read what
    // `launch` did would look too early; an event of our own starts the work.
    created: {
      entry: ({ self }) => self.send({ type: "supervisor.begin" }),
      on: { "supervisor.begin": "starting" },
    },
    starting: {
      initial: "launching",
      states: {
        launching: {
          entry: "launch",
          always: [{ guard: "awaits", target: "awaitingReady" }, { target: "#supervisor.running" }],
        },
        awaitingReady: {
          entry: "replayExits",
          after: { readyTimeout: { target: "#supervisor.deciding", actions: "giveUpWaiting" } },
          on: {
            "child.ready": { guard: "isAwaited", target: "launching", actions: "markReady" },
            "xstate.error.actor.*": { target: "#supervisor.deciding", actions: "judge" },
            "xstate.done.actor.*": { target: "#supervisor.deciding", actions: "judge" },
          },
        },
      },
    },
    running: {
      entry: ["replayAll", "announce"],
      on: {
        "xstate.error.actor.*": { target: "deciding", actions: "judge" },
        "xstate.done.actor.*": { target: "deciding", actions: "judge" },
        "child.start": { target: "deciding", actions: "plan" },
        "child.terminate": { target: "deciding", actions: "plan" },
      },
    },
    deciding: {
      always: [
        { guard: "mustStop", target: "stopping" },
        { guard: "fails", target: "failed" },
        { guard: "ends", target: "stopped" },
        { guard: "backsOff", target: "backingOff" },
        { target: "starting" },
      ],
    },
    stopping: {
      initial: "choosing",
      // Already stopping: only what follows changes, the child in its grace time keeps it.
      on: { shutdown: { actions: "plan" } },
      onDone: { target: "deciding", actions: "settleStops" },
      states: {
        choosing: {
          entry: "chooseNext",
          always: [
            { guard: "allDown", target: "allDown" },
            { guard: "isBrutal", target: "killing" },
            { target: "waiting" },
          ],
        },
        waiting: {
          entry: [raise({ type: "grace.over" }, { id: "grace", delay: "grace" }), "askToStop"],
          exit: cancel("grace"),
          on: {
            "grace.over": "killing",
            "xstate.error.actor.*": [
              { guard: "isCurrent", target: "choosing" },
              { actions: "postpone" },
            ],
            "xstate.done.actor.*": [
              { guard: "isCurrent", target: "choosing" },
              { actions: "postpone" },
            ],
          },
        },
        killing: { entry: "killCurrent", always: "choosing" },
        allDown: { type: "final" },
      },
    },
    backingOff: { after: { backoff: "starting" }, exit: "endPause" },
    stopped: { type: "final" },
    failed: { entry: "giveUp" },
  },
});

type Transition = typeof machine.transition;

/**
 * The machine, made safe to stop and to break: whatever ends it, no child outlives it. XState does
 * not know these children (see `Children`), and leaves even its own running when a machine throws.
 */
export const supervisor: typeof machine = Object.create(machine, {
  transition: {
    value: ((snapshot, event, scope) => {
      try {
        const next = machine.transition(snapshot, event, scope);
        if (next.status !== "active") next.context.children.killAll();
        return next;
      } catch (error) {
        snapshot.context.children.killAll();
        throw error;
      }
    }) satisfies Transition,
  },
}) as typeof machine;
