// Reads single setting values from text: whole numbers, sizes and durations with units, switches,
// names. Between the settings table and the three places a value can come from. It knows
// no setting by name and touches neither environment nor files.

/** Why a text is not a value of its kind; the message completes "<setting> <text>: …". */
export class ValueError extends Error {
  override readonly name = "ValueError";
}

/** Turns text into a value or throws `ValueError`. */
export type Parse<T> = (text: string) => T;

const kibi = 1024;
const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: kibi,
  mib: kibi ** 2,
  gib: kibi ** 3,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
};
const durationUnits: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
};

/** A whole number in [min, max]. */
export const wholeNumber =
  (min: number, max: number): Parse<number> =>
  (text) => {
    const value = /^-?\d+$/u.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new ValueError(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };

function measure(text: string, units: Readonly<Record<string, number>>): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/iu.exec(text.trim());
  const factor = units[(match?.[2] ?? "?").toLowerCase()];
  return match === null || factor === undefined ? Number.NaN : Number(match[1]) * factor;
}

/** Bytes in [min, max]; 64MiB, 1.5GiB, 100kB, or a plain number of bytes. */
export const byteSize =
  (min: number, max: number): Parse<number> =>
  (text) => {
    const value = measure(text, sizeUnits);
    if (!(Number.isInteger(value) && value >= min && value <= max)) {
      throw new ValueError(`must be a size such as 64MiB, from ${min} to ${max} bytes`);
    }
    return value;
  };

/** Milliseconds in [0, max]; 500ms, 30s, 2m, 1h, or a plain number of milliseconds. */
export const duration =
  (maxMs: number): Parse<number> =>
  (text) => {
    const value = measure(text, durationUnits);
    if (!(Number.isInteger(value) && value <= maxMs)) {
      throw new ValueError(`must be a duration such as 500ms or 30s, at most ${maxMs / 1000}s`);
    }
    return value;
  };

/** on/off, yes/no, true/false, 1/0. */
export const onOff: Parse<boolean> = (text) => {
  const word = text.toLowerCase();
  if (["on", "yes", "true", "1"].includes(word)) return true;
  if (["off", "no", "false", "0"].includes(word)) return false;
  throw new ValueError("must be on or off");
};

/** One of a few words; `aliases` maps other spellings onto them. */
export const oneOf =
  <T extends string>(words: readonly T[], aliases: Readonly<Record<string, T>> = {}): Parse<T> =>
  (text) => {
    const asked = text.toLowerCase();
    const word = words.find((each) => each === asked) ?? aliases[asked];
    if (word === undefined) throw new ValueError(`must be one of ${words.join(", ")}`);
    return word;
  };

/** A name that may stand in a NATS subject, a metric label and a file name. */
export const plainName: Parse<string> = (text) => {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u.test(text)) {
    throw new ValueError(
      "must be 1 to 64 letters, digits, - or _, and begin with a letter or digit",
    );
  }
  return text;
};

/** Any text without line breaks, not empty. */
export const someText: Parse<string> = (text) => {
  if (text === "" || /[\r\n\0]/u.test(text))
    throw new ValueError("must not be empty or have line breaks");
  return text;
};

/** As `someText`, and empty is allowed. */
export const anyText: Parse<string> = (text) => (text === "" ? "" : someText(text));

/** The parts of a list with commas; at least one, none empty, none twice. */
function parts(text: string): string[] {
  const each = text.split(",").map((part) => part.trim());
  if (each.includes("")) throw new ValueError("must be a list with a comma between the parts");
  const twice = each.find((part, index) => each.indexOf(part) !== index);
  if (twice !== undefined) throw new ValueError(`names ${twice} twice`);
  return each;
}

/** Node ids, comma between them, each a `plainName`. */
export const nodeNames: Parse<readonly string[]> = (text) =>
  Object.freeze(
    parts(text).map((part) => {
      try {
        return plainName(part);
      } catch (error) {
        throw error instanceof ValueError ? new ValueError(`a node id ${error.message}`) : error;
      }
    }),
  );

/** Servers of one NATS: "host", "host:port" or nats:// and tls:// URLs, comma between them. */
export const natsServers: Parse<readonly string[]> = (text) =>
  Object.freeze(
    parts(text).map((part) => {
      const url = /^(nats|tls):\/\//u.test(part) ? part : `nats://${part}`;
      // The two schemes are unknown to the URL parser, which then checks less: borrow a known one.
      const known = url.replace(/^\w+/u, "http");
      const parsed = URL.canParse(known) ? new URL(known) : undefined;
      if (parsed?.pathname !== "/" || parsed.search + parsed.hash !== "") {
        throw new ValueError("must be URLs such as nats://host:4222, with a comma between them");
      }
      return url;
    }),
  );
