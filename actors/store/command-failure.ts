// What a client hears when a command threw. Evaluation is pure, so a bug in a command has harmed nobody;
// a record that fails its checksum is the end of the process.

import { ErrorReply } from "../../resp/reply.ts";
import { DamagedError } from "../../storage/errors.ts";
import type { RegionRequest } from "./protocol.ts";
import type { RegionPorts } from "./region-ports.ts";

/** Reports it and says what to answer. */
export function commandFailure(
  ports: Pick<RegionPorts, "onFatal" | "onBug">,
  request: RegionRequest,
  error: unknown,
): ErrorReply {
  if (error instanceof DamagedError) ports.onFatal(error);
  else ports.onBug(error, request.command.name);
  const reason = error instanceof Error ? error.message : String(error);
  return new ErrorReply(`ERR internal error in '${request.command.name}': ${reason}`);
}
