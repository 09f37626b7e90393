// Random histories for one region at a time and the model they are held against: a plain map per
// logical database, and what each command replies on it.

import type { Random } from "../../simulation/disk.ts";

export interface Step {
  readonly db: number;
  readonly name: "flushdb" | "flushall" | "command";
  readonly args: readonly Buffer[];
}

interface Value {
  readonly text: string;
  readonly expireAtMs: number;
}

export const databases = 3;
/** Far behind every instant of these tests. */
const farMs = 4_000_000_000_000;

/** What a region holds, by database and key. */
export class Model {
  readonly dbs: Map<string, Value>[];

  constructor(dbs: readonly ReadonlyMap<string, Value>[] = []) {
    this.dbs = Array.from({ length: databases }, (_, db) => new Map(dbs[db]));
  }

  copy(): Model {
    return new Model(this.dbs);
  }

  /** Runs a step and returns what the store has to reply. */
  run({ db, name, args }: Step): unknown {
    const map = this.dbs[db]!;
    if (name === "flushdb") map.clear();
    if (name === "flushall") for (const each of this.dbs) each.clear();
    if (name !== "command") return "OK";
    const [command, key, ...rest] = args.map((arg) => arg.toString("latin1")) as [
      string,
      string,
      ...string[],
    ];
    const before = map.get(key);
    const put = (text: string, expireAtMs = before?.expireAtMs ?? 0): void =>
      void map.set(key, { text, expireAtMs });
    switch (command) {
      case "SET":
        put(rest[0]!, 0);
        return "OK";
      case "APPEND":
        put((before?.text ?? "") + rest[0]!);
        return map.get(key)!.text.length;
      case "INCR": {
        const text = before?.text ?? "0";
        if (!/^\d{1,9}$/.test(text)) return "-ERR value is not an integer or out of range";
        put(String(Number(text) + 1));
        return Number(text) + 1;
      }
      case "DEL":
        return map.delete(key) ? 1 : 0;
      case "PEXPIREAT":
        if (before !== undefined) put(before.text, Number(rest[0]));
        return before === undefined ? 0 : 1;
      case "SETRANGE": {
        const offset = Number(rest[0]);
        const old = (before?.text ?? "").padEnd(offset, "\0");
        put(old.slice(0, offset) + rest[1]! + old.slice(offset + rest[1]!.length));
        return map.get(key)!.text.length;
      }
      case "RENAME":
        if (before === undefined) return "-ERR no such key";
        map.delete(key);
        map.set(rest[0]!, before);
        return "OK";
      default:
        throw new Error(`no model of ${command}`);
    }
  }

  /** The whole content as one text. */
  digest(db: number): string {
    const lines = [...this.dbs[db]!].map(
      ([key, { text, expireAtMs }]) => `${key} ${expireAtMs} ${brief(text)}`,
    );
    return lines.toSorted().join("\n");
  }
}

/** Long values as length and checksum, so that a difference can be read. */
export function brief(text: string): string {
  if (text.length < 60) return text;
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) >>> 0;
  return `${text.length} bytes, sum ${sum}`;
}

function someText(random: Random): string {
  const dice = random();
  if (dice < 0.3) return String(Math.floor(random() * 1000));
  const letter = String.fromCharCode(97 + Math.floor(random() * 26));
  if (dice < 0.8) return letter.repeat(1 + Math.floor(random() * 20));
  if (dice < 0.985) return letter.repeat(16_000 + Math.floor(random() * 20_000));
  return letter.repeat(330_000 + Math.floor(random() * 200_000));
}

/** A step on the keys of one region; `db` fixes the database. */
export function someStep(random: Random, keys: readonly string[], db: number | undefined): Step {
  const pick = (): string => keys[Math.floor(random() * keys.length)]!;
  const where = db ?? Math.floor(random() * databases);
  const dice = random();
  if (dice < 0.03 && db === undefined) return { db: where, name: "flushall", args: [] };
  if (dice < 0.1) return { db: where, name: "flushdb", args: [] };
  const words = ((): string[] => {
    if (dice < 0.4) return ["SET", pick(), someText(random)];
    if (dice < 0.55) return ["APPEND", pick(), someText(random)];
    if (dice < 0.7) return ["INCR", pick()];
    if (dice < 0.78) return ["DEL", pick()];
    if (dice < 0.84) return ["PEXPIREAT", pick(), String(farMs + Math.floor(random() * 1000))];
    if (dice < 0.92) {
      return ["SETRANGE", pick(), String(Math.floor(random() * 40_000)), someText(random)];
    }
    return ["RENAME", pick(), pick()];
  })();
  return { db: where, name: "command", args: words.map((word) => Buffer.from(word, "latin1")) };
}
