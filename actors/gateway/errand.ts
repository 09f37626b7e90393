// What the gateway sends to a region, as a thing that can be refused, taken back and sent another
// way: the step of a walk as such an errand, and what counts as a refusal. Slots and parts of
// scattered commands are errands too. Routing itself is not here.

import { matchGlob } from "../../resp/glob.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import type { RegionWalk } from "../store/protocol.ts";
import type { ErrandRoute, Journey, KeyFilter } from "./protocol.ts";

/** A region that answers this has certainly not executed the command. */
export const isRefusal = (reply: Reply): reply is ErrorReply =>
  reply instanceof ErrorReply && reply.message.startsWith("CLUSTERDOWN ");

/** What its length takes at most: an argument has less than 2^35 bytes. */
const perArgumentBytes = 5;

/** What arguments count for: no less than they take in a message to another node. */
export function argumentBytes(args: readonly Buffer[]): number {
  let bytes = args.length * perArgumentBytes;
  for (const arg of args) bytes += arg.length;
  return bytes;
}

/** What a step of a walk found, or why it did not happen. */
export type WalkResult = Parameters<RegionWalk["settle"]>[0];

export const everyKey: KeyFilter = { pattern: undefined, type: undefined };

/** One step of a walk in one region. */
export interface WalkStep {
  readonly db: number;
  readonly sessionId: number;
  readonly cursor: number;
  readonly count: number;
  readonly filter: KeyFilter;
}

const star = 0x2a;

export function acceptsBy({ pattern, type }: KeyFilter): RegionWalk["accepts"] {
  const glob = pattern?.length === 1 && pattern[0] === star ? undefined : pattern;
  return (key, keyType) =>
    (type === undefined || type === keyType) && (glob === undefined || matchGlob(glob, key));
}

/** The result of a step as a reply, the form in which answers travel: [next or null, keys]. */
export const walkReply = (result: WalkResult): Reply =>
  "error" in result ? new ErrorReply(result.error) : [result.next ?? null, result.keys];

function walkResult(reply: Reply): WalkResult {
  if (reply instanceof ErrorReply) return { error: reply.message };
  const [next, keys] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  if (!Array.isArray(keys)) throw new Error("a walk was answered with something else");
  return { keys: keys as Buffer[], next: typeof next === "number" ? next : undefined };
}

export class WalkErrand implements RegionWalk, Journey {
  readonly type = "region.walk";
  readonly db: number;
  readonly sessionId: number;
  readonly cursor: number;
  readonly count: number;
  readonly filter: KeyFilter;
  readonly accepts: RegionWalk["accepts"];
  readonly arrivedAtMs: number;
  readonly isWrite = false;
  route: ErrandRoute | undefined = undefined;
  ticket = 0;
  losses = 0;
  readonly #done: (result: WalkResult) => void;

  constructor(step: WalkStep, arrivedAtMs: number, done: (result: WalkResult) => void) {
    this.db = step.db;
    this.sessionId = step.sessionId;
    this.cursor = step.cursor;
    this.count = step.count;
    this.filter = step.filter;
    this.accepts = acceptsBy(step.filter);
    this.arrivedAtMs = arrivedAtMs;
    this.#done = done;
  }

  get bytes(): number {
    const { pattern, type } = this.filter;
    // A character takes up to three bytes.
    return 64 + (pattern?.length ?? 0) + (type?.length ?? 0) * 3;
  }

  settle(result: WalkResult): void {
    const { route } = this;
    const refusal = "error" in result ? new ErrorReply(result.error) : undefined;
    if (route !== undefined && refusal !== undefined && isRefusal(refusal)) {
      route.takeBack(this, refusal);
    } else {
      this.#done(result);
    }
  }

  finish(reply: Reply): void {
    this.#done(walkResult(reply));
  }

  /** A walk runs alone in its connection. */
  lastExecuted(): number {
    return 0;
  }
}
