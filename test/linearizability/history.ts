// What clients did to single keys and what they saw: the commands the checker understands, their
// meaning on one key, and an operation as a client recorded it. It stands between whoever records
// (real sockets or simulated clients) and `checker.ts`; times are the recorder's, no clock is read.

/** A command on one key whose value is a string or nothing (null). */
export type Command =
  | { readonly kind: "get" }
  | { readonly kind: "set"; readonly value: string }
  /** SET … NX: "OK", or null when there was a value. */
  | { readonly kind: "setnx"; readonly value: string }
  /** SET … GET: the value before. */
  | { readonly kind: "getset"; readonly value: string }
  | { readonly kind: "getdel" }
  | { readonly kind: "incr"; readonly by: number }
  | { readonly kind: "append"; readonly value: string }
  | { readonly kind: "del" };

/** What a command answered: as RESP gives it, an error about the value's type as `notAnInteger`. */
export type Answer = string | number | null;

/** The answer of INCR on a value that is no integer. */
export const notAnInteger = "-notAnInteger";

/** What a client knows about its command afterwards. */
export type Outcome =
  | { readonly kind: "ok"; readonly answer: Answer; readonly returnedAt: number }
  /** Certainly not executed, neither before nor later. */
  | { readonly kind: "fail" }
  /** Perhaps executed, at any time after it was sent, or never. */
  | { readonly kind: "unknown" };

/** One command of one client. Times in any unit, from one clock for the whole history. */
export interface Operation {
  readonly client: string;
  readonly key: string;
  readonly command: Command;
  readonly invokedAt: number;
  readonly outcome: Outcome;
}

/** What a command does to a value. */
export interface Step {
  readonly answer: Answer;
  readonly value: string | null;
}

/** The meaning of a command: what it answers and what it leaves, given the value before. */
export function perform(command: Command, value: string | null): Step {
  switch (command.kind) {
    case "get":
      return { answer: value, value };
    case "set":
      return { answer: "OK", value: command.value };
    case "setnx":
      return value === null ? { answer: "OK", value: command.value } : { answer: null, value };
    case "getset":
      return { answer: value, value: command.value };
    case "getdel":
      return { answer: value, value: null };
    case "incr": {
      const before = value === null ? 0 : Number(value);
      if (value === "" || !Number.isSafeInteger(before)) return { answer: notAnInteger, value };
      return { answer: before + command.by, value: String(before + command.by) };
    }
    case "append": {
      const after = (value ?? "") + command.value;
      return { answer: after.length, value: after };
    }
    case "del":
      return { answer: value === null ? 0 : 1, value: null };
    default:
      return command satisfies never;
  }
}

/** A command as text, long values cut. */
export function describeCommand(command: Command): string {
  switch (command.kind) {
    case "get":
    case "del":
    case "getdel":
      return command.kind;
    case "incr":
      return `incr ${command.by}`;
    case "set":
    case "setnx":
    case "getset":
    case "append":
      return `${command.kind} ${describeValue(command.value)}`;
    default:
      return command satisfies never;
  }
}

/** A value or answer as text; the end of a long one tells more than its start. */
export function describeValue(value: Answer): string {
  if (value === null) return "nothing";
  if (typeof value === "number") return String(value);
  return value.length <= 60 ? JSON.stringify(value) : `…${JSON.stringify(value.slice(-50))}`;
}
