// The one gate before every command (Redis' processCommand): does it exist, is the number of
// arguments right, may this client call it, are its keys short enough; then the way to the region of
// its keys, to the walk over all of them, or to a body that runs here. Command bodies repeat none of
// this.

import type { RegionCommand, SessionCommand } from "../../resp/command.ts";
import { maxKeyBytes } from "../../resp/arguments.ts";
import { keyTooLong } from "../../resp/errors.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Server } from "../../resp/server.ts";
import { storeRestarting } from "../store/protocol.ts";
import type { CommandEntry, Entries } from "./entries.ts";
import type { Route, Routes } from "./protocol.ts";
import { crossSlot, scatter } from "./scatter.ts";
import type { ClientSession } from "./session.ts";
import type { Slot } from "./slot.ts";

/** What dispatch works with; one per node. */
export interface DispatchContext {
  readonly entries: Entries;
  readonly routes: Routes;
  readonly server: Server;
}

/** How the connection goes on. */
export type Dispatched =
  /** Answered, or a region will answer. */
  | "going"
  /** A session command answers later: later commands of this connection wait for it. */
  | "later"
  /** Not a Redis client: the connection goes, without a reply. */
  | "refused"
  /** A walk over the key space: to be started when every earlier command is answered. */
  | "walk";

/** Lets one command through the gate. Whatever is wrong becomes the slot's reply. */
export function dispatch(context: DispatchContext, session: ClientSession, slot: Slot): Dispatched {
  const entry = context.entries.resolve(slot.args);
  if (entry instanceof ErrorReply) {
    if (isHttp(slot.args[0])) return "refused";
    slot.settle(entry);
    return "going";
  }
  const { command } = entry;
  slot.entry = entry;
  if (!session.authenticated && !entry.noAuth) {
    slot.reject("NOAUTH Authentication required.");
    return "going";
  }
  switch (command.runs) {
    case "region":
      route(context, slot, command, entry);
      return "going";
    case "session":
      return runHere(context.server, session, slot, command);
    case "keyspace":
      return "walk";
    default:
      return command satisfies never;
  }
}

/**
 * First words of an HTTP request: a web page made somebody's browser send it, and commands may stand
 * in its body (Redis' securityWarningCommand).
 */
function isHttp(name: Buffer | undefined): boolean {
  if (name === undefined || name.length > 5) return false;
  const word = name.toString("latin1").toLowerCase();
  return word === "post" || word === "host:";
}

function runHere(
  server: Server,
  session: ClientSession,
  slot: Slot,
  command: SessionCommand,
): Dispatched {
  const reply = command.execute(server, session, slot.args);
  // HELLO answers in the protocol it has just chosen.
  slot.protocol = session.protocol;
  if (reply === undefined) return "later";
  slot.settle(reply);
  return "going";
}

function route(
  context: DispatchContext,
  slot: Slot,
  command: RegionCommand,
  entry: CommandEntry,
): void {
  const { routes } = context;
  const { args } = slot;
  const positions = entry.keyPositions(args);
  slot.keyPositions = positions;
  const firstAt = positions[0];
  // A command that finds no key in its arguments answers the error itself, wherever it runs.
  const first = firstAt === undefined ? undefined : args[firstAt];
  if (first !== undefined && first.length > maxKeyBytes) return slot.refuse(keyTooLong);
  const home = routes.regionOf(first === undefined ? 0 : routes.positionOf(first));
  if (home?.ref === undefined) return slot.reject(storeRestarting);
  if (positions.length > 1 && !isWhole(context, slot, home)) return over(context, slot, command);
  home.ref.send(slot);
}

/** Whether every key belongs to one region. A key that is too long makes it false; see `over`. */
function isWhole(context: DispatchContext, slot: Slot, home: Route): boolean {
  for (const at of slot.keyPositions) {
    const key = slot.args[at];
    if (key === undefined) continue;
    if (key.length > maxKeyBytes) return false;
    const position = context.routes.positionOf(key);
    if (position < home.fromPosition || position > home.toPosition) return false;
  }
  return true;
}

/** Keys in several regions, or too long. */
function over(context: DispatchContext, slot: Slot, command: RegionCommand): void {
  const routes: Route[] = [];
  for (const at of slot.keyPositions) {
    const key = slot.args[at];
    if (key === undefined) continue;
    if (key.length > maxKeyBytes) return slot.refuse(keyTooLong);
    const found = context.routes.regionOf(context.routes.positionOf(key));
    if (found === undefined) return slot.reject(storeRestarting);
    routes.push(found);
  }
  if (command.spread === "one") return slot.reject(crossSlot);
  // An unpaired last argument (MSET a 1 b): any region answers the command's own error.
  const step = command.keys?.step ?? 1;
  const first = slot.keyPositions[0] ?? 1;
  if ((slot.args.length - first) % step !== 0) {
    const ref = routes[0]?.ref;
    if (ref === undefined) return slot.reject(storeRestarting);
    return ref.send(slot);
  }
  scatter(slot, routes);
}
