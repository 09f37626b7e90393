// Takes a data directory into use: makes its folders, locks it, and makes sure that it belongs to
// this node and cluster. Between the settings and the start; when it returns, the config says what
// the directory says. It never looks inside RocksDB or the journal.

import { accessSync, constants, mkdirSync, readdirSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";

import { MembershipError } from "../actors/cluster/protocol.ts";
import type { MembershipStore, Proposal } from "../actors/cluster/protocol.ts";
import { DamagedError, DiskError } from "../storage/errors.ts";
import type { ResolvedConfig } from "./config.ts";
import { SetupError, systemReason } from "./failure.ts";
import { formedAlone, newIdent, readIdent, syncFolder, writeIdent, type Ident } from "./ident.ts";
import { takeLock } from "./lock.ts";
import type { Config } from "./setting.ts";

/** Where things lie inside a data directory. Absolute paths. */
export interface Layout {
  readonly root: string;
  /** RocksDB. */
  readonly engine: string;
  /** Root of everything the Raft log writes: `journal/` and `region_<id>/`. */
  readonly raft: string;
  readonly journal: string;
}

/** A directory taken into use by this process. */
export interface DataDirectory {
  readonly layout: Layout;
  /** As of this start; its `epoch` is durable. */
  readonly ident: Ident;
  /** True when this start created the identity: nothing is stored yet. */
  readonly fresh: boolean;
  /** Notes durably that log and engine exist. Called before anything is acknowledged; idempotent. */
  markInitialized(): void;
  /** What the node agreed to, kept in the identity. */
  readonly membership: MembershipStore;
  /** The settings with what the directory fixes: node id, cluster, regions, hash tags. */
  readonly resolved: ResolvedConfig;
  /** Lets the next process in. The last thing a process does with it. */
  release(): void;
}

export function layoutOf(dataDir: string): Layout {
  const root = resolve(dataDir);
  const raft = join(root, "raft");
  return { root, engine: join(root, "data"), raft, journal: join(raft, "journal") };
}

/**
 * Opens or creates the directory. Throws `SetupError` (foreign, newer, locked, unusable: exit 1)
 * or `DamagedError` (identity broken or gone: exit 2).
 */
export function openDataDirectory(resolved: ResolvedConfig): DataDirectory {
  const layout = layoutOf(resolved.config.dataDir);
  makeRoot(layout.root);
  const lock = takeLock(layout.root);
  try {
    const existing = readExisting(layout);
    const present = existing ?? firstIdent(resolved);
    const adopted = adoptIdent(resolved, present);
    if (present.initialized) refuseMissingParts(layout);
    const ident = identOfStart(present, adopted);
    writeIdent(layout.root, ident);
    makeFolders(layout);
    const keeper = keepIdent(layout.root, ident, adopted);
    const release = (): void => lock.release();
    return { layout, ident, fresh: existing === undefined, resolved: adopted, release, ...keeper };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The identity of a new directory; with others about, its default name must be nobody else's. */
function firstIdent({ config, sources }: ResolvedConfig): Ident {
  const ident = newIdent(config);
  if (config.nats.length === 0 || sources.nodeId !== "default") return ident;
  return { ...ident, nodeId: nodeIdOnHost(ident.incarnation.slice(0, 8)) };
}

function nodeIdOnHost(suffix: string): string {
  const host = hostname()
    .replaceAll(/[^\w-]/gu, "-")
    .replace(/^[^A-Za-z0-9]+/u, "");
  return `${host === "" ? "node" : host.slice(0, 55)}-${suffix}`;
}

const isAlone = ({ config }: ResolvedConfig): boolean => config.nats.length === 0;

/** What is durable from now on: one more start, and the cluster of its own that a lone node is. */
function identOfStart(ident: Ident, adopted: ResolvedConfig): Ident {
  const { numRegions, hashTags } = adopted.config;
  const next = { ...ident, numRegions, hashTags, epoch: ident.epoch + 1 };
  const formsAlone = isAlone(adopted) && next.initialized && next.formed === undefined;
  return formsAlone ? { ...next, formed: formedAlone(next) } : next;
}

/** The two things that change in an identity while its node runs. */
function keepIdent(
  root: string,
  atStart: Ident,
  adopted: ResolvedConfig,
): Pick<DataDirectory, "markInitialized" | "membership"> {
  let ident = atStart;
  const keep = (changes: Partial<Ident>): void => {
    const next = { ...ident, ...changes };
    try {
      writeIdent(root, next);
    } catch (error) {
      throw new DiskError("writing ident.json failed", { cause: error });
    }
    ident = next;
  };
  return {
    markInitialized() {
      if (ident.initialized) return;
      const formed = ident.formed ?? (isAlone(adopted) ? formedAlone(ident) : undefined);
      keep({ initialized: true, formed });
    },
    membership: {
      read: () => ({ pledge: ident.pledge, formed: ident.formed }),
      async write({ pledge, formed }) {
        const agreed = formed ?? pledge;
        if (agreed !== undefined) refuseOtherShape(adopted, agreed);
        const shape =
          formed === undefined ? {} : { numRegions: formed.regionCount, hashTags: formed.hashTags };
        keep({ pledge, formed, ...shape });
      },
    },
  };
}

/** A default gives way to what the cluster is; what was asked for must agree with it. */
function refuseOtherShape({ config, sources }: ResolvedConfig, agreed: Proposal): void {
  for (const [flag, key, theirs] of [
    ["num-regions", "numRegions", agreed.regionCount],
    ["hash-tags", "hashTags", agreed.hashTags],
  ] as const) {
    const isAsked = !["default", "data directory"].includes(sources[key]);
    if (isAsked && config[key] !== theirs) {
      throw new MembershipError(
        `the cluster has ${flag} ${word(theirs)}, but ${word(config[key])} is asked for ` +
          `(${sources[key]}); it is fixed when the cluster forms`,
      );
    }
  }
}

/** The settings a start would use, without locking or creating anything (--check-config). */
export function previewConfig(resolved: ResolvedConfig): ResolvedConfig {
  const ident = readExisting(layoutOf(resolved.config.dataDir));
  if (ident !== undefined) return adoptIdent(resolved, ident);
  const drawn = adoptIdent(resolved, firstIdent(resolved)).config.nodeId;
  if (drawn === resolved.config.nodeId) return resolved;
  const config = { ...resolved.config, nodeId: nodeIdOnHost("????????") };
  return { ...resolved, config, sources: { ...resolved.sources, nodeId: "drawn at first start" } };
}

function makeRoot(root: string): void {
  try {
    const created = mkdirSync(root, { recursive: true, mode: 0o700 });
    if (created !== undefined) syncFolder(dirname(created));
    if (!statSync(root).isDirectory()) throw new SetupError(`${root} is not a folder`);
    accessSync(root, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof SetupError) throw error;
    const isFile = (error as NodeJS.ErrnoException).code === "EEXIST";
    const reason = isFile ? "it is a file, not a folder" : systemReason(error);
    throw new SetupError(`cannot use the data directory ${root}: ${reason}`);
  }
}

function makeFolders(layout: Layout): void {
  for (const folder of [layout.engine, layout.raft, layout.journal]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
  syncFolder(layout.raft);
  syncFolder(layout.root);
}

/** Starting with one half empty would silently drop, or invent, what the other half knows. */
function refuseMissingParts(layout: Layout): void {
  const [database, journal] = [namesIn(layout.engine), namesIn(layout.journal)];
  if (!database.includes("CURRENT")) {
    throw new DamagedError("the data that was here is gone: no RocksDB database", layout.engine);
  }
  if (!journal.some((name) => name.endsWith(".journal"))) {
    throw new DamagedError("the log that was here is gone: no journal file", layout.journal);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Undefined for a directory that holds nothing yet. */
function readExisting(layout: Layout): Ident | undefined {
  let names: string[];
  try {
    names = readdirSync(layout.root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new SetupError(`cannot use the data directory ${layout.root}: ${systemReason(error)}`);
  }
  const ident = readIdent(layout.root);
  if (ident !== undefined) return ident;
  // The identity is written before anything else, so data without one was not left by a crash.
  if (names.includes("data") || names.includes("raft")) {
    throw new DamagedError("there is data but no identity", join(layout.root, "ident.json"));
  }
  const foreign = names.filter((name) => !/^(lock|ident\.json\.new|lost\+found$|\.)/u.test(name));
  if (foreign.length > 0) {
    throw new SetupError(
      `${layout.root} is not empty and not a SpireDB data directory (it holds ${foreign[0]})`,
    );
  }
  return undefined;
}

const fixedWords = {
  nodeId: "belongs to node",
  cluster: "belongs to cluster",
  numRegions: "was created with num-regions",
  hashTags: "was created with hash-tags",
} as const satisfies Partial<Record<keyof Config, string>>;

/** What the directory says wins over a default; what is asked for must agree with it. */
function adoptIdent(resolved: ResolvedConfig, ident: Ident): ResolvedConfig {
  const { root } = layoutOf(resolved.config.dataDir);
  refuseOtherMembership(root, resolved, ident);
  const sources: Record<keyof Config, string> = { ...resolved.sources };
  let { config } = resolved;
  for (const key of fixedKeys(resolved, ident)) {
    if (sources[key] === "default") {
      sources[key] = "data directory";
      config = { ...config, [key]: ident[key] };
    } else if (resolved.config[key] !== ident[key]) {
      throw new SetupError(
        `${root} ${fixedWords[key]} ${word(ident[key])}, ` +
          `but ${word(resolved.config[key])} is asked for (${sources[key]}); ` +
          `it is fixed at the first start`,
      );
    }
  }
  return { config: Object.freeze(config), sources, warnings: resolved.warnings };
}

/** The shape of the key space is fixed by the cluster: before there is one it may still change. */
function fixedKeys(resolved: ResolvedConfig, ident: Ident): Array<keyof typeof fixedWords> {
  const isOpen = ident.pledge === undefined && ident.formed === undefined;
  return isOpen && !isAlone(resolved)
    ? ["nodeId", "cluster"]
    : ["nodeId", "cluster", "numRegions", "hashTags"];
}

/** A member cannot serve without the others, and a founder must be one of those that were named. */
function refuseOtherMembership(
  root: string,
  { config, sources }: ResolvedConfig,
  ident: Ident,
): void {
  const others = (ident.formed ?? ident.pledge)?.members
    .map((member) => member.nodeId)
    .filter((nodeId) => nodeId !== ident.nodeId);
  if (config.nats.length === 0 && others !== undefined && others.length > 0) {
    throw new SetupError(
      `${root} belongs to a node of a cluster (with ${others.join(", ")}): --nats is missing`,
    );
  }
  const nodeId = sources.nodeId === "default" ? ident.nodeId : config.nodeId;
  const isFounding = ident.formed === undefined && config.initialNodes.length > 0;
  if (config.nats.length > 0 && isFounding && !config.initialNodes.includes(nodeId)) {
    throw new SetupError(
      `--initial-nodes ${config.initialNodes.join(",")} does not name this node, ${nodeId}: ` +
        "give it its --node-id",
    );
  }
}

function word(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return String(value);
}
