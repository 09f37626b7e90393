// Commands over the whole key space: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHALL, FLUSHDB. It stands
// between a connection, which runs one walk at a time, and the regions, which are asked in order of
// position or all at once. Cursors are places in the key space, so a walk keeps no state here.

import type { KeyspaceWalk, RegionCommand } from "../../resp/command.ts";
import { flushesPending } from "../../resp/errors.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import { storeRestarting } from "../store/protocol.ts";
import { everyKey, WalkErrand } from "./errand.ts";
import type { WalkResult } from "./errand.ts";
import type { Gateway } from "./gateway.ts";
import type { KeyFilter, Route } from "./protocol.ts";
import { askAll, errorOf } from "./scatter.ts";
import type { Slot } from "./slot.ts";

/** Sub-positions per position: a cursor is position * 65536 + bucket. */
const bucketsPerPosition = 65_536;
/** Regions one SCAN call looks into before it returns, found or not. */
const regionsPerScanMax = 256;
/** Tries of RANDOMKEY before it says the database is empty. */
const randomTriesMax = 100;
/** Keys RANDOMKEY skips at most, after the position it drew. */
const randomSkipMax = 15;

const builtIn = {
  runs: "region",
  arity: 1,
  categories: ["@keyspace"],
  summary: "A region's share of a command over the whole key space.",
  since: "1.0.0",
  group: "server",
  complexity: "O(1)",
} as const;

/** Keys of one logical database in one region. */
export const sizeOfRegion = {
  ...builtIn,
  name: "dbsize",
  flags: ["readonly", "fast"],
  spread: "sum",
  execute: (view) => view.size(),
} satisfies RegionCommand;

/** Keys of all sixteen logical databases in one region. */
export const sizesOfRegion = {
  ...builtIn,
  name: "spire.sizes",
  flags: ["readonly", "fast"],
  spread: "array",
  execute: (view) => Array.from({ length: 16 }, (_, db) => view.select(db).size()),
} satisfies RegionCommand;

const flushDb = {
  ...builtIn,
  name: "flushdb",
  flags: ["write"],
  spread: "ok",
  execute: (view) => (view.flushDb() ? "OK" : flushesPending),
} satisfies RegionCommand;

const flushAll = {
  ...builtIn,
  name: "flushall",
  flags: ["write"],
  spread: "ok",
  execute: (view) => {
    view.flushAll();
    return "OK";
  },
} satisfies RegionCommand;

/** What regions are asked for by walks: no client can call these, so they stand in no table. */
export const shares: readonly RegionCommand[] = [sizeOfRegion, sizesOfRegion, flushDb, flushAll];

/** Runs the slot's walk; every earlier command of its connection has been answered. */
export function startWalk(gateway: Gateway, slot: Slot): void {
  const command = slot.entry?.command;
  if (command?.runs !== "keyspace") throw new Error("a walk without a keyspace command");
  const parsed = command.parse(slot.args);
  if (!("walk" in parsed)) return slot.settle(new ErrorReply(parsed.message));
  if (gateway.routes.all().length === 0) return slot.reject(storeRestarting);
  perform(gateway, slot, parsed);
}

function perform(gateway: Gateway, slot: Slot, walk: KeyspaceWalk): void {
  switch (walk.walk) {
    case "keys":
      return new KeysWalk(gateway, slot, walk.pattern).start();
    case "scan":
      return new ScanWalk(gateway, slot, walk).start();
    case "randomkey":
      return new RandomWalk(gateway, slot).start();
    case "dbsize":
      return whole(gateway, slot, sizeOfRegion, (replies) =>
        replies.reduce<number>((sum, reply) => sum + Number(reply), 0),
      );
    case "flushall":
      return whole(gateway, slot, flushAll, () => "OK");
    case "flushdb":
      return whole(gateway, slot, flushDb, () => "OK");
    default:
      walk satisfies never;
  }
}

function whole(
  gateway: Gateway,
  slot: Slot,
  command: RegionCommand,
  merge: (replies: readonly Reply[]) => Reply,
): void {
  askAll(command, gateway.routes.all(), slot, (replies) => {
    if (replies === undefined) return slot.reject(storeRestarting);
    slot.settle(errorOf(replies, command.flags.includes("write")) ?? merge(replies));
  });
}

/**
 * A region answers in the middle of its own work, and what it is sent there is lost with it when that
 * work fails: whoever asks it again does so later in the turn.
 */
function later(gateway: Gateway, run: () => void): void {
  gateway.turn.defer("evaluate", { run });
}

/** One step into the region that owns the cursor; `done` also hears that the region is not there. */
function step(
  gateway: Gateway,
  at: { readonly slot: Slot; readonly cursor: number; readonly count: number },
  filter: KeyFilter,
  done: (result: WalkResult, route: Route | undefined) => void,
): void {
  const position = Math.floor(at.cursor / bucketsPerPosition);
  const route = gateway.routes.regionOf(position);
  if (route?.ref === undefined) return done({ error: storeRestarting }, undefined);
  const { slot, cursor, count } = at;
  const { db, sessionId } = slot;
  const nowMs = gateway.clock.monotonicMs();
  const walk = { db, sessionId, cursor, count, filter };
  const answered = (result: WalkResult): void => later(gateway, () => done(result, route));
  route.ref.send(new WalkErrand(walk, nowMs, answered));
}

