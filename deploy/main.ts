// Everything a SpireDB process does at the top: reads the command line, resolves the settings,
// takes the data directory, runs the node, exits. The only place that reads the environment and
// ends the process; what a node consists of is `start.ts`.

import { resolveConfig, printConfig } from "./config.ts";
import { createProgram, type FlagTexts } from "./command-line.ts";
import { openDataDirectory, previewConfig } from "./data-directory.ts";
import { describeFailure, SetupError } from "./failure.ts";
import { describeLayout } from "./layout.ts";
import { runNode, type Host } from "./run.ts";

function hostOf(nodeId: string): Host {
  return {
    print: (line) => process.stdout.write(`${line}\n`),
    log(level, message) {
      const line = { level, time: new Date().toISOString(), node: nodeId, msg: message };
      process.stderr.write(`${JSON.stringify(line)}
`);
    },
    onSignal(listener) {
      process.on("SIGTERM", listener);
      process.on("SIGINT", listener);
    },
    onCrash(listener) {
      process.on("uncaughtException", listener);
      process.on("unhandledRejection", listener);
    },
    after(delayMs, callback) {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
  };
}

async function start(flags: FlagTexts, asked: "run" | "check" | "print"): Promise<void> {
  const resolved = resolveConfig({ flags, environment: process.env });
  if (asked !== "run") {
    const preview = previewConfig(resolved);
    for (const warning of preview.warnings) process.stderr.write(`spiredb: warning: ${warning}\n`);
    process.stdout.write(asked === "print" ? printConfig(preview) : "the settings are valid\n");
    return;
  }
  // Loaded only now, so that --help and a bad setting answer without loading the database.
  const { startNode } = await import("./start.ts");
  const directory = openDataDirectory(resolved);
  const host = hostOf(directory.resolved.config.nodeId);
  for (const warning of resolved.warnings) host.log("warning", warning);
  process.exit(await runNode(directory, host, startNode));
}

async function layout(flags: FlagTexts): Promise<void> {
  const { config } = resolveConfig({ flags, environment: process.env });
  process.stdout.write(await describeLayout(config.dataDir));
}

/** Runs the command line given to this process. */
export async function main(): Promise<void> {
  try {
    await createProgram({ start, layout }).parseAsync();
  } catch (error) {
    const failure = describeFailure(error);
    process.stderr.write(`spiredb: ${failure.message}\n`);
    if (!(error instanceof SetupError) && process.env["SPIRE_LOG_LEVEL"] === "debug") {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    }
    process.exitCode = failure.exitCode;
  }
}

await main();
