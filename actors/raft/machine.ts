// A Raft replica as an actor: the chart shows what it is (opening, follower, candidate, leader …),
// the host does the work. Hot events go straight to the host; only a change of role runs the chart.

import { fromPromise, setup } from "xstate";
import { hot } from "../system/hot.ts";
import type { Role } from "./protocol.ts";

/** What stands behind the chart: the replica's core with its shell. `Event` = what it handles. */
export interface ReplicaHost<Event> {
  readonly role: Role;
  /** Brings the replica to its durable past; resolves when it may take part. */
  open(): Promise<void>;
  handle(event: Event): void;
  /**
   * The replica ends, by order or by failure: answer what waits, touch nothing any more. May be
   * called again; only the first reason counts.
   */
  abandon(reason: string): void;
}

/** Events that the chart itself understands. */
export type ReplicaChartEvent =
  | { readonly type: "role.follower" }
  | { readonly type: "role.preCandidate" }
  | { readonly type: "role.candidate" }
  | { readonly type: "role.leader" }
  | { readonly type: "shutdown" };

/** Builds the host for one incarnation; `send` reaches the actor itself. */
export type CreateHost<Event> = (send: (event: Event) => void) => ReplicaHost<Event>;

interface Context<Event> {
  readonly host: ReplicaHost<Event>;
  /** The role the chart shows. */
  shown: Role;
}

function replicaChart<Event extends { readonly type: string }>() {
  const types = {} as {
    context: Context<Event>;
    events: ReplicaChartEvent;
    input: CreateHost<Event>;
  };
  return setup({
    types,
    actors: {
      open: fromPromise<void, ReplicaHost<Event>>(({ input }) => input.open()),
    },
  }).createMachine({
    id: "replica",
    context: ({ input, self }) => ({
      host: input((event) => self.send(event as never)),
      shown: "follower",
    }),
    initial: "opening",
    on: {
      "role.follower": ".follower",
      "role.preCandidate": ".preCandidate",
      "role.candidate": ".candidate",
      "role.leader": ".leader",
      shutdown: {
        target: ".stopped",
        actions: ({ context }) => context.host.abandon("the store is stopping"),
      },
    },
    states: {
      opening: {
        invoke: {
          src: "open",
          input: ({ context }) => context.host,
          onDone: "follower",
          onError: {
            actions: ({ event }) => {
              throw event.error;
            },
          },
        },
      },
      follower: {},
      preCandidate: {},
      candidate: {},
      leader: {},
      stopped: { type: "final" },
    },
  });
}

/**
 * The replica's actor logic. Its input is the host's constructor: each incarnation gets a new host.
 * However the replica ends (order, a throw of the host, an open that failed, a kill), its host is
 * abandoned first, so that nobody waits for an answer of the dead.
 */
export function replicaLogic<Event extends { readonly type: string }>(
  isHostEvent: (event: { readonly type: string }) => event is Event,
  pure: boolean,
) {
  const chart = hot(
    replicaChart<Event>(),
    {
      isHot: isHostEvent,
      step: (context, event) => {
        const { host } = context;
        host.handle(event);
        if (host.role === context.shown) return undefined;
        context.shown = host.role;
        return { type: `role.${host.role}` as const };
      },
    },
    pure,
  );
  type Transition = typeof chart.transition;
  const transition: Transition = (snapshot, event, scope) => {
    try {
      const next = chart.transition(snapshot, event, scope);
      if (next.status !== "active") next.context.host.abandon("the replica was stopped");
      return next;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      snapshot.context.host.abandon(reason);
      throw error;
    }
  };
  return Object.create(chart, { transition: { value: transition } }) as typeof chart;
}
