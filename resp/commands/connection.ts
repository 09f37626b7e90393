// Commands about the connection itself: PING, ECHO, AUTH, HELLO, SELECT, RESET, QUIT
// (https://redis.io/docs/latest/commands/?group=connection). They run at the gateway over a
// `Session` and touch no data; CLIENT has a file of its own.

import { parseDatabase, parseInt64 } from "../arguments.ts";
import type { SessionCommand } from "../command.ts";
import { quoted, syntaxError, wrongArity } from "../errors.ts";
import { ErrorReply, MapReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { Server, Session } from "../server.ts";
import { clientCommands } from "./client.ts";
import { invalidName, isName } from "./client-name.ts";

/** The Redis whose behaviour is promised; clients switch features on by it. */
export const redisVersion = "7.2.4";

const wrongPassword = new ErrorReply(
  "WRONGPASS invalid username-password pair or user is disabled.",
);
const noPasswordSet = new ErrorReply(
  "ERR AUTH <password> called without any password configured for the default user. " +
    "Are you sure your configuration is correct?",
);
const helloNeedsAuth = new ErrorReply(
  "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and " +
    "select the RESP protocol version at the same time",
);

const text = (value: string): Buffer => Buffer.from(value);

const shape = {
  runs: "session",
  group: "connection",
  complexity: "O(1)",
  categories: ["@fast", "@connection"],
} as const;

const ping = {
  ...shape,
  name: "ping",
  arity: -1,
  flags: ["fast"],
  summary: "Returns the server's liveliness response.",
  since: "1.0.0",
  execute: (_server, _session, args) => {
    if (args.length > 2) return wrongArity("ping");
    return args[1] ?? "PONG";
  },
} satisfies SessionCommand;

const echo = {
  ...shape,
  name: "echo",
  arity: 2,
  flags: ["loading", "stale", "fast"],
  summary: "Returns the given string.",
  since: "1.0.0",
  execute: (_server, _session, args) => args[1] ?? null,
} satisfies SessionCommand;

const quit = {
  ...shape,
  name: "quit",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  summary: "Closes the connection.",
  since: "1.0.0",
  execute: (_server, session) => {
    session.closeAfterReply();
    return "OK";
  },
} satisfies SessionCommand;

const reset = {
  ...shape,
  name: "reset",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  summary: "Resets the connection.",
  since: "6.2.0",
  execute: (_server, session) => {
    session.reset();
    return "RESET";
  },
} satisfies SessionCommand;

const select = {
  ...shape,
  name: "select",
  arity: 2,
  flags: ["loading", "stale", "fast"],
  summary: "Changes the selected database.",
  since: "1.0.0",
  execute: (_server, session, args) => {
    if (args[1] === undefined) return syntaxError;
    const index = parseDatabase(args[1]);
    if (index instanceof ErrorReply) return index;
    session.db = index;
    return "OK";
  },
} satisfies SessionCommand;

const auth = {
  ...shape,
  name: "auth",
  arity: -2,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  summary: "Authenticates the connection.",
  since: "1.0.0",
  complexity: "O(N) where N is the number of passwords defined for the user",
  execute: (server, session, args) => {
    if (args.length > 3) return syntaxError;
    const [, first, second] = args;
    if (first === undefined) return syntaxError;
    if (second === undefined) {
      if (server.requirepass() === "") return noPasswordSet;
      return authenticate(server, session, "default", first) ?? "OK";
    }
    return authenticate(server, session, first.toString("latin1"), second) ?? "OK";
  },
} satisfies SessionCommand;

/** Undefined when the session may go on; there is one user, "default", as in Redis without ACL. */
function authenticate(
  server: Server,
  session: Session,
  user: string,
  password: Buffer,
): ErrorReply | undefined {
  if (user !== "default") return wrongPassword;
  const wanted = server.requirepass();
  if (wanted !== "" && !sameSecret(Buffer.from(wanted), password)) return wrongPassword;
  session.authenticated = true;
  return undefined;
}

/** Compares in a time that depends on the given length only. */
function sameSecret(secret: Buffer, given: Buffer): boolean {
  let difference = secret.length ^ given.length;
  for (let i = 0; i < given.length; i += 1) {
    difference |= (secret[i % secret.length] ?? 0) ^ (given[i] ?? 0);
  }
  return difference === 0;
}

const hello = {
  ...shape,
  name: "hello",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  summary: "Handshakes with the Redis server.",
  since: "6.0.0",
  execute: (server, session, args) => {
    let version: number = session.protocol;
    if (args[1] !== undefined) {
      const asked = parseInt64(args[1]);
      if (typeof asked !== "number") {
        return new ErrorReply("ERR Protocol version is not an integer or out of range");
      }
      if (asked < 2 || asked > 3) return new ErrorReply("NOPROTO unsupported protocol version");
      version = asked;
    }
    const options = helloOptions(server, session, args);
    if (options instanceof ErrorReply) return options;
    if (!session.authenticated) return helloNeedsAuth;
    if (options.name !== undefined) session.name = options.name;
    session.protocol = version === 3 ? 3 : 2;
    return greeting(session);
  },
} satisfies SessionCommand;

function helloOptions(
  server: Server,
  session: Session,
  args: readonly Buffer[],
): { readonly name: string | undefined } | ErrorReply {
  let name: string | undefined;
  for (let at = 2; at < args.length; at += 1) {
    const option = args[at]?.toString("latin1") ?? "";
    const [first, second] = [args[at + 1], args[at + 2]];
    if (option.toLowerCase() === "auth" && first !== undefined && second !== undefined) {
      const refused = authenticate(server, session, first.toString("latin1"), second);
      if (refused !== undefined) return refused;
      at += 2;
    } else if (option.toLowerCase() === "setname" && first !== undefined) {
      if (!isName(first)) return invalidName("Client names");
      name = first.toString("latin1");
      at += 1;
    } else {
      return new ErrorReply(`ERR Syntax error in HELLO option '${quoted(args[at])}'`);
    }
  }
  return { name };
}

function greeting(session: Session): Reply {
  return new MapReply([
    [text("server"), text("redis")],
    [text("version"), text(redisVersion)],
    [text("proto"), session.protocol],
    [text("id"), session.id],
    [text("mode"), text("standalone")],
    [text("role"), text("master")],
    [text("modules"), []],
  ]);
}

export const connectionCommands: readonly SessionCommand[] = [
  ping,
  echo,
  auth,
  hello,
  select,
  reset,
  quit,
  ...clientCommands,
];
