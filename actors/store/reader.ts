// The store's reads of single keys: what all regions lack at the end of a turn is asked of the
// engine in one `getMany`, because a call costs about as much as thirty of its keys.

import type { Engine } from "../../storage/engine.ts";
import type { Turn, TurnTask } from "../system/turn.ts";

/** Values in the order of the keys asked for. */
export type OnValues = (values: ReadonlyArray<Buffer | undefined>) => void;

interface Asked {
  readonly count: number;
  readonly onValues: OnValues;
}

/** Keys of one `getMany`, roughly: more keep a pool thread from others for too long. */
const keysPerCall = 1024;

export class EngineReader implements TurnTask {
  readonly #engine: Engine;
  readonly #turn: Turn;
  readonly #onFatal: (error: Error) => void;
  #keys: Buffer[] = [];
  #asked: Asked[] = [];
  #stopped = false;

  constructor(engine: Engine, turn: Turn, onFatal: (error: Error) => void) {
    this.#engine = engine;
    this.#turn = turn;
    this.#onFatal = onFatal;
  }

  /** Asks for these keys with the rest of the turn. Never answers when the engine fails. */
  read(keys: readonly Buffer[], onValues: OnValues): void {
    if (this.#stopped) return;
    if (this.#asked.length === 0) this.#turn.defer("journal", this);
    for (const key of keys) this.#keys.push(key);
    this.#asked.push({ count: keys.length, onValues });
    if (this.#keys.length >= keysPerCall) this.run();
  }

  /** The end of this incarnation: nothing is asked and nothing fails any more. */
  stop(): void {
    this.#stopped = true;
    this.#asked = [];
    this.#keys = [];
  }

  /** The end of the turn. */
  run(): void {
    if (this.#asked.length === 0) return;
    const asked = this.#asked;
    const keys = this.#keys;
    this.#asked = [];
    this.#keys = [];
    this.#engine.getMany(keys).then(
      (values) => {
        let from = 0;
        for (const { count, onValues } of asked) {
          onValues(asked.length === 1 ? values : values.slice(from, from + count));
          from += count;
        }
      },
      (error: unknown) => {
        // An engine that closed meanwhile took its readers with it.
        if (!this.#stopped) this.#onFatal(error as Error);
      },
    );
  }
}
