// The actor around one connection: custom logic of a few lines, so that ten thousand of them are
// cheap, yet each can be seen in the inspector and fails alone. It stands between the listener and a
// `Connection`; bytes and replies do not pass through its mailbox.

import type { Socket } from "node:net";

import type { ActorLogic, ActorRefFrom, AnyActorRef, Snapshot } from "xstate";

import { Connection } from "./connection.ts";
import type { Gateway } from "./gateway.ts";
import type { ConnectionEvent } from "./protocol.ts";

export interface ConnectionInput {
  readonly gateway: Gateway;
  readonly socket: Socket;
}

/** `value` as in a statechart: open, then draining, then done. */
export type ConnectionSnapshot = Snapshot<undefined> & {
  readonly value: "open" | "draining";
  readonly connection: Connection;
};

export type ConnectionLogic = ActorLogic<ConnectionSnapshot, ConnectionEvent, ConnectionInput>;
export type ConnectionRef = ActorRefFrom<ConnectionLogic>;

export const connectionLogic: ConnectionLogic = {
  getInitialSnapshot: ({ self }, { gateway, socket }) => ({
    status: "active",
    output: undefined,
    error: undefined,
    value: "open",
    connection: open(gateway, socket, self),
  }),

  transition: (snapshot, event) => {
    const { connection } = snapshot;
    switch (event.type) {
      case "shutdown":
        connection.end();
        return { ...snapshot, value: "draining" };
      case "connection.kill":
        connection.destroy();
        return snapshot;
      case "connection.closed":
        return { ...snapshot, status: "done", output: undefined, error: undefined };
      case "connection.failed":
        connection.destroy();
        return { ...snapshot, status: "error", output: undefined, error: event.error };
      default:
        // XState's own stop: no socket outlives its actor.
        connection.destroy();
        return { ...snapshot, status: "stopped", output: undefined, error: undefined };
    }
  },

  getPersistedSnapshot: (snapshot) =>
    // A socket cannot be brought back: nothing to keep.
    ({ ...snapshot, connection: undefined }),
};

function open(gateway: Gateway, socket: Socket, self: AnyActorRef): Connection {
  const connection = new Connection(gateway, socket, {
    closed: () => {
      gateway.connections.delete(connection.session.id);
      self.send({ type: "connection.closed" } satisfies ConnectionEvent);
    },
    failed: (error) => {
      self.send({ type: "connection.failed", error } satisfies ConnectionEvent);
    },
  });
  gateway.connections.set(connection.session.id, connection);
  return connection;
}
