// What one command and its answer say about a value that may not be known: the step of `history.ts`
// with "anything" as a value. `search.ts` places operations with it; it knows no order and no time.

import { notAnInteger, perform, type Answer, type Command } from "./history.ts";

/** The value before the first operation; "anything" takes the first observation for granted. */
export type Start = string | null | typeof anything;

/** A value nothing is known about. */
export const anything = Symbol("anything");

/** The value after a command that answered this, or undefined when it cannot have answered it. */
export function observe(
  command: Command,
  answer: Answer,
  value: Start,
): { value: Start } | undefined {
  if (value === anything) return observeAnything(command, answer);
  const step = perform(command, value);
  return step.answer === answer ? { value: step.value } : undefined;
}

/** Whether a command that answered this left the value as it was, whatever that was. */
export function changesNothing({ kind }: Command, answer: Answer): boolean {
  if (kind === "get" || answer === notAnInteger) return true;
  return (kind === "del" && answer === 0) || (answer === null && kind !== "getset");
}

/** Before the first observation every answer is believed, and taken as what it says about the value. */
function observeAnything(command: Command, answer: Answer): { value: Start } {
  switch (command.kind) {
    case "get":
      return { value: typeof answer === "number" ? String(answer) : answer };
    case "set":
    case "getset":
      return { value: command.value };
    case "getdel":
    case "del":
      return { value: null };
    case "setnx":
      return { value: answer === null ? anything : command.value };
    case "incr":
      return { value: typeof answer === "number" ? String(answer) : anything };
    case "append":
      return { value: answer === command.value.length ? command.value : anything };
    default:
      return command satisfies never;
  }
}

/** The value after a command nobody knows the answer of. */
export function guess(command: Command, value: Start): Start {
  if (value !== anything) return perform(command, value).value;
  switch (command.kind) {
    case "set":
    case "getset":
      return command.value;
    case "getdel":
    case "del":
      return null;
    case "get":
    case "setnx":
    case "incr":
    case "append":
      return anything;
    default:
      return command satisfies never;
  }
}
