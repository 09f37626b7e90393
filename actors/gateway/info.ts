// The text of INFO: every section and field that clients, redis-cli --stat and monitoring tools read
// (https://redis.io/docs/latest/commands/info/), filled with what is true here. It stands between
// the INFO command and the gateway's counters; the keys per database come from the regions.

import { arch, platform, release } from "node:os";
import { cpuUsage, memoryUsage, pid, version as nodeVersion } from "node:process";

import type { Gateway } from "./gateway.ts";
import { askAll } from "./scatter.ts";
import { sizesOfRegion } from "./walks.ts";

type Field = readonly [string, string | number];

/** The Redis whose behaviour is promised; clients switch features on by it. */
export const redisVersion = "7.2.4";

const defaultSections = [
  "server",
  "clients",
  "memory",
  "persistence",
  "stats",
  "replication",
  "cpu",
  "modules",
  "errorstats",
  "cluster",
  "keyspace",
  "raft",
  "regions",
];
const allSections = [...defaultSections.slice(0, 8), "commandstats", ...defaultSections.slice(8)];

/** Keys per logical database. */
type Sizes = readonly number[];

const writers: Readonly<Record<string, (gateway: Gateway, sizes: Sizes) => readonly Field[]>> = {
  server,
  clients,
  memory,
  persistence,
  stats,
  replication,
  cpu,
  modules: () => [],
  commandstats,
  errorstats,
  cluster: () => [["cluster_enabled", 0]],
  keyspace: (_gateway, sizes) => keyspace(sizes),
  raft,
  regions,
};

/** Writes these sections, in INFO's own order; unknown names are ignored, as Redis does. */
export function writeInfo(
  gateway: Gateway,
  sections: readonly string[],
  done: (text: string) => void,
): void {
  const wanted = chosen(sections);
  const write = (sizes: Sizes) => done(render(gateway, wanted, sizes));
  if (!wanted.includes("keyspace")) return write([]);
  const arrivedAtMs = gateway.clock.monotonicMs();
  const origin = { db: 0, sessionId: 0, arrivedAtMs, lastExecuted: () => 0 };
  askAll(sizesOfRegion, gateway.routes.all(), origin, (replies) => {
    const sizes = Array.from({ length: 16 }, () => 0);
    for (const reply of replies ?? []) {
      if (!Array.isArray(reply)) continue;
      for (let db = 0; db < sizes.length; db += 1) sizes[db] = (sizes[db] ?? 0) + Number(reply[db]);
    }
    write(sizes);
  });
}

function chosen(sections: readonly string[]): readonly string[] {
  const asked = new Set<string>();
  for (const section of sections.length === 0 ? ["default"] : sections) {
    if (section === "default") for (const name of defaultSections) asked.add(name);
    else if (section === "all" || section === "everything") {
      for (const name of allSections) asked.add(name);
    } else asked.add(section);
  }
  return allSections.filter((name) => asked.has(name));
}

function render(gateway: Gateway, sections: readonly string[], sizes: Sizes): string {
  const blocks = sections.map((section) => {
    const fields = writers[section]?.(gateway, sizes) ?? [];
    const word = section === "cpu" ? "CPU" : section.charAt(0).toUpperCase() + section.slice(1);
    const title = `# ${word}\r\n`;
    return title + fields.map(([name, value]) => `${name}:${value}\r\n`).join("");
  });
  return blocks.join("\r\n");
}

function server(gateway: Gateway): readonly Field[] {
  const nowMs = gateway.clock.wallMs();
  const uptimeSeconds = Math.floor((nowMs - gateway.startedAtMs) / 1000);
  return [
    ["redis_version", redisVersion],
    ["redis_git_sha1", "00000000"],
    ["redis_git_dirty", 0],
    ["redis_build_id", "0"],
    ["redis_mode", "standalone"],
    ["spiredb_version", gateway.version],
    ["node_id", gateway.nodeId],
    ["node_version", nodeVersion],
    ["os", `${platform()} ${release()} ${arch()}`],
    ["arch_bits", 64],
    ["monotonic_clock", "POSIX clock_gettime"],
    ["multiplexing_api", "libuv"],
    ["process_id", pid],
    ["process_supervised", "no"],
    ["run_id", runId(gateway)],
    ["tcp_port", gateway.settings.text("port")],
    ["server_time_usec", Math.floor(nowMs * 1000)],
    ["uptime_in_seconds", uptimeSeconds],
    ["uptime_in_days", Math.floor(uptimeSeconds / 86_400)],
    ["hz", gateway.settings.text("hz")],
    ["configured_hz", gateway.settings.text("hz")],
    ["lru_clock", Math.floor(nowMs / 1000) % 16_777_216],
    ["executable", ""],
    ["config_file", ""],
    ["io_threads_active", 0],
  ];
}

