// A latency histogram with fixed buckets: plain numbers that the hot path increments. It sits
// between whoever measures and the scrape that copies it out; it knows nothing of Prometheus.

/** Upper bounds of the buckets in microseconds, 50 us to 10 s; one more bucket takes the rest. */
export const latencyBoundsUs: readonly number[] = [
  50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
  2_500_000, 5_000_000, 10_000_000,
];

/** Counts of durations by bucket. */
export class Latency {
  /** Per bucket, not cumulative; the last one is above every bound. */
  readonly counts = new Float64Array(latencyBoundsUs.length + 1);
  count = 0;
  sumUs = 0;

  /** Counts `times` durations of `us` microseconds; a batch that shares one duration pays once. */
  observe(us: number, times = 1): void {
    let index = 0;
    for (const boundUs of latencyBoundsUs) {
      if (us <= boundUs) break;
      index++;
    }
    this.counts[index] = (this.counts[index] ?? 0) + times;
    this.count += times;
    this.sumUs += us * times;
  }
}
