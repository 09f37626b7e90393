// Server commands against a session and a server made for tests: replies word for word, sections,
// arguments nobody should send. No gateway behind it.

import { beforeEach, describe, expect, test } from "vitest";

import { fakeSession, FakeServer, run } from "./session-world.ts";
import type { FakeSession } from "./session-world.ts";

let server: FakeServer;
let session: FakeSession;
const ask = (line: string): string => run(server, session, line);

beforeEach(() => {
  server = new FakeServer();
  session = fakeSession(1);
});

test.each([
  ["TIME", "*2|$10|1700000000|$6|123456"],
  ["LASTSAVE", ":42"],
  ["ROLE", "*3|$6|master|:0|*0"],
  ["WAIT 1 0", ":0"],
  ["WAIT x 0", "-ERR value is not an integer or out of range"],
  ["WAIT 1 x", "-ERR timeout is not an integer or out of range"],
  ["WAIT 1 -1", "-ERR timeout is negative"],
  ["WAITAOF 1 0 0", "*2|:1|:0"],
  ["INFO Server KEYSPACE", "$24|sections=server,keyspace"],
  ["SLOWLOG LEN", ":3"],
  ["SLOWLOG RESET", "+OK"],
  ["SLOWLOG GET 1", "*1|*6|:3|:5|:12345|*1|$3|GET|$3|a:1|$2|me"],
  ["SLOWLOG GET 0", "*0"],
  ["SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"],
  ["SLOWLOG GET x", "-ERR count should be greater than or equal to -1"],
  [
    "SLOWLOG GET 1 2",
    "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
  ],
  ["SLOWLOG nope", "-ERR unknown subcommand 'nope'. Try SLOWLOG HELP."],
  ["CONFIG GET max*", "*4|$10|maxclients|$5|10000|$9|maxmemory|$1|0"],
  ["CONFIG GET nope", "*0"],
  ["CONFIG GET SAVE maxmemory", "*4|$4|SAVE|$0||$9|maxmemory|$1|0"],
  ["CONFIG GET MAXM* maxmemory", "*2|$9|maxmemory|$1|0"],
  ["CONFIG SET a 1 b", "-ERR syntax error"],
  ["CONFIG SET bad 1", "-ERR no"],
  ["CONFIG SET maxmemory 5", "+OK"],
  ["CONFIG RESETSTAT", "+OK"],
  ["CONFIG REWRITE", "-ERR The server is running without a config file"],
  ["FUNCTION LIST", "*0"],
  ["FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given"],
  ["FUNCTION FLUSH", "+OK"],
  ["FUNCTION FLUSH nope", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"],
  ["MODULE LIST", "*0"],
  [
    "DEBUG nope",
    "-ERR unknown subcommand or wrong number of arguments for 'nope'. Try DEBUG HELP.",
  ],
  [
    "DEBUG sleep",
    "-ERR unknown subcommand or wrong number of arguments for 'sleep'. Try DEBUG HELP.",
  ],
  ["SHUTDOWN ABORT", "-ERR No shutdown in progress."],
  ["SHUTDOWN nope", "-ERR syntax error"],
  ["SHUTDOWN SAVE NOSAVE", "-ERR syntax error"],
])("%s answers %s", (line, reply) => expect(ask(line)).toBe(reply));

describe("what has an effect on the node", () => {
  test("SHUTDOWN drains it and sends no reply", () => {
    ask("SHUTDOWN NOSAVE");
    expect(server.shutdowns).toBe(1);
    expect([session.closing, session.replyMode]).toEqual([true, "off"]);
  });

  test("DEBUG SLEEP answers after that time", () => {
    expect(ask("DEBUG SLEEP 0.25")).toBe("");
    expect(server.delays.map(({ delayMs }) => delayMs)).toEqual([250]);
    server.delays[0]!.run();
    expect(session.later).toEqual(["OK"]);
  });

  test("DEBUG SET-ACTIVE-EXPIRE switches it", () => {
    expect(ask("DEBUG SET-ACTIVE-EXPIRE 0")).toBe("+OK");
    expect(server.activeExpire).toBe(false);
    ask("DEBUG SET-ACTIVE-EXPIRE 1");
    expect(server.activeExpire).toBe(true);
  });
});

test("SPIRE.REGION is flat in RESP2, a map in RESP3, and begins with the region", () => {
  const expected = "$6|region|:1|$5|range|*2|:0|:4294967295|$6|leader|$2|n1|$5|peers|*1|$2|n1";
  expect(ask("SPIRE.REGION key")).toBe(`*12|${expected}|$5|epoch|:1|$4|term|:2`);
  expect(ask("SPIRE.REGIONS")).toBe(`*1|*12|${expected}|$5|epoch|:1|$4|term|:2`);
  session.protocol = 3;
  expect(ask("SPIRE.REGION key")).toMatch(/^%6\|/);
});
