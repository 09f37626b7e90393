// Active expiry: finds keys whose time is over in each region's index of expiries and has the region
// remove them through its log, a slice at a time, so that a million of them stall nobody.

import { setup, type AnyActorRef } from "xstate";
import type { EngineIterator } from "../../storage/engine.ts";
import { ttlRange } from "../../storage/key-ranges.ts";
import { parsePhysicalTtlKey } from "../../storage/keys.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import { dataIdOfRegion } from "./apply.ts";
import type { DirectoryEntry, RegionDirectory } from "./directory.ts";
import type { StoreHandles } from "./handles.ts";
import type { RegionExpire } from "./protocol.ts";

/** How often due keys are looked for when there were none. */
const pauseMs = 100;
/** … and when no key of this store has an expiry at all. */
const idlePauseMs = 500;
/** Keys removed in one slice: about 2 ms of work. */
const sliceKeys = 128;

/** What the expiry actor is given. */
export interface ExpiryInput {
  readonly handles: StoreHandles;
  readonly directory: RegionDirectory;
  readonly clock: Clock;
  /** DEBUG SET-ACTIVE-EXPIRE. */
  readonly isActive: () => boolean;
}

export type ExpiryEvent =
  | { readonly type: "expiry.failed"; readonly error: unknown }
  | { readonly type: "shutdown" };

class Expiry {
  readonly #input: ExpiryInput;
  readonly #self: AnyActorRef;
  #timer: TimerId;
  #stopped = false;

  constructor(input: ExpiryInput, self: AnyActorRef) {
    this.#input = input;
    this.#self = self;
    this.#pause();
  }

  stop(): void {
    this.#stopped = true;
    this.#input.clock.clearTimeout(this.#timer);
  }

  #pause(): void {
    if (this.#stopped) return;
    this.#timer = this.#input.clock.setTimeout(
      () => {
        this.#round().then(
          () => this.#pause(),
          (error: unknown) => {
            // An engine that closed under the iterator ends this actor as well.
            if (!this.#stopped) this.#self.send({ type: "expiry.failed", error });
          },
        );
      },
      this.#isIdle() ? idlePauseMs : pauseMs,
    );
  }

  #isIdle(): boolean {
    for (const { region } of this.#input.directory.all()) {
      if (region !== undefined && region.nextExpiryMs !== Infinity) return false;
    }
    return true;
  }

  /** Works through every region with due keys, one slice of one region at a time. */
  async #round(): Promise<void> {
    const cursors = new Map<number, Buffer>();
    for (let found = true; found && !this.#stopped && this.#input.isActive();) {
      found = false;
      for (const entry of this.#input.directory.all()) {
        if (this.#stopped) return;
        // Asked here, not behind the await: an idle store looks ten times a second.
        if ((entry.region?.nextExpiryMs ?? Infinity) > this.#input.clock.wallMs()) continue;
        if (await this.#slice(entry, cursors)) found = true;
      }
    }
  }

  /**
   * Removes the next due keys of a region; true when there may be more to do at once. A round goes
   * forward only (`cursors`): the engine shows removed keys until it has caught up with the log.
   */
  async #slice(entry: DirectoryEntry, cursors: Map<number, Buffer>): Promise<boolean> {
    const { region, ref, regionId } = entry;
    const engine = this.#input.handles.engine?.engine;
    const nowMs = Math.floor(this.#input.clock.wallMs());
    if (region?.serving !== true || ref === undefined || engine === undefined) return false;
    const { applied } = region;
    if (applied.nextExpiryMs > nowMs) return false;
    const whole = ttlRange(dataIdOfRegion(applied.meta), nowMs);
    const range = { gte: cursors.get(regionId) ?? whole.gte, lt: everything(whole.gte) };
    // A flush has moved the region to another dataId.
    if (Buffer.compare(range.gte.subarray(0, 5), whole.gte.subarray(0, 5)) !== 0) return false;
    // What the engine is given after this moment lowers it again.
    if (!cursors.has(regionId)) applied.nextExpiryMs = Infinity;
    const { due, nextMs, last } = await dueKeys(
      engine.iterate({ ...range, keysOnly: true }),
      nowMs,
    );
    applied.nextExpiryMs = Math.min(applied.nextExpiryMs, nextMs);
    if (last !== undefined) cursors.set(regionId, Buffer.concat([last, Buffer.alloc(1)]));
    if (due.length === 0) return false;
    // A replica that has ended meanwhile answers nothing; its successor looks for itself. One that
    // only does not lead may lead again.
    const error = region.serving
      ? await new Promise<string | undefined>((resolve) => {
          ref.send({ type: "region.expire", due, settle: resolve });
        })
      : "not serving";
    if (error !== undefined) applied.nextExpiryMs = Math.min(applied.nextExpiryMs, nowMs);
    return error === undefined && last !== undefined;
  }
}

interface Due {
  readonly due: RegionExpire["due"];
  /** The first expiry that this slice has not dealt with, Unix ms. */
  readonly nextMs: number;
  /** The last physical key looked at when the slice was full of due keys. */
  readonly last: Buffer | undefined;
}

async function dueKeys(iterator: EngineIterator, nowMs: number): Promise<Due> {
  const due: Array<RegionExpire["due"][number]> = [];
  try {
    const found = await iterator.next(sliceKeys);
    for (const { key } of found) {
      const parsed = parsePhysicalTtlKey(key);
      if (parsed.expireAtMs > nowMs) return { due, nextMs: parsed.expireAtMs, last: undefined };
      due.push({ slot: parsed.slot, key: parsed.key });
    }
    if (found.length < sliceKeys) return { due, nextMs: Infinity, last: undefined };
    return { due, nextMs: nowMs, last: found.at(-1)?.key };
  } finally {
    await iterator.end();
  }
}

/** The end of the TTL space of the dataId a range begins with. */
function everything(gte: Buffer): Buffer {
  return Buffer.concat([gte.subarray(0, 5), Buffer.alloc(6, 0xff)]);
}

interface ExpiryContext {
  readonly expiry: Expiry;
}

export const expiryLogic = setup({
  types: {} as { context: ExpiryContext; events: ExpiryEvent; input: ExpiryInput },
}).createMachine({
  id: "expiry",
  context: ({ input, self }) => ({ expiry: new Expiry(input, self) }),
  initial: "running",
  on: {
    shutdown: { target: ".stopped", actions: ({ context }) => context.expiry.stop() },
    "expiry.failed": {
      actions: ({ context, event }) => {
        context.expiry.stop();
        throw event.error;
      },
    },
  },
  states: { running: {}, stopped: { type: "final" } },
});
