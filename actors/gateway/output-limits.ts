// The value of `client-output-buffer-limit`: four words per class of clients, as Redis writes them
// (redis.conf). It stands between CONFIG SET and the connections, which obey the hard limit of the
// class "normal"; soft limits and the other classes, which have no clients here, are kept as text.

const classes = ["normal", "slave", "pubsub"];
const aliases: Readonly<Record<string, string>> = { replica: "slave" };

/** What Redis starts with; zero is no limit. */
export const defaultOutputLimits =
  "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";

type Parsed = { readonly value: string } | { readonly problem: string };

const wrong = (what: string): Parsed => ({ problem: what });

/** `raw` over `present`: classes it does not name stay. `toBytes` reads a size, undefined = none. */
export function parseOutputLimits(
  raw: string,
  present: string,
  toBytes: (text: string) => number | undefined,
): Parsed {
  const words = raw.split(/\s+/).filter((word) => word !== "");
  if (words.length % 4 !== 0) {
    return wrong("Wrong number of arguments in buffer limit configuration.");
  }
  const limits = new Map(groups(present.split(" ")));
  for (const [name, [hard = "", soft = "", seconds = ""]] of groups(words)) {
    const lower = name.toLowerCase();
    const known = aliases[lower] ?? lower;
    if (!classes.includes(known)) {
      return wrong("Invalid client class specified in buffer limit configuration.");
    }
    const sizes = [toBytes(hard), toBytes(soft)];
    if (sizes.includes(undefined) || !/^\d+$/.test(seconds)) {
      return wrong("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
    limits.set(known, [...sizes.map(String), String(Number(seconds))]);
  }
  return { value: [...limits].map(([name, values]) => [name, ...values].join(" ")).join(" ") };
}

function groups(words: readonly string[]): Array<[string, string[]]> {
  const found: Array<[string, string[]]> = [];
  for (let at = 0; at + 3 < words.length; at += 4) {
    found.push([words[at] ?? "", words.slice(at + 1, at + 4)]);
  }
  return found;
}

/** Bytes waiting for a normal client above which it is closed; undefined = no limit was set. */
export function normalHardBytes(value: string): number | undefined {
  const hard = Number(new Map(groups(value.split(" "))).get("normal")?.[0] ?? 0);
  return hard > 0 ? hard : undefined;
}
