// Walks over the keys of a region (SCAN, KEYS, RANDOMKEY). A walk starts when everything appended
// before it arrived is in the engine, so that an iterator alone sees it all, and hides no expired
// key before its removal is committed (`safety.md` 26).

import { decodeRecord } from "../../storage/keyspace/record-codec.ts";
import { metaRangeFrom } from "../../storage/key-ranges.ts";
import { checkedPhysicalValue, parsePhysicalMetaKey } from "../../storage/keys.ts";
import type { Engine } from "../../storage/engine.ts";
import { dataIdOfRegion, type AppliedState } from "./apply.ts";
import type { EvaluatorHost } from "./evaluator-host.ts";
import type { RegionExpire, RegionWalk } from "./protocol.ts";
import type { RegionPorts } from "./region-ports.ts";

const sliceKeys = 256;
const bucketsPerPosition = 65536;

/** What an iterator gave. */
export interface WalkResult {
  readonly keys: Buffer[];
  /** Cursor to go on from; undefined when the region is done. */
  readonly next: number | undefined;
  readonly expired: RegionExpire["due"];
}

interface Waiting {
  readonly walk: RegionWalk;
  /** Runs when this index is applied. */
  readonly index: number;
}

/** Done, but not yet proved to be a leader's answer. */
interface Unconfirmed {
  readonly round: number;
  settle(): void;
}

export class Walks {
  readonly #ports: RegionPorts;
  readonly #host: EvaluatorHost;
  readonly #now: () => number;
  readonly #expire: (due: RegionExpire["due"], settle: RegionExpire["settle"]) => void;
  #waiting: Waiting[] = [];
  #unconfirmed: Unconfirmed[] = [];
  readonly #running = new Set<RegionWalk>();

  constructor(
    ports: RegionPorts,
    host: EvaluatorHost,
    now: () => number,
    expire: (due: RegionExpire["due"], settle: RegionExpire["settle"]) => void,
  ) {
    this.#ports = ports;
    this.#host = host;
    this.#now = now;
    this.#expire = expire;
  }

  begin(walk: RegionWalk, nowMs: number): void {
    this.#running.add(walk);
    const index = this.#host.lastIndex;
    if (this.#host.appliedIndex >= index) this.#start(walk, nowMs);
    else {
      this.#waiting.push({ walk, index });
      this.#ports.handles.engine?.writer.hurry();
    }
  }

  /** A walk waits until the engine has caught up. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  applied(index: number): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter((waiting) => waiting.index <= index);
    this.#waiting = this.#waiting.filter((waiting) => waiting.index > index);
    for (const { walk } of due) this.#start(walk, this.#now());
  }

  /** The iterator is done: answers, after the removal of what it hid. */
  finish(walk: RegionWalk, { keys, next, expired }: WalkResult): void {
    if (!this.#running.has(walk)) return;
    const settle = (error?: string): void => {
      if (!this.#running.delete(walk)) return;
      walk.settle(error === undefined ? { keys, next } : { error });
    };
    if (expired.length > 0) {
      this.#expire(expired, settle);
      return;
    }
    // Asked now, after the walk arrived and ran: what it saw is then not older than its question.
    const round = this.#host.readGate();
    if (round === 0) settle();
    else this.#unconfirmed.push({ round, settle });
  }

  /** Acknowledged heartbeats have come in. */
  confirmed(): void {
    if (this.#unconfirmed.length === 0) return;
    const done = this.#unconfirmed.filter(({ round }) => this.#host.isConfirmed(round));
    this.#unconfirmed = this.#unconfirmed.filter((walk) => !done.includes(walk));
    for (const walk of done) walk.settle();
  }

  abandon(error: string): void {
    this.#waiting = [];
    this.#unconfirmed = [];
    for (const walk of this.#running) walk.settle({ error });
    this.#running.clear();
  }

  #start(walk: RegionWalk, nowMs: number): void {
    const engine = this.#ports.handles.engine?.engine;
    if (engine === undefined) return;
    const { applied } = this.#host;
    walkKeys(engine, walk, applied, Math.max(nowMs, applied.counters.maxNowMs)).then(
      (found) => this.#host.tellSelf({ type: "region.walked", walk, found }),
      (error: unknown) => this.#ports.onFatal(error as Error),
    );
  }
}

async function walkKeys(
  engine: Engine,
  walk: RegionWalk,
  applied: AppliedState,
  nowMs: number,
): Promise<WalkResult> {
  const { fromPosition, toPosition } = applied.meta.extents[0] ?? {
    fromPosition: 0,
    toPosition: 0,
  };
  const slot = applied.counters.slots[walk.db] ?? walk.db;
  const from = Math.max(walk.cursor, fromPosition * bucketsPerPosition);
  const iterator = engine.iterate(metaRangeFrom(dataIdOfRegion(applied.meta), from, toPosition));
  const keys: Buffer[] = [];
  const expired: Array<RegionExpire["due"][number]> = [];
  let examined = 0;
  let lastCursor = -1;
  try {
    for (;;) {
      const slice = await iterator.next(sliceKeys);
      if (slice.length === 0) return { keys, next: undefined, expired };
      for (const { key: physical, value } of slice) {
        const meta = parsePhysicalMetaKey(physical);
        const cursor = meta.position * bucketsPerPosition + meta.bucket;
        // A bucket is never cut: its keys share one cursor (`data.md` 2.4).
        if (examined >= walk.count && cursor !== lastCursor) {
          return { keys, next: cursor, expired };
        }
        lastCursor = cursor;
        examined++;
        if (meta.slot !== slot) continue;
        const record = decodeRecord(checkedPhysicalValue(physical, value));
        if (record.expireAtMs !== 0 && record.expireAtMs <= nowMs) {
          expired.push({ slot, key: meta.key });
        } else if (walk.accepts(meta.key, record.type)) {
          keys.push(meta.key);
        }
      }
    }
  } finally {
    await iterator.end();
  }
}
