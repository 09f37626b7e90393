// Reads replies that are made of named fields (a RESP3 map, its flat RESP2 array, a `name=value`
// line, INFO text), so that a wanted difference can leave out single fields instead of a reply.
// It judges nothing.

import { render, type Typed } from "./parser.ts";

/** Name to rendered value, of a map or of a flat array; undefined when it is neither. */
export function fieldsOf(reply: Typed): Map<string, string> | undefined {
  if (reply.type === "%") {
    return new Map(reply.pairs.map(([key, value]) => [textOf(key), render(value)]));
  }
  if (reply.type !== "*" || reply.items.length % 2 !== 0) return undefined;
  const fields = new Map<string, string>();
  for (let i = 0; i < reply.items.length; i += 2) {
    fields.set(textOf(reply.items[i]!), render(reply.items[i + 1]!));
  }
  return fields;
}

/** Same kind of reply, same fields in any order, and same values except those of `but`. */
export function sameFields(redis: Typed, spire: Typed, but: readonly string[]): boolean {
  const [a, b] = [fieldsOf(redis), fieldsOf(spire)];
  if (a === undefined || b === undefined || redis.type !== spire.type) return false;
  const show = (fields: Map<string, string>) =>
    [...fields].map(([k, v]) => (but.includes(k) ? k : `${k}=${v}`)).toSorted();
  return show(a).join("\n") === show(b).join("\n");
}

/** The text of a simple, bulk or verbatim string; "" for anything else. */
export function textOf(reply: Typed): string {
  return "text" in reply ? reply.text : "";
}

/** The items of an array or set; none for anything else. */
export function itemsOf(reply: Typed): readonly Typed[] {
  return "items" in reply ? reply.items : [];
}

/** The `name=value` words of the first line of a CLIENT LIST text. */
export function clientFields(text: string): Map<string, string> {
  const words = (text.split("\n")[0] ?? "").split(" ");
  return new Map(words.map((word) => [word.split("=")[0] ?? "", word.replace(/^[^=]*=/, "")]));
}

/** INFO text as section to field names. */
export function infoSections(text: string): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  let current: string[] = [];
  for (const row of text.replace(/^txt:/, "").split("\r\n")) {
    if (row.startsWith("# ")) sections.set(row.slice(2), (current = []));
    else if (row !== "") current.push(row.split(":")[0] ?? "");
  }
  return sections;
}

/**
 * Integers at most `most` apart; a negative one (no such key, no expiry) is exact. SpireDB may say
 * `cap` of Redis' value instead.
 */
export function near(most: number, cap = (value: bigint): bigint => value) {
  return (redis: Typed, spire: Typed): boolean => {
    if (redis.type !== ":" || spire.type !== ":") return render(redis) === render(spire);
    const [a, b] = [BigInt(redis.text), BigInt(spire.text)];
    if (a < 0n || b < 0n) return a === b;
    return [a, cap(a)].some((wanted) => wanted - b <= most && b - wanted <= most);
  };
}
