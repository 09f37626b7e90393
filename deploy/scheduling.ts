// Asks the kernel not to let this process's threads, when they wake, take the processor from whoever is
// at work (SCHED_BATCH of sched(7)). Between the start and util-linux' `chrt`, for Node has no such
// call; who may be interrupted by others is their business, and a node runs as well without.
//
// Nodes, nats-server and clients wake each other with every message. Where they share processors a
// thread that wakes is put in the place of the one that woke it, in the middle of its turn: smaller
// batches, cold caches, twice the switches (docs/benchmarks.md). Where processors idle nothing changes.

import { execFile } from "node:child_process";

import { statField } from "./process-stat.ts";

/**
 * `batch`: as above. `inherit`: as whoever started the process had it. `auto`: `batch` for one node of
 * several. Alone, where clients are all that it wakes, a node takes 0.91 to 0.97 times the SETs of
 * many clients with it, and 1.04 to 1.22 times those of few.
 */
export type Scheduling = "auto" | "batch" | "inherit";

/** The policy of an ordinary process, SCHED_OTHER; another one was somebody's choice and stays. */
const ordinary = "0";
/** Where `stat` has the policy. */
const policyField = 41;

/**
 * Puts all threads of this process, and those it will start, under SCHED_BATCH. Resolves with why not
 * when that did not work; never rejects.
 */
export function scheduleAsBatch(): Promise<string | undefined> {
  const { pid } = process;
  const policy = statField(`/proc/${pid}`, policyField);
  if (policy === undefined) return Promise.resolve("the system has no /proc");
  if (policy !== ordinary) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    execFile("chrt", ["--all-tasks", "--batch", "--pid", "0", String(pid)], (error) => {
      resolve(error === null ? undefined : error.message.trim());
    });
  });
}
