// Takes a data directory into use: makes its folders, locks it, and makes sure that it belongs to
// this node and cluster. Between the settings and the start; when it returns, the config says what
// the directory says. It never looks inside RocksDB or the journal.

import { accessSync, constants, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { DamagedError } from "../storage/errors.ts";
import type { ResolvedConfig } from "./config.ts";
import { SetupError, systemReason } from "./failure.ts";
import { newIdent, readIdent, syncFolder, writeIdent, type Ident } from "./ident.ts";
import { takeLock } from "./lock.ts";
import type { Config } from "./settings.ts";

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
  readonly ident: Ident;
  /** True when this start created the identity: nothing is stored yet. */
  readonly fresh: boolean;
  /** Notes durably that log and engine exist. Called before anything is acknowledged; idempotent. */
  markInitialized(): void;
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
    const fresh = existing === undefined;
    const ident = existing ?? newIdent(resolved.config);
    if (fresh) writeIdent(layout.root, ident);
    const adopted = adoptIdent(resolved, ident);
    if (ident.initialized) refuseMissingParts(layout);
    makeFolders(layout);
    let { initialized } = ident;
    const markInitialized = (): void => {
      if (!initialized) writeIdent(layout.root, { ...ident, initialized: true });
      initialized = true;
    };
    const release = (): void => lock.release();
    return { layout, ident, fresh, resolved: adopted, markInitialized, release };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The settings a start would use, without locking or creating anything (--check-config). */
export function previewConfig(resolved: ResolvedConfig): ResolvedConfig {
  const ident = readExisting(layoutOf(resolved.config.dataDir));
  return ident === undefined ? resolved : adoptIdent(resolved, ident);
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

const fixed = ["nodeId", "cluster", "numRegions", "hashTags"] as const satisfies Array<
  keyof Config
>;
const fixedWords = {
  nodeId: "belongs to node",
  cluster: "belongs to cluster",
  numRegions: "was created with num-regions",
  hashTags: "was created with hash-tags",
} as const;

/** What the directory says wins over a default; what is asked for must agree with it. */
function adoptIdent(resolved: ResolvedConfig, ident: Ident): ResolvedConfig {
  const sources: Record<keyof Config, string> = { ...resolved.sources };
  for (const key of fixed) {
    if (sources[key] === "default") {
      sources[key] = "data directory";
    } else if (resolved.config[key] !== ident[key]) {
      throw new SetupError(
        `${layoutOf(resolved.config.dataDir).root} ${fixedWords[key]} ${word(ident[key])}, ` +
          `but ${word(resolved.config[key])} is asked for (${sources[key]}); ` +
          `it is fixed at the first start`,
      );
    }
  }
  const { nodeId, cluster, numRegions, hashTags } = ident;
  const config = Object.freeze({ ...resolved.config, nodeId, cluster, numRegions, hashTags });
  return { config, sources, warnings: resolved.warnings };
}

function word(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return String(value);
}
