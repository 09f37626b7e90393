// Proves the judge: the parser refuses what is no RESP, types are never mixed up, and a redis-server
// with a deliberately changed behaviour is found out. A comparison that cannot fail proves nothing.

import { expect, it } from "vitest";
import { same } from "./compare.ts";
import { BrokenProtocol, parseReply, render, type Typed } from "./parser.ts";
import { startRedis } from "./peers.ts";
import { mismatches, report, script, words } from "./run.ts";

const parse = (text: string) => parseReply(Buffer.from(text, "latin1"), 0);

const reply = (text: string): Typed => {
  const parsed = parse(text);
  if (parsed === undefined) throw new Error(`incomplete: ${text}`);
  return parsed.reply;
};

it.each([
  ["+OK\r\n", "+OK"],
  ["$2\r\n\r\n\r\n", '$"\\r\\n"'],
  ["$-1\r\n", "$-1"],
  ["*-1\r\n", "*-1"],
  ["_\r\n", "_"],
  ["*3\r\n:1\r\n$1\r\n1\r\n+1\r\n", '*[:1 $"1" +1]'],
  ["%1\r\n+a\r\n,1.5\r\n", "%{+a=,1.5}"],
  ["~1\r\n#t\r\n", "~[#t]"],
  ["=5\r\ntxt:a\r\n", '="txt:a"'],
  ["(123456789012345678901234567890\r\n", "(123456789012345678901234567890"],
  [">1\r\n+message\r\n", ">[+message]"],
])("parses %j and keeps its types", (bytes, shown) => {
  expect(render(reply(bytes))).toBe(shown);
  for (let cut = 1; cut < bytes.length; cut++) expect(parse(bytes.slice(0, cut))).toBeUndefined();
});

it.each([
  ":1.5\r\n",
  ":+1\r\n",
  ":\r\n",
  "$x\r\n",
  "$-2\r\n",
  "*-2\r\n",
  "~-1\r\n",
  "_x\r\n",
  "#x\r\n",
  "$1\r\nab\r\n",
  "-\r\n",
  "=1\r\na\r\n",
  "hello\r\n",
  "\r\n",
  "+a\nb\r\n",
])("refuses %j", (bytes) => {
  expect(() => parse(bytes)).toThrow(BrokenProtocol);
});

it("tells types, values and errors apart", () => {
  expect(same(["GET", "a"], reply(":1\r\n"), reply("$1\r\n1\r\n"))).toBe(false);
  expect(same(["GET", "a"], reply("$-1\r\n"), reply("_\r\n"))).toBe(false);
  expect(same(["GET", "a"], reply("-ERR a\r\n"), reply("-ERR b\r\n"))).toBe(false);
  expect(same(["TTL", "a"], reply(":100\r\n"), reply(":99\r\n"))).toBe(true);
  expect(same(["TTL", "a"], reply(":100\r\n"), reply(":90\r\n"))).toBe(false);
  expect(same(["TTL", "a"], reply(":-1\r\n"), reply(":-2\r\n"))).toBe(false);
  expect(same(["KEYS", "*"], reply("*2\r\n+a\r\n+b\r\n"), reply("*2\r\n+b\r\n+a\r\n"))).toBe(true);
  expect(same(["MGET", "a"], reply("*2\r\n+a\r\n+b\r\n"), reply("*2\r\n+b\r\n+a\r\n"))).toBe(false);
});

it("reads quoted words as redis-cli does", () => {
  expect(words(String.raw`SET "a \x00\r\n\"" '\x' "" a"b c"`)).toEqual([
    "SET",
    'a \x00\r\n"',
    String.raw`\x`,
    "",
    "ab c",
  ]);
});

it("finds a server that behaves differently", async () => {
  const changed = ["--rename-command", "GETDEL", "GETGONE", "--databases", "4"];
  const policy = ["--maxmemory-policy", "allkeys-lfu"];
  const peers = await Promise.all([startRedis(), startRedis([...changed, ...policy])]);
  try {
    const steps = "SET a 1\nGET a\nSELECT 5\nSELECT 0\nGETDEL a\nEXISTS a\nSET b 1\nOBJECT FREQ b";
    const found = await mismatches(peers, 2, [script("changed", steps)]);
    expect(found.map(({ command }) => command.join(" "))).toEqual([
      "SELECT 5",
      "GETDEL a",
      "EXISTS a",
      "OBJECT FREQ b",
    ]);
    expect(report(found)).toContain("changed: EXISTS a\n  redis   :0\n  spiredb :1");
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
});

it("reports a server that closes instead of answering, once", async () => {
  const peers = await Promise.all([startRedis(), startRedis(["--rename-command", "QUIT", "BYE"])]);
  try {
    const steps = "SET a 1\nQUIT\nGET a\nGET a";
    const found = await mismatches(peers, 2, [script("closing", steps)]);
    expect(found).toHaveLength(2);
    expect(report(found)).toContain("<connection closed>");
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
});
