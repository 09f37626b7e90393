// The names of SpireDB's metrics: each room's counters to `spire_*` names and to the names the
// original project documents. It sits between counters.ts and a scrape's report; rooms call these
// from the callback they register. Prometheus conventions: seconds, bytes, `_total`.

import type { CommandCounters, JournalCounters, PortCounters, RegionFigures } from "./counters.ts";
import type { Report } from "./metrics.ts";
import type { Latency } from "./latency.ts";

/** The RESP port. */
export function reportPort(report: Report, port: PortCounters): void {
  const open = port.connectionsAccepted - port.connectionsClosed;
  const connections = "Client connections open now";
  report.gauge("spire_resp_connections", connections, open);
  report.gauge("resp_connections_active", connections, open);
  const accepted = "Client connections accepted";
  report.counter("spire_resp_connections_total", accepted, port.connectionsAccepted);
  const refused = "Client connections turned away at the limit";
  report.counter("spire_resp_connections_refused_total", refused, port.connectionsRefused);
  report.counter("spire_resp_bytes_in_total", "Bytes read from clients", port.bytesIn);
  report.counter("spire_resp_bytes_out_total", "Bytes written to clients", port.bytesOut);
  const commands = "Commands received";
  report.counter("spire_resp_commands_total", commands, port.commands);
  report.counter("resp_commands_total", commands, port.commands);
  report.counter("spire_resp_errors_total", "Error replies sent", port.errors);
}

/** Commands by family. */
export function reportCommands(report: Report, commands: CommandCounters): void {
  for (const [family, { calls, errors, latency }] of commands.families) {
    report.counter("spire_commands_total", "Commands by family", calls, { family });
    const failed = "Commands answered with an error, by family";
    report.counter("spire_command_errors_total", failed, errors, { family });
    const taken = "From a command's arrival to its reply";
    report.latency("spire_command_duration_seconds", taken, latency, { family });
    report.latency("resp_command_duration_seconds", taken, latency, { family });
  }
}

/** The shared journal. */
export function reportJournal(report: Report, journal: JournalCounters): void {
  report.counter("spire_journal_groups_total", "Synced group writes", journal.groups);
  report.counter("spire_journal_records_total", "Records written", journal.records);
  report.counter("spire_journal_bytes_total", "Bytes written", journal.bytes);
  const size = "Bytes of the journal's files";
  report.gauge("spire_journal_size_bytes", size, journal.sizeBytes);
  report.gauge("raft_log_size_bytes", size, journal.sizeBytes);
  const lsn = "Last durable log sequence number";
  report.gauge("spire_journal_durable_lsn", lsn, journal.durableLsn);
  const sync = "From a group's write to durable";
  report.latency("spire_journal_sync_duration_seconds", sync, journal.sync);
}

/** The replicas that live here. */
export function reportRegions(report: Report, regions: Iterable<RegionFigures>): void {
  let proposals = 0;
  for (const figures of regions) {
    const region = { region_id: figures.regionId };
    const isLeader = figures.role === "leader" ? 1 : 0;
    const role = "1 for the role the replica has now";
    report.gauge("spire_region_role", role, 1, { ...region, role: figures.role });
    report.gauge("raft_leader_status", "1 where this replica leads", isLeader, region);
    report.gauge("spire_region_term", "Raft term", figures.term, region);
    const commit = "Last committed log index";
    report.gauge("spire_region_commit_index", commit, figures.commitIndex, region);
    const applied = "Last applied log index";
    report.gauge("spire_region_applied_index", applied, figures.appliedIndex, region);
    const pending = "Requests queued or waiting for commit";
    report.gauge("spire_region_pending", pending, figures.pending, region);
    const proposed = "Log entries proposed";
    report.counter("spire_raft_proposals_total", proposed, figures.proposals, region);
    proposals += figures.proposals;
  }
  report.counter("raft_proposals_total", "Log entries proposed, all regions", proposals);
}

/** Time to apply a batch of committed entries to the engine. */
export function reportApply(report: Report, apply: Latency): void {
  const taken = "Time to apply a batch of committed entries";
  report.latency("spire_raft_apply_duration_seconds", taken, apply);
  report.latency("raft_apply_duration_seconds", taken, apply);
}

/** Restarts by supervisor and child, from a supervisor's `onRestart`. */
export class RestartCounters {
  readonly #counts = new Map<string, { supervisor: string; child: string; count: number }>();

  note({ supervisor, child }: { readonly supervisor: string; readonly child: string }): void {
    const key = `${supervisor}/${child}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { supervisor, child, count: 1 });
    else known.count++;
  }

  report(report: Report): void {
    for (const { count, ...labels } of this.#counts.values()) {
      report.counter("spire_actor_restarts_total", "Restarts by supervision", count, labels);
    }
  }
}
