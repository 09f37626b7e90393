// How the kernel schedules the threads of a process (`sched(7)`), read from /proc.

import { readdirSync } from "node:fs";

import { statField } from "../../deploy/process-stat.ts";

const names: Readonly<Record<string, string>> = { 0: "other", 3: "batch", 5: "idle" };

/** The policies that threads of this process have, each once. */
export function threadPolicies(pid: number): string[] {
  const policies = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const number = statField(`/proc/${pid}/task/${thread}`, 41) ?? "";
    return names[number] ?? `policy ${number}`;
  });
  return [...new Set(policies)];
}
