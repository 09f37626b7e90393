// Store.Server as an actor: starting (the regions come up), running, and the end. The work is in
// `region-server.ts`; this chart ties its life to the store's supervisor.

import { fromPromise, sendParent, setup, type AnyActorRef } from "xstate";
import { lookup, actorName } from "../system/registry.ts";
import type { SupervisorRequest } from "../system/children.ts";
import type { EngineEvent } from "./engine.ts";
import type { LogEvent } from "./log.ts";
import { storeActors } from "./protocol.ts";
import { RegionServer, type RegionServerPorts } from "./region-server.ts";

/** What the server actor is given. */
export interface ServerInput extends RegionServerPorts {
  /** Hears the server of the current incarnation. */
  readonly onServer: (server: RegionServer | undefined) => void;
}

export type ServerEvent =
  | { readonly type: "server.failed"; readonly error: unknown }
  | { readonly type: "shutdown" };

interface ServerContext {
  readonly input: ServerInput;
  readonly server: RegionServer;
}

const engineName = actorName<EngineEvent>(storeActors.engine);
const logName = actorName<LogEvent>(storeActors.log);
const regionsName = actorName<SupervisorRequest>(storeActors.regions);

/** The neighbours this incarnation was started after; they outlive it (rest_for_one). */
function createServer(input: ServerInput, self: AnyActorRef): RegionServer {
  const engine = lookup(self.system, engineName);
  const log = lookup(self.system, logName);
  const regions = lookup(self.system, regionsName);
  if (engine === undefined || log === undefined || regions === undefined) {
    throw new Error("the server started before engine, log and regions");
  }
  return new RegionServer(input, {
    engine,
    log,
    startRegion: (spec) => regions.send({ type: "child.start", spec }),
    failed: (error) => self.send({ type: "server.failed", error }),
  });
}

/** Store.Server. Reports ready when every region serves. */
export const serverLogic = setup({
  types: {} as { context: ServerContext; events: ServerEvent; input: ServerInput },
  actors: {
    start: fromPromise<void, RegionServer>(({ input }) => input.start()),
  },
  actions: {
    stop: ({ context }) => {
      context.server.stop();
      context.input.onServer(undefined);
    },
  },
}).createMachine({
  id: "server",
  context: ({ input, self }) => ({ input, server: createServer(input, self) }),
  initial: "starting",
  on: {
    shutdown: { target: ".stopped", actions: "stop" },
    "server.failed": {
      actions: [
        "stop",
        ({ event }) => {
          throw event.error;
        },
      ],
    },
  },
  states: {
    starting: {
      invoke: {
        src: "start",
        input: ({ context }) => context.server,
        onDone: {
          target: "running",
          actions: [
            ({ context }) => context.input.onServer(context.server),
            sendParent({ type: "child.ready", id: "server" }),
          ],
        },
        onError: {
          actions: [
            "stop",
            ({ event }) => {
              throw event.error;
            },
          ],
        },
      },
    },
    running: {},
    stopped: { type: "final" },
  },
});
