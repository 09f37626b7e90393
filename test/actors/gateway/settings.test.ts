// CONFIG's parameters: units, limits, what may be changed, and that a refused CONFIG SET changes nothing.

import { describe, expect, test } from "vitest";

import { Settings } from "../../../actors/gateway/settings.ts";

const failed = (name: string, why: string): string =>
  `CONFIG SET failed (possibly related to argument '${name}') - ${why}`;

describe("CONFIG SET", () => {
  test.each([
    ["maxmemory", "1k", "1000"],
    ["maxmemory", "1KB", "1024"],
    ["maxmemory", "2mb", "2097152"],
    ["maxmemory", "1gb", "1073741824"],
    ["slowlog-log-slower-than", "-1", "-1"],
    ["appendonly", "NO", "no"],
    ["maxmemory-policy", "AllKeys-LRU", "allkeys-lru"],
    ["port", "6379", "6379"],
    [
      "client-output-buffer-limit",
      "normal 1mb 2k 3",
      "normal 1048576 2000 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ],
    [
      "client-output-buffer-limit",
      "REPLICA 1 2 3",
      "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60",
    ],
  ])("takes %s %s as %s", (name, raw, kept) => {
    const settings = new Settings();
    expect(settings.set([[name, raw]])).toBeUndefined();
    expect(settings.get(name)).toBe(kept);
  });

  test.each([
    ["maxmemory", "10x", "argument must be a memory value"],
    ["maxmemory", "-1", "argument must be a memory value"],
    [
      "proto-max-bulk-len",
      "1000",
      "argument must be between 1048576 and 9007199254740991 inclusive",
    ],
    ["maxclients", "0", "argument must be between 1 and 4294967295 inclusive"],
    ["timeout", "1.5", "argument couldn't be parsed into an integer"],
    ["appendonly", "maybe", "argument must be 'yes' or 'no'"],
    ["appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"],
    ["databases", "3", "can't set immutable config"],
    ["port", "6380", "can't set immutable config"],
    [
      "client-output-buffer-limit",
      "normal 1 2",
      "Wrong number of arguments in buffer limit configuration.",
    ],
    [
      "client-output-buffer-limit",
      "master 1 2 3",
      "Invalid client class specified in buffer limit configuration.",
    ],
    [
      "client-output-buffer-limit",
      "normal 1 x 3",
      "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ],
  ])("refuses %s %s", (name, raw, why) => {
    const settings = new Settings();
    const before = settings.get(name);
    expect(settings.set([[name, raw]])).toBe(failed(name, why));
    expect(settings.get(name)).toBe(before);
  });

  test("is all or nothing, and tells once that something changed", () => {
    const settings = new Settings();
    let changes = 0;
    settings.onChange = () => (changes += 1);
    const unknown = "Unknown option or number of arguments for CONFIG SET - 'nope'";
    expect(
      settings.set([
        ["timeout", "5"],
        ["nope", "1"],
      ]),
    ).toBe(unknown);
    const twice = [
      ["timeout", "5"],
      ["hz", "20"],
      ["TIMEOUT", "6"],
    ] as const;
    expect(settings.set(twice)).toBe(failed("TIMEOUT", "duplicate parameter"));
    expect([settings.text("timeout"), changes]).toEqual(["0", 0]);
    expect(
      settings.set([
        ["timeout", "5"],
        ["hz", "20"],
      ]),
    ).toBeUndefined();
    expect([settings.number("timeout"), settings.number("hz"), changes]).toEqual([5, 20, 1]);
  });

  test("takes back every value that CONFIG GET gives, as test tools do", () => {
    const settings = new Settings();
    for (const name of settings.names()) {
      const value = settings.text(name);
      expect(settings.set([[name, value]]), name).toBeUndefined();
      expect(settings.text(name), name).toBe(value);
    }
  });
});

test("the start may set what CONFIG SET may not, but neither unknown names nor bad values", () => {
  const settings = new Settings({ port: "7000", requirepass: "x" });
  expect([settings.number("port"), settings.text("requirepass")]).toEqual([7000, "x"]);
  expect(() => new Settings({ nope: "1" })).toThrow("unknown parameter nope");
  expect(() => new Settings({ port: "70000" })).toThrow("port: argument must be between");
});