/** Where the walk goes on after a region; undefined behind the last one. */
function after(route: Route): number | undefined {
  if (route.toPosition >= 0xffff_ffff) return undefined;
  return (route.toPosition + 1) * bucketsPerPosition;
}

/** KEYS: everything, in bounded steps so that others get their turns. */
class KeysWalk {
  readonly #gateway: Gateway;
  readonly #slot: Slot;
  readonly #filter: KeyFilter;
  readonly #found: Buffer[] = [];

  constructor(gateway: Gateway, slot: Slot, pattern: Buffer) {
    this.#gateway = gateway;
    this.#slot = slot;
    this.#filter = { pattern, type: undefined };
  }

  start(): void {
    this.#from(0);
  }

  #from(cursor: number): void {
    const count = this.#gateway.limits.walkKeysPerStepMax;
    step(this.#gateway, { slot: this.#slot, cursor, count }, this.#filter, (result, route) => {
      if ("error" in result) return this.#slot.settle(new ErrorReply(result.error));
      for (const key of result.keys) this.#found.push(key);
      const next = result.next ?? (route === undefined ? undefined : after(route));
      if (next === undefined) this.#slot.settle(this.#found);
      else this.#from(next);
    });
  }
}

/** SCAN: about COUNT keys from the cursor on, over region borders. */
class ScanWalk {
  readonly #gateway: Gateway;
  readonly #slot: Slot;
  readonly #filter: KeyFilter;
  readonly #found: Buffer[] = [];
  readonly #cursor: number;
  #wanted: number;
  #regions = 0;

  constructor(
    gateway: Gateway,
    slot: Slot,
    walk: Extract<KeyspaceWalk, { readonly walk: "scan" }>,
  ) {
    this.#gateway = gateway;
    this.#slot = slot;
    this.#cursor = walk.cursor;
    this.#wanted = walk.count;
    this.#filter = { pattern: walk.pattern, type: walk.type?.toLowerCase() };
  }

  start(): void {
    // A cursor nobody handed out is behind the end of the key space.
    if (this.#cursor > 0xffff_ffff_ffff) return this.#end(0);
    this.#from(this.#cursor);
  }

  #from(cursor: number): void {
    const count = Math.min(this.#wanted, this.#gateway.limits.walkKeysPerStepMax);
    step(this.#gateway, { slot: this.#slot, cursor, count }, this.#filter, (result, route) => {
      if ("error" in result) return this.#slot.settle(new ErrorReply(result.error));
      for (const key of result.keys) this.#found.push(key);
      // A region that has more examined the whole count; one that ended examined at least its keys.
      this.#wanted -= result.next === undefined ? result.keys.length : count;
      this.#regions += 1;
      const next = result.next ?? (route === undefined ? undefined : after(route));
      if (next === undefined) this.#end(0);
      else if (this.#wanted <= 0 || this.#regions >= regionsPerScanMax) this.#end(next);
      else this.#from(next);
    });
  }

  #end(next: number): void {
    this.#slot.settle([Buffer.from(String(next)), this.#found]);
  }
}

/**
 * RANDOMKEY: a region by its number of keys, a position inside it, and from there a few keys further.
 * The next key alone would favour the one behind a wide gap; skipping spreads that over its followers.
 */
class RandomWalk {
  readonly #gateway: Gateway;
  readonly #slot: Slot;
  #tries = 0;

  constructor(gateway: Gateway, slot: Slot) {
    this.#gateway = gateway;
    this.#slot = slot;
  }

  start(): void {
    const routes = this.#gateway.routes.all();
    askAll(sizeOfRegion, routes, this.#slot, (replies) => {
      if (replies === undefined) return this.#slot.reject(storeRestarting);
      const error = errorOf(replies, false);
      if (error !== undefined) return this.#slot.settle(error);
      const total = replies.reduce<number>((sum, reply) => sum + Number(reply), 0);
      let drawn = Math.floor(this.#gateway.random() * total);
      const chosen = routes.find((_, index) => (drawn -= Number(replies[index])) < 0);
      // Every key may just have expired while the counts still hold them.
      if (chosen === undefined || this.#tries >= randomTriesMax) return this.#slot.settle(null);
      this.#tries += 1;
      const width = chosen.toPosition - chosen.fromPosition + 1;
      const position = chosen.fromPosition + Math.floor(this.#gateway.random() * width);
      const skip = Math.floor(this.#gateway.random() * (randomSkipMax + 1));
      const from = { cursor: position * bucketsPerPosition, skip, wrapped: false };
      later(this.#gateway, () => this.#pick(chosen, from));
    });
  }

  #pick(route: Route, from: { cursor: number; skip: number; wrapped: boolean }): void {
    const { cursor, skip, wrapped } = from;
    const at = { slot: this.#slot, cursor, count: skip + 1 };
    step(this.#gateway, at, everyKey, (result) => {
      if ("error" in result) return this.#slot.settle(new ErrorReply(result.error));
      const { keys, next } = result;
      const key = keys[skip];
      if (key !== undefined) return this.#slot.settle(key);
      const left = skip - keys.length;
      if (next !== undefined) return this.#pick(route, { cursor: next, skip: left, wrapped });
      const start = route.fromPosition * bucketsPerPosition;
      if (!wrapped) return this.#pick(route, { cursor: start, skip: left, wrapped: true });
      // The region holds fewer keys than were to be skipped: this step saw them all.
      const any = keys[skip % keys.length];
      if (any === undefined) this.start();
      else this.#slot.settle(any);
    });
  }
}
