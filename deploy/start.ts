// Chooses the adapters and starts a node: the composition root. The only file that names RocksDB
// and the real disk; everything behind it sees ports. Signals, the ready line and exit codes are
// run.ts, not here.

import { SetupError } from "./failure.ts";
import type { StartNode } from "./run.ts";

/** Starts the node of this data directory. */
export const startNode: StartNode = (directory) =>
  Promise.reject(new SetupError(`no actors are built yet for ${directory.layout.root}`));
