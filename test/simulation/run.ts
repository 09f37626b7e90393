// One seed of the simulated cluster, with the sizes every caller uses: the command line, the tests and
// the mutants run the same worlds.

import { noGather } from "../../actors/store/writer.ts";
import { seededRandom } from "./disk.ts";
import type { ProfileName } from "./profiles.ts";
import { outsidePromises } from "./timeline.ts";
import { World, type RunReport, type WorldOptions } from "./world.ts";

export interface SeedOptions {
  readonly seed: number;
  readonly nodes?: number;
  readonly profile?: ProfileName;
  /** Simulated hours; default: one round. */
  readonly hours?: number;
  /** Run the charts for hot events too; the same happens either way. */
  readonly pureActors?: boolean;
}

const rounds = {
  storm: { faultsMs: 15_000, load: { clients: 9, keys: 12, thinkMs: 80 } },
  clocks: { faultsMs: 15_000, load: { clients: 9, keys: 12, thinkMs: 80 } },
  waves: { faultsMs: 5_000, load: { clients: 14, keys: 12, thinkMs: 20 } },
  quiet: { faultsMs: 120_000, load: { clients: 4, keys: 12, thinkMs: 500 } },
} satisfies Record<ProfileName, Pick<WorldOptions, "faultsMs" | "load">>;

/** `StoreOptions`: like those of `deploy/start.ts`, or nobody waits for company. */
const waits = (profile: ProfileName): WorldOptions["waits"] =>
  profile === "waves"
    ? { applyGather: { delayMs: 20, maxBytes: 64 * 1024 }, waveMs: 2 }
    : { applyGather: noGather, waveMs: 0 };

/** Rejects with what went wrong. The same options give the same hash, anywhere. */
export function runSeed(options: SeedOptions): Promise<RunReport> {
  const world = createWorld(options);
  return outsidePromises(() => world.run());
}

/** What somebody types to see it again. */
export function againCommand({ seed, nodes = 5, profile = "storm", hours }: SeedOptions): string {
  const length = hours === undefined ? "" : ` --hours ${hours}`;
  return `npm run simulate -- --seed ${seed} --nodes ${nodes} --profile ${profile}${length}`;
}

function createWorld(options: SeedOptions): World {
  const { seed, nodes = 5, profile = "storm", hours, pureActors = false } = options;
  const { faultsMs, load } = rounds[profile];
  const sizes = seededRandom(seed ^ 0x5eed);
  const simulatedMs = hours === undefined ? faultsMs : hours * 3_600_000;
  return new World({
    seed,
    nodes,
    regions: profile === "quiet" ? 16 : 4 + Math.floor(sizes() * 5),
    replicas: Math.min(nodes, sizes() < 0.8 ? 3 : 5),
    cacheBytes: sizes() < 0.5 ? 512 : 64 * 1024,
    readMode: sizes() < 0.2 ? "quorum" : "lease",
    pureActors,
    waits: waits(profile),
    profile,
    rounds: Math.ceil(simulatedMs / faultsMs),
    faultsMs,
    load,
  });
}
