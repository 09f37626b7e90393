// The proof of sameness below commands: bytes that are no commands, half a command, inline commands
// and limits. Both servers get the same bytes, and everything they answer, with or without closing
// the connection, has to be the same.

import { afterAll, beforeAll, expect, it } from "vitest";
import { Client } from "./client.ts";
import { quote } from "./parser.ts";
import { startRedis, startSpire, type Peer } from "./peers.ts";

/** How long a server may stay silent before its answer counts as complete. */
const QUIET_MS = 1_000;

const CLOSES = " and closes";

const PING = "*1\r\n$4\r\nPING\r\n";

const INLINE: readonly string[] = [
  "PING\r\n",
  "PING\n",
  "ping hello\r\n",
  "  PING  \r\n",
  "\tPING\r\n",
  "PING\t\thello\r\n",
  "\r\n",
  "\r\n\r\nPING\r\n",
  "\n\n\nPING\n",
  "   \r\nPING\r\n",
  'ECHO "hello world"\r\n',
  "ECHO 'hello world'\r\n",
  'ECHO "a\\x41\\n\\r\\t\\b\\a\\\\\\"b"\r\n',
  "ECHO 'it\\'s \\n'\r\n",
  'ECHO "\\xzz\\q"\r\n',
  'ECHO ""\r\n',
  "ECHO ''\r\n",
  'ECHO "unbalanced\r\n',
  "ECHO 'unbalanced\r\n",
  'ECHO "a"b\r\n',
  "ECHO 'a'b\r\n",
  'ECHO a"b"\r\n',
  'ECHO a"b c"\r\n',
  "FOO bar\r\n",
  "ECHO\r\n",
  "ECHO a b\r\n",
  "PING\r\nPING\r\nECHO x\r\n",
  `PING\r\n${PING}ECHO x\r\n`,
  "QUIT\r\n",
  "QUIT\r\nPING\r\n",
  "PING",
  "GET / HTTP/1.1\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
  "Host: localhost\r\n",
  "$4\r\nPING\r\n",
  "+OK\r\n",
  ":1\r\n",
  "PING\r\r\n",
  "GET none\r\n",
  "ECHO a\x00b\r\nPING\r\n",
  "\x00\r\nPING\r\n",
];

const FRAMES: readonly string[] = [
  PING,
  PING + PING + PING,
  "*0\r\n",
  `*0\r\n${PING}`,
  "*-1\r\n",
  `*-1\r\n${PING}`,
  `*-2147483648\r\n${PING}`,
  "*x\r\n",
  "*\r\n",
  "* 1\r\n",
  "*+1\r\n$4\r\nPING\r\n",
  "*01\r\n$4\r\nPING\r\n",
  "*1.0\r\n",
  "*2147483648\r\n",
  "*99999999999999999999\r\n",
  "*1\r\n+PING\r\n",
  "*1\r\n:1\r\n",
  "*1\r\nPING\r\n",
  "*1\r\n*1\r\n$4\r\nPING\r\n",
  "*1\r\n\r\n",
  "*1\r\n$\r\n",
  "*1\r\n$x\r\n",
  "*1\r\n$-1\r\n",
  "*1\r\n$-2\r\n",
  "*1\r\n$ 4\r\nPING\r\n",
  "*1\r\n$+4\r\nPING\r\n",
  "*1\r\n$04\r\nPING\r\n",
  "*1\r\n$536870913\r\n",
  "*1\r\n$2147483648\r\n",
  "*1\r\n$99999999999999999999\r\n",
  `*1\r\n$4\r\nPINGxx${PING}`,
  `*1\r\n$3\r\nPING\r\n${PING}`,
  `*1\r\n$4\r\nPING\n\n${PING}`,
  "*1\r\n$0\r\n\r\n",
  `*1\r\n$0\r\n\r\n${PING}`,
  "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
  "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n",
  "*2\r\n$4\r\nECHO\r\n$3\r\n\x00\xff\x80\r\n",
  "*1\n$4\nPING\n",
  "*1\r\n$4\r\nPIN",
  "*1\r\n$4\r\nPING\r",
  "*1\r",
  "*",
  `${PING}*1\r\n$x\r\n${PING}`,
  `${PING}*x\r\n`,
  "*1\r\n$4\r\nQUIT\r\n",
  `*1\r\n$4\r\nQUIT\r\n${PING}`,
  `*${"1".repeat(100)}\r\n`,
];

/** Long enough to pass the 64 KiB that a line may have. */
const LONG: readonly string[] = [
  `\x00${`${"A".repeat(1024)}\n`.repeat(100)}`,
  "x".repeat(66_000),
  `${"x".repeat(66_000)}\r\n`,
  `ECHO ${"x".repeat(60_000)}\r\n`,
  `*${"1".repeat(66_000)}`,
  `*1\r\n$${"1".repeat(66_000)}`,
  `*1\r\n${"x".repeat(66_000)}`,
  PING.repeat(3_000),
  "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\nabc",
];

let redis: Peer;
let spire: Peer;

beforeAll(async () => {
  [redis, spire] = await Promise.all([startRedis(), startSpire()]);
});

afterAll(async () => {
  await Promise.all([redis?.stop(), spire?.stop()]);
});

it.each([
  ["inline commands", INLINE],
  ["frames", FRAMES],
  ["long lines and long pipelines", LONG],
])("%s get the bytes that redis-server answers", async (_, cases) => {
  const whole = await Promise.all(cases.map((bytes) => compare([bytes])));
  expect(whole.join("")).toBe("");
});

it("commands that arrive byte by byte get the same answer", async () => {
  const short = [...INLINE, ...FRAMES].filter((bytes) => bytes.length <= 40);
  // What arrives after a server has closed makes TCP drop the last words of that server.
  const whole = await Promise.all(short.map((bytes) => answer(redis, [bytes])));
  const open = short.filter((_, i) => !whole[i]!.endsWith(CLOSES));
  expect(open.length).toBeGreaterThan(30);
  const split = await Promise.all(open.map((bytes) => compare(bytes.split(""))));
  expect(split.join("")).toBe("");
});

/** "" when both answer the same, else what was sent and both answers. */
async function compare(pieces: readonly string[]): Promise<string> {
  const [a, b] = await Promise.all([redis, spire].map((peer) => answer(peer, pieces)));
  if (a === b) return "";
  const sent = quote(pieces.join(""));
  return `\nsent    ${clip(sent)}\n  redis   ${clip(a!)}\n  spiredb ${clip(b!)}`;
}

async function answer(peer: Peer, pieces: readonly string[]): Promise<string> {
  const client = await Client.open(peer.address);
  try {
    for (const piece of pieces) {
      client.write(Buffer.from(piece, "latin1"));
      // A turn of the event loop between two pieces, so that they are two packets.
      await new Promise<void>((next) => setImmediate(next));
    }
    const { text, closed } = await client.drain(QUIET_MS);
    return `${quote(text)}${closed ? CLOSES : ""}`;
  } finally {
    client.close();
  }
}

function clip(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 200)}… (${text.length}) …${text.slice(-60)}`;
}
