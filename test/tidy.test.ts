// Keeps the house: runs tidy.ts over the repository, and over bad sources to show that it sees
// them. An exception needs a line in the table below, with its reason; one that no longer applies
// must go.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { blank, importsOf, tidy } from "./tidy.ts";
import type { SourceFile } from "./tidy.ts";

const exceptions: readonly { rule: string; path: string; reason: string }[] = [
  {
    rule: "arrow",
    path: "actors/store/region.ts",
    reason: "a region is the shell of its Raft core: it owns the core and performs its effects",
  },
  {
    rule: "arrow",
    path: "actors/store/inbox.ts",
    reason: "the hearing half of that shell: it asks the core what it may answer",
  },
  {
    rule: "arrow",
    path: "actors/store/outgoing.ts",
    reason: "the writing and sending half of that shell",
  },
  {
    rule: "width",
    path: "test/conformance/scripts/connection.ts",
    reason: "one of its commands has an argument longer than what an error message quotes",
  },
];

const rooms = ["actors", "deploy", "resp", "storage", "test", "transport"];

const readRepository = (): SourceFile[] => {
  const root = join(import.meta.dirname, "..");
  const present = new Set(readdirSync(root));
  return rooms
    .filter((room) => present.has(room))
    .flatMap((room) =>
      readdirSync(join(root, room), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(ts|mjs|cjs|cts)$/.test(name))
        .map((name) => `${room}/${name.replaceAll("\\", "/")}`),
    )
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
};

test("the repository keeps its own rules", () => {
  const complaints = tidy(readRepository());
  const isExcepted = (rule: string, path: string) =>
    exceptions.some((exception) => exception.rule === rule && exception.path === path);
  const open = complaints.filter(({ rule, path }) => !isExcepted(rule, path));
  expect(open.map(({ rule, path, message }) => `${rule}: ${path}: ${message}`)).toEqual([]);
  const stale = exceptions.filter(
    ({ rule, path }) => !complaints.some((each) => each.rule === rule && each.path === path),
  );
  expect(stale).toEqual([]);
});

const header =
  "// What this is, what it sits between,\n// and what it deliberately leaves to others.\n";

const marker = ["TO", "DO"].join("");
const [focused, skipped] = ["only", "skip"];

/** Complaints about these sources, headers added, without those about nobody importing them. */
const complaintsAbout = (sources: Record<string, string>): string[] =>
  tidy(Object.entries(sources).map(([path, text]) => ({ path, text: header + text })))
    .filter(({ rule }) => rule !== "orphan")
    .map(({ rule, path }) => `${rule} ${path}`);

