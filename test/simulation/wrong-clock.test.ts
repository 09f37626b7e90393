// A node whose wall clock is an hour ahead from its start, among nodes that are right: whatever it is
// asked or offered, no region ever goes by its time (`safety.md` 26).

import { expect, test } from "vitest";
import { noGather } from "../../actors/store/writer.ts";
import { outsidePromises } from "./timeline.ts";
import { World } from "./world.ts";

test.each([1, 2, 3])(
  "no region learns the time of a node that is ahead (seed %i)",
  async (seed) => {
    const world = new World({
      seed,
      nodes: 3,
      regions: 4,
      replicas: 3,
      cacheBytes: 64 * 1024,
      readMode: "lease",
      pureActors: false,
      waits: { applyGather: noGather, waveMs: 0 },
      profile: "quiet",
      rounds: 1,
      faultsMs: 15_000,
      load: { clients: 6, keys: 12, thinkMs: 40 },
    });
    world.nodes[0]!.clock.wallErrorMs = 3_600_000;
    await outsidePromises(() => world.run());
    const nowMs = Math.max(...world.nodes.map(({ clock }) => clock.wallMs()));
    const latestMs = world.nodes.flatMap(({ process }) =>
      process!.store.directory.all().map(({ region }) => region!.applied.counters.maxNowMs),
    );
    expect(Math.max(...latestMs)).toBeGreaterThan(nowMs - 60_000);
    expect(Math.max(...latestMs)).toBeLessThan(nowMs + 5000);
  },
);
