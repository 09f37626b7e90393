// Redis' glob patterns (util.c, stringmatchlen) over bytes: * ? [a-z] [^a] and backslash. Used by
// KEYS, SCAN, CONFIG GET and COMMAND LIST. One pending star at a time, so no pattern takes more
// than pattern times text steps.

/** Stars that may match something each; with more Redis gives up and says no. */
const starsMax = 1000;

const star = 42;
const question = 63;
const openBracket = 91;
const closeBracket = 93;
const caret = 94;
const dash = 45;
const backslash = 92;

/** As C reads a byte of a pattern: behind the end stands a zero. */
const at = (bytes: Buffer, index: number): number => bytes[index] ?? 0;
/** Ranges compare signed chars in Redis on x86. */
const signed = (byte: number): number => (byte << 24) >> 24;

/** A character class that ends at `next`. */
interface ClassMatch {
  readonly matched: boolean;
  readonly next: number;
}

/** `from` is behind the bracket. A class without its end takes the rest of the pattern. */
function matchClass(pattern: Buffer, from: number, byte: number): ClassMatch {
  let p = from;
  const negated = at(pattern, p) === caret;
  if (negated) p += 1;
  let matched = false;
  for (;;) {
    const left = pattern.length - p;
    if (left >= 2 && at(pattern, p) === backslash) {
      p += 1;
      if (at(pattern, p) === byte) matched = true;
    } else if (at(pattern, p) === closeBracket) {
      break;
    } else if (left <= 0) {
      p -= 1;
      break;
    } else if (left >= 3 && at(pattern, p + 1) === dash) {
      const low = signed(at(pattern, p));
      const high = signed(at(pattern, p + 2));
      const value = signed(byte);
      if (value >= Math.min(low, high) && value <= Math.max(low, high)) matched = true;
      p += 2;
    } else if (at(pattern, p) === byte) {
      matched = true;
    }
    p += 1;
  }
  return { matched: matched !== negated, next: p + 1 };
}

/** Where the pattern goes on after one matched byte of the text, or -1. */
function step(pattern: Buffer, p: number, byte: number): number {
  const head = at(pattern, p);
  if (head === question) return p + 1;
  if (head === openBracket) {
    const { matched, next } = matchClass(pattern, p + 1, byte);
    return matched ? next : -1;
  }
  const literal = head === backslash && pattern.length - p >= 2 ? p + 1 : p;
  return at(pattern, literal) === byte ? literal + 1 : -1;
}

/** Whether the whole text matches; "*" alone matches everything, the empty text too. */
export function matchGlob(pattern: Buffer, text: Buffer): boolean {
  let p = 0;
  let t = 0;
  /** Behind the last star, and where in the text it was tried last; -1 = no star yet. */
  let afterStar = -1;
  let tried = 0;
  let stars = 0;
  if (pattern.length === 1 && pattern[0] === star) return true;
  while (t < text.length) {
    let next = -1;
    if (p < pattern.length && at(pattern, p) === star) {
      while (at(pattern, p + 1) === star) p += 1;
      if (p + 1 === pattern.length) return true;
      p += 1;
      stars += 1;
      if (stars > starsMax) return false;
      afterStar = p;
      tried = t;
      continue;
    }
    if (p < pattern.length) next = step(pattern, p, at(text, t));
    if (next >= 0) {
      p = next;
      t += 1;
    } else if (afterStar >= 0) {
      tried += 1;
      t = tried;
      p = afterStar;
    } else {
      return false;
    }
  }
  if (text.length > 0) while (at(pattern, p) === star) p += 1;
  return p >= pattern.length;
}
