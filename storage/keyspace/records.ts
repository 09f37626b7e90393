// What a key holds, decoded: the record a command sees and the cache keeps. Byte layout in
// `record-codec.ts`; later types add their shapes to the union.

/** A string of at most 16 KiB, whole in its meta record. */
export interface InlineString {
  readonly type: "string";
  /** Unix time in ms at which the key expires; 0 = never. */
  readonly expireAtMs: number;
  /** OBJECT ENCODING says raw: the value was edited in place (APPEND, SETRANGE, SETBIT …). */
  readonly raw: boolean;
  readonly bytes: Buffer;
}

/** A longer string, cut into chunks of 4 KiB under its object id; a missing chunk is zeros. */
export interface ChunkedString {
  readonly type: "string";
  readonly expireAtMs: number;
  readonly raw: boolean;
  /** Object id, unique in its region for ever (u48). */
  readonly oid: number;
  /** Length in bytes. */
  readonly length: number;
}

export type KeyRecord = InlineString | ChunkedString;
