// The command line: `spiredb start`, `cluster`, `demo` and `debug layout`, help and version, with one
// option per row of the settings table. It turns arguments into texts and calls what the caller gives
// it; it neither resolves settings nor starts anything.

import { Command, InvalidArgumentError, Option } from "commander";

import type { ClusterCommandOptions } from "./local/cluster-command.ts";
import { settings } from "./settings.ts";
import { ValueError, wholeNumber, type Parse } from "./values.ts";
import { version } from "./version.ts";

/** Flag texts by flag name; only flags that were given. */
export type FlagTexts = Readonly<Record<string, string>>;

/** What the commands do. */
export interface CommandActions {
  start(flags: FlagTexts, asked: "run" | "check" | "print"): Promise<void>;
  cluster(options: ClusterCommandOptions): Promise<void>;
  demo(seconds: number): Promise<void>;
  layout(flags: FlagTexts): Promise<void>;
}

const outcome = `
Standard output gets one line when the node serves:
  ready node=<id> resp=<host:port> http=<host:port>
Everything else is JSON, one object a line, on standard error.

SIGTERM and SIGINT drain and exit 0; a second one stops at once.
Exit code 1: bad settings or a start that cannot succeed. Exit code 2: damaged data.

Settings: flag > environment > file > default. Every flag has an environment variable:
--num-regions is SPIRE_NUM_REGIONS. The file is TOML with the flags' names as keys.
Sizes take units (64MiB), durations too (30s).
`;

const configOption = (): Option => new Option("--config <file>", "read settings from a TOML file");

/** The program for `parseAsync`. Commander itself ends the process for help and usage errors. */
export function createProgram(actions: CommandActions): Command {
  const program = new Command("spiredb")
    .description("A Redis-compatible store that keeps what it acknowledges.")
    .version(version, "--version", "print the version")
    .showSuggestionAfterError();
  const start = program
    .command("start", { isDefault: true })
    .description("run one node (this is what `spiredb` alone does)")
    .addOption(configOption())
    .option("--check-config", "check the settings and the data directory's identity, then exit")
    .option("--print-config", "print every setting with where it comes from, then exit");
  addSettings(start, () => true);
  // An unknown command lands here, because `start` is the default one.
  start.allowExcessArguments().action(async (options: Record<string, unknown>) => {
    const [excess] = start.args;
    if (excess !== undefined) start.error(`error: unknown command '${excess}' (see --help)`);
    const asked = options["printConfig"] === true ? "print" : checkOrRun(options);
    await actions.start(flagTexts(options), asked);
  });
  addLocalCommands(program, actions);
  const debug = program.command("debug").description("look into a data directory");
  const layout = debug
    .command("layout")
    .description("show where each region's log lies and why")
    .addOption(configOption());
  addSettings(layout, (flag) => flag === "data-dir");
  layout.action(async (options: Record<string, unknown>) => actions.layout(flagTexts(options)));
  start.addHelpText("after", outcome);
  program.addHelpText("after", () => `\n${start.helpInformation()}${outcome}`);
  return program;
}

/** Settings that `spiredb cluster` hands to each of its nodes. */
const nodeFlags = new Set(
  (
    "num-regions hash-tags replicas read-mode log-level shutdown-timeout " +
    "journal-file-size block-cache-size record-cache-size pure-actors"
  ).split(" "),
);

function addLocalCommands(program: Command, actions: CommandActions): void {
  const port = wholeNumber(1, 65_535);
  const cluster = program
    .command("cluster")
    .description("run a whole cluster on this machine, to try it: nodes and a nats-server")
    .addOption(numberOption("--nodes <count>", "how many nodes", 3, wholeNumber(1, 32)))
    .addOption(numberOption("--base-port <port>", "node i, from 0, takes this plus i", 6379, port))
    .addOption(numberOption("--http-base-port <port>", "the same for HTTP", 9090, port))
    .option("--data-dir <dir>", "folder of all nodes", "./cluster-data");
  addSettings(cluster, (flag) => nodeFlags.has(flag));
  cluster.action(async (options: Record<string, unknown>) => {
    const { nodes, basePort, httpBasePort, dataDir, ...others } = options;
    const nodeArgs = Object.entries(flagTexts(others)).flatMap(([flag, text]) => [
      `--${flag}`,
      text,
    ]);
    const asked = { nodes, basePort, httpBasePort, dataDir, nodeArgs };
    await actions.cluster(asked as unknown as ClusterCommandOptions);
  });
  program
    .command("demo")
    .description("three nodes under load, kill -9 of a leader every few seconds, nothing lost")
    .addOption(numberOption("--seconds <count>", "how long", 60, wholeNumber(1, 86_400)))
    .action(async ({ seconds }: { seconds: number }) => actions.demo(seconds));
}

function numberOption(
  flags: string,
  about: string,
  fallback: number,
  parse: Parse<number>,
): Option {
  return new Option(flags, about).default(fallback).argParser((text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof ValueError ? new InvalidArgumentError(error.message) : error;
    }
  });
}

function checkOrRun(options: Record<string, unknown>): "check" | "run" {
  return options["checkConfig"] === true ? "check" : "run";
}

function addSettings(command: Command, wanted: (flag: string) => boolean): void {
  for (const setting of settings.filter((each) => wanted(each.flag))) {
    const option = new Option(`--${setting.flag} ${setting.value}`, describe(setting));
    option.argParser(once(setting.flag));
    command.addOption(option);
  }
}

/** A flag given twice is a mistake that would otherwise hide one of the two values. */
function once(flag: string): (text: string, earlier: unknown) => string {
  return (text, earlier) => {
    if (earlier !== undefined) throw new InvalidArgumentError(`--${flag} is given twice.`);
    return text;
  };
}

function describe(setting: (typeof settings)[number]): string {
  const { fallback, fallbackText } = setting;
  if (fallbackText !== undefined) return `${setting.about} (default: ${fallbackText})`;
  if (fallback === "" || typeof fallback === "object") return setting.about;
  if (typeof fallback === "boolean")
    return `${setting.about} (default: ${fallback ? "on" : "off"})`;
  return `${setting.about} (default: ${inUnits(setting.flag, fallback)})`;
}

function inUnits(flag: string, value: string | number): string {
  if (typeof value === "string") return value;
  if (flag.endsWith("-size")) return `${value / 1024 ** 2}MiB`;
  return flag.endsWith("-timeout") ? `${value / 1000}s` : String(value);
}

/** Commander's camel case back to flag names. */
function flagTexts(options: Record<string, unknown>): FlagTexts {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) {
    const flag = name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
    if (typeof value === "string") texts[flag] = value;
    // Only an option with an optional value, given without one: `--pure-actors`.
    else if (settings.some((setting) => setting.flag === flag)) texts[flag] = "on";
  }
  return texts;
}
