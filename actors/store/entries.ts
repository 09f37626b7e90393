// Makes log entries of what an evaluator leaves: batches of commands, effects that belong to no
// command, and fragments of large writes. It counts what the engine does not hold yet, so that the
// evaluator can wait for it; what the effects mean is not its business.

import assert from "node:assert/strict";
import { EntryEncoder } from "../../storage/codec.ts";
import type { Effect, RegionState } from "../../storage/keyspace/effects.ts";
import type { Keyspace } from "../../storage/keyspace/keyspace.ts";
import { Backlog } from "./backlog.ts";
import type { EvaluatorHost } from "./evaluator-host.ts";
import type { RegionMemory } from "./memory.ts";
import type { RegionPorts } from "./region-ports.ts";
import type { StagedStream } from "./staged-stream.ts";

/** Unapplied bytes of a region above which it evaluates nothing: its clients wait. */
const backlogBytesMax = 16 * 1024 * 1024;

/** One for all regions: a batch is encoded within one synchronous step. */
const encoder = new EntryEncoder();

export class Entries {
  readonly #ports: RegionPorts;
  readonly #host: EvaluatorHost;
  readonly #memory: RegionMemory;
  readonly #backlog = new Backlog();
  #extraEffects: Effect[] = [];

  constructor(ports: RegionPorts, host: EvaluatorHost, memory: RegionMemory) {
    this.#ports = ports;
    this.#host = host;
    this.#memory = memory;
  }

  /** So much waits for the engine that nothing more is to be evaluated. */
  get isFull(): boolean {
    return this.#backlog.bytes > backlogBytesMax;
  }

  /** The engine should hurry. */
  get isBehind(): boolean {
    return this.#backlog.bytes > backlogBytesMax / 8;
  }

  /** Effects beside those of the batch's commands; they go with its entry. */
  add(effects: readonly Effect[]): void {
    this.#extraEffects.push(...effects);
  }

  /** The batch's effects become one entry, if there are any; what it read stays valid in the overlay. */
  close(keyspace: Keyspace): RegionState | undefined {
    const state = keyspace.changedState();
    const extra = this.#extraEffects;
    if (keyspace.effects.length === 0 && extra.length === 0 && state === undefined)
      return undefined;
    encoder.reset(keyspace.nowMs);
    for (const effect of keyspace.effects) encoder.effect(effect);
    for (const effect of extra) encoder.effect(effect);
    if (extra.length > 0) this.#extraEffects = [];
    if (state !== undefined) encoder.state(state);
    this.#memory.appended(keyspace, this.#append());
    return state;
  }

  /** Appends the next fragments of staged writes, as long as the engine keeps up. */
  sendFragments(streams: Iterable<StagedStream>, nowMs: number): void {
    for (const stream of streams) {
      while (stream.isSending && this.#backlog.bytes < backlogBytesMax / 4) {
        encoder.reset(nowMs);
        for (const effect of stream.nextFragment()) encoder.effect(effect);
        stream.sentAt(this.#append());
      }
    }
  }

  /** The engine holds everything up to `index`. */
  applied(index: number): void {
    this.#backlog.applied(index);
  }

  /** Another term: what was appended in an earlier one may never be applied. */
  clear(): void {
    this.#extraEffects = [];
    this.#backlog.clear();
  }

  #append(): number {
    const payload = encoder.finish();
    const expected = this.#host.lastIndex + 1;
    const index = this.#host.propose(payload);
    assert.equal(index, expected, "replies were promised this index");
    this.#backlog.appended(index, payload.length);
    this.#ports.counters.entries++;
    return index;
  }
}
