// All commands there are, found by name. Gathers the literals of `commands/*.ts`; the gateway asks
// here for the command of a request, COMMAND for descriptions. It runs nothing.

import { bitCommands } from "./commands/bit.ts";
import { bitScanCommands } from "./commands/bit-scan.ts";
import { bitfieldCommands } from "./commands/bitfield.ts";
import { clusterCommands } from "./commands/cluster.ts";
import { commandCommands } from "./commands/command.ts";
import { connectionCommands } from "./commands/connection.ts";
import { expireCommands } from "./commands/expire.ts";
import { keyCommands } from "./commands/key.ts";
import { lcsCommands } from "./commands/lcs.ts";
import { multiKeyCommands } from "./commands/multi-key.ts";
import { numberCommands } from "./commands/number.ts";
import { objectCommands } from "./commands/object.ts";
import { serverCommands } from "./commands/server.ts";
import { stringEditCommands } from "./commands/string-edit.ts";
import { stringCommands } from "./commands/string.ts";
import { walkCommands } from "./commands/walk.ts";
import type { Command } from "./command.ts";
import { createRegistry } from "./registry.ts";
import type { Registry } from "./registry.ts";

/** Every command, the ones with "a|b" names standing under their container. */
export const registry: Registry = createRegistry([
  ...stringCommands,
  ...stringEditCommands,
  ...numberCommands,
  ...lcsCommands,
  ...multiKeyCommands,
  ...bitCommands,
  ...bitScanCommands,
  ...bitfieldCommands,
  ...keyCommands,
  ...objectCommands,
  ...expireCommands,
  ...walkCommands,
  ...connectionCommands,
  ...serverCommands,
  ...clusterCommands,
  ...commandCommands(() => registry),
] satisfies readonly Command[]);
