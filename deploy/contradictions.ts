// What settings must not say together. Called once, when all sources are resolved, so that nothing
// behind it checks a setting again; it looks at files named by settings only for being readable.

import { accessSync, constants } from "node:fs";

import type { Sources } from "./config.ts";
import { SetupError, systemReason } from "./failure.ts";
import type { Config } from "./setting.ts";

/** Warnings for the log. Throws `SetupError` for a contradiction. */
export function refuseContradictions(config: Config, sources: Sources): string[] {
  const httpBind = config.httpBind === "" ? config.bind : config.httpBind;
  if (config.port !== 0 && config.port === config.httpPort && httpBind === config.bind) {
    throw new SetupError(`--port and --http-port are both ${config.port}`);
  }
  const warnings: string[] = [];
  const local = ["127.0.0.1", "::1", "localhost"];
  if (!local.includes(config.bind) && config.requirepass === "") {
    warnings.push(`listening on ${config.bind} without a password: set --requirepass`);
  }
  if (config.nats.length === 0) warnings.push(...refuseWithoutNats(config, sources));
  else refuseNats(config);
  warnings.push(...judgeFormation(config, sources));
  return warnings;
}

const natsOptions = {
  natsUser: "--nats-user",
  natsPassword: "--nats-password",
  natsCreds: "--nats-creds",
  natsNkey: "--nats-nkey",
  natsTlsCa: "--nats-tls-ca",
  natsTlsCert: "--nats-tls-cert",
  natsTlsKey: "--nats-tls-key",
} as const satisfies Partial<Record<keyof Config, string>>;

type NatsOption = keyof typeof natsOptions;

const isGiven = (config: Config, key: NatsOption): boolean => config[key] !== "";

function refuseWithoutNats(config: Config, sources: Sources): string[] {
  for (const key of Object.keys(natsOptions) as NatsOption[]) {
    if (isGiven(config, key)) throw new SetupError(`${natsOptions[key]} needs --nats`);
  }
  if (config.bootstrapExpect > 0) throw new SetupError("--bootstrap-expect needs --nats");
  if (config.initialNodes.length === 0) return [];
  // The original sets it on a single node too.
  if (sources.initialNodes !== "SPIRE_CLUSTER_NODES") {
    throw new SetupError("--initial-nodes needs --nats");
  }
  return ["SPIRE_CLUSTER_NODES has no meaning without --nats: this node is alone"];
}

function refuseNats(config: Config): void {
  const inUrl = config.nats.some((url) => url.includes("@"));
  const user = isGiven(config, "natsUser") || isGiven(config, "natsPassword");
  const ways = [inUrl, user, isGiven(config, "natsCreds"), isGiven(config, "natsNkey")];
  if (ways.filter(Boolean).length > 1) {
    throw new SetupError(
      "NATS is given more than one identity: choose the URL, --nats-user with --nats-password, " +
        "--nats-creds or --nats-nkey",
    );
  }
  if (isGiven(config, "natsUser") !== isGiven(config, "natsPassword")) {
    throw new SetupError("--nats-user and --nats-password go together");
  }
  if (isGiven(config, "natsTlsCert") !== isGiven(config, "natsTlsKey")) {
    throw new SetupError("--nats-tls-cert and --nats-tls-key go together");
  }
  const identities = new Set(config.nats.map((url) => /\/\/(?:(.*)@)?/u.exec(url)?.[1] ?? ""));
  if (identities.size > 1) throw new SetupError("--nats names servers with different users");
  for (const key of ["natsCreds", "natsNkey", "natsTlsCa", "natsTlsCert", "natsTlsKey"] as const) {
    if (isGiven(config, key)) refuseUnreadable(natsOptions[key], config[key]);
  }
}

function refuseUnreadable(flag: string, path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new SetupError(`${flag} ${path}: ${isAbsent ? "no such file" : systemReason(error)}`);
  }
}

function judgeFormation(config: Config, sources: Sources): string[] {
  const { bootstrapExpect, initialNodes, replicas, nodeId } = config;
  const named = initialNodes.length > 0 && config.nats.length > 0;
  if (named && bootstrapExpect > 0) {
    throw new SetupError(
      "--bootstrap-expect and --initial-nodes are two ways of saying it: give one",
    );
  }
  if (named && sources.nodeId !== "default" && !initialNodes.includes(nodeId)) {
    // A founder that is not named would wait for ever; one that joins later needs no list.
    throw new SetupError(
      `--initial-nodes ${initialNodes.join(",")} does not name this node, ${nodeId}; ` +
        "a node that joins later needs neither --initial-nodes nor --bootstrap-expect",
    );
  }
  const warnings: string[] = [];
  if (bootstrapExpect === 2 || (named && initialNodes.length === 2)) {
    warnings.push("a cluster of two nodes stops when either of them fails: three is the least");
  }
  if (replicas % 2 === 0) {
    warnings.push(`${replicas} replicas stand no more failures than ${replicas - 1}`);
  }
  return warnings;
}
