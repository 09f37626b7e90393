// Splits the line of an inline command into words, as a person at a telnet prompt types them:
// quotes and escapes as Redis' sdssplitargs (sds.c). It serves the decoder only and knows no
// protocol beyond one line.

const space = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);

const hexDigit = (byte: number | undefined): number => {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  if (byte >= 97 && byte <= 102) return byte - 87;
  if (byte >= 65 && byte <= 70) return byte - 55;
  return -1;
};

/** What stands behind a backslash inside double quotes: n r t b a, else the byte itself. */
const escapes = new Map<number, number>([
  [110, 10],
  [114, 13],
  [116, 9],
  [98, 8],
  [97, 7],
]);

const backslash = 92;
const doubleQuote = 34;
const singleQuote = 39;

/** The words of `line` (without its end); undefined when quotes are unbalanced. */
export function splitInline(line: Buffer): Buffer[] | undefined {
  const words: Buffer[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && space(line[at] ?? 0)) at += 1;
    if (at >= line.length) return words;
    const word: number[] = [];
    const end = readWord(line, at, word);
    if (end < 0) return undefined;
    words.push(Buffer.from(word));
    at = end;
  }
}

/** Reads one word from `at`; returns the position behind it, or -1. */
function readWord(text: Buffer, from: number, word: number[]): number {
  let at = from;
  while (at < text.length) {
    const byte = text[at] ?? 0;
    if (space(byte)) return at;
    if (byte === doubleQuote || byte === singleQuote) {
      at = byte === doubleQuote ? readDouble(text, at + 1, word) : readSingle(text, at + 1, word);
      // A closing quote must be followed by a space or the end.
      if (at < 0 || (at < text.length && !space(text[at] ?? 0))) return -1;
      return at;
    }
    word.push(byte);
    at += 1;
  }
  return at;
}

function readDouble(text: Buffer, from: number, word: number[]): number {
  let at = from;
  while (at < text.length) {
    const byte = text[at] ?? 0;
    if (byte === doubleQuote) return at + 1;
    const next = text[at + 1];
    if (byte === backslash && next !== undefined) {
      const high = hexDigit(text[at + 2]);
      const low = hexDigit(text[at + 3]);
      if (next === 120 && high >= 0 && low >= 0) {
        word.push(high * 16 + low);
        at += 4;
      } else {
        word.push(escapes.get(next) ?? next);
        at += 2;
      }
    } else {
      word.push(byte);
      at += 1;
    }
  }
  return -1;
}

function readSingle(text: Buffer, from: number, word: number[]): number {
  let at = from;
  while (at < text.length) {
    const byte = text[at] ?? 0;
    if (byte === singleQuote) return at + 1;
    if (byte === backslash && text[at + 1] === singleQuote) {
      word.push(singleQuote);
      at += 2;
    } else {
      word.push(byte);
      at += 1;
    }
  }
  return -1;
}
