// What the gateway knows of each command literal beyond the literal: its counters, whether it needs
// authentication, and where its keys stand for a given number of arguments, worked out once instead
// of per call. Stands between the command table of `resp` and the dispatch.

import type { Command, KeySpec } from "../../resp/command.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { CommandStatistics, Statistics } from "./statistics.ts";

/** The commands there are (`resp/registry.ts`). */
export interface CommandTable {
  /** The command of a request, its existence and number of arguments checked. */
  resolve(args: readonly Buffer[]): Command | ErrorReply;
  /** The command a request names, whatever its number of arguments. */
  named(args: readonly Buffer[]): Command | undefined;
}

export interface CommandEntry {
  readonly command: Command;
  readonly statistics: CommandStatistics;
  /** Allowed before AUTH. */
  readonly noAuth: boolean;
  /** Key positions in `args`; the same frozen array for the same count where the spec is static. */
  keyPositions(args: readonly Buffer[]): readonly number[];
}

/** Argument counts up to this have their key positions remembered. */
const rememberedCounts = 16;

/** Entries of a table, made at first use of each command. */
export class Entries {
  readonly #table: CommandTable;
  readonly #statistics: Statistics;
  readonly #entries = new Map<Command, CommandEntry>();

  constructor(table: CommandTable, statistics: Statistics) {
    this.#table = table;
    this.#statistics = statistics;
  }

  /** The entry of a request's command, or why there is none, in Redis' words. */
  resolve(args: readonly Buffer[]): CommandEntry | ErrorReply {
    const command = this.#table.resolve(args);
    if (command instanceof ErrorReply) {
      // It exists and was called wrongly: INFO commandstats counts that.
      const named = this.#table.named(args);
      if (named !== undefined) this.#statistics.of(named).rejected += 1;
      return command;
    }
    return this.#entries.get(command) ?? this.#add(command);
  }

  #add(command: Command): CommandEntry {
    const entry: CommandEntry = {
      command,
      statistics: this.#statistics.of(command),
      noAuth: command.flags.includes("no_auth"),
      keyPositions: positionsOf(command),
    };
    this.#entries.set(command, entry);
    return entry;
  }
}

function positionsOf(command: Command): (args: readonly Buffer[]) => readonly number[] {
  const { findKeys, keys } = command;
  if (findKeys !== undefined) return findKeys;
  if (keys === undefined) return () => none;
  const remembered: Array<readonly number[] | undefined> = [];
  return (args) => {
    const count = args.length;
    if (count > rememberedCounts) return expand(keys, count);
    return (remembered[count] ??= expand(keys, count));
  };
}

const none: readonly number[] = Object.freeze([]);

function expand(spec: KeySpec, argumentCount: number): readonly number[] {
  const last = spec.last < 0 ? argumentCount + spec.last : spec.last;
  const positions: number[] = [];
  for (let at = spec.first; at <= last && at < argumentCount; at += spec.step) positions.push(at);
  return Object.freeze(positions);
}
