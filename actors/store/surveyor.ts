// Looks through the keys of regions that do not know which they have (`key-filter.ts`): a node was
// started with many, or a snapshot has come. In the background, one region after the other and a slice
// at a time, while they serve; until a region is through, its leader reads the engine for every key.

import { dataIdRange } from "../../storage/key-ranges.ts";
import { spaces } from "../../storage/keys.ts";
import type { Clock } from "../system/clock.ts";
import { dataIdOfRegion, type AppliedState } from "./apply.ts";
import type { StoreHandles } from "./handles.ts";

/** Keys of one slice: less than a millisecond of the loop … */
const sliceKeys = 512;
/** … and what lies between two, ms: 20,000 keys a second for a few hundredths of a processor. */
const pauseMs = 25;

/** Of a replica, as far as a survey needs it. */
export interface Surveyed {
  /** This incarnation is over. */
  readonly ended: boolean;
  readonly applied: AppliedState;
}

export class Surveyor {
  readonly #handles: StoreHandles;
  readonly #clock: Clock;
  readonly #waiting: Surveyed[] = [];
  #running = false;
  #stopped = false;

  constructor(handles: StoreHandles, clock: Clock) {
    this.#handles = handles;
    this.#clock = clock;
  }

  /** What its engine holds is written, and whatever comes is added to its filter from here on. */
  add(replica: Surveyed): void {
    this.#waiting.push(replica);
    if (!this.#running) this.#start();
  }

  stop(): void {
    this.#stopped = true;
  }

  #start(): void {
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
      // It has come while the last one ended.
      if (this.#waiting.length > 0 && !this.#stopped) this.#start();
    });
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#stopped) return;
      // One that fails leaves its region as it is: the engine has closed, or commands will say what it has.
      await this.#survey(next).catch(() => undefined);
    }
  }

  async #survey(replica: Surveyed): Promise<void> {
    const { keys, meta } = replica.applied;
    // A flush or another snapshot gives it another filter; one with too many keys has given up.
    const isWanted = (): boolean =>
      !this.#stopped && !replica.ended && replica.applied.keys === keys && !keys.isFull;
    if (!isWanted()) return;
    const range = dataIdRange(spaces.meta, dataIdOfRegion(meta));
    const iterator = this.#handles.opened().engine.iterate({ ...range, keysOnly: true });
    try {
      while (isWanted()) {
        const slice = await iterator.next(sliceKeys);
        for (const { key } of slice) keys.add(key);
        if (slice.length === 0) {
          keys.complete();
          return;
        }
        await new Promise<void>((passed) => {
          this.#clock.setTimeout(passed, pauseMs);
        });
      }
    } finally {
      await iterator.end();
    }
  }
}