/** Forty hexadecimal digits, as tools expect; the same for the life of the process. */
function runId(gateway: Gateway): string {
  const seed = `${gateway.nodeId}:${gateway.startedAtMs}:${pid}`;
  return Buffer.from(seed).toString("hex").padEnd(40, "0").slice(0, 40);
}

function clients(gateway: Gateway): readonly Field[] {
  let inputMax = 0;
  let outputMax = 0;
  for (const connection of gateway.connections.values()) {
    const line = connection.line();
    inputMax = Math.max(inputMax, line.queryBytes);
    outputMax = Math.max(outputMax, line.outputBytes);
  }
  return [
    ["connected_clients", gateway.connections.size],
    ["cluster_connections", 0],
    ["maxclients", gateway.settings.text("maxclients")],
    ["client_recent_max_input_buffer", inputMax],
    ["client_recent_max_output_buffer", outputMax],
    ["blocked_clients", 0],
    ["tracking_clients", 0],
    ["clients_in_timeout_table", 0],
    ["total_blocking_keys", 0],
    ["total_blocking_keys_on_nokey", 0],
  ];
}

let peakBytes = 0;

function memory(gateway: Gateway): readonly Field[] {
  const usage = memoryUsage();
  // What the process allocated for itself: the JS heap and what hangs on it.
  const used = usage.heapUsed + usage.external;
  peakBytes = Math.max(peakBytes, used);
  const maxmemory = gateway.settings.number("maxmemory");
  return [
    ["used_memory", used],
    ["used_memory_human", human(used)],
    ["used_memory_rss", usage.rss],
    ["used_memory_rss_human", human(usage.rss)],
    ["used_memory_peak", peakBytes],
    ["used_memory_peak_human", human(peakBytes)],
    ["used_memory_peak_perc", `${((used * 100) / peakBytes).toFixed(2)}%`],
    ["used_memory_overhead", usage.heapUsed],
    ["used_memory_startup", 0],
    ["used_memory_dataset", usage.external],
    ["used_memory_dataset_perc", `${((usage.external * 100) / used).toFixed(2)}%`],
    ["used_memory_lua", 0],
    ["used_memory_lua_human", "0B"],
    ["used_memory_scripts", 0],
    ["used_memory_scripts_human", "0B"],
    ["number_of_cached_scripts", 0],
    ["maxmemory", maxmemory],
    ["maxmemory_human", human(maxmemory)],
    ["maxmemory_policy", gateway.settings.text("maxmemory-policy")],
    ["mem_fragmentation_ratio", (usage.rss / used).toFixed(2)],
    ["mem_fragmentation_bytes", usage.rss - used],
    ["mem_not_counted_for_evict", 0],
    ["mem_clients_slaves", 0],
    ["mem_clients_normal", 0],
    ["mem_aof_buffer", 0],
    ["mem_allocator", "libc"],
    ["active_defrag_running", 0],
    ["lazyfree_pending_objects", 0],
    ["lazyfreed_objects", 0],
  ];
}

