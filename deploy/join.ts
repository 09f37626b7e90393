// From settings to what a node needs of other nodes: the connection to NATS, how the cluster forms,
// and what is kept of it. Between start.ts and the transport's NATS adapter; a node without --nats
// never comes here.

import { readFileSync } from "node:fs";

import type { Formation } from "../actors/cluster/protocol.ts";
import type { ClusterOptions } from "../actors/node.ts";
import type { Log } from "../actors/observe/log.ts";
import { openNatsTransport, type NatsOptions } from "../transport/nats.ts";
import type { TransportProblem } from "../transport/problem.ts";
import type { DataDirectory } from "./data-directory.ts";
import { SetupError } from "./failure.ts";
import type { Config } from "./setting.ts";

/**
 * Connects to NATS, waiting for a server as long as it takes. The caller closes the transport.
 * Rejects when NATS refuses this node.
 */
export async function joinOthers(directory: DataDirectory, log: Log): Promise<ClusterOptions> {
  const { config } = directory.resolved;
  const { incarnation, epoch } = directory.ident;
  const transport = await openNatsTransport({
    ...natsOptions(config),
    onProblem: (problem) => logProblem(log, problem),
  });
  log.info("connected to NATS", { servers: config.nats.map(withoutUser) });
  return {
    name: config.cluster,
    incarnation,
    epoch,
    transport,
    formation: formationOf(config),
    membership: directory.membership,
    replicas: config.replicas,
    readMode: config.readMode,
  };
}

const withoutUser = (url: string): string => url.replace(/\/\/.*@/u, "//");

/**
 * How the bootstrap finds its members, if there has to be one. A node that was told nothing founds
 * nothing: beside a cluster that is down for the moment, it would found a second one.
 */
export function formationOf({ initialNodes, bootstrapExpect }: Config): Formation {
  if (bootstrapExpect > 0) return { kind: "expect", count: bootstrapExpect };
  return { kind: "named", nodeIds: initialNodes };
}

const given = (text: string): string | undefined => (text === "" ? undefined : text);

/** The adapter's options, as far as settings say them. Throws `SetupError` for a file without a seed. */
export function natsOptions(config: Config): Omit<NatsOptions, "onProblem"> {
  const tls = {
    caFile: given(config.natsTlsCa),
    certFile: given(config.natsTlsCert),
    keyFile: given(config.natsTlsKey),
  };
  return {
    cluster: config.cluster,
    nodeId: config.nodeId,
    servers: config.nats,
    user: given(config.natsUser),
    password: given(config.natsPassword),
    credsFile: given(config.natsCreds),
    nkeySeed: config.natsNkey === "" ? undefined : seedIn(config.natsNkey),
    tls: Object.values(tls).some((file) => file !== undefined) ? tls : undefined,
  };
}

function seedIn(path: string): string {
  const seed = /\bSU[A-Z2-7]{56}\b/u.exec(readFileSync(path, "utf8"))?.[0];
  if (seed === undefined) throw new SetupError(`--nats-nkey ${path}: no seed (SU…) in this file`);
  return seed;
}

/** What does not pass by itself, or should not be. */
const errors: ReadonlySet<TransportProblem["kind"]> = new Set([
  "handler",
  "damaged",
  "foreign",
  "tooLong",
]);

function logProblem(log: Log, { kind, message, from, error }: TransportProblem): void {
  const level = errors.has(kind) ? "error" : "warning";
  log[level](message, {
    ...(from !== undefined && { from }),
    ...(error !== undefined && { error }),
  });
}
