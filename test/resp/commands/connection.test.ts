// Connection commands against a session made for tests: replies, protocol versions, what a RESET
// forgets. No gateway behind it.

import { beforeEach, describe, expect, test } from "vitest";

import { fakeSession, FakeServer, run } from "./session-world.ts";
import type { FakeSession } from "./session-world.ts";

let server: FakeServer;
let session: FakeSession;
const ask = (line: string): string => run(server, session, line);

beforeEach(() => {
  server = new FakeServer();
  session = fakeSession(1);
  server.sessions = [session, fakeSession(2)];
});

describe("PING, ECHO, SELECT, QUIT, RESET", () => {
  test.each([
    ["PING", "+PONG"],
    ["PING hi", "$2|hi"],
    ["PING a b", "-ERR wrong number of arguments for 'ping' command"],
    ["ECHO hi", "$2|hi"],
    ["SELECT 15", "+OK"],
    ["SELECT 16", "-ERR DB index is out of range"],
    ["SELECT -1", "-ERR DB index is out of range"],
    ["SELECT x", "-ERR value is not an integer or out of range"],
    [
      "SELECT 99999999999",
      "-ERR value is out of range, value must between -2147483648 and 2147483647",
    ],
    ["QUIT", "+OK"],
    ["RESET", "+RESET"],
  ])("%s answers %s", (line, reply) => expect(ask(line)).toBe(reply));

  test("SELECT changes the database, RESET brings it back, QUIT closes", () => {
    ask("SELECT 3");
    expect(session.db).toBe(3);
    ask("RESET");
    expect(session.db).toBe(0);
    ask("QUIT");
    expect(session.closing).toBe(true);
  });
});

describe("AUTH", () => {
  test("without a password configured the short form is an error, the long one is not", () => {
    expect(ask("AUTH x")).toMatch(/^-ERR AUTH <password> called without any password/);
    expect(ask("AUTH default x")).toBe("+OK");
    expect(ask("AUTH other x")).toMatch(/^-WRONGPASS /);
    expect(ask("AUTH a b c")).toBe("-ERR syntax error");
  });

  test("only the exact password opens", () => {
    server.password = "secret";
    session.authenticated = false;
    for (const wrong of ["", "secre", "secrets", "secretsecret", "Secret"]) {
      expect(ask(`AUTH ${wrong}`)).toMatch(/^-WRONGPASS /);
      expect(session.authenticated).toBe(false);
    }
    expect(ask("AUTH secret")).toBe("+OK");
    expect(session.authenticated).toBe(true);
  });
});

describe("HELLO", () => {
  test("chooses the protocol its own answer is written in", () => {
    expect(ask("HELLO")).toMatch(/^\*14\|\$6\|server\|\$5\|redis\|\$7\|version\|\$5\|7.2.4\|/);
    expect(ask("HELLO 3")).toMatch(/^%7\|.*\$5\|proto\|:3\|\$2\|id\|:1\|.*\$7\|modules\|\*0$/);
    expect(session.protocol).toBe(3);
    ask("HELLO");
    expect(session.protocol).toBe(3);
  });

  test.each([
    ["HELLO 4", "-NOPROTO unsupported protocol version"],
    ["HELLO x", "-ERR Protocol version is not an integer or out of range"],
    ["HELLO 3 AUTH x", "-ERR Syntax error in HELLO option 'AUTH'"],
    ["HELLO 3 nope", "-ERR Syntax error in HELLO option 'nope'"],
    [
      "HELLO 3 SETNAME a\nb",
      "-ERR Client names cannot contain spaces, newlines or special characters.",
    ],
  ])("%s answers %s and changes nothing", (line, reply) => {
    expect(ask(line)).toBe(reply);
    expect(session.protocol).toBe(2);
    expect(session.name).toBe("");
  });

  test("asks for a password, takes it along with a name", () => {
    server.password = "secret";
    session.authenticated = false;
    expect(ask("HELLO 3")).toMatch(/^-NOAUTH HELLO must be called/);
    expect(ask("HELLO 3 AUTH default wrong")).toMatch(/^-WRONGPASS /);
    expect(session.protocol).toBe(2);
    expect(ask("HELLO 3 AUTH default secret SETNAME me")).toMatch(/^%7/);
    expect([session.protocol, session.name, session.authenticated]).toEqual([3, "me", true]);
  });
});

