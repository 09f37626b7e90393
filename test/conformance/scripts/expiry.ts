// Times to live as tables: the EXPIRE family with its conditions and limits, the TTL family, PERSIST.

import type { Command } from "../client.ts";
import { script, type Script } from "../run.ts";

const COMMANDS = ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"] as const;

/** Far enough for every unit that 2 s of tolerance do not matter. */
const TIME = {
  EXPIRE: "5000",
  PEXPIRE: "5000000",
  EXPIREAT: "33177117420",
  PEXPIREAT: "33177117420000",
};

const VALUES = [
  "0",
  "-1",
  "-1000",
  "1",
  "1000000",
  "x",
  "",
  "1.5",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775808",
  "-9223372036854775807",
  "9223372036854775",
  "9223372036854776",
  "-9223372036854775",
  "-9223372036854776",
  "9223370000000000000",
];

const CONDITIONS: readonly Command[] = [
  ["NX"],
  ["XX"],
  ["GT"],
  ["LT"],
  ["nx"],
  ["NX", "XX"],
  ["NX", "GT"],
  ["NX", "LT"],
  ["XX", "GT"],
  ["XX", "LT"],
  ["GT", "LT"],
  ["XX", "XX"],
  ["GT", "XX", "GT"],
  ["FOO"],
  ["NX", "FOO"],
  [""],
];

function look(): Command[] {
  return ["EXISTS", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"].map((name) => [name, "a"]);
}

const limits: readonly Script[] = COMMANDS.map((name) => ({
  title: `${name}: limits`,
  steps: [
    [name, "none", "100"],
    [name, "none", "x"],
    [name, "none", "-1"],
    ...VALUES.flatMap((value): Command[] => [["SET", "a", "v"], [name, "a", value], ...look()]),
  ],
}));

const conditions: readonly Script[] = COMMANDS.map((name) => ({
  title: `${name}: conditions`,
  steps: CONDITIONS.flatMap((condition) =>
    [
      ["SET", "a", "v"],
      ["SET", "a", "v", "EX", "100"],
      ["SET", "a", "v", "PXAT", "99177117420000"],
    ].flatMap((before): Command[] => [
      before,
      [name, "a", TIME[name], ...condition],
      ["PTTL", "a"],
      [name, "a", "-1", ...condition],
      ["EXISTS", "a"],
      [name, "none", "100", ...condition],
    ]),
  ),
}));

export const EXPIRY: readonly Script[] = [
  ...limits,
  ...conditions,
  script(
    "TTL family and PERSIST",
    String.raw`
    TTL none
    PTTL none
    EXPIRETIME none
    PEXPIRETIME none
    PERSIST none
    SET a 1
    TTL a
    PTTL a
    EXPIRETIME a
    PEXPIRETIME a
    PERSIST a
    EXPIREAT a 33177117420
    EXPIRETIME a
    PEXPIRETIME a
    PERSIST a
    PERSIST a
    TTL a
    PEXPIREAT a 33177117420500
    EXPIRETIME a
    PEXPIRETIME a
    PEXPIREAT a 33177117420499
    EXPIRETIME a
    PEXPIRE a 1500000
    TTL a
    EXPIREAT a 1
    EXISTS a
    SET a 1
    EXPIRE a 0
    GET a
    SET a 1
    PEXPIREAT a 0
    GET a
    EXPIRE a 100 NX XX GT
    EXPIRE a 100 FOO BAR
    `,
  ),
];
