// Single commands that change more than one log entry holds: what they acknowledge is there whole, in
// memory and in the engine, however often they touch one chunk; and each of them ends.

import { describe, expect, it } from "vitest";
import { chunkBytes } from "../../../storage/keyspace/strings.ts";
import { StoreWorld } from "../../simulation/store-world.ts";

const start = (seed: number): Promise<StoreWorld> =>
  new StoreWorld({
    seed,
    regions: 1,
    cacheBytes: 1_000_000,
    journalFileBytes: 4 * 1024 * 1024,
  }).start();

const words = (list: readonly string[]): Buffer[] => list.map((word) => Buffer.from(word));

/** The last bytes of this many chunks, as bit offsets. */
const chunkEnds = (chunks: number, bytesEach: number): number[] =>
  Array.from({ length: chunks * bytesEach }, (_, i) => {
    const chunk = Math.floor(i / bytesEach);
    return (chunk * chunkBytes + chunkBytes - 1 - (i % bytesEach)) * 8;
  });

describe("a BITFIELD that makes a long string", () => {
  it("loses no field, whichever chunk it puts more than once", async () => {
    for (const [chunks, bytesEach] of [
      [20, 1],
      [100, 1],
      [20, 2],
      [100, 2],
      [300, 1],
    ] as const) {
      const world = await start(1);
      const offsets = chunkEnds(chunks, bytesEach);
      const set = offsets.flatMap((at) => ["SET", "u8", String(at), "7"]);
      const get = offsets.flatMap((at) => ["GET", "u8", String(at)]);
      const before = await world.ask(words(["BITFIELD", "fresh", ...set]));
      expect(before).toEqual(offsets.map(() => 0));
      const wanted = offsets.map(() => 7);
      expect(await world.ask(words(["BITFIELD_RO", "fresh", ...get]))).toEqual(wanted);
      await world.settle();
      expect(await world.ask(words(["BITFIELD_RO", "fresh", ...get]))).toEqual(wanted);
      expect(await world.longestEntry()).toBeLessThanOrEqual(512 * 1024);
    }
  });
});
