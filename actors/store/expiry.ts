// Active expiry: finds keys whose time is over in each region's index of expiries and has the region
// remove them through its log, a slice at a time, so that a million of them stall nobody.

import { setup, type AnyActorRef } from "xstate";
import { ttlRange } from "../../storage/key-ranges.ts";
import { logicalKey, parsePhysicalTtlKey } from "../../storage/keys.ts";
import type { Clock, TimerId } from "../system/clock.ts";
import { dataIdOfRegion } from "./apply.ts";
import type { DirectoryEntry, RegionDirectory } from "./directory.ts";
import type { StoreHandles } from "./handles.ts";
import type { RegionExpire } from "./protocol.ts";

/** How often due keys are looked for when there were none. */
const pauseMs = 100;
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
    this.#timer = this.#input.clock.setTimeout(() => {
      this.#round().then(
        () => this.#pause(),
        (error: unknown) => {
          // An engine that closed under the iterator ends this actor as well.
          if (!this.#stopped) this.#self.send({ type: "expiry.failed", error });
        },
      );
    }, pauseMs);
  }

  /** Works through every region with due keys, one slice of one region at a time. */
  async #round(): Promise<void> {
    for (let found = true; found && !this.#stopped && this.#input.isActive();) {
      found = false;
      for (const entry of this.#input.directory.all()) {
        if (this.#stopped) return;
        if (await this.#slice(entry)) found = true;
      }
    }
  }

  /** True when there may be more to do at once. */
  async #slice(entry: DirectoryEntry): Promise<boolean> {
    const { region, ref } = entry;
    const engine = this.#input.handles.engine?.engine;
    const nowMs = this.#input.clock.wallMs();
    if (region?.serving !== true || ref === undefined || engine === undefined) return false;
    const { applied } = region;
    if (applied.nextExpiryMs > nowMs) return false;
    const range = ttlRange(dataIdOfRegion(applied.meta), Math.floor(nowMs));
    // What is written while the iterator runs lowers it again.
    applied.nextExpiryMs = Infinity;
    const iterator = engine.iterate({ ...range, lt: everything(range.gte), keysOnly: true });
    const due: Array<RegionExpire["due"][number]> = [];
    let next = Infinity;
    try {
      for (const { key } of await iterator.next(sliceKeys)) {
        const parsed = parsePhysicalTtlKey(key);
        if (parsed.expireAtMs > nowMs) {
          next = parsed.expireAtMs;
          break;
        }
        due.push({ slot: parsed.slot, key: parsed.key, indexKey: logicalKey(key) });
        next = parsed.expireAtMs;
      }
    } finally {
      await iterator.end();
    }
    if (next < applied.nextExpiryMs) applied.nextExpiryMs = next;
    if (due.length === 0) return false;
    await new Promise<void>((settle) => ref.send({ type: "region.expire", due, settle }));
    return true;
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
