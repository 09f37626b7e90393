// The rules of the house as checks over source text: who may import whom, and what a file may look
// like. It sits between the files on disk and tidy.test.ts, which reports the complaints; length of
// functions and unused exports are left to oxlint and knip.

/** A file as the checks see it; the path is relative to the repository, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Complaint {
  readonly rule: string;
  readonly path: string;
  readonly message: string;
}

/** Left may import right, never the reverse. */
const actorRooms = ["node", "gateway", "store", "pd", "raft", "cluster", "system", "observe"];
/** Rooms inside actors whose every file is a door; elsewhere only these files are. */
const openRooms = new Set(["system", "observe"]);
const doors = new Set(["protocol.ts", "supervisor.ts", "machine.ts"]);
/** A room's messages as bytes belong to its protocol. */
const codecs = new Set(["actors/raft/wire.ts", "actors/raft/membership.ts"]);
/** What outlives the restarts of a room's actors: the node holds them, nobody else may. */
const nodeDoors = new Set([
  "actors/store/store.ts",
  "actors/gateway/gateway.ts",
  "actors/cluster/cluster.ts",
]);

/** What each room may import besides npm, node and itself. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  storage: [],
  transport: [],
  resp: ["storage"],
  actors: ["resp", "storage", "transport"],
  deploy: ["actors", "resp", "storage", "transport"],
  test: ["deploy", "actors", "resp", "storage", "transport"],
};

/** Implementations of ports: only deploy and tests may name them. */
const adapters = new Set([
  "storage/rocks.ts",
  "storage/disk-node.ts",
  "transport/nats.ts",
  "storage/memory.ts",
  "transport/memory.ts",
]);

/** Files run or loaded by a tool, not by an import. */
const entryPoints = [
  /^deploy\/(cli\.c?ts|npm-start\.cjs|build\.cjs)$/,
  /\.d\.ts$/,
  /^test\/.*\.test\.ts$/,
  /^test\/(bench|integration|simulation|conformance)\//,
  /^test\/[\w-]+\.mjs$/,
];

const purePath = new RegExp(
  "^(resp/|storage/(keys|position|codec)\\.ts$|storage/keyspace/|transport/(subjects|codec)\\.ts$" +
    "|actors/system/restart-policy\\.ts$" +
    "|actors/cluster/(formation|choice|heard|proposals|roster|waiting)\\.ts$" +
    "|actors/raft/(state|effects|core|election|replication|quorum|log-view|protocol)\\.ts$)",
);

const impureNames =
  "Date|setTimeout|setInterval|setImmediate|queueMicrotask|process|console|performance|Math\\.random";
const impure = new RegExp(`\\b(${impureNames})\\b`);

/** Comments, strings, templates and regular expressions, in this order of trial at each place. */
const opaque = new RegExp(
  [
    String.raw`\/\/[^\n]*|\/\*[\s\S]*?\*\/`,
    String.raw`"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'`,
    "`(?:\\\\[\\s\\S]|[^`\\\\])*`",
    String.raw`(?<=[(,=:[!&|?{};\n]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*`,
  ].join("|"),
  "g",
);

