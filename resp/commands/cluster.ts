// CLUSTER and its kin as cluster-aware clients call them when they connect
// (https://redis.io/docs/latest/commands/?group=cluster). Any node serves every key, so the cluster
// shows itself as one shard of all slots whose master is the node that is asked; nobody is ever
// redirected. What changes a Redis cluster does not exist.

import { createHash } from "node:crypto";

import { keyBucket } from "../../storage/keys.ts";
import type { SessionCommand } from "../command.ts";
import { ErrorReply, MapReply, VerbatimReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { ClusterNode, Server, Session } from "../server.ts";

const slotCount = 16_384;
const openBrace = 0x7b;
const closeBrace = 0x7d;

const text = (value: string): Buffer => Buffer.from(value);
/** Forty hexadecimal digits, as clients expect of an id; the same for the same name everywhere. */
const idOf = (name: string): string => createHash("sha1").update(name).digest("hex");
const shardId = idOf("spiredb");

/** A node as clients are told of it. */
interface Member {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly isUp: boolean;
}

const anyHost = new Set(["", "0.0.0.0", "::"]);

function memberOf({ nodeId, host, port, isUp }: ClusterNode): Member {
  return { id: idOf(nodeId), host: anyHost.has(host) ? "" : host, port, isUp };
}

/** The node that is asked, at the address at which it was reached, and all others. */
function membersOf(server: Server, session: Session): [Member, ...Member[]] {
  const at = session.localAddress.lastIndexOf(":");
  const host = session.localAddress.slice(0, at).replaceAll(/[[\]]/g, "");
  const port = Number(session.localAddress.slice(at + 1));
  const others = server.clusterNodes().filter(({ nodeId }) => nodeId !== server.nodeId);
  const self = { nodeId: server.nodeId, host, port, isUp: true };
  return [memberOf(self), ...others.map(memberOf)];
}

/** Whether a client of another machine can connect to it. */
const isReachable = ({ host, port, isUp }: Member): boolean => isUp && host !== "" && port > 0;

function slotOf(key: Buffer): number {
  const open = key.indexOf(openBrace);
  const close = open < 0 ? -1 : key.indexOf(closeBrace, open + 1);
  const hashed = close > open + 1 ? key.subarray(open + 1, close) : key;
  return keyBucket(hashed) % slotCount;
}

function info(server: Server, session: Session): Reply {
  const { length: known } = membersOf(server, session);
  const lines = [
    "cluster_enabled:1",
    "cluster_state:ok",
    `cluster_slots_assigned:${slotCount}`,
    `cluster_slots_ok:${slotCount}`,
    "cluster_slots_pfail:0",
    "cluster_slots_fail:0",
    `cluster_known_nodes:${known}`,
    "cluster_size:1",
    "cluster_current_epoch:1",
    "cluster_my_epoch:1",
    "cluster_stats_messages_sent:0",
    "cluster_stats_messages_received:0",
    "total_cluster_links_buffer_limit_exceeded:0",
  ];
  return new VerbatimReply(lines.map((line) => `${line}\r\n`).join(""));
}

function slots(server: Server, session: Session): Reply {
  const [self, ...others] = membersOf(server, session);
  const shown = [self, ...others.filter(isReachable)];
  const addresses = shown.map(({ id, host, port }): Reply => [text(host), port, text(id), []]);
  return [[0, slotCount - 1, ...addresses]];
}

function shards(server: Server, session: Session): Reply {
  const [self, ...others] = membersOf(server, session);
  const members = [self, ...others].map((member) => {
    const { id, host, port, isUp } = member;
    return new MapReply([
      [text("id"), text(id)],
      [text("port"), port],
      [text("ip"), text(host)],
      [text("endpoint"), text(host)],
      [text("role"), text(member === self ? "master" : "replica")],
      [text("replication-offset"), 0],
      [text("health"), text(isUp ? "online" : "fail")],
    ]);
  });
  return [
    new MapReply([
      [text("slots"), [0, slotCount - 1]],
      [text("nodes"), members],
    ]),
  ];
}

function nodes(server: Server, session: Session): Reply {
  const [self, ...others] = membersOf(server, session);
  const lineOf = ({ id, host, port, isUp }: Member): string => {
    const link = isUp ? "connected" : "disconnected";
    const flags = isUp ? "slave" : "slave,fail";
    return `${id} ${host}:${port}@${port} ${flags} ${self.id} 0 0 1 ${link}\n`;
  };
  const { id, host, port } = self;
  const own = `${id} ${host}:${port}@${port} myself,master - 0 0 1 connected 0-${slotCount - 1}\n`;
  return new VerbatimReply(own + others.map(lineOf).join(""));
}

const shape = {
  runs: "session",
  group: "cluster",
  complexity: "O(N) where N is the number of nodes",
  flags: ["loading", "stale"],
  categories: ["@slow"],
  since: "3.0.0",
} as const;

/** Keys are not placed by these slots, so nobody knows which keys a slot would have. */
const notBySlot = new ErrorReply("ERR slots are shown to clients only, keys are placed by region");

const subcommands: readonly SessionCommand[] = [
  {
    ...shape,
    name: "cluster|info",
    arity: 2,
    summary: "Returns information about the state of a node.",
    execute: info,
  },
  {
    ...shape,
    name: "cluster|slots",
    arity: 2,
    summary: "Returns the mapping of cluster slots to nodes.",
    execute: slots,
  },
  {
    ...shape,
    name: "cluster|shards",
    arity: 2,
    since: "7.0.0",
    summary: "Returns the mapping of cluster slots to shards.",
    execute: shards,
  },
  {
    ...shape,
    name: "cluster|nodes",
    arity: 2,
    summary: "Returns the cluster configuration for a node.",
    execute: nodes,
  },
  {
    ...shape,
    name: "cluster|myid",
    arity: 2,
    complexity: "O(1)",
    summary: "Returns the ID of a node.",
    execute: (server) => text(idOf(server.nodeId)),
  },
  {
    ...shape,
    name: "cluster|myshardid",
    arity: 2,
    since: "7.2.0",
    complexity: "O(1)",
    summary: "Returns the shard ID of a node.",
    execute: () => text(shardId),
  },
  {
    ...shape,
    name: "cluster|links",
    arity: 2,
    since: "7.0.0",
    summary: "Returns a list of all TCP links to and from peer nodes.",
    // Nodes do not talk to each other directly.
    execute: () => [],
  },
  {
    ...shape,
    name: "cluster|keyslot",
    arity: 3,
    complexity: "O(N) where N is the number of bytes in the key",
    summary: "Returns the hash slot for a key.",
    execute: (_server, _session, args) => (args[2] === undefined ? notBySlot : slotOf(args[2])),
  },
  {
    ...shape,
    name: "cluster|countkeysinslot",
    arity: 3,
    complexity: "O(1)",
    summary: "Returns the number of keys in a hash slot.",
    execute: () => notBySlot,
  },
  {
    ...shape,
    name: "cluster|getkeysinslot",
    arity: 4,
    complexity: "O(1)",
    summary: "Returns the key names in a hash slot.",
    execute: () => notBySlot,
  },
  {
    ...shape,
    name: "cluster|help",
    arity: 2,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Returns helpful text about the different subcommands.",
    execute: () => [
      "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      ...subcommands.flatMap(({ name, summary }) => [
        name.slice("cluster|".length).toUpperCase(),
        `    ${summary}`,
      ]),
    ],
  },
];

const cluster = {
  ...shape,
  name: "cluster",
  arity: -2,
  flags: [],
  complexity: "Depends on subcommand.",
  summary: "A container for Redis Cluster commands.",
  subcommands,
  execute: () => notBySlot,
} satisfies SessionCommand;

const connectionMode = {
  ...shape,
  arity: 1,
  flags: ["loading", "stale", "fast"],
  categories: ["@fast", "@connection"],
  complexity: "O(1)",
  // Every node answers for every key, in every mode.
  execute: () => "OK",
} as const;

/** CLUSTER, and what cluster-aware clients send to replicas and before a redirected command. */
export const clusterCommands: readonly SessionCommand[] = [
  cluster,
  {
    ...connectionMode,
    name: "readonly",
    summary: "Enables read-only queries for a connection to a Redis Cluster replica node.",
  },
  {
    ...connectionMode,
    name: "readwrite",
    summary: "Enables read-write queries for a connection to a Redis Cluster replica node.",
  },
  {
    ...connectionMode,
    name: "asking",
    summary: "Signals that a cluster client is following an -ASK redirect.",
  },
];
