// Everything a SpireDB process does at the top: reads the command line, resolves the settings,
// takes the data directory, runs the node, exits. The only place that reads the environment and
// ends the process; what a node consists of is `start.ts`.

import type { Log } from "../actors/observe/log.ts";
import { resolveConfig, printConfig } from "./config.ts";
import { createProgram, type FlagTexts } from "./command-line.ts";
import { openDataDirectory, previewConfig } from "./data-directory.ts";
import { describeFailure } from "./failure.ts";
import { describeLayout } from "./layout.ts";
import type { ClusterCommandOptions } from "./local/cluster-command.ts";
import { runNode, type Host } from "./run.ts";

function hostOf(log: Log): Host {
  return {
    print: (line) => process.stdout.write(`${line}\n`),
    log,
    onSignal(listener) {
      process.on("SIGTERM", listener);
      process.on("SIGINT", listener);
    },
    onAbandoned(listener) {
      // Only a parent that opened an IPC channel counts, as `spiredb cluster` does.
      if (!process.connected) return;
      process.on("disconnect", listener);
      process.channel?.unref();
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
  const [{ createLog }, { startNode }] = await Promise.all([
    import("../actors/observe/log.ts"),
    import("./start.ts"),
  ]);
  const log = createLog({ node: resolved.config.nodeId, level: resolved.config.logLevel });
  try {
    const directory = openDataDirectory(resolved);
    const { nodeId: node, logLevel: level } = directory.resolved.config;
    const nodeLog = createLog({ node, level });
    for (const warning of resolved.warnings) nodeLog.warning(warning);
    process.exit(await runNode(directory, hostOf(nodeLog), startNode));
  } catch (error) {
    const failure = describeFailure(error);
    log.error(failure.message);
    process.exitCode = failure.exitCode;
  }
}

async function layout(flags: FlagTexts): Promise<void> {
  const { config } = resolveConfig({ flags, environment: process.env });
  process.stdout.write(await describeLayout(config.dataDir));
}

async function cluster(options: ClusterCommandOptions): Promise<void> {
  const { refusePortsBeyondRange, runClusterCommand } = await import("./local/cluster-command.ts");
  refusePortsBeyondRange(options);
  process.exit(await runClusterCommand(options));
}

async function demo(seconds: number): Promise<void> {
  const { runDemo } = await import("./local/demo-command.ts");
  process.exit(await runDemo(seconds));
}

/** Runs the command line given to this process. */
export async function main(): Promise<void> {
  try {
    await createProgram({ start, cluster, demo, layout }).parseAsync();
  } catch (error) {
    const failure = describeFailure(error);
    process.stderr.write(`spiredb: ${failure.message}\n`);
    process.exitCode = failure.exitCode;
  }
}

await main();
