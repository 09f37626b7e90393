// A cut of a real RocksDB under a writer that never rests: position, counters and records of every cut
// belong to one batch, also when a flush has moved the region between a look and the cut.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeCut } from "../../../actors/store/snapshot-cut.ts";
import { EngineWriter, noGather } from "../../../actors/store/writer.ts";
import { regionMetaOperation } from "../../../actors/store/apply.ts";
import { emptyCounters } from "../../../actors/store/recover.ts";
import { systemClock } from "../../../actors/system/clock.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Engine, WriteOperation } from "../../../storage/engine.ts";
import {
  chunkKey,
  metaKey,
  physicalKey,
  regionStateKey,
  withChecksum,
} from "../../../storage/keys.ts";
import type { RegionMeta } from "../../../storage/local-records.ts";
import { encodeRegionState } from "../../../storage/region-state.ts";
import { createRocksOpener } from "../../../storage/rocks.ts";

const regionId = 4;
let folder = "";
let engine: Engine;
let writer: EngineWriter;

const fail = (error: unknown): void => {
  throw error as Error;
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "spire-cut-"));
  engine = await createRocksOpener(folder).open();
  writer = new EngineWriter(
    engine,
    new Turn((run) => void setImmediate(run), fail),
    systemClock,
    noGather,
    fail,
  );
});

afterEach(async () => {
  await writer.stop();
  await engine.close();
  await rm(folder, { recursive: true });
});

const metaAt = (dataId: number): RegionMeta => ({
  regionId,
  replicaId: 1,
  extents: [{ fromPosition: 0, toPosition: 0xffffffff, dataId, controlDataId: 1 }],
  epoch: { version: 1, confVersion: 1 },
  membership: { voters: [1], learners: [] },
  membershipIndex: 0,
  peers: [],
});

/** Everything the batch at `index` leaves says `index`. */
function operationsAt(index: number, dataId: number): WriteOperation[] {
  const put = (logical: Buffer, value: Buffer, id = dataId): WriteOperation => ({
    type: "put",
    key: physicalKey(logical, id),
    value: withChecksum(logical, value),
  });
  const text = Buffer.from(String(index));
  return [
    put(metaKey(1, 1, 0, Buffer.from("first")), text),
    put(metaKey(0xffffffff, 1, 0, Buffer.from("last")), text),
    put(chunkKey(5, 5, 5), text),
    put(regionStateKey(regionId), encodeRegionState({ ...emptyCounters(), nextOid: index }), 1),
  ];
}

describe("a cut", () => {
  it("is of one batch", async () => {
    let index = 0;
    let dataId = 2;
    let going = true;
    const next = (): void => {
      if (!going) return;
      index++;
      // Now and then everything moves, as a flush does it.
      if (index % 7 === 0) dataId++;
      const operations = [...operationsAt(index, dataId), regionMetaOperation(metaAt(dataId))];
      const applied = { index, term: 1 };
      writer.submit({ regionId, operations, applied, sync: false, onDone: next });
    };
    next();
    await new Promise<void>((done) => writer.marker(() => done()));
    const seen = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const cut = await takeCut(engine, writer, metaAt(Math.max(2, dataId - (i % 3))));
      if (cut === undefined) continue;
      const values: string[] = [];
      for await (const slice of cut.records()) {
        for (const { stored } of slice)
          values.push(stored.toString("latin1", 0, stored.length - 4));
      }
      await cut.end();
      seen.add(cut.applied.index);
      const text = String(cut.applied.index);
      expect(values).toEqual([text, text, text]);
      expect(cut.counters.nextOid).toBe(cut.applied.index);
    }
    going = false;
    expect(seen.size).toBeGreaterThan(50);
  });
});
