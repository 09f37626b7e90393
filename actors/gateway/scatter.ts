// A command whose keys live in several regions: cut into one request per region, the replies merged
// into one. It stands between dispatch and the regions. It gives no atomicity over regions, and says
// so when only a part was executed.

import type { RegionCommand } from "../../resp/command.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import { storeRestarting, unknownOutcome } from "../store/protocol.ts";
import type { RegionRequest } from "../store/protocol.ts";
import { argumentBytes, isRefusal } from "./errand.ts";
import type { ErrandRoute, Journey, Route } from "./protocol.ts";
import type { Slot, SlotPart } from "./slot.ts";

/** Redis Cluster's code, our reason. */
export const crossSlot =
  "CROSSSLOT Keys in request don't hash to the same region; use a {hash tag}";

/** The share of one region. */
interface Part {
  readonly route: Route;
  readonly args: Buffer[];
  readonly keyPositions: number[];
  /** Where its keys stand among all keys of the command, for merging arrays. */
  readonly keyIndexes: number[];
}

/** Whose command it is: a slot, or the node itself. */
export interface Origin {
  readonly db: number;
  readonly sessionId: number;
  readonly arrivedAtMs: number;
  lastExecuted(route: ErrandRoute): number;
}

/** One region's request of a larger command; tells the gathering when it is answered. */
class PartRequest implements RegionRequest, Journey, SlotPart {
  readonly type = "region.request";
  readonly command: RegionCommand;
  readonly args: readonly Buffer[];
  readonly keyPositions: readonly number[];
  readonly db: number;
  readonly sessionId: number;
  readonly arrivedAtMs: number;
  readonly bytes: number;
  route: ErrandRoute | undefined = undefined;
  ticket = 0;
  losses = 0;
  executed = false;
  readonly #origin: Origin;
  readonly #settled: (reply: Reply) => void;
  #answered = false;

  constructor(
    command: RegionCommand,
    part: { readonly args: readonly Buffer[]; readonly keyPositions: readonly number[] },
    origin: Origin,
    settled: (reply: Reply) => void,
  ) {
    this.command = command;
    this.args = part.args;
    this.keyPositions = part.keyPositions;
    this.db = origin.db;
    this.sessionId = origin.sessionId;
    this.arrivedAtMs = origin.arrivedAtMs;
    this.bytes = argumentBytes(part.args);
    this.#origin = origin;
    this.#settled = settled;
  }

  get isWrite(): boolean {
    return this.command.flags.includes("write");
  }

  settle(reply: Reply): void {
    const { route } = this;
    if (route !== undefined && isRefusal(reply)) route.takeBack(this, reply);
    else this.finish(reply);
  }

  finish(reply: Reply): void {
    if (this.#answered) throw new Error("a part of a command was answered twice");
    this.#answered = true;
    this.executed = !isRefusal(reply);
    this.#settled(reply);
  }

  lastExecuted(route: ErrandRoute): number {
    return this.#origin.lastExecuted(route);
  }
}

/**
 * Sends `slot`'s command in parts, one per region in `routes` (parallel to its key positions). Each
 * key takes the arguments up to the next key with it (MSET's values).
 */
export function scatter(slot: Slot, routes: readonly Route[]): void {
  const command = slot.command;
  if (command.spread === "one") return slot.reject(crossSlot);
  const parts = split(slot, routes);
  // Nothing has been sent yet: with one region down, nothing is executed.
  if (parts.some((part) => part.route.ref === undefined)) return slot.reject(storeRestarting);
  const replies = Array.from<Reply>({ length: parts.length });
  let open = parts.length;
  const requests = parts.map(
    (part, index) =>
      new PartRequest(command, part, slot, (reply) => {
        replies[index] = reply;
        open -= 1;
        if (open === 0) slot.finish(merge(command, parts, replies));
      }),
  );
  slot.parts = requests;
  parts.forEach(({ route }, index) => {
    const request = requests[index];
    if (request !== undefined) route.ref?.send(request);
  });
}

/** The same request to every region; `merged` gets the replies in order of position. */
export function askAll(
  command: RegionCommand,
  routes: readonly Route[],
  origin: Origin,
  merged: (replies: readonly Reply[] | undefined) => void,
): void {
  // Undefined: nothing was asked, the store is not there.
  if (routes.length === 0 || routes.some((route) => route.ref === undefined)) {
    return merged(undefined);
  }
  const replies = Array.from<Reply>({ length: routes.length });
  const whole = { args: [Buffer.from(command.name)], keyPositions: [] };
  let open = routes.length;
  routes.forEach((route, index) => {
    const request = new PartRequest(command, whole, origin, (reply) => {
      replies[index] = reply;
      open -= 1;
      if (open === 0) merged(replies);
    });
    route.ref?.send(request);
  });
}

/** The error of a command over several regions, or undefined when every part worked. */
export function errorOf(replies: readonly Reply[], writes: boolean): ErrorReply | undefined {
  const errors = replies.filter((reply) => reply instanceof ErrorReply);
  const [first] = errors;
  if (first === undefined || !writes) return first;
  // Any other error says that nothing was executed: a lie when another part was, or may have been.
  const unknown = errors.find(({ message }) => message.startsWith("UNKNOWN "));
  if (unknown !== undefined) return unknown;
  if (errors.length === replies.length) return first;
  return new ErrorReply(unknownOutcome(`executed in some regions only: ${first.message}`));
}

function split(slot: Slot, routes: readonly Route[]): Part[] {
  const { args, keyPositions } = slot;
  const head = args.slice(0, keyPositions[0]);
  const parts = new Map<number, Part>();
  keyPositions.forEach((position, index) => {
    const route = routes[index];
    if (route === undefined) throw new Error("a key without a route");
    let part = parts.get(route.regionId);
    if (part === undefined) {
      part = { route, args: [...head], keyPositions: [], keyIndexes: [] };
      parts.set(route.regionId, part);
    }
    part.keyPositions.push(part.args.length);
    part.keyIndexes.push(index);
    const next = keyPositions[index + 1] ?? args.length;
    for (const arg of args.slice(position, next)) part.args.push(arg);
  });
  return [...parts.values()];
}

function merge(command: RegionCommand, parts: readonly Part[], replies: readonly Reply[]): Reply {
  const error = errorOf(replies, command.flags.includes("write"));
  if (error !== undefined) return error;
  switch (command.spread) {
    case "sum":
      return replies.reduce<number>((sum, reply) => sum + Number(reply), 0);
    case "array":
      return inKeyOrder(parts, replies);
    case "ok":
    case "one":
      return replies[0] ?? "OK";
    default:
      return command.spread satisfies never;
  }
}

function inKeyOrder(parts: readonly Part[], replies: readonly Reply[]): Reply {
  const items: Reply[] = [];
  parts.forEach((part, at) => {
    const reply = replies[at];
    if (!Array.isArray(reply)) throw new Error("a part of an array command answered no array");
    part.keyIndexes.forEach((keyIndex, within) => {
      items[keyIndex] = (reply as readonly Reply[])[within] ?? null;
    });
  });
  return items;
}
