// A small strict parser of RESP2 and RESP3 that keeps the type byte of every reply, so that `:1`
// is never mistaken for `$1`. It is written from the protocol page alone
// (https://redis.io/docs/latest/develop/reference/protocol-spec/) and shares no code with `resp/`,
// because a judge must not inherit the mistakes of the judged.

/** One reply as it came over the wire. Texts are latin1, one character per byte. */
export type Typed =
  | { readonly type: "+" | "-" | "$" | "=" | ":" | "," | "(" | "#"; readonly text: string }
  | { readonly type: "_" | "$-1" | "*-1" }
  | { readonly type: "*" | "~" | ">"; readonly items: readonly Typed[] }
  | { readonly type: "%"; readonly pairs: ReadonlyArray<readonly [Typed, Typed]> }
  /** Nothing came: why. Made by the client, never by the parser. */
  | { readonly type: "none"; readonly text: string };

/** The server sent bytes that are not RESP. */
export class BrokenProtocol extends Error {}

/** A reply and where the next one starts; undefined = more bytes are needed. */
export type Parsed = { readonly reply: Typed; readonly end: number } | undefined;

const SCALARS = {
  "+": /^[^\r\n]*$/,
  "-": /^[^\r\n]+$/,
  ":": /^-?(0|[1-9]\d*)$/,
  ",": /^(-?(\d+(\.\d+)?([eE][+-]?\d+)?|inf)|nan)$/,
  "(": /^-?(0|[1-9]\d*)$/,
  "#": /^[tf]$/,
  _: /^$/,
} as const;

/** Parses the reply that starts at `start`. Throws `BrokenProtocol`. */
export function parseReply(bytes: Buffer, start: number): Parsed {
  const lineEnd = bytes.indexOf("\r\n", start, "latin1");
  if (lineEnd < 0) return undefined;
  const type = String.fromCharCode(bytes[start] ?? 0);
  const head = bytes.toString("latin1", start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (type) {
    case "+":
    case "-":
    case ":":
    case ",":
    case "(":
    case "#":
      check(SCALARS[type].test(head), type, head);
      return { reply: { type, text: head }, end: next };
    case "_":
      check(SCALARS._.test(head), type, head);
      return { reply: { type }, end: next };
    case "$":
    case "=":
      return parseBulk(bytes, type, head, next);
    case "*":
    case "~":
    case ">":
      if (type === "*" && head === "-1") return { reply: { type: "*-1" }, end: next };
      return parseItems(bytes, type, lengthOf(type, head), next);
    case "%":
      return parsePairs(bytes, lengthOf(type, head), next);
    default:
      throw new BrokenProtocol(`unknown type byte in ${JSON.stringify(type + head.slice(0, 80))}`);
  }
}

function check(good: boolean, type: string, head: string): void {
  if (!good) throw new BrokenProtocol(`malformed reply ${JSON.stringify(type + head)}`);
}

function lengthOf(type: string, head: string): number {
  check(/^(0|[1-9]\d*)$/.test(head), type, head);
  return Number(head);
}

function parseBulk(bytes: Buffer, type: "$" | "=", head: string, start: number): Parsed {
  if (type === "$" && head === "-1") return { reply: { type: "$-1" }, end: start };
  const end = start + lengthOf(type, head);
  if (bytes.length < end + 2) return undefined;
  const tail = bytes.toString("latin1", end, end + 2);
  if (tail !== "\r\n") throw new BrokenProtocol(`bulk of ${head} bytes ends in ${tail}`);
  const text = bytes.toString("latin1", start, end);
  if (type === "=") check(/^(txt|mkd):/.test(text), type, text.slice(0, 20));
  return { reply: { type, text }, end: end + 2 };
}

function parseItems(bytes: Buffer, type: "*" | "~" | ">", count: number, start: number): Parsed {
  const items: Typed[] = [];
  let at = start;
  while (items.length < count) {
    const parsed = parseReply(bytes, at);
    if (parsed === undefined) return undefined;
    items.push(parsed.reply);
    at = parsed.end;
  }
  return { reply: { type, items }, end: at };
}

function parsePairs(bytes: Buffer, count: number, start: number): Parsed {
  const parsed = parseItems(bytes, "*", count * 2, start);
  if (parsed === undefined || parsed.reply.type !== "*") return undefined;
  const { items } = parsed.reply;
  const pairs = Array.from(
    { length: count },
    (_, i) => [items[i * 2]!, items[i * 2 + 1]!] as const,
  );
  return { reply: { type: "%", pairs }, end: parsed.end };
}

/** One line that shows type bytes and content: `*[:1 $"a" _]`. Equal texts = equal replies. */
export function render(reply: Typed): string {
  switch (reply.type) {
    case "_":
    case "$-1":
    case "*-1":
      return reply.type;
    case "none":
      return `<${reply.text}>`;
    case "*":
    case "~":
    case ">":
      return `${reply.type}[${reply.items.map(render).join(" ")}]`;
    case "%":
      return `%{${reply.pairs.map(([k, v]) => `${render(k)}=${render(v)}`).join(" ")}}`;
    case "$":
    case "=":
      return reply.type + quote(reply.text);
    default:
      return reply.type + reply.text;
  }
}

/** The text in double quotes, bytes that do not print as \xNN. */
export function quote(text: string): string {
  const shown = text.replaceAll(/[^ -~]|["\\]/g, (c) => {
    if (c === '"' || c === "\\") return `\\${c}`;
    if (c === "\r") return "\\r";
    if (c === "\n") return "\\n";
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${shown}"`;
}
