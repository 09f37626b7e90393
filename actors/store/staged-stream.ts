// A write too large for one entry on its way: its chunks go ahead in fragments under fresh object
// ids that no key names yet, then the command runs again and only names them (`safety.md` 28).

import type { Effect } from "../../storage/keyspace/effects.ts";
import type { StagedWrite } from "../../storage/keyspace/staging.ts";

/** Bytes of chunks in one entry. */
const fragmentBytes = 256 * 1024;

export class StagedStream {
  readonly staged: StagedWrite;
  /** Its shorter values went to chunks too, and do so again when the command runs. */
  readonly spilled: boolean;
  readonly #stagingKey: (position: number, oid: number) => Buffer;
  readonly #fragments: Iterator<Effect[]>;
  #next: IteratorResult<Effect[]>;
  #lastIndex = 0;
  #isFirst = true;

  /** `stagingKey` names the record that lets a later leader find what was never finished. */
  constructor(
    staged: StagedWrite,
    spilled: boolean,
    stagingKey: (position: number, oid: number) => Buffer,
  ) {
    this.staged = staged;
    this.spilled = spilled;
    this.#stagingKey = stagingKey;
    this.#fragments = staged.fragments(fragmentBytes);
    this.#next = this.#fragments.next();
  }

  /** True while there are fragments to append. */
  get isSending(): boolean {
    return this.#next.done !== true;
  }

  /** The next entry's effects. */
  nextFragment(): Effect[] {
    const effects: Effect[] = this.#next.done === true ? [] : this.#next.value;
    this.#next = this.#fragments.next();
    if (!this.#isFirst) return effects;
    this.#isFirst = false;
    return [...this.#stagingRecordPuts(), ...effects];
  }

  /** The fragment just taken was appended at this index. */
  sentAt(index: number): void {
    this.#lastIndex = index;
  }

  /** True when every fragment is in the engine: the command may run and be read. */
  isAppliedAt(index: number): boolean {
    return !this.isSending && index >= this.#lastIndex;
  }

  /** Go with the command's own entry. */
  stagingRecordDels(): Effect[] {
    return this.staged.strings.map(({ position, oid }) => ({
      type: "del",
      key: this.#stagingKey(position, oid),
    }));
  }

  /** Take everything back, for a command that does not name the chunks after all. */
  drops(): Effect[] {
    return [...this.stagingRecordDels(), ...this.staged.drops()];
  }

  #stagingRecordPuts(): Effect[] {
    return this.staged.strings.map(({ position, oid }) => ({
      type: "put",
      key: this.#stagingKey(position, oid),
      value: Buffer.alloc(0),
    }));
  }
}
