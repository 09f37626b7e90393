// What a node is started with, and what the table of settings says about each of it. Between the
// files that hold the rows and everything that reads a resolved `Config`; it holds no row itself.

import type { ReadMode } from "../actors/store/protocol.ts";
import type { Scheduling } from "./scheduling.ts";
import type { Parse } from "./values.ts";

/** Everything a node is started with. Units are in the names; frozen once resolved. */
export interface Config {
  readonly nodeId: string;
  readonly cluster: string;
  /** Address every listener binds to. */
  readonly bind: string;
  /** RESP port; 0 = any free one. */
  readonly port: number;
  readonly dataDir: string;
  /** Address of the HTTP listener; "" = as `bind`. */
  readonly httpBind: string;
  /** HTTP port; 0 = any free one. */
  readonly httpPort: number;
  /** Bearer token asked for on HTTP (health checks excepted); "" = none. */
  readonly httpToken: string;
  /** Servers of the NATS that joins this node to others, "nats://host:port"; none = it stays alone. */
  readonly nats: readonly string[];
  readonly natsUser: string;
  readonly natsPassword: string;
  /** Paths; "" = not used. */
  readonly natsCreds: string;
  readonly natsNkey: string;
  readonly natsTlsCa: string;
  readonly natsTlsCert: string;
  readonly natsTlsKey: string;
  /** The first so many nodes form the cluster; 0 = not set. */
  readonly bootstrapExpect: number;
  /** Exactly these nodes form the cluster; none = not set. */
  readonly initialNodes: readonly string[];
  /** Nodes that keep each region, where there are as many. */
  readonly replicas: number;
  readonly readMode: ReadMode;
  /** Regions the key space is cut into, 1..65536; fixed at the first start. */
  readonly numRegions: number;
  /** Whether {tags} in keys choose the region; fixed at the first start. */
  readonly hashTags: boolean;
  readonly requirepass: string;
  readonly maxClients: number;
  /** A connection silent for this long is closed; 0 = never. */
  readonly idleTimeoutMs: number;
  readonly logLevel: "debug" | "info" | "warning" | "error";
  /** How long a drain may take before the process ends anyway. */
  readonly shutdownTimeoutMs: number;
  /** Bytes a journal file is preallocated to. */
  readonly journalFileBytes: number;
  /** Bytes of RocksDB's block cache. */
  readonly blockCacheBytes: number;
  /** Bytes of the cache of decoded records in front of RocksDB. */
  readonly recordCacheBytes: number;
  /** Whether the node's threads may take the processor from others when they wake. */
  readonly scheduling: Scheduling;
  /** Sends every Raft event through the statechart (slow, for proofs that both ways agree). */
  readonly pureActors: boolean;
}

/** One row of the table. */
export interface Setting<K extends keyof Config> {
  readonly key: K;
  /** Long flag without dashes; also the key in the TOML file. */
  readonly flag: string;
  /** Placeholder shown in --help. */
  readonly value: string;
  /** Names after SPIRE_; the first is the flag's own. */
  readonly env: readonly string[];
  readonly fallback: Config[K];
  /** What --help says of the default where the value does not say it. */
  readonly fallbackText?: string;
  readonly parse: Parse<Config[K]>;
  readonly about: string;
  /** Never shown by --print-config. */
  readonly secret?: true;
}

/** A row; its flag gives the first environment name. `aliases` are further ones. */
export function row<K extends keyof Config>(
  setting: Omit<Setting<K>, "env">,
  ...aliases: string[]
): Setting<K> {
  return { ...setting, env: [setting.flag.replaceAll("-", "_").toUpperCase(), ...aliases] };
}
