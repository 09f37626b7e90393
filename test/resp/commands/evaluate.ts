// Runs data commands as a client would see them, on a region in memory, for the tests beside it.

import { encodeReply } from "../../../resp/encoder.ts";
import { ErrorReply } from "../../../resp/reply.ts";
import type { Reply } from "../../../resp/reply.ts";
import { registry } from "../../../resp/table.ts";
import { MemoryRegion } from "../../storage/keyspace/memory-region.ts";

/** Splits a line at spaces; "" is the empty argument. */
export const words = (line: string): Buffer[] =>
  line.split(" ").map((word) => Buffer.from(word === '""' ? "" : word, "latin1"));

export function evaluate(region: MemoryRegion, line: string, nowMs = 1_000_000): Reply {
  const args = words(line);
  const command = registry.resolve(args);
  if (command instanceof ErrorReply) return command;
  if (command.runs !== "region") throw new Error(`${command.name} does not run in a region`);
  return region.run(nowMs, 0, (view) => command.execute(view, args));
}

/** Replies of these lines as short text: RESP2 without CR, lines joined by a space. */
export function dialogue(lines: readonly string[], nowMs = 1_000_000): string[] {
  const region = new MemoryRegion(true);
  return lines.map((line) => {
    const bytes = encodeReply(evaluate(region, line, nowMs), 2);
    return bytes.toString("latin1").replaceAll("\r\n", " ").trimEnd();
  });
}
