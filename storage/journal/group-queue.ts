// What waits to be written and what is being written: two buffers that change places, each with the
// callbacks of its group. Gives every record its address at once, before its file is known. Touches
// no disk.

import type { FileIdentity } from "./file-header.ts";
import { GroupBuffer } from "./group.ts";
import type { OnDurable } from "./types.ts";

export class GroupQueue {
  /** Address of the next group's first byte. */
  nextAddress: number;
  /** Records up to here are durable. */
  durableLsn: number;
  #waiting = new GroupBuffer();
  #waitingCallbacks: OnDurable[] = [];
  #spare = new GroupBuffer();
  #flying: GroupBuffer | undefined;
  #flyingAddress = 0;
  #flyingCallbacks: OnDurable[] = [];

  constructor(nextAddress: number, durableLsn: number) {
    this.nextAddress = nextAddress;
    this.durableLsn = durableLsn;
  }

  get isFlying(): boolean {
    return this.#flying !== undefined;
  }

  get isEmpty(): boolean {
    return this.#waiting.count === 0;
  }

  /** LSN of the next record added. */
  get nextLsn(): number {
    return this.durableLsn + (this.#flying?.count ?? 0) + this.#waiting.count + 1;
  }

  /** Length of the waiting group on disk. */
  get sealedLength(): number {
    return this.#waiting.sealedLength;
  }

  /** Address behind everything queued. */
  get endAddress(): number {
    return this.nextAddress + this.#waiting.length;
  }

  /** Queues a record; returns its address. */
  add(
    type: number,
    kind: number,
    regionId: number,
    replicaId: number,
    a: number,
    b: number,
    payload: Buffer | undefined,
  ): number {
    const at = this.#waiting.add(type, kind, regionId, replicaId, a, b, payload);
    return this.nextAddress + at;
  }

  /** Queues a record that is bytes already; returns its address. */
  addSealed(record: Buffer): number {
    return this.nextAddress + this.#waiting.addSealed(record);
  }

  /** Calls back when the records queued so far are durable. */
  notify(onDurable: OnDurable): void {
    this.#waitingCallbacks.push(onDurable);
  }

  /** Turns what waits into the group in flight; its bytes stay untouched until `land`. */
  launch(identity: FileIdentity): Buffer {
    const group = this.#waiting;
    const bytes = group.seal(identity, this.durableLsn + 1, this.durableLsn);
    this.#flying = group;
    this.#flyingAddress = this.nextAddress;
    this.#flyingCallbacks = this.#waitingCallbacks;
    this.#waitingCallbacks = [];
    this.#waiting = this.#spare;
    this.nextAddress += bytes.length;
    return bytes;
  }

  /** The group in flight is durable: returns what to call, in order. */
  land(): OnDurable[] {
    const group = this.#flying;
    if (group === undefined) return [];
    this.durableLsn += group.count;
    group.clear();
    this.#spare = group;
    this.#flying = undefined;
    const callbacks = this.#flyingCallbacks;
    this.#flyingCallbacks = [];
    return callbacks;
  }

  /** A copy of bytes that are still in memory; undefined when they are in a file. */
  copyAt(address: number, length: number): Buffer | undefined {
    if (address >= this.nextAddress) {
      return copyOf(this.#waiting, address - this.nextAddress, length);
    }
    if (this.#flying !== undefined && address >= this.#flyingAddress) {
      return copyOf(this.#flying, address - this.#flyingAddress, length);
    }
    return undefined;
  }
}

function copyOf(group: GroupBuffer, at: number, length: number): Buffer {
  return Buffer.from(group.bytes.subarray(at, at + length));
}
