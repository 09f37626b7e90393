// The string family as tables of command lines: reading, writing, ranges, LCS and many keys at once.
// SET and GETEX with all their options stand in `set-options.ts`, numbers in `numbers.ts`.

import { script, type Script } from "../run.ts";

export const STRINGS: readonly Script[] = [
  script(
    "GET, SET, STRLEN, GETSET, GETDEL",
    String.raw`
    GET a
    SET a hello
    GET a
    STRLEN a
    STRLEN missing
    SET a ""
    GET a
    STRLEN a
    EXISTS a
    GETSET a new
    GETSET fresh first
    GET fresh
    GETDEL a
    GETDEL a
    GET a
    SET t 1 EX 1000
    GETSET t 2
    TTL t
    SETNX n 1
    SETNX n 2
    GET n
    get N
    gEt n
    SUBSTR n 0 0
    SUBSTR n 0
    SUBSTR missing 0 -1
    `,
  ),
  script(
    "binary keys and values",
    String.raw`
    SET "\x00\xff\r\n key" "\x00\x01\x02\r\n\xfe\xff"
    GET "\x00\xff\r\n key"
    STRLEN "\x00\xff\r\n key"
    APPEND "\x00\xff\r\n key" "\x00"
    GET "\x00\xff\r\n key"
    KEYS *
    GETRANGE "\x00\xff\r\n key" 1 3
    SET "" "empty key"
    GET ""
    EXISTS ""
    TTL ""
    DEL ""
    SET "{}" 1
    SET "{}x" 2
    SET "{" 3
    SET "}{" 4
    SET "{a}{b}" 5
    KEYS *
    MGET "{" "{"
    SET "\xc3\xa9\xe2\x82\xac" "\xf0\x9f\x98\x80"
    GET "\xc3\xa9\xe2\x82\xac"
    STRLEN "\xc3\xa9\xe2\x82\xac"
    `,
  ),
  script(
    "APPEND",
    String.raw`
    APPEND a ""
    EXISTS a
    GET a
    APPEND a foo
    APPEND a bar
    APPEND a ""
    GET a
    SET n 10
    APPEND n 5
    INCR n
    OBJECT ENCODING n
    SET t x EX 1000
    APPEND t y
    TTL t
    OBJECT ENCODING t
    `,
  ),
  script(
    "GETRANGE",
    String.raw`
    SET a "This is a string"
    GETRANGE a 0 3
    GETRANGE a -3 -1
    GETRANGE a 0 -1
    GETRANGE a 10 100
    GETRANGE a 5 3
    GETRANGE a -5 -10
    GETRANGE a -100 2
    GETRANGE a -100 -100
    GETRANGE a 100 200
    GETRANGE a 16 16
    GETRANGE a 15 15
    GETRANGE a 0 0
    GETRANGE a -1 -1
    GETRANGE a -1 0
    GETRANGE a 9223372036854775807 9223372036854775807
    GETRANGE a -9223372036854775808 9223372036854775807
    GETRANGE a 9223372036854775808 1
    GETRANGE a x 1
    GETRANGE a 1 x
    GETRANGE a 1.5 2
    GETRANGE missing 0 -1
    GETRANGE missing x 1
    SET n 12345
    GETRANGE n 1 3
    SET e ""
    GETRANGE e 0 -1
    GETRANGE e 0 0
    `,
  ),
  script(
    "SETRANGE",
    String.raw`
    SETRANGE a 0 ""
    EXISTS a
    SETRANGE a 5 ""
    EXISTS a
    SETRANGE a 5 x
    GET a
    SETRANGE a 0 hello
    GET a
    SETRANGE a 2 ""
    SETRANGE a 6 "\x00z"
    GET a
    SETRANGE a -1 x
    SETRANGE a x y
    SETRANGE a 1.0 y
    SETRANGE a 536870912 x
    SETRANGE a 536870911 ""
    SETRANGE a 9223372036854775807 x
    SETRANGE a 9223372036854775808 x
    SETRANGE missing -1 ""
    SETRANGE missing 536870912 ""
    SET n 12345
    SETRANGE n 1 9
    GET n
    INCR n
    SET t abc PX 1000000
    SETRANGE t 1 zz
    PTTL t
    OBJECT ENCODING t
    `,
  ),
  script(
    "MSET, MGET, MSETNX",
    String.raw`
    MSET {c}a 1 {c}b 2
    MGET {c}a {c}b {c}missing
    MGET {c}a {c}a {c}a
    MGET {c}missing
    MSET {c}a 1 {c}b
    MSET {c}a
    MSET {c}a 1 {c}a 2
    GET {c}a
    MSETNX {c}x 1 {c}y 2
    MSETNX {c}y 3 {c}z 4
    EXISTS {c}z
    MSETNX {c}p 1 {c}p 2
    GET {c}p
    MSETNX {c}q 1 {c}r
    MSETNX {c}q
    SET {c}t 1 EX 1000
    MSET {c}t 2
    TTL {c}t
    MSET spread1 1 spread2 2 spread3 3 spread4 4 spread5 5
    MGET spread5 spread4 none spread3 spread2 spread1
    DEL spread1 spread2 spread3 none
    EXISTS spread1 spread4 spread5 spread5
    TOUCH spread4 spread5 none
    UNLINK spread4 spread5 spread5
    `,
  ),
  script(
    "LCS",
    String.raw`
    MSET {c}1 ohmytext {c}2 mynewtext
    LCS {c}1 {c}2
    LCS {c}1 {c}2 LEN
    LCS {c}1 {c}2 IDX
    LCS {c}1 {c}2 IDX MINMATCHLEN 4
    LCS {c}1 {c}2 IDX WITHMATCHLEN
    LCS {c}1 {c}2 IDX MINMATCHLEN 4 WITHMATCHLEN
    LCS {c}1 {c}2 idx minmatchlen 0 withmatchlen
    LCS {c}1 {c}2 IDX MINMATCHLEN -1
    LCS {c}1 {c}2 IDX MINMATCHLEN 100
    LCS {c}1 {c}2 MINMATCHLEN 4
    LCS {c}1 {c}2 WITHMATCHLEN
    LCS {c}1 {c}2 LEN IDX
    LCS {c}1 {c}2 IDX LEN
    LCS {c}1 {c}2 LEN LEN
    LCS {c}1 {c}2 IDX MINMATCHLEN
    LCS {c}1 {c}2 IDX MINMATCHLEN x
    LCS {c}1 {c}2 FOO
    LCS {c}1 {c}2 LEN WITHMATCHLEN
    LCS {c}1 {c}missing
    LCS {c}missing {c}2 LEN
    LCS {c}missing {c}none IDX
    LCS {c}1 {c}1
    LCS {c}1 {c}1 IDX
    MSET {c}a aabbaabb {c}b bbaa
    LCS {c}a {c}b
    LCS {c}a {c}b IDX WITHMATCHLEN
    MSET {c}g ABCBDABXYZABC {c}h BDCABAABCXYZ
    LCS {c}g {c}h
    LCS {c}g {c}h LEN
    LCS {c}g {c}h IDX
    LCS {c}g {c}h IDX MINMATCHLEN 2 WITHMATCHLEN
    MSET {c}e "" {c}f x
    LCS {c}e {c}f
    LCS {c}e {c}f IDX
    MSET {c}n 12345 {c}m 345
    LCS {c}n {c}m IDX WITHMATCHLEN
    `,
  ),
  {
    title: "long values",
    steps: [
      ["SET", "big", "x".repeat(1_000_000)],
      ["STRLEN", "big"],
      ["GET", "big"],
      ["GETRANGE", "big", "999990", "-1"],
      ["APPEND", "big", "y".repeat(70_000)],
      ["GETRANGE", "big", "999999", "1000001"],
      ["SETRANGE", "big", "2000000", "end"],
      ["STRLEN", "big"],
      ["GETRANGE", "big", "1069998", "1070002"],
      ["COPY", "big", "big"],
      ["SET", "k".repeat(5_000), "long key"],
      ["GET", "k".repeat(5_000)],
      ["ECHO", "e".repeat(100_000)],
      ["PING", "p".repeat(100_000)],
      ["SET", "frag", "z".repeat(32_768)],
      ["SETRANGE", "frag", "32767", "ab"],
      ["GETRANGE", "frag", "32766", "-1"],
      ["GETDEL", "big"],
      ["EXISTS", "big"],
    ],
  },
  script(
    "encodings",
    String.raw`
    SET a 1
    OBJECT ENCODING a
    SET a 9223372036854775807
    OBJECT ENCODING a
    SET a 9223372036854775808
    OBJECT ENCODING a
    SET a -9223372036854775808
    OBJECT ENCODING a
    SET a 01
    OBJECT ENCODING a
    SET a +1
    OBJECT ENCODING a
    SET a -0
    OBJECT ENCODING a
    SET a " 1"
    OBJECT ENCODING a
    SET a ""
    OBJECT ENCODING a
    SET a 1.5
    OBJECT ENCODING a
    SET a 12345678901234567890123456789012345678901234
    OBJECT ENCODING a
    SET a 123456789012345678901234567890123456789012345
    OBJECT ENCODING a
    SET b 12
    APPEND b 3
    OBJECT ENCODING b
    SETRANGE c 0 12
    OBJECT ENCODING c
    SETBIT d 0 1
    OBJECT ENCODING d
    INCRBYFLOAT e 3
    OBJECT ENCODING e
    INCR f
    OBJECT ENCODING f
    `,
  ),
];
