// A store that holds keys and has none of them in memory, as after a restart. What is then asked of it
// is the tests' business.

import { StoreWorld } from "../../simulation/store-world.ts";

/** One region, restarted after these lines; commands as `StoreWorld.ask` takes them. */
export async function coldStore(seed: number, ...lines: string[]): Promise<StoreWorld> {
  const options = { seed, regions: 1, cacheBytes: 1_000_000, journalFileBytes: 4 * 1024 * 1024 };
  const world = await new StoreWorld(options).start();
  for (const line of lines) await world.ask(line);
  await world.settle();
  world.crash(false);
  return world.start();
}
