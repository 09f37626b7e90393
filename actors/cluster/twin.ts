// What a process makes of another one that introduces itself under the same node id: the copy of a
// data directory, a typing error in --node-id, or a message that its own predecessor left behind.
// One of two has to end; both apply this rule and come to the same one, as a rule the younger.

/** A process as it introduces itself. */
export interface Claim {
  readonly incarnation: string;
  readonly epoch: number;
  readonly process: number;
  readonly upForMs: number;
}

/** Starts so close together are told apart by the random number of the process. */
const tieMs = 2000;

/** "dies": this process must end. "stays": the other one must, so let it hear of this one. */
export function judgeTwin(mine: Claim, theirs: Claim): "dies" | "stays" {
  if (mine.incarnation === theirs.incarnation && mine.epoch !== theirs.epoch) {
    // The same data directory, counted: the later start is the rightful one.
    return mine.epoch < theirs.epoch ? "dies" : "stays";
  }
  const youngerByMs = theirs.upForMs - mine.upForMs;
  if (Math.abs(youngerByMs) > tieMs) return youngerByMs > 0 ? "dies" : "stays";
  return mine.process > theirs.process ? "dies" : "stays";
}

/** Hears claims of this node's own id; a single one may be late, from a process that is gone. */
export class TwinWatch {
  #last: Claim | undefined;

  /** The verdict; undefined while the other process may be a ghost. */
  heard(mine: Claim, theirs: Claim): "dies" | "stays" | undefined {
    if (mine.process === theirs.process) return undefined;
    const last = this.#last;
    this.#last = theirs;
    const verdict = judgeTwin(mine, theirs);
    if (verdict === "stays") return verdict;
    return last?.process === theirs.process && theirs.upForMs > last.upForMs ? verdict : undefined;
  }
}
