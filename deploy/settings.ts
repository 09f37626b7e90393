// The one table of settings: every flag, its environment names, its default and its meaning. The
// command line, the environment, the file and --print-config all read it, so that none of them can
// know a setting the others do not. It holds no values and reads no sources.

import { clusterRows } from "./cluster-settings.ts";
import { row, type Config, type Setting } from "./setting.ts";
import {
  anyText,
  byteSize,
  duration,
  oneOf,
  onOff,
  plainName,
  someText,
  wholeNumber,
} from "./values.ts";

const mebi = 1024 * 1024;
const port = wholeNumber(0, 65_535);

const rows = {
  nodeId: row({
    key: "nodeId",
    flag: "node-id",
    value: "<name>",
    fallback: "node1",
    parse: plainName,
    about: "name of this node, kept in the data directory",
    fallbackText: "node1; with --nats the host's name and 8 random digits",
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
  ...clusterRows,
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
  scheduling: row({
    key: "scheduling",
    flag: "scheduling",
    value: "<policy>",
    fallback: "auto",
    parse: oneOf(["auto", "batch", "inherit"]),
    about:
      "batch: who wakes breaks off nobody's turn (Linux); inherit: as started; auto: batch with --nats",
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

const overNats = "nodes find each other over NATS (--nats)";

/** SPIRE_ names of the original without a meaning here, with the reason told at the start. */
export const meaninglessEnvironment: Readonly<Record<string, string>> = {
  RAFT_DATA_DIR: "the Raft log lies inside the data directory; use SPIRE_DATA_DIR",
  RA_DATA_DIR: "the Raft log lies inside the data directory; use SPIRE_DATA_DIR",
  PD_DATA_DIR: "placement data lies inside the data directory; use SPIRE_DATA_DIR",
  PD_START_RAFT: "Raft always runs",
  ROCKSDB_MAX_OPEN_FILES: "the engine keeps its files open",
  DISCOVERY: overNats,
  SERVICE_NAME: overNats,
  NAMESPACE: overNats,
  SEED_NODE: overNats,
  IS_SEED: overNats,
  MULTICAST_ADDR: overNats,
  DNS_QUERY: overNats,
  DIAG: "logs are set by SPIRE_LOG_LEVEL",
};
