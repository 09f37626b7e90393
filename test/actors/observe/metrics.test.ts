// A scrape is valid Prometheus text with every documented name, and costs nothing before the first.

import { expect, test } from "vitest";

import { PortCounters } from "../../../actors/observe/counters.ts";
import {
  reportDurations,
  reportPort,
  reportRegions,
  RestartCounters,
} from "../../../actors/observe/figures.ts";
import { Latency } from "../../../actors/observe/latency.ts";
import { Metrics } from "../../../actors/observe/metrics.ts";

/** Parses the exposition format strictly: every sample belongs to the family announced above it. */
const parse = (text: string): Map<string, number> => {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  let current = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type !== null) {
      current = type[1]!;
      if (types.has(current)) throw new Error(`${current} announced twice`);
      types.set(current, type[2]!);
      continue;
    }
    if (/^# HELP \S+ .+$/.test(line)) continue;
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:\w+="[^"]*",?)*\})? (\S+)$/.exec(line);
    if (sample === null) throw new Error(`not a sample: ${line}`);
    const family = sample[1]!.replace(/_(bucket|sum|count)$/, "");
    if (sample[1] !== current && family !== current) throw new Error(`stray sample: ${line}`);
    const key = sample[1]! + (sample[2] ?? "");
    if (samples.has(key)) throw new Error(`twice: ${key}`);
    const value = sample[3] === "Nan" ? Number.NaN : Number(sample[3]);
    samples.set(key, value);
  }
  return samples;
};

test("a scrape is parseable text with our names and the documented aliases", async () => {
  const metrics = new Metrics((name, error) => {
    throw new Error(name, { cause: error });
  });
  const port = new PortCounters();
  port.connectionsAccepted = 5;
  port.connectionsClosed = 2;
  port.commands = 40;
  const string = new Latency();
  string.observe(70, 2);
  string.observe(20_000_000);
  const restarts = new RestartCounters();
  restarts.note({ supervisor: "store", child: "engine" });
  metrics.source("node", (report) => {
    reportPort(report, port);
    reportDurations(report, [["string", string]]);
    restarts.report(report);
    const figures = { term: 2, commitIndex: 8, appliedIndex: 7, pending: 1, proposals: 4 };
    reportRegions(report, [
      { regionId: 1, role: "leader", ...figures },
      { regionId: 2, role: "follower", ...figures },
    ]);
  });
  const samples = parse(await metrics.scrape());
  metrics.close();
  const expected: [string, number][] = [
    ["spire_resp_connections", 3],
    ["resp_connections_active", 3],
    ["resp_commands_total", 40],
    ['spire_command_duration_seconds_bucket{family="string",le="0.00005"}', 0],
    ['spire_command_duration_seconds_bucket{family="string",le="0.0001"}', 2],
    ['spire_command_duration_seconds_bucket{family="string",le="10"}', 2],
    ['spire_command_duration_seconds_bucket{family="string",le="+Inf"}', 3],
    ['spire_command_duration_seconds_count{family="string"}', 3],
    ['resp_command_duration_seconds_count{family="string"}', 3],
    ["raft_proposals_total", 8],
    ['raft_leader_status{region_id="2"}', 0],
    ['spire_region_applied_index{region_id="1"}', 7],
    ['spire_actor_restarts_total{supervisor="store",child="engine"}', 1],
  ];
  for (const [name, value] of expected)
    expect.soft([name, samples.get(name)]).toEqual([name, value]);
  expect(samples.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(samples.has("spire_event_loop_utilization_ratio")).toBe(true);
});

test("counters are read at the scrape, and a second scrape shows what happened since", async () => {
  const metrics = new Metrics(() => {});
  const port = new PortCounters();
  const remove = metrics.source("port", (report) => reportPort(report, port));
  expect(parse(await metrics.scrape()).get("resp_commands_total")).toBe(0);
  port.commands++;
  expect(parse(await metrics.scrape()).get("resp_commands_total")).toBe(1);
  remove();
  expect(parse(await metrics.scrape()).has("resp_commands_total")).toBe(false);
  metrics.close();
});

test("a restarted source takes its place; the old one's removal does not take it away", async () => {
  const metrics = new Metrics(() => {});
  const removeOld = metrics.source("x", (report) => report.gauge("spire_x", "x", 1));
  metrics.source("x", (report) => report.gauge("spire_x", "x", 2));
  removeOld();
  expect(parse(await metrics.scrape()).get("spire_x")).toBe(2);
  metrics.close();
});

test("a source that throws is reported and does not spoil the scrape", async () => {
  const errors: string[] = [];
  const metrics = new Metrics((name) => errors.push(name));
  metrics.source("bad", () => {
    throw new Error("bad source");
  });
  metrics.source("good", (report) => report.gauge("spire_good", "good", 1));
  expect(parse(await metrics.scrape()).get("spire_good")).toBe(1);
  expect(errors).toEqual(["bad"]);
  metrics.close();
});
