// Turns flags, environment and the TOML file into one frozen `Config`, and remembers where each
// value came from. It sits between the command line and the start; contradictions are refused here,
// once, so that nothing behind it checks a setting again. It opens no data directory.

import { readFileSync } from "node:fs";

import { parse as parseToml, TomlError } from "smol-toml";

import { refuseContradictions } from "./contradictions.ts";
import { SetupError } from "./failure.ts";
import type { Config, Setting } from "./setting.ts";
import { meaninglessEnvironment, settings } from "./settings.ts";
import { timingChecks } from "./timing.ts";
import { ValueError } from "./values.ts";

/** Where a value came from: "flag", "SPIRE_PORT", "node.toml", "data directory" or "default". */
export type Sources = Readonly<Record<keyof Config, string>>;

/** The outcome of resolving all sources. */
export interface ResolvedConfig {
  readonly config: Config;
  readonly sources: Sources;
  /** Things to tell once in the log. */
  readonly warnings: readonly string[];
}

/** What the settings are resolved from. `flags` holds texts by flag name. */
export interface ConfigInput {
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Found {
  readonly text: string;
  readonly source: string;
}

/** Flag > environment > file > default. Throws `SetupError` naming the setting at fault. */
export function resolveConfig(input: ConfigInput): ResolvedConfig {
  const warnings: string[] = [];
  const environment = readEnvironment(input.environment, warnings);
  const path = input.flags["config"] ?? environment.get("config")?.text;
  const file = path === undefined ? new Map<string, Found>() : readFile(path);
  const values: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const setting of settings) {
    const flag = input.flags[setting.flag];
    const found =
      flag === undefined
        ? (environment.get(setting.flag) ?? file.get(setting.flag))
        : { text: flag, source: "flag" };
    values[setting.key] = found === undefined ? setting.fallback : parseValue(setting, found);
    sources[setting.key] = found?.source ?? "default";
  }
  const config = values as unknown as Config;
  warnings.push(...refuseContradictions(config, sources as unknown as Sources));
  return { config: Object.freeze(config), sources: sources as unknown as Sources, warnings };
}

function parseValue(setting: Setting<keyof Config>, found: Found): unknown {
  try {
    return setting.parse(found.text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const name =
      found.source === "flag" ? `--${setting.flag}` : `${setting.flag} from ${found.source}`;
    const shown = setting.secret === true ? "" : ` ${withoutUser(JSON.stringify(found.text))}`;
    throw new SetupError(`${name}${shown}: ${error.message}`);
  }
}

function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): Map<string, Found> {
  const flagOfName = new Map([["CONFIG", "config"]]);
  for (const setting of settings)
    for (const name of setting.env) flagOfName.set(name, setting.flag);
  const found = new Map<string, Found>();
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith("SPIRE_") || text === undefined) continue;
    const name = variable.slice("SPIRE_".length);
    const flag = flagOfName.get(name);
    if (flag === undefined) {
      const warning = judgeUnmapped(variable, name, text, [...flagOfName.keys()]);
      if (warning !== undefined) warnings.push(warning);
      continue;
    }
    if (text === "") continue;
    const earlier = found.get(flag);
    if (earlier !== undefined && earlier.text !== text) {
      throw new SetupError(
        `${earlier.source} and ${variable} set the same thing to different values`,
      );
    }
    found.set(flag, { text, source: variable });
  }
  return found;
}

/** What to tell about a variable that is no setting of this version; throws for an unknown one. */
function judgeUnmapped(
  variable: string,
  name: string,
  text: string,
  known: readonly string[],
): string | undefined {
  const reason = meaninglessEnvironment[name];
  const check = timingChecks[name];
  if (reason === undefined && check === undefined) {
    throw new SetupError(`${variable} is not a setting${suggestion(name, known, "SPIRE_")}`);
  }
  if (text === "") return undefined;
  if (reason !== undefined) return `${variable} has no meaning here: ${reason}`;
  try {
    const warning = check?.(text);
    return warning === undefined ? undefined : `${variable} ${warning}`;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new SetupError(`${variable} ${JSON.stringify(text)}: ${error.message}`);
  }
}

function readFile(path: string): Map<string, Found> {
  let table: Record<string, unknown>;
  try {
    table = parseToml(readFileSync(path, "utf8"));
  } catch (error) {
    const reason =
      error instanceof TomlError
        ? `line ${error.line}, ${error.message.split("\n")[0]}`
        : String(error);
    throw new SetupError(`cannot read the settings file ${path}: ${reason}`);
  }
  const known = settings.map((each) => each.flag);
  const found = new Map<string, Found>();
  for (const [key, value] of Object.entries(table)) {
    if (!known.includes(key)) {
      throw new SetupError(`${path}: ${key} is not a setting${suggestion(key, known, "")}`);
    }
    const text = tomlText(path, key, value);
    // As --print-config shows a list that is not set.
    if (Array.isArray(value) && text === "") continue;
    found.set(key, { text, source: path });
  }
  return found;
}

function tomlText(path: string, key: string, value: unknown): string {
  if (["string", "number", "boolean", "bigint"].includes(typeof value)) return String(value);
  const isList = Array.isArray(settings.find((each) => each.flag === key)?.fallback);
  if (isList && Array.isArray(value) && value.every((each) => typeof each === "string"))
    return value.join(",");
  const kinds = isList ? "a text or a list of texts" : "a text, a number or a boolean";
  throw new SetupError(`${path}: ${key} must be ${kinds}`);
}

/** " (did you mean …?)" when a known name is at most two edits away. */
function suggestion(asked: string, known: readonly string[], prefix: string): string {
  const near = known
    .map((name) => ({ name, distance: editDistance(asked.toLowerCase(), name.toLowerCase()) }))
    .toSorted((one, other) => one.distance - other.distance)[0];
  return near !== undefined && near.distance <= 2 ? ` (did you mean ${prefix}${near.name}?)` : "";
}

function editDistance(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row++) {
    const line = [row];
    for (let column = 1; column <= other.length; column++) {
      const change = (above[column - 1] ?? 0) + (one[row - 1] === other[column - 1] ? 0 : 1);
      line.push(Math.min(change, (above[column] ?? 0) + 1, (line[column - 1] ?? 0) + 1));
    }
    above = line;
  }
  return above[other.length] ?? 0;
}

/** URLs may name a user with a password. */
const withoutUser = (text: string): string => text.replaceAll(/(?<=:\/\/)[^/"]*@/gu, "********@");

/** The lines of --print-config: TOML, each with its source as a comment; secrets are masked. */
export function printConfig(resolved: Pick<ResolvedConfig, "config" | "sources">): string {
  const lines = settings.map((setting) => {
    const value = resolved.config[setting.key];
    const shown = setting.secret === true && value !== "" ? "********" : value;
    const text = withoutUser(JSON.stringify(shown));
    return `${setting.flag} = ${text}  # ${resolved.sources[setting.key]}`;
  });
  return `${lines.join("\n")}\n`;
}
