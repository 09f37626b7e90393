// Data commands by table: each line of a dialogue and the reply Redis gives. Expected replies were
// taken from a real server (7.0.15), those of 7.2 from its release notes.

import { describe, expect, test } from "vitest";
import { dialogue } from "./evaluate.ts";

const say = (...pairs: readonly (readonly [string, string])[]): void => {
  expect(dialogue(pairs.map(([line]) => line))).toEqual(pairs.map(([, reply]) => reply));
};

describe("strings", () => {
  test("SET knows its options and their conflicts", () => {
    say(
      ["SET k v", "+OK"],
      ["SET k w NX", "$-1"],
      ["SET k w NX GET", "$1 v"],
      ["SET k w XX EX 100", "+OK"],
      ["TTL k", ":100"],
      ["SET k x KEEPTTL", "+OK"],
      ["TTL k", ":100"],
      ["SET k y GET", "$1 x"],
      ["TTL k", ":-1"],
      ["SET k v NX XX", "-ERR syntax error"],
      ["SET k v EX 10 PX 10", "-ERR syntax error"],
      ["SET k v KEEPTTL EX 10", "-ERR syntax error"],
      ["SET k v EX 0", "-ERR invalid expire time in 'set' command"],
      ["SET k v EX x", "-ERR value is not an integer or out of range"],
      ["SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"],
      ["SET k v PXAT 1", "+OK"],
      ["GET k", "$-1"],
      ["SET k", "-ERR wrong number of arguments for 'set' command"],
    );
  });

  test("GETEX and GETDEL give the value and change what stands beside it", () => {
    say(
      ["SETEX k 50 v", "+OK"],
      ["GETEX k PERSIST", "$1 v"],
      ["TTL k", ":-1"],
      ["GETEX k EX 20", "$1 v"],
      ["TTL k", ":20"],
      ["GETEX k NX", "-ERR syntax error"],
      ["GETDEL k", "$1 v"],
      ["GETDEL k", "$-1"],
    );
  });

  test("numbers are int64 and 80-bit floats", () => {
    say(
      ["SET n 9223372036854775806", "+OK"],
      ["INCR n", ":9223372036854775807"],
      ["INCR n", "-ERR increment or decrement would overflow"],
      ["DECRBY n -9223372036854775808", "-ERR decrement would overflow"],
      ["SET f 10.50", "+OK"],
      ["INCRBYFLOAT f 0.1", "$4 10.6"],
      ["INCRBYFLOAT f -5", "$3 5.6"],
      ["INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"],
      ["SET f 012", "+OK"],
      ["INCR f", "-ERR value is not an integer or out of range"],
      ["INCRBYFLOAT f abc", "-ERR value is not a valid float"],
    );
  });

  test("ranges count from both ends and pad with zeros", () => {
    say(
      ["SET k Thisisastring", "+OK"],
      ["GETRANGE k -3 -1", "$3 ing"],
      ["GETRANGE k 0 -100", "$1 T"],
      ["GETRANGE k 5 3", "$0"],
      ["SETRANGE e 2 ab", ":4"],
      ["GET e", "$4 \0\0ab"],
      ["SETRANGE e -1 x", "-ERR offset is out of range"],
      ["SETRANGE e 67108864 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"],
      ["APPEND e cd", ":6"],
      ["OBJECT ENCODING e", "$3 raw"],
    );
  });

  test("LCS gives the text, the length or the ranges", () => {
    say(
      ["MSET a ohmytext b mynewtext", "+OK"],
      ["LCS a b", "$6 mytext"],
      ["LCS a b LEN", ":6"],
      ["LCS a b IDX", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"],
      [
        "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
        "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
      ],
      ["LCS a b IDX LEN", "-ERR If you want both the length and indexes, please just use IDX."],
    );
  });
});

describe("bits", () => {
  test("BITCOUNT and BITPOS count in bytes or bits, and look at the key before a range", () => {
    say(
      ["SET k foobar", "+OK"],
      ["BITCOUNT k", ":26"],
      ["BITCOUNT k 1 1", ":6"],
      ["BITCOUNT k 5 30 BIT", ":17"],
      ["BITCOUNT k 5", "-ERR syntax error"],
      ["BITCOUNT k -1 -2 x", ":0"],
      ["BITCOUNT none 5", ":0"],
      ["BITPOS none 0 a", ":0"],
      ["BITPOS none 1 a", ":-1"],
      ["BITPOS k 0 -9 -17", ":0"],
      ["BITPOS k 1 0 a FOO", "-ERR syntax error"],
      ["SET f \xff\xff", "+OK"],
      ["BITPOS f 0", ":16"],
      ["BITPOS f 0 0 -1", ":-1"],
      ["BITPOS f 1 3 12 BIT", ":3"],
      ["BITPOS f 2", "-ERR The bit argument must be 1 or 0."],
    );
  });

  test("SETBIT, BITOP and BITFIELD change exactly their bits", () => {
    say(
      ["SETBIT k 7 1", ":0"],
      ["GETBIT k 7", ":1"],
      ["SETBIT k 536870912 1", "-ERR bit offset is not an integer or out of range"],
      ["GETBIT k 4294967295", ":0"],
      ["GETBIT k 4294967296", "-ERR bit offset is not an integer or out of range"],
      ["BITOP NOT d k", ":1"],
      ["GET d", "$1 \xfe"],
      ["BITOP NOT d k k", "-ERR BITOP NOT must be called with a single source key."],
      ["BITFIELD b SET u8 0 255 INCRBY u8 0 10 OVERFLOW SAT INCRBY u8 0 250", "*3 :0 :9 :255"],
      ["BITFIELD b OVERFLOW FAIL INCRBY u8 0 1", "*1 $-1"],
      ["BITFIELD b GET u8 4294967295", "*1 :0"],
      ["BITFIELD b SET u8 4294967295 1", "-ERR bit offset is not an integer or out of range"],
      ["BITFIELD s OVERFLOW SAT SET i8 0 -9223372036854775700 GET i8 0", "*2 :0 :127"],
      ["BITFIELD s OVERFLOW SAT SET i8 0 -9223372036854775600 GET i8 0", "*2 :127 :-128"],
      ["BITFIELD b GET i64 #1 SET i5 3 -1", "*2 :0 :-1"],
      ["BITFIELD_RO b SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"],
    );
  });
});

describe("keys", () => {
  test("EXPIRE knows NX, XX, GT and LT", () => {
    say(
      ["SET k v", "+OK"],
      ["EXPIRE k 100 XX", ":0"],
      ["EXPIRE k 100 GT", ":0"],
      ["EXPIRE k 100 LT", ":1"],
      ["EXPIRE k 200 NX", ":0"],
      ["EXPIRE k 200 GT", ":1"],
      ["PTTL k", ":200000"],
      ["PEXPIRETIME k", ":1200000"],
      ["EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible"],
      ["EXPIRE k 1 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"],
      ["EXPIRE k 1 AB", "-ERR Unsupported option AB"],
      ["PERSIST k", ":1"],
      ["EXPIRE k -1", ":1"],
      ["EXISTS k", ":0"],
    );
  });

  test("RENAME, COPY and MOVE take expiry and encoding along", () => {
    say(
      ["SETEX k 100 v", "+OK"],
      ["APPEND k w", ":2"],
      ["RENAME k m", "+OK"],
      ["TTL m", ":100"],
      ["OBJECT ENCODING m", "$3 raw"],
      ["COPY m n", ":1"],
      ["COPY m n", ":0"],
      ["COPY m n REPLACE", ":1"],
      ["COPY m m", "-ERR source and destination objects are the same"],
      ["COPY m m DB 16", "-ERR DB index is out of range"],
      ["MOVE m 1", ":1"],
      ["EXISTS m n", ":1"],
      ["RENAME m x", "-ERR no such key"],
    );
  });
});
