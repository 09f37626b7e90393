// One command of a connection on its way: the request a region gets and the place its reply waits
// in until all earlier replies of the connection are written. One object per command, nothing else
// is allocated on the hot path.

import type { RegionCommand } from "../../resp/command.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import type { RegionRequest } from "../store/protocol.ts";
import type { CommandEntry } from "./entries.ts";
import { argumentBytes, isRefusal } from "./errand.ts";
import type { ErrandRoute, Journey } from "./protocol.ts";

/** The part of a connection a slot tells that its reply has come. */
export interface SlotOwner {
  settled(slot: Slot): void;
  /** See `Journey`. */
  lastExecuted(route: ErrandRoute): number;
}

/** A region's share of a scattered command, as far as its slot looks at it. */
export interface SlotPart {
  readonly route: ErrandRoute | undefined;
  readonly ticket: number;
  /** It was, or may have been, executed. */
  readonly executed: boolean;
}

export class Slot implements RegionRequest, Journey {
  readonly type = "region.request";
  readonly args: readonly Buffer[];
  readonly db: number;
  readonly sessionId: number;
  keyPositions: readonly number[] = noPositions;
  /** Undefined while the name is not (or not yet) known to be a command. */
  entry: CommandEntry | undefined;
  /** Undefined = not answered yet. */
  reply: Reply | undefined = undefined;
  /** The protocol its reply is written in. */
  protocol: 2 | 3 = 2;
  /** CLIENT REPLY OFF or SKIP: nothing is written. */
  silent = false;
  route: ErrandRoute | undefined = undefined;
  ticket = 0;
  losses = 0;
  /** The shares of the regions when there are several. */
  parts: readonly SlotPart[] | undefined = undefined;
  /** Monotonic ms of the arrival of its batch. */
  readonly arrivedAtMs: number;
  readonly bytes: number;
  readonly #owner: SlotOwner;

  constructor(
    owner: SlotOwner,
    args: readonly Buffer[],
    session: { readonly id: number; readonly db: number },
    arrivedAtMs: number,
  ) {
    this.#owner = owner;
    this.args = args;
    this.db = session.db;
    this.sessionId = session.id;
    this.arrivedAtMs = arrivedAtMs;
    this.bytes = argumentBytes(args);
  }

  /** Only a slot whose entry is a region command is ever sent to a region. */
  get command(): RegionCommand {
    const command = this.entry?.command;
    if (command?.runs !== "region") throw new Error("slot of no region command sent to a region");
    return command;
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
    if (this.reply !== undefined) throw new Error("a command was answered twice");
    this.reply = reply;
    this.#owner.settled(this);
  }

  lastExecuted(route: ErrandRoute): number {
    return this.#owner.lastExecuted(route);
  }

  /** The same for this slot alone. */
  executedBy(route: ErrandRoute): number {
    if (this.route === route) {
      return this.reply === undefined || isRefusal(this.reply) ? 0 : this.ticket;
    }
    let last = 0;
    for (const part of this.parts ?? []) {
      if (part.route === route && part.executed && part.ticket > last) last = part.ticket;
    }
    return last;
  }

  /** Answers with an error before execution. */
  reject(message: string): void {
    this.refuse(new ErrorReply(message));
  }

  /** The same with a ready reply. */
  refuse(error: ErrorReply): void {
    if (this.entry !== undefined) this.entry.statistics.rejected += 1;
    this.finish(error);
  }
}

const noPositions: readonly number[] = [];
