// The slow log: the last commands whose reply took longer than a threshold, as SLOWLOG GET shows
// them (https://redis.io/docs/latest/commands/slowlog-get/). Filled by connections when they write
// replies; it keeps copies, cut short as Redis cuts them, never views of a socket's bytes.

import type { SlowlogEntry } from "../../resp/server.ts";

const argumentsMax = 32;
const argumentBytesMax = 128;

/** A bounded list, newest first. */
export class Slowlog {
  #entries: SlowlogEntry[] = [];
  #nextId = 0;

  /** Adds one entry and drops the oldest beyond `lengthMax`. */
  add(
    entry: { atMs: number; microseconds: number; address: string; name: string },
    args: readonly Buffer[],
    lengthMax: number,
  ): void {
    this.#entries.unshift({
      id: this.#nextId++,
      atSeconds: Math.floor(entry.atMs / 1000),
      microseconds: Math.round(entry.microseconds),
      args: shorten(args),
      address: entry.address,
      name: entry.name,
    });
    this.trim(lengthMax);
  }

  /** Applies a smaller `slowlog-max-len`. */
  trim(lengthMax: number): void {
    if (this.#entries.length > lengthMax) this.#entries.length = lengthMax;
  }

  /** The newest `count`; negative = all. */
  entries(count: number): readonly SlowlogEntry[] {
    return count < 0 ? this.#entries : this.#entries.slice(0, count);
  }

  length(): number {
    return this.#entries.length;
  }

  reset(): void {
    this.#entries = [];
  }
}

const redacted = Buffer.from("(redacted)");
const secretSettings = ["requirepass", "masterauth", "masteruser"];

/** The arguments of a command without the passwords in them, as Redis shows them. */
export function withoutSecrets(command: string, args: readonly Buffer[]): readonly Buffer[] {
  const word = (at: number): string => args[at]?.toString("latin1").toLowerCase() ?? "";
  if (command === "auth") return args.map((arg, at) => (at === 0 ? arg : redacted));
  if (command === "hello") {
    const after = args.findIndex((_, at) => at > 1 && word(at) === "auth");
    if (after < 0) return args;
    return args.map((arg, at) => (at === after + 1 || at === after + 2 ? redacted : arg));
  }
  if (command !== "config|set") return args;
  return args.map((arg, at) =>
    at > 2 && at % 2 === 1 && secretSettings.includes(word(at - 1)) ? redacted : arg,
  );
}

function shorten(args: readonly Buffer[]): Buffer[] {
  const kept = args.length > argumentsMax ? argumentsMax - 1 : args.length;
  const copies: Buffer[] = [];
  for (const arg of args.slice(0, kept)) {
    if (arg.length <= argumentBytesMax) {
      copies.push(Buffer.from(arg));
      continue;
    }
    const rest = `... (${arg.length - argumentBytesMax} more bytes)`;
    copies.push(Buffer.concat([arg.subarray(0, argumentBytesMax), Buffer.from(rest)]));
  }
  if (kept < args.length) {
    copies.push(Buffer.from(`... (${args.length - kept} more arguments)`));
  }
  return copies;
}
