// The command line: `spiredb start`, `spiredb debug layout`, help and version, with one option per
// row of the settings table. It turns arguments into texts and calls what the caller gives it; it
// neither resolves settings nor starts anything.

import { Command, InvalidArgumentError, Option } from "commander";

import { settings } from "./settings.ts";
import { version } from "./version.ts";

/** Flag texts by flag name; only flags that were given. */
export type FlagTexts = Readonly<Record<string, string>>;

/** What the commands do. */
export interface CommandActions {
  start(flags: FlagTexts, asked: "run" | "check" | "print"): Promise<void>;
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
  const { fallback } = setting;
  if (fallback === "") return setting.about;
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