/** The source with comments, and unless kept strings, blanked out; lines keep their place. */
export function blank(text: string, keepStrings: boolean): string {
  return text.replace(opaque, (found) => {
    const isComment = found.startsWith("//") || found.startsWith("/*");
    if (!isComment && keepStrings) return found;
    // An expression in a template is code: what it names must stay visible.
    if (found.startsWith("`")) return found.replaceAll(/(^|\})[^$]*?(?=\$\{|`$|$)/g, " ");
    return found.replaceAll(/[^\n]/g, " ");
  });
}

/** Specifiers a file imports or re-exports, static and dynamic; `valuesOnly` leaves out types. */
export function importsOf(text: string, valuesOnly = false): string[] {
  const whole = blank(text, true);
  const code = valuesOnly
    ? whole.replaceAll(/^(import|export) type\b[^"']*["'][^"'\n]*["']/gm, "")
    : whole;
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)["']([^"'\n]+)["']/gm;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? "");
}

const resolve = (from: string, specifier: string): string => {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
};

/** Repository files that a file imports. */
const targetsOf = (file: SourceFile, valuesOnly = false): string[] =>
  importsOf(file.text, valuesOnly)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => resolve(file.path, specifier));

const roomOf = (path: string): string => path.split("/")[0] ?? "";
/** Files directly in actors make up the node. */
const actorRoomOf = (path: string): string => {
  const [, room = "", file] = path.split("/");
  return file === undefined ? "node" : room;
};

const arrowComplaint = (from: string, to: string): string | undefined => {
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)];
  if (adapters.has(to) && fromRoom !== toRoom && fromRoom !== "deploy" && fromRoom !== "test") {
    return `names the adapter ${to}; use its port`;
  }
  if (fromRoom !== toRoom) {
    return arrows[fromRoom]?.includes(toRoom) === true ? undefined : `${fromRoom} imports ${to}`;
  }
  if (fromRoom !== "actors") return undefined;
  const [left, right] = [actorRoomOf(from), actorRoomOf(to)];
  if (left === right) return undefined;
  const [leftIndex, rightIndex] = [actorRooms.indexOf(left), actorRooms.indexOf(right)];
  if (leftIndex < 0 || rightIndex < 0) return `${left} -> ${right}: not a known room`;
  if (rightIndex < leftIndex) return `${left} imports ${to}, against the arrows`;
  if (openRooms.has(right) || doors.has(to.split("/").at(-1) ?? "")) return undefined;
  if (codecs.has(to)) return undefined;
  if (left === "node" && nodeDoors.has(to)) return undefined;
  return `${left} enters ${right} through ${to}; its doors are ${[...doors].join(", ")}`;
};

/** Arrows between rooms. */
function checkArrows(files: readonly SourceFile[]): Complaint[] {
  return files.flatMap((file) =>
    targetsOf(file).flatMap((to) => {
      const message = arrowComplaint(file.path, to);
      return message === undefined ? [] : [{ rule: "arrow", path: file.path, message }];
    }),
  );
}

/** Import cycles; imports of types only do not run, so they may point back. */
function checkCycles(files: readonly SourceFile[]): Complaint[] {
  const graph = new Map(files.map((file) => [file.path, targetsOf(file, true)]));
  const done = new Set<string>();
  const complaints: Complaint[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const message = [...trail.slice(start), path].join(" -> ");
      complaints.push({ rule: "cycle", path, message });
    }
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return complaints;
}

/** Files nobody imports and nobody starts. */
function checkOrphans(files: readonly SourceFile[]): Complaint[] {
  const imported = new Set(files.flatMap((file) => targetsOf(file)));
  return files
    .filter(({ path }) => !imported.has(path) && !entryPoints.some((entry) => entry.test(path)))
    .map(({ path }) => ({ rule: "orphan", path, message: "nobody imports it" }));
}

/** oxfmt keeps code at 100; a comment or a string it cannot break may run a little over. */
const maxColumns = 110;

type Check = (file: SourceFile) => string | undefined;

const lineWhere = (text: string, matches: (line: string) => boolean): number | undefined => {
  const index = text.split("\n").findIndex(matches);
  return index < 0 ? undefined : index + 1;
};

/** Rules about one file; each gives a message or undefined. */
const fileChecks: Readonly<Record<string, Check>> = {
  name: ({ path }) => {
    const base = path.split("/").at(-1) ?? "";
    if (base.startsWith("index.")) return "no barrels";
    if (/(^|[/.-])(utils?|common|helpers?|managers?)([/.-]|$)/.test(path)) return "name what it is";
    return /^[a-z0-9]+([.-][a-z0-9]+)*$/.test(base) ? undefined : "file names are kebab-case";
  },
  size: ({ text }) => {
    const lines = text.trimEnd().split("\n").length;
    return lines > 400 ? `${lines} lines, 400 at most` : undefined;
  },
  width: ({ text }) => {
    const line = lineWhere(text, (each) => each.length > maxColumns);
    return line === undefined ? undefined : `line ${line} is wider than ${maxColumns} columns`;
  },
  header: ({ text }) => {
    const header = /^(?:#![^\n]*\n)?((?:\/\/[^\n]*\n)+|\/\*[\s\S]*?\*\/)/.exec(text)?.[1] ?? "";
    return header.length < 60
      ? "begin with two or three sentences: what it is, between what"
      : undefined;
  },
  todo: ({ text }) => {
    const marker = new RegExp(`\\b(${["TO", "FIX"].join("DO|")}ME)\\b(?!.*#\\d)`);
    const line = lineWhere(text, (each) => marker.test(each));
    return line === undefined ? undefined : `line ${line}: open ends need an issue number`;
  },
  environment: ({ path, text }) => {
    if (path.startsWith("deploy/") || path.startsWith("test/")) return undefined;
    return /\bprocess\.env\b/.test(blank(text, false))
      ? "only deploy reads process.env"
      : undefined;
  },
  pure: ({ path, text }) => {
    if (!purePath.test(path)) return undefined;
    const used = impure.exec(blank(text, false))?.[0];
    return used === undefined ? undefined : `pure, yet names ${used}`;
  },
  focus: ({ path, text }) => {
    if (!path.startsWith("test/")) return undefined;
    const found = /\b(describe|it|test)\.(only|skip|todo)\b/.exec(blank(text, false))?.[0];
    return found === undefined ? undefined : `${found} must not be committed`;
  },
};

/** Every complaint about these files, which must be all files of the repository's rooms. */
export function tidy(files: readonly SourceFile[]): Complaint[] {
  const single = files.flatMap((file) =>
    Object.entries(fileChecks).flatMap(([rule, check]) => {
      const message = check(file);
      return message === undefined ? [] : [{ rule, path: file.path, message }];
    }),
  );
  return [...checkArrows(files), ...checkCycles(files), ...checkOrphans(files), ...single];
}
