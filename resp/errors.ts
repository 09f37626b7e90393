// The error texts of data commands, word for word as Redis 7.2 says them, because clients and
// their tests compare them. Shared by command bodies; texts with a name or number inside are
// functions. Protocol errors are the decoder's.

import { ErrorReply } from "./reply.ts";

export const syntaxError = new ErrorReply("ERR syntax error");
export const notInteger = new ErrorReply("ERR value is not an integer or out of range");
export const notInt32 = new ErrorReply(
  "ERR value is out of range, value must between -2147483648 and 2147483647",
);
export const notFloat = new ErrorReply("ERR value is not a valid float");
export const nanOrInfinity = new ErrorReply("ERR increment would produce NaN or Infinity");
export const incrementOverflow = new ErrorReply("ERR increment or decrement would overflow");
export const decrementOverflow = new ErrorReply("ERR decrement would overflow");
export const offsetOutOfRange = new ErrorReply("ERR offset is out of range");
export const stringTooLong = new ErrorReply(
  "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
);
export const noSuchKey = new ErrorReply("ERR no such key");
export const sameObject = new ErrorReply("ERR source and destination objects are the same");
export const dbOutOfRange = new ErrorReply("ERR DB index is out of range");
export const bitOffset = new ErrorReply("ERR bit offset is not an integer or out of range");
export const bitValue = new ErrorReply("ERR bit is not an integer or out of range");
export const bitArgument = new ErrorReply("ERR The bit argument must be 1 or 0.");
export const bitNotSingle = new ErrorReply(
  "ERR BITOP NOT must be called with a single source key.",
);
export const bitfieldType = new ErrorReply(
  "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
export const bitfieldOverflow = new ErrorReply("ERR Invalid OVERFLOW type specified");
export const bitfieldReadOnly = new ErrorReply("ERR BITFIELD_RO only supports the GET subcommand");
export const invalidCursor = new ErrorReply("ERR invalid cursor");
export const expireNxConflict = new ErrorReply(
  "ERR NX and XX, GT or LT options at the same time are not compatible",
);
export const expireGtConflict = new ErrorReply(
  "ERR GT and LT options at the same time are not compatible",
);
export const lcsExclusive = new ErrorReply(
  "ERR If you want both the length and indexes, please just use IDX.",
);
export const lcsTooLong = new ErrorReply(
  "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
);
export const noMaxmemoryLfu = new ErrorReply(
  "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that " +
    "when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
/** A key longer than `maxKeyBytes`; Redis allows 512 MiB. */
export const keyTooLong = new ErrorReply("ERR key is longer than 64 KiB");
/** One command would change more records at once than one log entry can carry. */
export const tooManyWrites = new ErrorReply("ERR command changes too much at once; split it up");
/** FLUSHDB after FLUSHDB, faster than the old contents can be cleared. */
export const flushesPending = new ErrorReply(
  "ERR too many flushed databases are still being cleared, try again later",
);
/**
 * What a client sent, as an error quotes it: bytes as they are (an error is written as Latin-1), up
 * to the first NUL, where Redis' C string ends, and at most `bytesMax`.
 */
export function quoted(bytes: Buffer | undefined, bytesMax = Infinity): string {
  if (bytes === undefined) return "";
  const nul = bytes.indexOf(0);
  return bytes.toString("latin1", 0, Math.min(bytesMax, nul < 0 ? bytes.length : nul));
}
/** An expiry that is not positive or too far away. */
export const invalidExpire = (command: string): ErrorReply =>
  new ErrorReply(`ERR invalid expire time in '${command}' command`);
export const wrongArity = (command: string): ErrorReply =>
  new ErrorReply(`ERR wrong number of arguments for '${command}' command`);
export const unknownOption = (name: string): ErrorReply =>
  new ErrorReply(`ERR Unsupported option ${name}`);
