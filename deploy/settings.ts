// The one table of settings: every flag, its environment names, its default and its meaning. The
// command line, the environment, the file and --print-config all read it, so that none of them can
// know a setting the others do not. It holds no values and reads no sources.

import {
  anyText,
  byteSize,
  duration,
  oneOf,
  onOff,
  plainName,
  someText,
  wholeNumber,
  type Parse,
} from "./values.ts";

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
  readonly parse: Parse<Config[K]>;
  readonly about: string;
  /** Never shown by --print-config. */
  readonly secret?: true;
}

const mebi = 1024 * 1024;
const port = wholeNumber(0, 65_535);

function row<K extends keyof Config>(
  setting: Omit<Setting<K>, "env">,
  ...aliases: string[]
): Setting<K> {
  return { ...setting, env: [setting.flag.replaceAll("-", "_").toUpperCase(), ...aliases] };
}

const rows = {
  nodeId: row({
    key: "nodeId",
    flag: "node-id",
    value: "<name>",
    fallback: "node1",
    parse: plainName,
    about: "name of this node, kept in the data directory",
  }),
  cluster: row({
    key: "cluster",
    flag: "cluster",
    value: "<name>",
    fallback: "spiredb",
    parse: plainName,
    about: "name of the cluster, kept in the data directory",
  }),
  bind: row({
    key: "bind",
    flag: "bind",
    value: "<address>",
    fallback: "127.0.0.1",
    parse: someText,
    about: "address of all listeners",
  }),
  port: row(
    {
      key: "port",
      flag: "port",
      value: "<port>",
      fallback: 6379,
      parse: port,
      about: "port for Redis clients, 0 = any free one",
    },
    "RESP_PORT",
  ),
  dataDir: row(
    {
      key: "dataDir",
      flag: "data-dir",
      value: "<dir>",
      fallback: "./data",
      parse: someText,
      about: "folder of everything this node keeps",
    },
    "DATA_PATH",
    "ROCKSDB_PATH",
  ),
  httpPort: row({
    key: "httpPort",
    flag: "http-port",
    value: "<port>",
    fallback: 9090,
    parse: port,
    about: "port of health checks and metrics, 0 = any free one",
  }),
  httpBind: row({
    key: "httpBind",
    flag: "http-bind",
    value: "<address>",
    fallback: "",
    parse: anyText,
    about: "address of the HTTP listener (default: as --bind)",
  }),
  httpToken: row({
    key: "httpToken",
    flag: "http-token",
    value: "<token>",
    fallback: "",
    parse: anyText,
    secret: true,
    about: "bearer token asked for on HTTP, health checks excepted",
  }),
  numRegions: row(
    {
      key: "numRegions",
      flag: "num-regions",
      value: "<count>",
      fallback: 16,
      parse: wholeNumber(1, 65_536),
      about: "regions of the key space, 1 to 65536, fixed at the first start",
    },
    "NUM_REGIONS",
  ),
  hashTags: row({
    key: "hashTags",
    flag: "hash-tags",
    value: "<on|off>",
    fallback: true,
    parse: onOff,
    about: "whether {tags} in keys choose the region, fixed at the first start",
  }),
  requirepass: row({
    key: "requirepass",
    flag: "requirepass",
    value: "<password>",
    fallback: "",
    parse: anyText,
    secret: true,
    about: "password that clients must give (AUTH)",
  }),
  maxClients: row(
    {
      key: "maxClients",
      flag: "maxclients",
      value: "<count>",
      fallback: 10_000,
      parse: wholeNumber(1, 1_000_000),
      about: "connections served at the same time",
    },
    "RESP_MAX_CONNECTIONS",
  ),
  idleTimeoutMs: row(
    {
      key: "idleTimeoutMs",
      flag: "idle-timeout",
      value: "<duration>",
      fallback: 0,
      parse: duration(86_400_000),
      about: "close a connection silent for this long, 0 = never",
    },
    "RESP_CONNECTION_TIMEOUT",
  ),
  logLevel: row({
    key: "logLevel",
    flag: "log-level",
    value: "<level>",
    fallback: "info",
    parse: oneOf(["debug", "info", "warning", "error"], { warn: "warning" }),
    about: "debug, info, warning or error",
  }),
  shutdownTimeoutMs: row({
    key: "shutdownTimeoutMs",
    flag: "shutdown-timeout",
    value: "<duration>",
    fallback: 10_000,
    parse: duration(3_600_000),
    about: "how long a drain may take",
  }),
  journalFileBytes: row(
    {
      key: "journalFileBytes",
      flag: "journal-file-size",
      value: "<size>",
      fallback: 64 * mebi,
      parse: byteSize(mebi, 4096 * mebi),
      about: "size a journal file is preallocated to",
    },
    "RAFT_WAL_MAX_SIZE",
  ),
  blockCacheBytes: row({
    key: "blockCacheBytes",
    flag: "block-cache-size",
    value: "<size>",
    fallback: 256 * mebi,
    parse: byteSize(mebi, 1_048_576 * mebi),
    about: "RocksDB's cache of blocks",
  }),
  recordCacheBytes: row({
    key: "recordCacheBytes",
    flag: "record-cache-size",
    value: "<size>",
    fallback: 64 * mebi,
    parse: byteSize(mebi, 1_048_576 * mebi),
    about: "cache of records in front of RocksDB",
  }),
  pureActors: row({
    key: "pureActors",
    flag: "pure-actors",
    value: "[on|off]",
    fallback: false,
    parse: onOff,
    about: "send every Raft event through the statechart (slow, for proofs)",
  }),
} satisfies { [K in keyof Config]: Setting<K> };

/** All settings, in the order of --help. */
export const settings: ReadonlyArray<Setting<keyof Config>> = Object.values(rows).map(
  (each) => each as unknown as Setting<keyof Config>,
);

/** SPIRE_ names of the original without a meaning here, with the reason told at the start. */
export const meaninglessEnvironment: Readonly<Record<string, string>> = {
  RAFT_DATA_DIR: "the Raft log lies inside the data directory; use SPIRE_DATA_DIR",
  RA_DATA_DIR: "the Raft log lies inside the data directory; use SPIRE_DATA_DIR",
  PD_DATA_DIR: "placement data lies inside the data directory; use SPIRE_DATA_DIR",
  PD_START_RAFT: "Raft always runs",
  RAFT_ELECTION_TIMEOUT: "a region with one voter elects itself at once",
  RAFT_HEARTBEAT_INTERVAL: "a region with one voter has nobody to send heartbeats to",
  ROCKSDB_MAX_OPEN_FILES: "the engine keeps its files open",
  DISCOVERY: "this version runs one node",
  CLUSTER_NODES: "this version runs one node",
  SERVICE_NAME: "this version runs one node",
  NAMESPACE: "this version runs one node",
  SEED_NODE: "this version runs one node",
  IS_SEED: "this version runs one node",
  MULTICAST_ADDR: "this version runs one node",
  DNS_QUERY: "this version runs one node",
  DIAG: "logs are set by SPIRE_LOG_LEVEL",
};
