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

/** One run of a walk. A walk that was given back may come again: then it is another run. */
export interface WalkRun {
  readonly walk: RegionWalk;
}

interface Waiting {
  readonly run: WalkRun;
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
  readonly #running = new Set<WalkRun>();

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
    const run: WalkRun = { walk };
    this.#running.add(run);
    const index = this.#host.lastIndex;
    if (this.#host.appliedIndex >= index) this.#start(run, nowMs);
    else {
      this.#waiting.push({ run, index });
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
    for (const { run } of due) this.#start(run, this.#now());
  }

  /** The iterator is done: answers, after the removal of what it hid. */
  finish(run: WalkRun, { keys, next, expired }: WalkResult): void {
    if (!this.#running.has(run)) return;
    const settle = (error?: string): void => {
      if (!this.#running.delete(run)) return;
      run.walk.settle(error === undefined ? { keys, next } : { error });
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
    // Who takes one back may send it again at once.
    const runs = [...this.#running];
    this.#running.clear();
    for (const { walk } of runs) walk.settle({ error });
  }

  #start(run: WalkRun, nowMs: number): void {
    const engine = this.#ports.handles.engine?.engine;
    if (engine === undefined) return;
    const { applied } = this.#host;
    walkKeys(engine, run.walk, applied, Math.max(nowMs, applied.counters.maxNowMs)).then(
      (found) => this.#host.tellSelf({ type: "region.walked", run, found }),
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
