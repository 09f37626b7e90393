// A bounded queue in front of an actor that works in batches: at its cap it refuses and never grows.
// It sits between many senders and the one actor that empties it each turn; it neither schedules
// that turn nor tells senders anything but "full".

/** Caps of a mailbox; both at least 1. */
export interface MailboxLimits {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/** First in, first out, with a cap on items and one on their bytes. */
export class Mailbox<T> {
  readonly #limits: MailboxLimits;
  #items: T[] = [];
  #bytes = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  /** Items waiting. */
  get count(): number {
    return this.#items.length;
  }

  /** Bytes waiting, as the senders stated them. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes the item in, or answers false: full, nothing was kept. One item above the byte cap is let
   * in when nothing else waits, since it would never fit.
   */
  offer(item: T, bytes: number): boolean {
    if (this.#items.length >= this.#limits.maxItems) return false;
    if (this.#items.length > 0 && this.#bytes + bytes > this.#limits.maxBytes) return false;
    this.#items.push(item);
    this.#bytes += bytes;
    return true;
  }

  /** Everything that waits, in order; the array is the caller's. */
  takeAll(): T[] {
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    return items;
  }
}
