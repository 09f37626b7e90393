// Finds the large writes that a former leader began and never finished (`safety.md` 28): their
// staging records still stand, and no key names their chunks. Proposing what to do about them is
// the region's work.

import type { Engine } from "../../storage/engine.ts";
import type { Effect } from "../../storage/keyspace/effects.ts";
import { dataIdRange } from "../../storage/key-ranges.ts";
import { logicalKey, parseStagingKey, spaces } from "../../storage/keys.ts";
import type { RegionPorts } from "./region-ports.ts";

/** Stagings of one entry. */
const sliceRecords = 1000;

/**
 * Finds them and has them proposed, in lists for one entry each. To be called when the no-op of the
 * own term is applied and before anything is evaluated.
 */
export function dropStagings(
  { handles, onFatal }: Pick<RegionPorts, "handles" | "onFatal">,
  dataId: number,
  propose: (effects: Effect[]) => void,
): void {
  const engine = handles.engine?.engine;
  if (engine === undefined) return;
  abandonedStagings(engine, dataId).then(
    (entries) => {
      for (const effects of entries) propose(effects);
    },
    (error: unknown) => onFatal(error as Error),
  );
}

/** Effects that drop every staging the engine holds at the moment of the call. */
async function abandonedStagings(engine: Engine, dataId: number): Promise<Effect[][]> {
  const range = dataIdRange(spaces.staging, dataId);
  const iterator = engine.iterate({ ...range, keysOnly: true });
  const entries: Effect[][] = [];
  try {
    for (;;) {
      const records = await iterator.next(sliceRecords);
      if (records.length === 0) return entries;
      const effects: Effect[] = [];
      for (const record of records) {
        const key = logicalKey(record.key);
        effects.push({ type: "drop", ...parseStagingKey(key) }, { type: "del", key });
      }
      entries.push(effects);
    }
  } finally {
    await iterator.end();
  }
}
