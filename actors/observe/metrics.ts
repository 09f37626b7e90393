// Everything /metrics shows, gathered at the moment of the scrape: rooms register a source, and its
// callback copies plain counters into a report. It sits between rooms' counters and prom-client,
// which writes the text and adds the process's own metrics; nothing is paid while nobody scrapes.

import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { EventLoopUtilization, IntervalHistogram } from "node:perf_hooks";

import { collectDefaultMetrics, Registry } from "prom-client";
import type { Metric } from "prom-client";

import { latencyBoundsUs } from "./latency.ts";
import type { Latency } from "./latency.ts";

/** Label names and values of one sample. */
export type Labels = Readonly<Record<string, string | number>>;

/** Where a source writes its samples; the same name may be written many times with other labels. */
export interface Report {
  /** Only ever grows; the name ends in `_total`. */
  counter(name: string, help: string, value: number, labels?: Labels): void;
  gauge(name: string, help: string, value: number, labels?: Labels): void;
  /** Cumulative buckets in seconds; the name ends in `_seconds`. */
  latency(name: string, help: string, latency: Latency, labels?: Labels): void;
}

/** Called at every scrape, on the main thread: copy numbers, compute nothing. */
export type Collect = (report: Report) => void;

interface Sample {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

type FamilyType = "counter" | "gauge" | "histogram";

/** What prom-client's registry needs of a metric in order to print it. */
class Family {
  readonly name: string;
  readonly #help: string;
  readonly #type: FamilyType;
  readonly samples: Sample[] = [];

  constructor(name: string, help: string, type: FamilyType) {
    this.name = name;
    this.#help = help;
    this.#type = type;
  }

  get(): { name: string; help: string; type: FamilyType; values: readonly Sample[] } {
    return { name: this.name, help: this.#help, type: this.#type, values: this.samples };
  }
}

class FamilyReport implements Report {
  readonly families = new Map<string, Family>();

  #family(name: string, help: string, type: FamilyType): Family {
    let family = this.families.get(name);
    if (family === undefined) this.families.set(name, (family = new Family(name, help, type)));
    return family;
  }

  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    this.#family(name, help, "counter").samples.push({ metricName: name, labels, value });
  }

  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    this.#family(name, help, "gauge").samples.push({ metricName: name, labels, value });
  }

  latency(name: string, help: string, latency: Latency, labels: Labels = {}): void {
    const { samples } = this.#family(name, help, "histogram");
    let below = 0;
    for (const [index, boundUs] of latencyBoundsUs.entries()) {
      below += latency.counts[index] ?? 0;
      const bound = { ...labels, le: boundUs / 1e6 };
      samples.push({ metricName: `${name}_bucket`, labels: bound, value: below });
    }
    const rest = { ...labels, le: "+Inf" };
    samples.push({ metricName: `${name}_bucket`, labels: rest, value: latency.count });
    samples.push({ metricName: `${name}_sum`, labels, value: latency.sumUs / 1e6 });
    samples.push({ metricName: `${name}_count`, labels, value: latency.count });
  }
}

/** The metrics of one node. */
export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #sources = new Map<string, Collect>();
  readonly #onError: (source: string, error: unknown) => void;
  #process: Registry | undefined;
  #delay: IntervalHistogram | undefined;
  #utilization: EventLoopUtilization | undefined;
  #running: Promise<string> | undefined;

  /** `onError` hears of a source that threw; the scrape goes on without it. */
  constructor(onError: (source: string, error: unknown) => void) {
    this.#onError = onError;
  }

  /**
   * Registers what one room reports. The name is unique: a room that restarts takes its old
   * place. The result removes it, unless somebody else has taken the name since.
   */
  source(name: string, collect: Collect): () => void {
    this.#sources.set(name, collect);
    return () => {
      if (this.#sources.get(name) === collect) this.#sources.delete(name);
    };
  }

  /** The Prometheus text of now; scrapes at the same moment share one. */
  scrape(): Promise<string> {
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Stops the event-loop monitor, if a scrape started it. */
  close(): void {
    this.#delay?.disable();
    this.#delay = undefined;
  }

  async #write(): Promise<string> {
    if (this.#process === undefined) {
      this.#process = new Registry();
      collectDefaultMetrics({ register: this.#process });
    }
    const report = new FamilyReport();
    this.#reportEventLoop(report);
    for (const [name, collect] of this.#sources) {
      try {
        collect(report);
      } catch (error) {
        this.#onError(name, error);
      }
    }
    const registry = new Registry();
    for (const family of report.families.values()) {
      registry.registerMetric(family as unknown as Metric);
    }
    return (await registry.metrics()) + (await this.#process.metrics());
  }

  #reportEventLoop(report: Report): void {
    if (this.#delay === undefined) {
      this.#delay = monitorEventLoopDelay({ resolution: 10 });
      this.#delay.enable();
    }
    const used = performance.eventLoopUtilization();
    const since = this.#utilization;
    const ratio = since === undefined ? used : performance.eventLoopUtilization(used, since);
    this.#utilization = used;
    const busy = "Share of time the event loop was busy since the last scrape";
    report.gauge("spire_event_loop_utilization_ratio", busy, ratio.utilization);
    const lag = "Event loop delay since the last scrape, sampled every 10 ms";
    for (const quantile of [0.5, 0.99, 1]) {
      const ns = this.#delay.percentile(Math.max(quantile * 100, 1));
      report.gauge("spire_event_loop_delay_seconds", lag, ns / 1e9, { quantile });
    }
    this.#delay.reset();
  }
}
