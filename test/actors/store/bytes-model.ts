// What strings, bit fields and bit operations mean, on a Map and without any cleverness: the model
// that large writes are compared with. It knows no expiry and nothing of how strings are kept.

/** A write, as an index of key, sizes and places; `wordsOf` makes a command of it. */
export type Write =
  | { readonly do: "set"; readonly key: number; readonly bytes: Buffer }
  | { readonly do: "append"; readonly key: number; readonly bytes: Buffer }
  | { readonly do: "setrange"; readonly key: number; readonly at: number; readonly bytes: Buffer }
  | { readonly do: "setbit"; readonly key: number; readonly at: number; readonly bit: 0 | 1 }
  | { readonly do: "bitfield"; readonly key: number; readonly fields: readonly Field[] }
  | {
      readonly do: "bitop";
      readonly how: "AND" | "OR" | "XOR" | "NOT";
      readonly key: number;
      readonly from: readonly number[];
    }
  | { readonly do: "copy"; readonly key: number; readonly to: number }
  | { readonly do: "mset"; readonly keys: readonly number[]; readonly bytes: Buffer }
  | { readonly do: "del"; readonly key: number };

/** An unsigned field of BITFIELD; `at` in bits. */
export interface Field {
  readonly how: "GET" | "SET" | "INCRBY";
  readonly at: number;
  readonly bits: number;
  readonly operand: number;
}

export type Model = Map<number, Buffer>;

const words = (...list: Array<string | number | Buffer>): Buffer[] =>
  list.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));

/** The command; keys are named by `name`. */
export function wordsOf(write: Write, name: (key: number) => string): Buffer[] {
  if (write.do === "mset") {
    return words("MSET", ...write.keys.flatMap((key) => [name(key), write.bytes]));
  }
  const key = name(write.key);
  switch (write.do) {
    case "set":
      return words("SET", key, write.bytes);
    case "append":
      return words("APPEND", key, write.bytes);
    case "setrange":
      return words("SETRANGE", key, write.at, write.bytes);
    case "setbit":
      return words("SETBIT", key, write.at, write.bit);
    case "bitfield":
      return words(
        "BITFIELD",
        key,
        ...write.fields.flatMap(({ how, at, bits, operand }) =>
          how === "GET" ? [how, `u${bits}`, at] : [how, `u${bits}`, at, operand],
        ),
      );
    case "bitop":
      return words("BITOP", write.how, key, ...write.from.map(name));
    case "copy":
      return words("COPY", key, name(write.to), "REPLACE");
    case "del":
      return words("DEL", key);
    default:
      return write satisfies never;
  }
}

/** Does it to the model; returns the reply. */
export function imagine(model: Model, write: Write): unknown {
  switch (write.do) {
    case "set":
      model.set(write.key, write.bytes);
      return "OK";
    case "mset":
      for (const key of write.keys) model.set(key, write.bytes);
      return "OK";
    case "append":
      return patch(model, write.key, model.get(write.key)?.length ?? 0, write.bytes);
    case "setrange":
      return patch(model, write.key, write.at, write.bytes);
    case "setbit":
      return setField(model, write.key, write.at, 1, () => write.bit).before;
    case "bitfield":
      return bitfield(model, write.key, write.fields);
    case "bitop":
      return bitop(model, write);
    case "copy": {
      const bytes = model.get(write.key);
      if (bytes !== undefined) model.set(write.to, bytes);
      return bytes === undefined ? 0 : 1;
    }
    case "del":
      return model.delete(write.key) ? 1 : 0;
    default:
      return write satisfies never;
  }
}

/** Lays bytes over the string; buffers of the model are never changed. Returns the new length. */
function patch(model: Model, key: number, at: number, bytes: Buffer): number {
  const before = model.get(key) ?? Buffer.alloc(0);
  const after = Buffer.alloc(Math.max(before.length, at + bytes.length));
  before.copy(after);
  bytes.copy(after, at);
  model.set(key, after);
  return after.length;
}

const bitAt = (bytes: Buffer, at: number): number =>
  ((bytes[Math.floor(at / 8)] ?? 0) >> (7 - (at % 8))) & 1;

function readField(bytes: Buffer, at: number, bits: number): number {
  let value = 0;
  for (let i = 0; i < bits; i++) value = value * 2 + bitAt(bytes, at + i);
  return value;
}

function setField(
  model: Model,
  key: number,
  at: number,
  bits: number,
  value: (before: number) => number,
): { before: number; after: number } {
  const end = Math.ceil((at + bits) / 8);
  const old = model.get(key) ?? Buffer.alloc(0);
  const bytes = old.length < end ? Buffer.concat([old, Buffer.alloc(end - old.length)]) : old;
  const first = Math.floor(at / 8);
  const window = Buffer.from(bytes.subarray(first, end));
  const before = readField(bytes, at, bits);
  const after = value(before) % 2 ** bits;
  for (let i = 0; i < bits; i++) {
    const place = at + i - first * 8;
    const mask = 128 >> (place % 8);
    const byte = window[Math.floor(place / 8)] ?? 0;
    const bit = Math.floor(after / 2 ** (bits - 1 - i)) % 2;
    window[Math.floor(place / 8)] = bit === 1 ? byte | mask : byte & ~mask;
  }
  model.set(key, bytes);
  patch(model, key, first, window);
  return { before, after };
}

function bitfield(model: Model, key: number, fields: readonly Field[]): number[] {
  const end = Math.max(
    0,
    ...fields.map(({ how, at, bits }) => (how === "GET" ? 0 : Math.ceil((at + bits) / 8))),
  );
  const length = model.get(key)?.length ?? 0;
  if (end > length) patch(model, key, end - 1, Buffer.alloc(1));
  return fields.map(({ how, at, bits, operand }) => {
    if (how === "GET") return readField(model.get(key) ?? Buffer.alloc(0), at, bits);
    const change = (before: number): number => (how === "SET" ? operand : before + operand);
    const { before, after } = setField(model, key, at, bits, change);
    return how === "SET" ? before : after;
  });
}

function bitop(model: Model, write: Write & { readonly do: "bitop" }): number {
  const sources = write.from.map((key) => model.get(key) ?? Buffer.alloc(0));
  const length = Math.max(...sources.map((source) => source.length));
  const result = Buffer.alloc(length);
  for (let i = 0; i < length; i++) {
    let byte = sources[0]?.[i] ?? 0;
    if (write.how === "NOT") byte = ~byte;
    for (const source of sources.slice(1)) {
      const other = source[i] ?? 0;
      if (write.how === "AND") byte &= other;
      else if (write.how === "OR") byte |= other;
      else byte ^= other;
    }
    result[i] = byte;
  }
  if (length === 0) model.delete(write.key);
  else model.set(write.key, result);
  return length;
}
