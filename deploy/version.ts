// The version of this SpireDB, from package.json, for --version, INFO and the log. It is found
// upwards because the sources and the built files in dist/ lie at different depths.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

function findVersion(folder: string): string {
  const path = join(folder, "package.json");
  if (existsSync(path)) {
    const content = JSON.parse(readFileSync(path, "utf8")) as { name?: string; version?: string };
    if (content.name === "spiredb" && content.version !== undefined) return content.version;
  }
  const parent = dirname(folder);
  return parent === folder ? "unknown" : findVersion(parent);
}

/** Semantic version, for example "0.1.0". */
export const version = findVersion(import.meta.dirname);
