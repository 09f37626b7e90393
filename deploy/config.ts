// Turns flags, environment and the TOML file into one frozen `Config`, and remembers where each
// value came from. It sits between the command line and the start; contradictions are refused here,
// once, so that nothing behind it checks a setting again. It opens no data directory.

import { readFileSync } from "node:fs";

import { parse as parseToml, TomlError } from "smol-toml";

import { SetupError } from "./failure.ts";
import { meaninglessEnvironment, settings, type Config, type Setting } from "./settings.ts";
import { ValueError } from "./values.ts";

/** Where a value came from: "flag", "SPIRE_PORT", "node.toml", "data directory" or "default". */
type Sources = Readonly<Record<keyof Config, string>>;

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
  refuseContradictions(config, warnings);
  return { config: Object.freeze(config), sources: sources as unknown as Sources, warnings };
}

function parseValue(setting: Setting<keyof Config>, found: Found): unknown {
  try {
    return setting.parse(found.text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const name =
      found.source === "flag" ? `--${setting.flag}` : `${setting.flag} from ${found.source}`;
    const shown = setting.secret === true ? "" : ` ${JSON.stringify(found.text)}`;
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
    const reason = meaninglessEnvironment[name];
    const flag = flagOfName.get(name);
    if (flag === undefined && reason === undefined) {
      throw new SetupError(
        `${variable} is not a setting${suggestion(name, [...flagOfName.keys()], "SPIRE_")}`,
      );
    }
    if (text === "") continue;
    if (flag === undefined) {
      warnings.push(`${variable} has no meaning here: ${reason}`);
      continue;
    }
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
    found.set(key, { text: tomlText(path, key, value), source: path });
  }
  return found;
}

function tomlText(path: string, key: string, value: unknown): string {
  if (["string", "number", "boolean", "bigint"].includes(typeof value)) return String(value);
  throw new SetupError(`${path}: ${key} must be a text, a number or a boolean`);
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

function refuseContradictions(config: Config, warnings: string[]): void {
  const httpBind = config.httpBind === "" ? config.bind : config.httpBind;
  if (config.port !== 0 && config.port === config.httpPort && httpBind === config.bind) {
    throw new SetupError(`--port and --http-port are both ${config.port}`);
  }
  const local = ["127.0.0.1", "::1", "localhost"];
  if (!local.includes(config.bind) && config.requirepass === "") {
    warnings.push(`listening on ${config.bind} without a password: set --requirepass`);
  }
}

/** The lines of --print-config: TOML, each with its source as a comment; secrets are masked. */
export function printConfig(resolved: Pick<ResolvedConfig, "config" | "sources">): string {
  const lines = settings.map((setting) => {
    const value = resolved.config[setting.key];
    const shown = setting.secret === true && value !== "" ? "********" : value;
    return `${setting.flag} = ${JSON.stringify(shown)}  # ${resolved.sources[setting.key]}`;
  });
  return `${lines.join("\n")}\n`;
}