describe("CLIENT", () => {
  test.each([
    ["CLIENT ID", ":1"],
    ["CLIENT GETNAME", "$-1"],
    ["CLIENT SETNAME me", "+OK"],
    ["CLIENT SETNAME a\nb", /^-ERR Client names cannot contain spaces/],
    ["CLIENT SETINFO lib-name x", "+OK"],
    ["CLIENT SETINFO LIB-VER 1", "+OK"],
    ["CLIENT SETINFO lib-name a\tb", /^-ERR lib-name cannot contain spaces/],
    ["CLIENT SETINFO nope x", "-ERR Unrecognized option 'nope'"],
    ["CLIENT NO-EVICT on", "+OK"],
    ["CLIENT NO-TOUCH maybe", "-ERR syntax error"],
    ["CLIENT REPLY maybe", "-ERR syntax error"],
    ["CLIENT GETREDIR", ":-1"],
    ["CLIENT UNBLOCK 5", ":0"],
    ["CLIENT UNBLOCK 5 nope", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"],
    ["CLIENT LIST ID 2 x", "-ERR Invalid client ID"],
    ["CLIENT LIST TYPE nope", "-ERR Unknown client type 'nope'"],
    ["CLIENT LIST nope", "-ERR syntax error"],
    ["CLIENT nope", "-ERR unknown subcommand 'nope'. Try CLIENT HELP."],
    ["CLIENT", "-ERR wrong number of arguments for 'client' command"],
    ["CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"],
  ])("%s answers %s", (line, reply) => {
    if (typeof reply === "string") expect(ask(line)).toBe(reply);
    else expect(ask(line)).toMatch(reply);
  });

  test("LIST shows one line per connection, as clients parse it", () => {
    ask("CLIENT SETNAME me");
    const reply = ask("CLIENT LIST");
    const lines = reply
      .slice(reply.indexOf("|") + 1)
      .split("\n")
      .slice(0, -1);
    expect(lines).toHaveLength(2);
    const fields = Object.fromEntries(lines[0]!.split(" ").map((part) => part.split("=")));
    expect(fields).toMatchObject({ name: "me", addr: "127.0.0.1:50001", db: "0", flags: "N" });
    expect(ask("CLIENT LIST ID 2")).toMatch(/\|id=2 addr/);
    expect(ask("CLIENT LIST TYPE replica")).toBe("$0|");
    expect(ask("CLIENT INFO")).toMatch(/\|id=1 addr=\S+ .*lib-ver=\n$/);
  });

  test.each([
    ["CLIENT KILL 127.0.0.1:50002", "+OK", [2]],
    ["CLIENT KILL 127.0.0.1:1", "-ERR No such client", []],
    ["CLIENT KILL ID 2", ":1", [2]],
    ["CLIENT KILL ID 1", ":0", []],
    ["CLIENT KILL ID 1 SKIPME no", ":1", [1]],
    ["CLIENT KILL ID 0", "-ERR client-id should be greater than 0", []],
    ["CLIENT KILL ADDR 127.0.0.1:50002 ID 1", ":0", []],
    ["CLIENT KILL LADDR 127.0.0.1:6379 SKIPME no", ":2", [1, 2]],
    ["CLIENT KILL TYPE normal", ":1", [2]],
    ["CLIENT KILL TYPE pubsub", ":0", []],
    ["CLIENT KILL USER default", ":1", [2]],
    ["CLIENT KILL USER nope", "-ERR No such user 'nope'", []],
    ["CLIENT KILL ID 2 TYPE", "-ERR syntax error", []],
    ["CLIENT KILL nope 2", "-ERR syntax error", []],
  ])("%s answers %s", (line, reply, killed) => {
    expect(ask(line)).toBe(reply);
    expect(server.killed.map(({ id }) => id)).toEqual(killed);
  });
});