describe("it sees", () => {
  const arrows: [string, string, boolean][] = [
    ["storage/keys.ts", "../resp/reply.ts", false],
    ["storage/keys.ts", "../transport/codec.ts", false],
    ["resp/table.ts", "../storage/keyspace/view.ts", true],
    ["resp/table.ts", "../actors/node.ts", false],
    ["actors/store/engine.ts", "../../storage/engine.ts", true],
    ["actors/store/engine.ts", "../../storage/rocks.ts", false],
    ["deploy/start.ts", "../storage/rocks.ts", true],
    ["actors/store/region.ts", "../raft/protocol.ts", true],
    ["actors/store/region.ts", "../raft/core.ts", false],
    ["actors/store/region.ts", "../system/hot.ts", true],
    ["actors/raft/core.ts", "../store/protocol.ts", false],
    ["actors/pd/server.ts", "../store/supervisor.ts", false],
    ["actors/observe/log.ts", "../system/clock.ts", false],
    ["actors/node.ts", "./gateway/supervisor.ts", true],
    ["actors/node-metrics.ts", "./store/store.ts", true],
    ["actors/node.ts", "./store/writer.ts", false],
    ["actors/gateway/dispatch.ts", "../store/store.ts", false],
    ["actors/gateway/session.ts", "../node.ts", false],
    ["actors/attic/x.ts", "../system/clock.ts", false],
    ["deploy/start.ts", "../test/tidy.ts", false],
  ];
  test.each(arrows)("arrow %s -> %s: allowed %s", (path, specifier, allowed) => {
    const found = complaintsAbout({ [path]: `import { x } from "${specifier}";\n` });
    expect(found).toEqual(allowed ? [] : [`arrow ${path}`]);
  });

  test("imports of every form, and none in comments", () => {
    const text = [
      'import a from "./a.ts";',
      'import type { B } from "./b.ts";',
      'import "./c.ts";',
      'export { d } from "./d.ts";',
      'const e = await import("./e.ts");',
      'import {\n  f,\n} from "./f.ts";',
      '// import g from "./g.ts";',
    ].join("\n");
    expect(importsOf(text)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts"]);
  });

  test("cycles", () => {
    const found = complaintsAbout({
      "storage/a.ts": 'import { b } from "./b.ts";\n',
      "storage/b.ts": 'import { c } from "./c.ts";\n',
      "storage/c.ts": 'import { a } from "./a.ts";\n',
      "storage/d.ts": 'import { e } from "./e.ts";\n',
      "storage/e.ts": 'import type { D } from "./d.ts";\n',
    });
    expect(found).toEqual(["cycle storage/a.ts"]);
  });

  test("files nobody imports, but not entry points", () => {
    const files = ["storage/lonely.ts", "deploy/cli.ts", "test/x.test.ts"];
    const found = tidy(files.map((path) => ({ path, text: header })));
    expect(found.map(({ rule, path }) => `${rule} ${path}`)).toEqual(["orphan storage/lonely.ts"]);
  });

  const bad: [string, string, string][] = [
    ["name", "storage/index.ts", ""],
    ["name", "storage/string-utils.ts", ""],
    ["name", "actors/store/helpers/x.ts", ""],
    ["name", "storage/Engine.ts", ""],
    ["size", "storage/long.ts", "x;\n".repeat(400)],
    ["width", "storage/wide.ts", `const x = "${"x".repeat(110)}";\n`],
    ["todo", "storage/open.ts", `// ${marker}: later\n`],
    ["environment", "storage/env.ts", "const x = process.env;\n"],
    ["pure", "resp/now.ts", "const x = Date.now();\n"],
    ["pure", "resp/dice.ts", "const x = Math.random();\n"],
    ["pure", "actors/raft/core.ts", "setTimeout(f, 1);\n"],
    ["pure", "storage/keyspace/view.ts", "const x = `${process.pid}`;\n"],
    ["focus", "test/x.test.ts", `describe.${focused}('x', f);\n`],
    ["focus", "test/y.test.ts", `it.${skipped}('x', f);\n`],
  ];
  test.each(bad)("%s in %s", (rule, path, text) => {
    expect(complaintsAbout({ [path]: text })).toEqual([`${rule} ${path}`]);
  });

  test("a missing header", () => {
    const found = tidy([{ path: "deploy/cli.ts", text: 'import x from "x";\n' }]);
    expect(found.map(({ rule }) => rule)).toEqual(["header"]);
  });
});

describe("it lets pass", () => {
  const good: [string, string][] = [
    ["resp/a.ts", "// A Date in a comment, and process too.\n"],
    ["resp/b.ts", 'const text = "Date process console";\n'],
    ["resp/c.ts", "const quote = /[\"'`]/;\nconst later = 1;\n"],
    ["resp/d.ts", "const text = `no Date ${x} no process`;\n"],
    ["resp/e.ts", "const updatedDates = 1;\n"],
    ["actors/store/clock.ts", "setTimeout(f, Date.now());\n"],
    ["storage/x.ts", `// ${marker}(#12): named\n`],
  ];
  test.each(good)("%s", (path, text) => {
    expect(complaintsAbout({ [path]: text })).toEqual([]);
  });

  test("blanking keeps every line in its place", () => {
    const text = 'a /* x\ny */ b\n"s" // c\n';
    expect(blank(text, false).split("\n")).toHaveLength(text.split("\n").length);
  });
});
