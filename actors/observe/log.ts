// The log: JSON lines with time, level, node and msg, by pino, on stderr. It sits between every
// room and the operator; lines are written synchronously, so the last ones before an exit exist.
// It is not for the command path: a line costs a system call.

import { destination, pino, stdTimeFunctions } from "pino";
import type { DestinationStream, Logger } from "pino";

/** From most to least talkative. */
export const logLevels = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Fields beside the message; operators filter by `region_id`. An Error goes in `error`. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line; it follows the level of its parent. */
  with(fields: LogFields): Log;
  /** Changes the level of this log and of all made from it, now. */
  setLevel(level: LogLevel): void;
  level(): LogLevel;
}

/** What a log is made of. */
export interface LogOptions {
  readonly node: string;
  readonly level: LogLevel;
  /** Where lines go; default stderr. */
  readonly stream?: DestinationStream;
}

const rank = { debug: 20, info: 30, warning: 40, error: 50 } as const satisfies Record<
  LogLevel,
  number
>;

/** Errors as text: an object would print as {}. The chain of causes is kept. */
const describe = (value: unknown): unknown => {
  if (!(value instanceof Error)) return value;
  const stack = value.stack ?? value.message;
  return value.cause === undefined
    ? { message: value.message, stack }
    : { message: value.message, stack, cause: describe(value.cause) };
};

/** Opens a log. */
export function createLog({ node, level, stream }: LogOptions): Log {
  const threshold = { level };
  const base = pino(
    {
      level: "debug",
      customLevels: rank,
      useOnlyCustomLevels: true,
      base: { node },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describe },
    },
    stream ?? destination({ dest: 2, sync: true }),
  );
  const build = (sink: Logger<LogLevel>): Log => {
    const write = (at: LogLevel) => (message: string, fields?: LogFields) => {
      if (rank[at] >= rank[threshold.level]) sink[at](fields ?? {}, message);
    };
    return {
      debug: write("debug"),
      info: write("info"),
      warning: write("warning"),
      error: write("error"),
      with: (fields) => build(sink.child(fields)),
      setLevel: (next) => {
        threshold.level = next;
      },
      level: () => threshold.level,
    };
  };
  return build(base);
}
