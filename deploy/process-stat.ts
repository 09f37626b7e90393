// One field of what Linux says of a process or a thread in its `stat` file (proc(5)). Between /proc and
// those in this room who judge a process by it; what a field means is theirs to know.

import { readFileSync } from "node:fs";

/** Fields before the state: the pid, and the name in parentheses. */
const skipped = 3;

/**
 * The field of this number, as proc(5) counts them, from the third on. `folder` is a process's or a
 * thread's in /proc. Undefined where there is none: it has ended, or the system has no /proc.
 */
export function statField(folder: string, number: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`${folder}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The name may hold anything, spaces and parentheses too: counted from behind the last ")".
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[number - skipped];
}
