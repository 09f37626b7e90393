// The slow log: newest first, bounded, with arguments cut short and passwords left out.

import { expect, test } from "vitest";

import { Slowlog, withoutSecrets } from "../../../actors/gateway/slowlog.ts";

const bytes = (line: string): Buffer[] => line.split(" ").map((word) => Buffer.from(word));

function filled(lines: readonly string[], lengthMax: number): Slowlog {
  const slowlog = new Slowlog();
  for (const line of lines) {
    const entry = { atMs: 1_700_000_000_999, microseconds: 12.6, address: "a:1", name: "me" };
    slowlog.add(entry, bytes(line), lengthMax);
  }
  return slowlog;
}

const shown = (slowlog: Slowlog, count: number): string[] =>
  slowlog.entries(count).map(({ id, args }) => `${id} ${args.join(" ")}`);

test("keeps the newest entries and goes on counting", () => {
  const slowlog = filled(["GET a", "GET b", "GET c"], 2);
  expect(shown(slowlog, -1)).toEqual(["2 GET c", "1 GET b"]);
  expect(shown(slowlog, 1)).toEqual(["2 GET c"]);
  expect(slowlog.entries(1)[0]).toMatchObject({ atSeconds: 1_700_000_000, microseconds: 13 });
  slowlog.trim(1);
  expect(slowlog.length()).toBe(1);
  slowlog.reset();
  expect(slowlog.length()).toBe(0);
});

test("cuts long arguments and long lists of them as Redis does", () => {
  const slowlog = new Slowlog();
  const entry = { atMs: 0, microseconds: 1, address: "", name: "" };
  slowlog.add(entry, [Buffer.from("SET"), Buffer.alloc(1024, "A")], 10);
  expect(String(slowlog.entries(1)[0]?.args[1])).toBe(`${"A".repeat(128)}... (896 more bytes)`);
  slowlog.add(entry, bytes(`MGET ${"k ".repeat(33).trim()}`), 10);
  const { args } = slowlog.entries(1)[0]!;
  expect([args.length, String(args[31])]).toEqual([32, "... (3 more arguments)"]);
});

test("keeps copies, not views of the bytes of a connection", () => {
  const slowlog = new Slowlog();
  const arg = Buffer.from("secret");
  slowlog.add({ atMs: 0, microseconds: 1, address: "", name: "" }, [arg], 10);
  arg.fill("x");
  expect(String(slowlog.entries(1)[0]?.args[0])).toBe("secret");
});

test.each([
  ["auth", "AUTH user pass", "AUTH (redacted) (redacted)"],
  ["hello", "HELLO 3 AUTH user pass SETNAME me", "HELLO 3 AUTH (redacted) (redacted) SETNAME me"],
  ["hello", "HELLO 3", "HELLO 3"],
  [
    "config|set",
    "CONFIG SET timeout 5 RequirePass pass masterauth x",
    "CONFIG SET timeout 5 RequirePass (redacted) masterauth (redacted)",
  ],
  ["set", "SET requirepass pass", "SET requirepass pass"],
])("leaves passwords out of %s: %s", (command, line, wanted) => {
  expect(withoutSecrets(command, bytes(line)).join(" ")).toBe(wanted);
});
