// Where every entry of one region's log lies: index -> address, length, term, in flat typed arrays,
// because a store holds hundreds of thousands of them. Knows the rules of append, reset and
// compaction (a later record wins, `safety.md` 6); reads and writes no bytes.

import type { LogSpan } from "./checkpoint.ts";
import type { RecoveredLog } from "./types.ts";

/** Address of an entry that a checkpoint promises and nothing has supplied yet. */
const MISSING = 0;
const FIRST_CAPACITY = 16;

/** A rolled-over part of the log: records of one journal file, in a file of the region's own. */
export interface Segment {
  readonly path: string;
  /** Journal file that the entries come from. */
  readonly sequence: number;
  /** Addresses are negative: offset in the file + base. */
  readonly base: number;
  readonly size: number;
}

export class RegionLog {
  readonly regionId: number;
  readonly replicaId: number;
  term = 0;
  vote = 0;
  prevIndex = 0;
  prevTerm = 0;
  lastIndex = 0;
  /** Ascending by sequence. */
  segments: Segment[] = [];
  #addresses = new Float64Array(FIRST_CAPACITY);
  #terms = new Float64Array(FIRST_CAPACITY);
  #lengths = new Uint32Array(FIRST_CAPACITY);
  /** Slot of prevIndex + 1. */
  #start = 0;

  constructor(regionId: number, replicaId: number) {
    this.regionId = regionId;
    this.replicaId = replicaId;
  }

  /** A log as a checkpoint describes it; its entries are missing until `put` or compaction. */
  static fromSpan(span: LogSpan): RegionLog {
    const log = new RegionLog(span.regionId, span.replicaId);
    log.term = span.term;
    log.vote = span.vote;
    log.reset(span.prevIndex, span.prevTerm);
    for (let index = span.prevIndex + 1; index <= span.lastIndex; index++) {
      log.put(index, MISSING, 0, span.lastTerm);
    }
    return log;
  }

  get lastTerm(): number {
    return this.lastIndex === this.prevIndex ? this.prevTerm : this.termAt(this.lastIndex);
  }

  /** The log in the words of the contract. */
  describe(): RecoveredLog {
    const { regionId, replicaId, prevIndex, prevTerm, lastIndex, lastTerm } = this;
    const hardState = { term: this.term, vote: this.vote };
    return { regionId, replicaId, hardState, prevIndex, prevTerm, lastIndex, lastTerm };
  }

  /** True when an entry at `index` leaves no gap and touches nothing that was cut. */
  accepts(index: number): boolean {
    return index > this.prevIndex && index <= this.lastIndex + 1;
  }

  /** Sets the entry at `index` (see `accepts`) and forgets every later one. */
  put(index: number, address: number, length: number, term: number): void {
    let slot = this.#start + index - this.prevIndex - 1;
    if (slot === this.#addresses.length) {
      this.#makeRoom();
      slot = this.#start + index - this.prevIndex - 1;
    }
    this.#addresses[slot] = address;
    this.#lengths[slot] = length;
    this.#terms[slot] = term;
    this.lastIndex = index;
  }

  /** Gives an entry another address, keeping what follows. */
  move(index: number, address: number, length: number, term: number): void {
    const slot = this.#slot(index);
    this.#addresses[slot] = address;
    this.#lengths[slot] = length;
    this.#terms[slot] = term;
  }

  reset(index: number, term: number): void {
    this.prevIndex = index;
    this.prevTerm = term;
    this.lastIndex = index;
    this.#start = 0;
  }

  /** Forgets entries <= index; a no-op below `prevIndex`, a reset above `lastIndex`. */
  compact(index: number, term: number): void {
    if (index <= this.prevIndex) return;
    if (index >= this.lastIndex) {
      this.reset(index, term);
      return;
    }
    this.#start += index - this.prevIndex;
    this.prevIndex = index;
    this.prevTerm = term;
  }

  addressAt(index: number): number {
    return this.#addresses[this.#slot(index)] ?? MISSING;
  }

  lengthAt(index: number): number {
    return this.#lengths[this.#slot(index)] ?? 0;
  }

  termAt(index: number): number {
    return this.#terms[this.#slot(index)] ?? 0;
  }

  /** First index whose entry lies at a journal address >= `address`; lastIndex + 1 when none. */
  firstIndexFrom(address: number): number {
    let low = this.prevIndex + 1;
    let high = this.lastIndex + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.addressAt(middle) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** First index that nothing supplied; 0 when the log is whole. */
  firstMissing(): number {
    for (let index = this.prevIndex + 1; index <= this.lastIndex; index++) {
      if (this.addressAt(index) === MISSING) return index;
    }
    return 0;
  }

  /** The segments that still hold a live entry. */
  liveSegments(): Set<Segment> {
    const live = new Set<Segment>();
    const end = this.firstIndexFrom(1);
    for (let index = this.prevIndex + 1; index < end; index++) {
      const segment = this.segmentOf(this.addressAt(index));
      if (segment !== undefined) live.add(segment);
    }
    return live;
  }

  segmentOf(address: number): Segment | undefined {
    return this.segments.find((s) => address >= s.base && address < s.base + s.size);
  }

  #slot(index: number): number {
    return this.#start + index - this.prevIndex - 1;
  }

  /** Slides live slots to the front when half are dead, else doubles: amortised constant. */
  #makeRoom(): void {
    const end = this.#addresses.length;
    if (this.#start > end / 2) {
      this.#addresses.copyWithin(0, this.#start, end);
      this.#terms.copyWithin(0, this.#start, end);
      this.#lengths.copyWithin(0, this.#start, end);
    } else {
      this.#addresses = grown(new Float64Array(end * 2), this.#addresses, this.#start);
      this.#terms = grown(new Float64Array(end * 2), this.#terms, this.#start);
      this.#lengths = grown(new Uint32Array(end * 2), this.#lengths, this.#start);
    }
    this.#start = 0;
  }
}

function grown<T extends Float64Array | Uint32Array>(to: T, from: T, start: number): T {
  to.set(from.subarray(start));
  return to;
}