function human(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const steps = ["K", "M", "G", "T"];
  let value = bytes / 1024;
  let at = 0;
  while (value >= 1024 && at < steps.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${value.toFixed(2)}${steps[at] ?? ""}`;
}

function persistence(gateway: Gateway): readonly Field[] {
  return [
    ["loading", 0],
    ["async_loading", 0],
    ["current_cow_peak", 0],
    ["current_cow_size", 0],
    ["current_fork_perc", "0.00"],
    ["current_save_keys_processed", 0],
    ["current_save_keys_total", 0],
    ["rdb_changes_since_last_save", 0],
    ["rdb_bgsave_in_progress", 0],
    ["rdb_last_save_time", gateway.store.lastSaveSeconds()],
    ["rdb_last_bgsave_status", "ok"],
    ["rdb_last_bgsave_time_sec", -1],
    ["rdb_current_bgsave_time_sec", -1],
    ["rdb_saves", 0],
    ["rdb_last_cow_size", 0],
    ["rdb_last_load_keys_expired", 0],
    ["rdb_last_load_keys_loaded", 0],
    // Every change is in a synced log before its reply: what these fields ask about.
    ["aof_enabled", 1],
    ["aof_rewrite_in_progress", 0],
    ["aof_rewrite_scheduled", 0],
    ["aof_last_rewrite_time_sec", -1],
    ["aof_current_rewrite_time_sec", -1],
    ["aof_last_bgrewrite_status", "ok"],
    ["aof_rewrites", 0],
    ["aof_last_write_status", "ok"],
    ["aof_last_cow_size", 0],
    ["module_fork_in_progress", 0],
    ["module_fork_last_cow_size", 0],
  ];
}

const kilobytes = (bytes: number): string => (bytes / 1024).toFixed(2);

function stats(gateway: Gateway): readonly Field[] {
  const { statistics } = gateway;
  const counters = gateway.store.counters();
  return [
    ["total_connections_received", statistics.connectionsReceived],
    ["total_commands_processed", statistics.commandsProcessed],
    ["instantaneous_ops_per_sec", statistics.opsPerSecond],
    ["total_net_input_bytes", statistics.bytesIn],
    ["total_net_output_bytes", statistics.bytesOut],
    ["total_net_repl_input_bytes", 0],
    ["total_net_repl_output_bytes", 0],
    ["instantaneous_input_kbps", kilobytes(statistics.bytesInPerSecond)],
    ["instantaneous_output_kbps", kilobytes(statistics.bytesOutPerSecond)],
    ["rejected_connections", statistics.connectionsRejected],
    ["sync_full", 0],
    ["sync_partial_ok", 0],
    ["sync_partial_err", 0],
    ["expired_keys", counters.expiredKeys],
    ["expired_stale_perc", "0.00"],
    ["expired_time_cap_reached_count", 0],
    ["evicted_keys", 0],
    ["evicted_clients", 0],
    ["keyspace_hits", counters.keyspaceHits],
    ["keyspace_misses", counters.keyspaceMisses],
    ["pubsub_channels", 0],
    ["pubsub_patterns", 0],
    ["pubsubshard_channels", 0],
    ["latest_fork_usec", 0],
    ["total_forks", 0],
    ["migrate_cached_sockets", 0],
    ["total_error_replies", statistics.errorReplies],
    ["unexpected_error_replies", 0],
    ["total_reads_processed", statistics.commandsProcessed],
    ["client_query_buffer_limit_disconnections", statistics.queryLimitClosed],
    ["client_output_buffer_limit_disconnections", statistics.outputLimitClosed],
  ];
}

function replication(): readonly Field[] {
  return [
    ["role", "master"],
    ["connected_slaves", 0],
    ["master_failover_state", "no-failover"],
    ["master_replid", "0".repeat(40)],
    ["master_replid2", "0".repeat(40)],
    ["master_repl_offset", 0],
    ["second_repl_offset", -1],
    ["repl_backlog_active", 0],
    ["repl_backlog_size", 1_048_576],
    ["repl_backlog_first_byte_offset", 0],
    ["repl_backlog_histlen", 0],
  ];
}

function cpu(): readonly Field[] {
  const { user, system } = cpuUsage();
  return [
    ["used_cpu_sys", (system / 1e6).toFixed(6)],
    ["used_cpu_user", (user / 1e6).toFixed(6)],
    ["used_cpu_sys_children", "0.000000"],
    ["used_cpu_user_children", "0.000000"],
  ];
}

function commandstats(gateway: Gateway): readonly Field[] {
  return Array.from(gateway.statistics.commands(), (one): Field => {
    const perCall = one.calls === 0 ? 0 : one.microseconds / one.calls;
    const value =
      `calls=${one.calls},usec=${Math.round(one.microseconds)},` +
      `usec_per_call=${perCall.toFixed(2)},rejected_calls=${one.rejected},` +
      `failed_calls=${one.failed}`;
    return [`cmdstat_${one.name}`, value];
  });
}

function errorstats(gateway: Gateway): readonly Field[] {
  return Array.from(gateway.statistics.errors(), ([code, count]): Field => [
    `errorstat_${code}`,
    `count=${count}`,
  ]);
}

function keyspace(sizes: Sizes): readonly Field[] {
  const fields: Field[] = [];
  sizes.forEach((keys, db) => {
    if (keys > 0) fields.push([`db${db}`, `keys=${keys},expires=0,avg_ttl=0`]);
  });
  return fields;
}

function raft(gateway: Gateway): readonly Field[] {
  const lines = gateway.store.regions();
  const led = lines.filter((line) => line.leader === gateway.nodeId);
  return [
    ["raft_groups", lines.length],
    ["raft_groups_led", led.length],
    ["raft_groups_without_leader", lines.filter((line) => line.leader === "").length],
    ["raft_term_max", lines.reduce((max, line) => Math.max(max, line.term), 0)],
  ];
}

function regions(gateway: Gateway): readonly Field[] {
  return [
    ["regions", gateway.store.regions().length],
    ...gateway.store
      .regions()
      .map((line): Field => [
        `region${line.region}`,
        `from=${line.fromPosition},to=${line.toPosition},leader=${line.leader},` +
          `peers=${line.peers.join("|")},epoch=${line.epoch},term=${line.term}`,
      ]),
  ];
}
