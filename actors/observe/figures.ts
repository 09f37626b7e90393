// The names of SpireDB's metrics: each room's counters to `spire_*` names and to the names the
// original project documents. It sits between counters.ts and a scrape's report; rooms call these
// from the callback they register. Prometheus conventions: seconds, bytes, `_total`.

import type { PortCounters, RegionFigures } from "./counters.ts";
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

/** Durations of commands by family. */
export function reportDurations(report: Report, families: Iterable<[string, Latency]>): void {
  const taken = "From a command's arrival to its reply";
  for (const [family, latency] of families) {
    report.latency("spire_command_duration_seconds", taken, latency, { family });
    report.latency("resp_command_duration_seconds", taken, latency, { family });
  }
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
