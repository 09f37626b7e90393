// What the store's actors share with each other while they live: the open engine with its writer,
// the open journal. Each is put here by the actor that owns it and taken away when that actor ends,
// so that nobody keeps using what a restart has replaced.

import type { Engine } from "../../storage/engine.ts";
import type { Journal } from "../../storage/journal/types.ts";
import type { TurnTask } from "../system/turn.ts";
import type { EngineReader } from "./reader.ts";
import { SnapshotTraffic } from "./snapshot-traffic.ts";
import type { EngineWriter } from "./writer.ts";

/** The engine actor's part. */
export interface EngineHandle {
  readonly engine: Engine;
  readonly writer: EngineWriter;
  readonly reader: EngineReader;
}

/** Commands evaluated on this store whose replies still wait for a majority or for proof. */
export interface CommandsInFlight {
  count: number;
}

/** Where evaluators wait until what they would write is worth a group. */
export interface JournalGate {
  /** True: the task runs in an evaluate phase to come. False: go on now. */
  waitsFor(task: TurnTask): boolean;
}

/** Filled by the engine and log actors; read by everyone started after them. */
export class StoreHandles {
  readonly snapshots = new SnapshotTraffic();
  readonly inFlight: CommandsInFlight = { count: 0 };
  #engine: EngineHandle | undefined;
  #journal: Journal | undefined;
  #gate: JournalGate | undefined;

  setEngine(handle: EngineHandle | undefined): void {
    this.snapshots.reset();
    this.#engine = handle;
  }

  setJournal(journal: Journal | undefined, gate?: JournalGate): void {
    this.#journal = journal;
    this.#gate = gate;
  }

  /** Undefined while no journal is open. */
  get journalGate(): JournalGate | undefined {
    return this.#gate;
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
