// Joins the node's counters to the names /metrics shows them under. Nothing here runs until
// somebody scrapes.

import type { TransportStatistics } from "../transport/transport.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Gateway } from "./gateway/gateway.ts";
import {
  reportDurations,
  reportPort,
  reportRegions,
  type RestartCounters,
} from "./observe/figures.ts";
import type { Metrics, Report } from "./observe/metrics.ts";
import type { Store } from "./store/store.ts";

/** What has counters. */
export interface MetricsParts {
  readonly gateway: Gateway;
  readonly store: Store;
  readonly restarts: RestartCounters;
  /** Undefined on a node that is alone. */
  readonly cluster: Cluster | undefined;
  readonly transport: { statistics(): TransportStatistics } | undefined;
}

/** Registers every source of the node. */
export function registerMetrics(metrics: Metrics, parts: MetricsParts): void {
  const { gateway, store, restarts } = parts;
  metrics.source("port", (report) => reportGateway(report, gateway));
  metrics.source("regions", (report) => reportRegions(report, store.regionFigures()));
  metrics.source("store", (report) => reportStore(report, store));
  metrics.source("restarts", (report) => restarts.report(report));
  const { cluster, transport } = parts;
  if (cluster !== undefined) metrics.source("cluster", (report) => reportCluster(report, cluster));
  if (transport !== undefined) {
    metrics.source("transport", (report) => reportTransport(report, transport.statistics()));
  }
}

function reportCluster(report: Report, cluster: Cluster): void {
  const figures = cluster.figures();
  report.gauge("spire_cluster_nodes_known", "Other nodes ever heard", figures.nodesKnown);
  report.gauge("spire_cluster_nodes_up", "Other nodes heard lately", figures.nodesUp);
  const sent = "Heartbeats sent to other nodes";
  report.counter("spire_cluster_heartbeats_sent_total", sent, figures.heartbeatsSent);
  const received = "Heartbeats of other nodes";
  report.counter("spire_cluster_heartbeats_received_total", received, figures.heartbeatsReceived);
  const dropped = "Heartbeats that came late, doubled or from a stranger";
  report.counter("spire_cluster_heartbeats_dropped_total", dropped, figures.heartbeatsDropped);
}

function reportTransport(report: Report, statistics: TransportStatistics): void {
  const { messagesSent, bytesSent, messagesReceived, bytesReceived } = statistics;
  report.counter("spire_transport_messages_sent_total", "Messages to other nodes", messagesSent);
  report.counter("spire_transport_bytes_sent_total", "Bytes in them", bytesSent);
  const received = "Messages of other nodes";
  report.counter("spire_transport_messages_received_total", received, messagesReceived);
  report.counter("spire_transport_bytes_received_total", "Bytes in them", bytesReceived);
  const dropped = "Bodies not sent or not readable";
  report.counter("spire_transport_dropped_total", dropped, statistics.dropped);
  const again = "Connections made again";
  report.counter("spire_transport_reconnects_total", again, statistics.reconnects);
}

function reportGateway(report: Report, gateway: Gateway): void {
  const { statistics } = gateway;
  reportPort(report, {
    connectionsAccepted: statistics.connectionsReceived,
    connectionsClosed: statistics.connectionsReceived - statistics.connectionsOpen,
    connectionsRefused: statistics.connectionsRejected,
    bytesIn: statistics.bytesIn,
    bytesOut: statistics.bytesOut,
    commands: statistics.commandsProcessed,
    errors: statistics.errorReplies,
  });
  reportDurations(report, statistics.families());
  for (const { name, calls, failed, rejected, microseconds } of statistics.commands()) {
    const command = { command: name };
    report.counter("spire_command_calls_total", "Commands answered", calls, command);
    const errors = "Commands answered with an error or refused";
    report.counter("spire_command_errors_total", errors, failed + rejected, command);
    const spent = "From a command's arrival to its reply, summed";
    report.counter("spire_command_seconds_total", spent, microseconds / 1e6, command);
  }
}

function reportStore(report: Report, store: Store): void {
  const journal = store.handles.journal?.statistics();
  if (journal !== undefined) {
    report.counter("spire_journal_groups_total", "Synced group writes", journal.groupsTotal);
    report.counter("spire_journal_records_total", "Records written", journal.recordsTotal);
    report.counter("spire_journal_bytes_total", "Bytes written", journal.bytesTotal);
    report.counter("spire_journal_roll_overs_total", "Files replaced", journal.rollOversTotal);
    const size = "Bytes of the journal's files";
    report.gauge("spire_journal_size_bytes", size, journal.fileBytes);
    report.gauge("raft_log_size_bytes", size, journal.fileBytes);
    const last = "Duration of the last group write";
    report.gauge("spire_journal_last_write_seconds", last, journal.lastWriteSeconds);
  }
  const writer = store.handles.engine?.writer.statistics;
  if (writer !== undefined) {
    report.counter("spire_engine_batches_total", "RocksDB batches", writer.batches);
    const synced = "RocksDB batches that were synced markers";
    report.counter("spire_engine_synced_batches_total", synced, writer.syncedBatches);
    report.counter("spire_engine_operations_total", "Puts and deletes", writer.operations);
    const last = "Duration of the last RocksDB batch";
    report.gauge("raft_apply_duration_seconds", last, writer.lastBatchSeconds);
  }
  const { counters, cache } = store;
  report.counter("spire_keyspace_hits_total", "Reads that found the key", counters.keyspaceHits);
  report.counter("spire_keyspace_misses_total", "Reads that did not", counters.keyspaceMisses);
  report.counter("spire_expired_keys_total", "Keys removed by expiry", counters.expiredKeys);
  report.counter("spire_engine_fetches_total", "Reads of the engine", counters.fetches);
  report.gauge("spire_record_cache_bytes", "Bytes of the record cache", cache.bytes);
}
