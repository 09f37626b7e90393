// What the store's actors share with each other while they live: the open engine with its writer,
// the open journal. Each is put here by the actor that owns it and taken away when that actor ends,
// so that nobody keeps using what a restart has replaced.

import type { Engine } from "../../storage/engine.ts";
import type { Journal } from "../../storage/journal/types.ts";
import type { EngineReader } from "./reader.ts";
import type { EngineWriter } from "./writer.ts";

/** The engine actor's part. */
export interface EngineHandle {
  readonly engine: Engine;
  readonly writer: EngineWriter;
  readonly reader: EngineReader;
}

/** Filled by the engine and log actors; read by everyone started after them. */
export class StoreHandles {
  #engine: EngineHandle | undefined;
  #journal: Journal | undefined;

  setEngine(handle: EngineHandle | undefined): void {
    this.#engine = handle;
  }

  setJournal(journal: Journal | undefined): void {
    this.#journal = journal;
  }

  get engine(): EngineHandle | undefined {
    return this.#engine;
  }

  get journal(): Journal | undefined {
    return this.#journal;
  }

  /** The open parts. Throws when one is not open: the caller was started out of order. */
  opened(): EngineHandle & { readonly journal: Journal } {
    if (this.#engine === undefined || this.#journal === undefined) {
      throw new Error("the store's engine and journal are not open");
    }
    return { ...this.#engine, journal: this.#journal };
  }
}
