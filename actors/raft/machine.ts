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
  /** The replica ends, by order or by failure: answer what waits, touch nothing any more. */
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

/**
 * The replica's actor logic. Its input is the host's constructor: each incarnation gets a new host.
 * A throw anywhere in the host fails the actor after `abandon`, and its supervisor restarts it.
 */
export function replicaLogic<Event extends { readonly type: string }>(
  isHostEvent: (event: { readonly type: string }) => event is Event,
  pure: boolean,
) {
  interface Context {
    readonly host: ReplicaHost<Event>;
    /** The role the chart shows. */
    shown: Role;
  }
  const machine = setup({
    types: {} as {
      context: Context;
      events: ReplicaChartEvent;
      input: CreateHost<Event>;
    },
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
  return hot(
    machine,
    {
      isHot: isHostEvent,
      step: (context, event) => {
        const { host } = context;
        try {
          host.handle(event);
        } catch (error) {
          host.abandon(error instanceof Error ? error.message : String(error));
          throw error;
        }
        if (host.role === context.shown) return undefined;
        context.shown = host.role;
        return { type: `role.${host.role}` as const };
      },
    },
    pure,
  );
}
