// What the crash tests believe: for each key the last acknowledged value and every write sent after
// it whose outcome is unknown. After a crash a key may hold the acknowledged value or the result of
// a later write, in order; anything else is a lost or invented write. No sockets, no processes.

/** A write and the value it leaves, given the value before it. null = no such key. */
export type Change = (before: string | null) => string | null;

interface Line {
  /** Value after everything acknowledged. */
  settled: string | null;
  /** Sent and not yet acknowledged, in order. */
  readonly open: Change[];
}

/** What a check found wrong with one key. */
export interface Discrepancy {
  readonly key: string;
  readonly found: string | null;
  readonly allowed: ReadonlyArray<string | null>;
}

/** Each key belongs to one connection, so its writes have one order. */
export class Ledger {
  readonly #lines = new Map<string, Line>();
  #acknowledged = 0;

  /** Writes acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  keys(): string[] {
    return [...this.#lines.keys()];
  }

  /** A write goes out. */
  sent(key: string, change: Change): void {
    this.#line(key).open.push(change);
  }

  /** The oldest open write of the key was acknowledged. Returns the value it left. */
  confirmed(key: string): string | null {
    const line = this.#line(key);
    const change = line.open.shift();
    if (change === undefined) throw new Error(`an acknowledgement nobody waits for: ${key}`);
    line.settled = change(line.settled);
    this.#acknowledged += 1;
    return line.settled;
  }

  /** The oldest open write of the key certainly did not happen. */
  refused(key: string): void {
    this.#line(key).open.shift();
  }

  /** Compares what a restarted node holds; whatever it holds is the truth from then on. */
  check(key: string, found: string | null): Discrepancy | undefined {
    const line = this.#line(key);
    const allowed = [line.settled];
    for (const change of line.open.splice(0)) allowed.push(change(allowed.at(-1) ?? null));
    line.settled = found;
    return allowed.includes(found) ? undefined : { key, found, allowed };
  }

  #line(key: string): Line {
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { settled: null, open: [] };
      this.#lines.set(key, line);
    }
    return line;
  }
}
