// CLIENT KILL: reading its filters and choosing the connections
// (https://redis.io/docs/latest/commands/client-kill/). Beside `client.ts`, which lists it.

import { optionWord, parseInt64 } from "../arguments.ts";
import { quoted, syntaxError } from "../errors.ts";
import { ErrorReply } from "../reply.ts";
import type { Reply } from "../reply.ts";
import type { ClientLine, Server, Session } from "../server.ts";

type Filter = (line: ClientLine) => boolean;

/** Both forms: one address, or pairs of option and value that must all hold. */
export function killClients(server: Server, session: Session, args: readonly Buffer[]): Reply {
  const address = args[2]?.toString("latin1");
  if (args.length === 3) {
    const found = server.clients().filter((line) => line.session.address === address);
    if (found.length === 0) return new ErrorReply("ERR No such client");
    server.kill(sessionsOf(found), session);
    return "OK";
  }
  const filters = parseFilters(args, session);
  if (filters instanceof ErrorReply) return filters;
  const found = server.clients().filter((line) => filters.every((holds) => holds(line)));
  return server.kill(sessionsOf(found), session);
}

function sessionsOf(lines: readonly ClientLine[]): Session[] {
  return lines.map((line) => line.session);
}

function parseFilters(args: readonly Buffer[], self: Session): Filter[] | ErrorReply {
  const filters: Filter[] = [];
  let skipSelf = true;
  for (let at = 2; at < args.length; at += 2) {
    const value = args[at + 1];
    if (value === undefined) return syntaxError;
    const option = optionWord(args[at]);
    if (option === "SKIPME") {
      const word = optionWord(value);
      if (word !== "YES" && word !== "NO") return syntaxError;
      skipSelf = word === "YES";
      continue;
    }
    const filter = parseFilter(option, value);
    if (filter instanceof ErrorReply) return filter;
    filters.push(filter);
  }
  if (skipSelf) filters.push((line) => line.session.id !== self.id);
  return filters;
}

function parseFilter(option: string, value: Buffer): Filter | ErrorReply {
  const text = value.toString("latin1");
  switch (option) {
    case "ID": {
      const id = parseInt64(value);
      if (id === undefined || id <= 0) {
        return new ErrorReply("ERR client-id should be greater than 0");
      }
      return (line) => line.session.id === id;
    }
    case "ADDR":
      return (line) => line.session.address === text;
    case "LADDR":
      return (line) => line.session.localAddress === text;
    case "TYPE":
      return sessionsOfType(value);
    case "USER":
      if (text !== "default") return new ErrorReply(`ERR No such user '${quoted(value)}'`);
      return (line) => line.session.authenticated;
    default:
      return syntaxError;
  }
}

/** Every client here is a normal one; the other types of Redis are known and match nobody. */
export function sessionsOfType(value: Buffer): Filter | ErrorReply {
  const type = optionWord(value);
  if (type === "NORMAL") return () => true;
  if (["MASTER", "REPLICA", "SLAVE", "PUBSUB"].includes(type)) return () => false;
  return new ErrorReply(`ERR Unknown client type '${quoted(value)}'`);
}
