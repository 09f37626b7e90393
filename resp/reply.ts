// A reply as a value, before it is bytes: what evaluators return and the encoder writes in RESP2 or
// RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/). Plain JS values carry the
// frequent cases so that the hot path allocates nothing:
//   string            simple string (+OK)         number  integer (:1), safe integers only
//   Buffer            bulk string                 null    null (RESP2: $-1)
//   array             array of replies            the classes below: everything else

/**
 * An error reply; `message` starts with its code: "ERR syntax error". No trailing CRLF. It is written
 * as Latin-1, so that bytes a client sent come back as they were (`quoted` in errors.ts).
 */
export class ErrorReply {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/** A double: RESP3 `,`, in RESP2 a bulk string of the same text. */
export class DoubleReply {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A 64-bit integer that may not fit a safe JS integer. */
export class BigIntegerReply {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** A boolean: RESP3 `#t`/`#f`, RESP2 `:1`/`:0`. */
export class BooleanReply {
  readonly value: boolean;
  constructor(value: boolean) {
    this.value = value;
  }
}

/** A map: RESP3 `%`, RESP2 a flat array of key, value, key, value. */
export class MapReply {
  readonly entries: ReadonlyArray<readonly [Reply, Reply]>;
  constructor(entries: ReadonlyArray<readonly [Reply, Reply]>) {
    this.entries = entries;
  }
}

/** A set: RESP3 `~`, RESP2 an array. */
export class SetReply {
  readonly items: readonly Reply[];
  constructor(items: readonly Reply[]) {
    this.items = items;
  }
}

/** Text for humans (INFO, CLIENT LIST): RESP3 verbatim `=txt:`, RESP2 a bulk string. */
export class VerbatimReply {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A bulk string too large to join: its pieces in order (a 64 MiB value in chunks). */
export class BulkPiecesReply {
  readonly pieces: readonly Buffer[];
  constructor(pieces: readonly Buffer[]) {
    this.pieces = pieces;
  }
}

export type Reply =
  | string
  | number
  | Buffer
  | null
  | readonly Reply[]
  | ErrorReply
  | DoubleReply
  | BigIntegerReply
  | BooleanReply
  | MapReply
  | SetReply
  | VerbatimReply
  | BulkPiecesReply;
