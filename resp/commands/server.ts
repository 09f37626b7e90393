// Commands about the server: INFO, TIME, ROLE, LASTSAVE, WAIT, SHUTDOWN, SLOWLOG, SPIRE.REGIONS …
// (https://redis.io/docs/latest/commands/?group=server). They run at the gateway over `Server`;
// DEBUG and FUNCTION have a file of their own.

import { optionWord, parseInt64, parseNumber } from "../arguments.ts";
import type { Command, SessionCommand } from "../command.ts";
import { notInteger, syntaxError } from "../errors.ts";
import { ErrorReply, MapReply, VerbatimReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { RegionLine, Server, Session } from "../server.ts";
import { configCommands } from "./config.ts";
import { debugCommands, functionCommands } from "./debug.ts";
import { slowlogCommands } from "./slowlog.ts";

const text = (value: string): Buffer => Buffer.from(value);

const shape = {
  runs: "session",
  group: "server",
  complexity: "O(1)",
  flags: ["loading", "stale", "fast"],
  categories: ["@fast"],
} as const;

const info = {
  ...shape,
  name: "info",
  arity: -1,
  flags: ["loading", "stale"],
  categories: ["@slow", "@dangerous"],
  since: "1.0.0",
  summary: "Returns information and statistics about the server.",
  execute: (server, session, args) => {
    const sections = args.slice(1).map((arg) => arg.toString("latin1").toLowerCase());
    server.info(sections, (written) => session.reply(new VerbatimReply(written)));
    return undefined;
  },
} satisfies SessionCommand;

const time = {
  ...shape,
  name: "time",
  arity: 1,
  since: "2.6.0",
  summary: "Returns the server time.",
  execute: (server) => {
    const nowMs = server.nowMs();
    const seconds = Math.floor(nowMs / 1000);
    const microseconds = Math.floor((nowMs - seconds * 1000) * 1000);
    return [Buffer.from(String(seconds)), Buffer.from(String(microseconds))];
  },
} satisfies SessionCommand;

const lastsave = {
  ...shape,
  name: "lastsave",
  arity: 1,
  categories: ["@admin", "@fast", "@dangerous"],
  since: "1.0.0",
  summary: "Returns the Unix timestamp of the last successful save to disk.",
  execute: (server) => server.lastSaveSeconds(),
} satisfies SessionCommand;

const role = {
  ...shape,
  name: "role",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast"],
  categories: ["@admin", "@fast", "@dangerous"],
  since: "2.8.12",
  summary: "Returns the replication role.",
  // Any node serves every key; there is no replica a client could see.
  execute: () => [Buffer.from("master"), 0, []],
} satisfies SessionCommand;

/** Undefined when the argument is a timeout as WAIT takes it. */
function badTimeout(bytes: Buffer | undefined): ErrorReply | undefined {
  const value = bytes === undefined ? undefined : parseInt64(bytes);
  if (value === undefined) {
    return new ErrorReply("ERR timeout is not an integer or out of range");
  }
  return value < 0 ? new ErrorReply("ERR timeout is negative") : undefined;
}

/**
 * Replies leave when a majority has the write on disk, so of every earlier write of the connection at
 * least this many other nodes have a synced copy. That more of them do is not waited for.
 */
function otherCopies(server: Server): number {
  const copies = server.regions().map(({ peers }) => Math.floor(peers.length / 2));
  return copies.length === 0 ? 0 : Math.min(...copies);
}

const wait = {
  ...shape,
  name: "wait",
  arity: 3,
  flags: ["blocking"],
  categories: ["@slow", "@blocking", "@connection"],
  group: "generic",
  since: "3.0.0",
  summary: "Blocks until the asynchronous replication of all preceding writes has completed.",
  execute: (server, _session, args) => {
    if (args[1] === undefined || parseInt64(args[1]) === undefined) return notInteger;
    return badTimeout(args[2]) ?? otherCopies(server);
  },
} satisfies SessionCommand;

const waitaof = {
  ...shape,
  name: "waitaof",
  arity: 4,
  flags: ["blocking"],
  categories: ["@slow", "@blocking", "@connection"],
  group: "generic",
  since: "7.2.0",
  summary: "Blocks until all preceding writes were written to the append-only file.",
  execute: (server, _session, args) => {
    const [, local, replicas, timeout] = args;
    const locals = local === undefined ? undefined : parseNumber(local);
    if (locals === undefined) return notInteger;
    if (locals < 0 || locals > 1) {
      return new ErrorReply("ERR value is out of range, must be between 0 and 1");
    }
    const wanted = replicas === undefined ? undefined : parseNumber(replicas);
    if (wanted === undefined) return notInteger;
    if (wanted < 0) return new ErrorReply("ERR value is out of range, must be positive");
    // Every earlier write of this connection is in the synced log before this reply leaves.
    return badTimeout(timeout) ?? [1, otherCopies(server)];
  },
} satisfies SessionCommand;

const shutdown = {
  ...shape,
  name: "shutdown",
  arity: -1,
  flags: ["admin", "noscript", "loading", "stale", "no_multi", "allow_busy"],
  categories: ["@admin", "@slow", "@dangerous"],
  since: "1.0.0",
  summary: "Synchronously saves the database(s) to disk and shuts down the server.",
  execute: (server, session, args) => {
    const words = new Set(args.slice(1).map((arg) => optionWord(arg)));
    for (const word of words) {
      if (!["SAVE", "NOSAVE", "NOW", "FORCE", "ABORT"].includes(word)) return syntaxError;
    }
    if (words.has("ABORT")) {
      return words.size > 1 ? syntaxError : new ErrorReply("ERR No shutdown in progress.");
    }
    if (words.has("SAVE") && words.has("NOSAVE")) return syntaxError;
    // Redis sends no reply: the closed connection is the answer.
    session.replyMode = "off";
    session.closeAfterReply();
    server.shutdown();
    return "OK";
  },
} satisfies SessionCommand;

const moduleList = {
  ...shape,
  name: "module|list",
  arity: 2,
  flags: ["admin", "noscript"],
  categories: ["@admin", "@slow", "@dangerous"],
  since: "4.0.0",
  summary: "Returns all loaded modules.",
  execute: () => [],
} satisfies SessionCommand;

const moduleHelp = {
  ...moduleList,
  name: "module|help",
  flags: ["loading", "stale"],
  categories: ["@slow"],
  since: "5.0.0",
  summary: "Returns helpful text about the different subcommands.",
  execute: () => [
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
    "HELP",
    "    Prints this help.",
  ],
} satisfies SessionCommand;

const modules = {
  ...shape,
  name: "module",
  arity: -2,
  flags: [],
  categories: ["@slow"],
  since: "4.0.0",
  complexity: "Depends on subcommand.",
  summary: "A container for module commands.",
  subcommands: [moduleHelp, moduleList],
  execute: () => syntaxError,
} satisfies SessionCommand;

const storeAway = new ErrorReply("CLUSTERDOWN store restarting");

/** A region as a map; in RESP2 the first pair is `region <id>`. */
function regionMap(line: RegionLine): Reply {
  return new MapReply([
    [text("region"), line.region],
    [text("range"), [line.fromPosition, line.toPosition]],
    [text("leader"), text(line.leader)],
    [text("peers"), line.peers.map(text)],
    [text("epoch"), line.epoch],
    [text("term"), line.term],
  ]);
}

const regions = {
  ...shape,
  name: "spire.regions",
  arity: 1,
  since: "7.2.0",
  complexity: "O(N) where N is the number of regions",
  summary: "Returns every region: range of positions, leader, peers, epoch and term.",
  execute: (server: Server) => server.regions().map(regionMap),
} satisfies SessionCommand;

const stores = {
  ...shape,
  name: "spire.stores",
  arity: 1,
  since: "7.2.0",
  complexity: "O(N) where N is the number of nodes",
  summary: "Returns every node: its name, the address of its RESP port and whether it is up.",
  execute: (server: Server) =>
    server.clusterNodes().map(({ nodeId, host, port, isUp }) => {
      const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
      return new MapReply([
        [text("node"), text(nodeId)],
        [text("resp"), text(port === 0 ? "" : address)],
        [text("state"), text(isUp ? "up" : "down")],
      ]);
    }),
} satisfies SessionCommand;

const region = {
  ...shape,
  name: "spire.region",
  arity: 2,
  since: "7.2.0",
  keys: { first: 1, last: 1, step: 1 },
  summary: "Returns the region that owns a key.",
  execute: (server: Server, _session: Session, args: readonly Buffer[]) => {
    const line = args[1] === undefined ? undefined : server.regionOf(args[1]);
    return line === undefined ? storeAway : regionMap(line);
  },
} satisfies SessionCommand;

export const serverCommands: readonly Command[] = [
  info,
  time,
  lastsave,
  role,
  wait,
  waitaof,
  shutdown,
  modules,
  regions,
  region,
  stores,
  ...configCommands,
  ...slowlogCommands,
  ...debugCommands,
  ...functionCommands,
];
