// How the kernel schedules the threads of a process (`sched(7)`), read from /proc.

import { readdirSync, readFileSync } from "node:fs";

const names: Readonly<Record<string, string>> = { 0: "other", 3: "batch", 5: "idle" };

/** The policies that threads of this process have, each once. */
export function threadPolicies(pid: number): string[] {
  const policies = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    // Field 41 of proc(5), counted from behind the name, which may have spaces.
    const number = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38] ?? "";
    return names[number] ?? `policy ${number}`;
  });
  return [...new Set(policies)];
}
