// The actor around the listening socket (Ranch's place): it binds, accepts, starts an actor per
// connection, and closes all of them when it ends, however it ends. It stands between the gateway's
// supervisor and the connections; what they say is not its business.

import { createServer } from "node:net";
import type { Server as NetServer, Socket } from "node:net";

import { createActor, setup } from "xstate";
import type { AnyActorRef, EventObject } from "xstate";

import { connectionLogic } from "./connection-actor.ts";
import type { ConnectionRef } from "./connection-actor.ts";
import type { Gateway } from "./gateway.ts";
import type { ListenerEvent, ListenOptions } from "./protocol.ts";
import { sharingReads } from "./shared-reads.ts";

export interface ListenerInput {
  readonly gateway: Gateway;
  readonly listen: ListenOptions;
  /** How long a drain waits for replies under way before sockets are closed. */
  readonly drainMs: number;
  /** Told where it listens, every time it does. */
  readonly onBound: (address: { readonly host: string; readonly port: number }) => void;
}

interface ExitEvent extends EventObject {
  readonly type: `xstate.done.actor.${string}` | `xstate.error.actor.${string}`;
  readonly actorId?: string;
  readonly error?: unknown;
}

/** How often rates are sampled and idle connections looked for. */
const sweepMs = 1000;
/** How often a drain looks whether everything is written. */
const drainCheckMs = 20;

/** The sockets of one listener; mutated in place by its machine's actions. */
class Sockets {
  readonly #input: ListenerInput;
  readonly #self: AnyActorRef;
  readonly #server: NetServer;
  readonly #connections = new Map<string, ConnectionRef>();
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(input: ListenerInput, self: AnyActorRef) {
    this.#input = input;
    this.#self = self;
    const options = { noDelay: true, allowHalfOpen: true, pauseOnConnect: true };
    this.#server = createServer(options, (socket) => this.#accept(sharingReads(socket)));
    this.#server.on("error", (error) => this.#tell({ type: "listener.refused", error }));
  }

  bind(): void {
    const { host, port } = this.#input.listen;
    this.#server.listen({ host, port, backlog: 511 }, () => {
      const address = this.#server.address();
      if (address === null || typeof address === "string") return;
      this.#tell({ type: "listener.bound", host: address.address, port: address.port });
    });
    this.#sweepLater();
  }

  announce(host: string, port: number): void {
    this.#input.gateway.settings.override("port", String(port));
    this.#input.onBound({ host, port });
  }

  forget(actorId: string | undefined): void {
    if (actorId !== undefined) this.#connections.delete(actorId);
  }

  /** No new connections; the present ones end when what they asked is answered. */
  drain(): void {
    this.#server.close();
    for (const ref of this.#connections.values()) ref.send({ type: "shutdown" });
    const { clock } = this.#input.gateway;
    const untilMs = clock.monotonicMs() + this.#input.drainMs;
    const look = (): void => {
      if (this.#connections.size === 0 || clock.monotonicMs() >= untilMs) {
        return this.#tell({ type: "listener.drained" });
      }
      this.#cancelTimer = clock.later(drainCheckMs, look);
    };
    this.#cancelTimer();
    look();
  }

  /** Everything goes, at once. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    this.#server.close();
    for (const ref of this.#connections.values()) ref.send({ type: "connection.kill" });
    this.#connections.clear();
  }

  #accept(socket: Socket): void {
    const { gateway } = this.#input;
    const { statistics, settings } = gateway;
    if (this.#closed) {
      socket.destroy();
      return;
    }
    if (gateway.connections.size >= settings.number("maxclients")) {
      statistics.connectionsRejected += 1;
      socket.on("error", () => undefined);
      socket.end("-ERR max number of clients reached\r\n", () => socket.destroy());
      return;
    }
    statistics.connectionsReceived += 1;
    const keepAliveSeconds = settings.number("tcp-keepalive");
    if (keepAliveSeconds > 0) socket.setKeepAlive(true, keepAliveSeconds * 1000);
    const id = `connection.${statistics.connectionsReceived}`;
    // Not `spawnChild`: that copies the list of children at every connection.
    const ref = createActor(connectionLogic, {
      parent: this.#self,
      id,
      input: { gateway, socket },
    });
    this.#connections.set(id, ref);
    ref.start();
  }

  #sweepLater(): void {
    const { gateway } = this.#input;
    this.#cancelTimer = gateway.clock.later(sweepMs, () => {
      if (this.#closed) return;
      gateway.sweep();
      this.#sweepLater();
    });
  }

  #tell(event: ListenerEvent): void {
    this.#self.send(event);
  }
}

const types = {} as {
  context: { readonly sockets: Sockets };
  events: ListenerEvent | ExitEvent;
  input: ListenerInput;
};

const machine = setup({
  types,
  actions: {
    bind: ({ context }) => context.sockets.bind(),
    announce: ({ context, event, self }) => {
      if (event.type !== "listener.bound") return;
      context.sockets.announce(event.host, event.port);
      // XState's sendParent throws in a root actor, and tests run the listener as one.
      // oxlint-disable-next-line no-underscore-dangle
      self._parent?.send({ type: "child.ready", id: self.id });
    },
    forget: ({ context, event }) => {
      if ("actorId" in event) context.sockets.forget(event.actorId);
    },
    drain: ({ context }) => context.sockets.drain(),
    fail: ({ event }) => {
      throw event.type === "listener.refused" ? event.error : new Error("the listener failed");
    },
  },
}).createMachine({
  id: "listener",
  context: ({ input, self }) => ({ sockets: new Sockets(input, self) }),
  initial: "binding",
  on: {
    // A connection that failed took only its own socket with it.
    "xstate.done.actor.*": { actions: "forget" },
    "xstate.error.actor.*": { actions: "forget" },
    "listener.refused": { actions: "fail" },
    shutdown: ".draining",
  },
  states: {
    binding: {
      entry: "bind",
      on: { "listener.bound": { target: "listening", actions: "announce" } },
    },
    listening: {},
    draining: {
      entry: "drain",
      on: { "listener.drained": "closed", shutdown: {} },
    },
    closed: { type: "final" },
  },
});

type Transition = typeof machine.transition;

/** The machine, made safe to stop and to break: whatever ends it, no socket outlives it. */
export const listener: typeof machine = Object.create(machine, {
  transition: {
    value: ((snapshot, event, scope) => {
      try {
        const next = machine.transition(snapshot, event, scope);
        if (next.status !== "active") next.context.sockets.close();
        return next;
      } catch (error) {
        snapshot.context.sockets.close();
        throw error;
      }
    }) satisfies Transition,
  },
}) as typeof machine;
