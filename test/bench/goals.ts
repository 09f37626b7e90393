// The goals of a single node: floors that must be reached and aims to try for, and how a measured
// number is judged against them. Throughput goals are ratios to a Redis that fsyncs every write, in
// the same run on the same machine; absolute numbers of different machines say nothing.

import type { Load } from "./processes.ts";

/** A row of the comparison. */
export interface Comparison extends Load {
  readonly name: string;
  /** SpireDB over Redis: throughput, or p50 when `of` is "p50". */
  readonly goal?: { readonly of: "rate" | "p50"; readonly floor: number; readonly aim: number };
}

export const comparisons: readonly Comparison[] = [
  {
    name: "SET, 1 client",
    operation: "set",
    connections: 1,
    window: 1,
    goal: { of: "p50", floor: 2, aim: 1.4 },
  },
  {
    name: "SET, 50 clients",
    operation: "set",
    connections: 50,
    window: 1,
    goal: { of: "rate", floor: 0.45, aim: 0.8 },
  },
  { name: "SET, 200 clients", operation: "set", connections: 200, window: 1 },
  {
    name: "SET, 50 clients, pipeline 16",
    operation: "set",
    connections: 50,
    window: 16,
    goal: { of: "rate", floor: 0.3, aim: 0.6 },
  },
  { name: "GET, 1 client", operation: "get", connections: 1, window: 1 },
  {
    name: "GET, 50 clients",
    operation: "get",
    connections: 50,
    window: 1,
    goal: { of: "rate", floor: 0.35, aim: 0.5 },
  },
  { name: "GET, 200 clients", operation: "get", connections: 200, window: 1 },
  {
    name: "GET, 50 clients, pipeline 16",
    operation: "get",
    connections: 50,
    window: 16,
    goal: { of: "rate", floor: 0.2, aim: 0.35 },
  },
];

/** A number about the node by itself; lower is better. */
export interface Limit {
  readonly name: string;
  readonly unit: string;
  readonly most: number;
}

export const limits = {
  emptyReady: { name: "start to ready, empty", unit: "ms", most: 1500 },
  idleProcessor: { name: "processor, idle, 16 regions", unit: "%", most: 1 },
  idleMemory: { name: "RSS, idle, 16 regions", unit: "MiB", most: 150 },
  fullMemory: { name: "RSS with 1,000,000 keys of 100 B", unit: "MiB", most: 700 },
  crashReady: { name: "start to ready after kill -9 with 1,000,000 keys", unit: "ms", most: 5000 },
} as const satisfies Record<string, Limit>;

/** "aim", "floor", "below floor", or "" where nothing is asked. */
export function judge(comparison: Comparison, rateRatio: number, p50Ratio: number): string {
  const { goal } = comparison;
  if (goal === undefined) return "";
  const reaches = (target: number): boolean =>
    goal.of === "rate" ? rateRatio >= target : p50Ratio <= target;
  if (reaches(goal.aim)) return "aim reached";
  return reaches(goal.floor) ? "floor reached" : "**below floor**";
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}
