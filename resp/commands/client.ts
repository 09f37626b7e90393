// CLIENT and its sub-commands (https://redis.io/docs/latest/commands/client/): what connections
// there are, what they are called, and ending them. They run at the gateway over `Server` and
// `Session`. Tracking and blocking do not exist here, and the answers say so.

import { optionWord, parseInt64 } from "../arguments.ts";
import type { SessionCommand } from "../command.ts";
import { notInteger, quoted, syntaxError } from "../errors.ts";
import { ErrorReply, MapReply, SetReply, VerbatimReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { ClientLine, Server, Session } from "../server.ts";
import { invalidName, isName } from "./client-name.ts";
import { killClients, sessionsOfType } from "./client-kill.ts";

const text = (value: string): Buffer => Buffer.from(value);

const shape = {
  runs: "session",
  group: "connection",
  complexity: "O(1)",
  flags: ["noscript", "loading", "stale"],
  categories: ["@slow", "@connection"],
} as const;
const admin = {
  ...shape,
  flags: ["admin", "noscript", "loading", "stale"],
  categories: ["@admin", "@slow", "@dangerous", "@connection"],
  complexity: "O(N) where N is the number of client connections",
} as const;

/** One line of CLIENT LIST as Redis 7.2 prints it; what has no meaning here is zero. */
export function clientLine(line: ClientLine): string {
  const { session } = line;
  const flags = `${session.noEvict ? "e" : ""}${session.noTouch ? "T" : ""}` || "N";
  return (
    `id=${session.id} addr=${session.address} laddr=${session.localAddress} fd=0 ` +
    `name=${session.name} age=${line.ageSeconds} idle=${line.idleSeconds} flags=${flags} ` +
    `db=${session.db} sub=0 psub=0 ssub=0 multi=-1 qbuf=${line.queryBytes} qbuf-free=0 ` +
    `argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=${line.outputBytes} ` +
    `tot-mem=${line.queryBytes + line.outputBytes} events=r cmd=${line.lastCommand} ` +
    `user=default redir=-1 resp=${session.protocol} lib-name=${session.libraryName} ` +
    `lib-ver=${session.libraryVersion}`
  );
}

function list(server: Server, _session: Session, args: readonly Buffer[]): Reply {
  const lines = chosenLines(server, args);
  if (lines instanceof ErrorReply) return lines;
  return new VerbatimReply(lines.map((line) => `${clientLine(line)}\n`).join(""));
}

function chosenLines(server: Server, args: readonly Buffer[]): readonly ClientLine[] | ErrorReply {
  const lines = server.clients();
  if (args.length === 2) return lines;
  const option = optionWord(args[2]);
  const [first] = args.slice(3);
  if (first === undefined) return syntaxError;
  if (option === "TYPE" && args.length === 4) {
    const matches = sessionsOfType(first);
    return matches instanceof ErrorReply ? matches : lines.filter(matches);
  }
  if (option !== "ID") return syntaxError;
  const ids = new Set<number | bigint>();
  for (const arg of args.slice(3)) {
    const id = parseInt64(arg);
    if (id === undefined) return new ErrorReply("ERR Invalid client ID");
    ids.add(id);
  }
  return lines.filter((line) => ids.has(line.session.id));
}

function info(server: Server, session: Session): Reply {
  const own = server.clients().find((line) => line.session.id === session.id);
  return new VerbatimReply(own === undefined ? "" : `${clientLine(own)}\n`);
}

function setName(_server: Server, session: Session, args: readonly Buffer[]): Reply {
  const name = args[2];
  if (name === undefined || !isName(name)) return invalidName("Client names");
  session.name = name.toString("latin1");
  return "OK";
}

function setInfo(_server: Server, session: Session, args: readonly Buffer[]): Reply {
  const [, , option, value] = args;
  const name = quoted(option);
  const kind = name.toLowerCase();
  if (kind !== "lib-name" && kind !== "lib-ver") {
    return new ErrorReply(`ERR Unrecognized option '${name}'`);
  }
  if (value === undefined || !isName(value)) return invalidName(name);
  if (kind === "lib-name") session.libraryName = value.toString("latin1");
  else session.libraryVersion = value.toString("latin1");
  return "OK";
}

function onOff(set: (session: Session, on: boolean) => void): SessionCommand["execute"] {
  return (_server, session, args) => {
    const word = optionWord(args[2]);
    if (word !== "ON" && word !== "OFF") return syntaxError;
    set(session, word === "ON");
    return "OK";
  };
}

function setReplyMode(_server: Server, session: Session, args: readonly Buffer[]): Reply {
  switch (optionWord(args[2])) {
    case "ON":
      session.replyMode = "on";
      return "OK";
    case "OFF":
      session.replyMode = "off";
      return "OK";
    case "SKIP":
      if (session.replyMode !== "off") session.replyMode = "skip";
      return "OK";
    default:
      return syntaxError;
  }
}

function unblock(_server: Server, _session: Session, args: readonly Buffer[]): Reply {
  const [, , id, reason] = args;
  const word = optionWord(reason);
  if (reason !== undefined && word !== "TIMEOUT" && word !== "ERROR") {
    return new ErrorReply("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  // No command blocks, so no client can be unblocked.
  return id === undefined || parseInt64(id) === undefined ? notInteger : 0;
}

function trackingInfo(): Reply {
  return new MapReply([
    [text("flags"), new SetReply([text("off")])],
    [text("redirect"), -1],
    [text("prefixes"), []],
  ]);
}

const help = [
  "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
  "GETNAME",
  "    Return the name of the current connection.",
  "GETREDIR",
  "    Return the client ID we are redirecting to when tracking is enabled.",
  "ID",
  "    Return the ID of the current connection.",
  "INFO",
  "    Return information about the current client connection.",
  "KILL <ip:port>",
  "    Kill connection made from <ip:port>.",
  "KILL <option> <value> [<option> <value> [...]]",
  "    Kill connections. Options are:",
  "    * ADDR (<ip:port>|<unixsocket>:0)",
  "      Kill connections made from the specified address",
  "    * LADDR (<ip:port>|<unixsocket>:0)",
  "      Kill connections made to specified local address",
  "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
  "      Kill connections by type.",
  "    * USER <username>",
  "      Kill connections authenticated by <username>.",
  "    * SKIPME (YES|NO)",
  "      Skip killing current connection (default: yes).",
  "    * ID <client-id>",
  "      Kill connections by client id.",
  "LIST [options ...]",
  "    Return information about client connections. Options:",
  "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
  "      Return clients of specified type.",
  "UNBLOCK <clientid> [TIMEOUT|ERROR]",
  "    Unblock the specified blocked client.",
  "REPLY (ON|OFF|SKIP)",
  "    Control the replies sent to the current connection.",
  "SETNAME <name>",
  "    Assign the name <name> to the current connection.",
  "SETINFO <option> <value>",
  "    Set client meta attr. Options are:",
  "    * LIB-NAME: the client lib name.",
  "    * LIB-VER: the client lib version.",
  "TRACKINGINFO",
  "    Report tracking status for the current connection.",
  "NO-EVICT (ON|OFF)",
  "    Protect current client connection from eviction.",
  "NO-TOUCH (ON|OFF)",
  "    Will not touch LRU/LFU stats when this mode is on.",
  "HELP",
  "    Print this help.",
];

const subcommands = [
  {
    ...shape,
    name: "client|getname",
    arity: 2,
    since: "2.6.9",
    summary: "Returns the name of the connection.",
    execute: (_server, session) => (session.name === "" ? null : Buffer.from(session.name)),
  },
  {
    ...shape,
    name: "client|getredir",
    arity: 2,
    since: "6.0.0",
    summary:
      "Returns the client ID to which the connection's tracking notifications are redirected.",
    execute: () => -1,
  },
  {
    ...shape,
    name: "client|help",
    arity: 2,
    since: "5.0.0",
    summary: "Returns helpful text about the different subcommands.",
    execute: () => help,
  },
  {
    ...shape,
    name: "client|id",
    arity: 2,
    since: "5.0.0",
    summary: "Returns the unique client ID of the connection.",
    execute: (_server, session) => session.id,
  },
  {
    ...shape,
    name: "client|info",
    arity: 2,
    since: "6.2.0",
    summary: "Returns information about the connection.",
    execute: info,
  },
  {
    ...admin,
    name: "client|kill",
    arity: -3,
    since: "2.4.0",
    summary: "Terminates open connections.",
    execute: killClients,
  },
  {
    ...admin,
    name: "client|list",
    arity: -2,
    since: "2.4.0",
    summary: "Lists open connections.",
    execute: list,
  },
  {
    ...admin,
    name: "client|no-evict",
    arity: 3,
    since: "7.0.0",
    complexity: "O(1)",
    summary: "Sets the client eviction mode of the connection.",
    execute: onOff((session, on) => {
      session.noEvict = on;
    }),
  },
  {
    ...shape,
    name: "client|no-touch",
    arity: 3,
    since: "7.2.0",
    summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
    execute: onOff((session, on) => {
      session.noTouch = on;
    }),
  },
  {
    ...shape,
    name: "client|reply",
    arity: 3,
    since: "3.2.0",
    summary: "Instructs the server whether to reply to commands.",
    execute: setReplyMode,
  },
  {
    ...shape,
    name: "client|setinfo",
    arity: 4,
    since: "7.2.0",
    summary: "Sets information specific to the client or connection.",
    execute: setInfo,
  },
  {
    ...shape,
    name: "client|setname",
    arity: 3,
    since: "2.6.9",
    summary: "Sets the connection name.",
    execute: setName,
  },
  {
    ...shape,
    name: "client|trackinginfo",
    arity: 2,
    since: "6.2.0",
    summary: "Returns information about server-assisted client-side caching for the connection.",
    execute: trackingInfo,
  },
  {
    ...admin,
    name: "client|unblock",
    arity: -3,
    since: "5.0.0",
    complexity: "O(log N) where N is the number of client connections",
    summary: "Unblocks a client blocked by a blocking command from a different connection.",
    execute: unblock,
  },
] satisfies readonly SessionCommand[];

export const clientCommands: readonly SessionCommand[] = [
  {
    ...shape,
    name: "client",
    arity: -2,
    flags: [],
    categories: ["@slow"],
    since: "2.4.0",
    complexity: "Depends on subcommand.",
    summary: "A container for client connection commands.",
    subcommands,
    // The gate finds the sub-command; without a known one it has answered already.
    execute: () => syntaxError,
  },
];
