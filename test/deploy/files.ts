// Reads the files of deploy/ that other programs run SpireDB by: Dockerfile, compose.yaml and the
// systemd unit. Strict: what it does not know is an error. It is between those files and the tests
// that check them or run their commands; it runs nothing.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse as parseYaml } from "yaml";

export const root = resolve(import.meta.dirname, "../..");

export const deployFile = (name: string): string =>
  readFileSync(join(root, "deploy", name), "utf8");

/** One instruction of a Dockerfile: FROM, RUN … and its text, continued lines joined. */
export interface Instruction {
  readonly word: string;
  readonly text: string;
}

const instructionWords = new Set(
  "FROM RUN COPY WORKDIR ENV USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD ARG LABEL".split(
    " ",
  ),
);

/** The instructions of each stage, which begins with its FROM. */
export function readDockerfile(text: string): Instruction[][] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gmu, "")
    .replaceAll(/\\\n\s*/gu, "")
    .split("\n");
  const stages: Instruction[][] = [];
  for (const line of lines.filter((each) => each.trim() !== "")) {
    const [, word = "", rest = ""] = /^([A-Z]+) (.+)$/u.exec(line) ?? [];
    if (!instructionWords.has(word)) throw new Error(`not an instruction: ${line}`);
    if (word === "FROM") stages.push([]);
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`before the first FROM: ${line}`);
    stage.push({ word, text: rest });
  }
  return stages;
}

/** The text of the only instruction of that name. */
export function only(stage: readonly Instruction[], word: string): string {
  const found = stage.filter((each) => each.word === word);
  if (found.length !== 1) throw new Error(`${found.length} instructions ${word}`);
  return found[0]?.text ?? "";
}

/** The words of an instruction in its JSON form. */
export function wordsOf(text: string): string[] {
  const words: unknown = JSON.parse(text.slice(text.indexOf("[")));
  if (Array.isArray(words) && words.every((each) => typeof each === "string")) return words;
  throw new Error(`not a list of words: ${text}`);
}

/** A service of compose.yaml, as far as the tests look at it. */
export interface ComposeService {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly stop_grace_period?: string;
}

export interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, null>>;
}

/** compose.yaml with `${NAME:?…}` replaced from `variables`. */
export function readCompose(text: string, variables: Readonly<Record<string, string>>): Compose {
  const filled = text.replaceAll(/\$\{(\w+):\?[^}]*\}/gu, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`compose.yaml asks for ${name}`);
    return value;
  });
  return parseYaml(filled, { merge: true, strict: true, uniqueKeys: true }) as Compose;
}

/** Section -> key -> values, in order. An empty value is kept: it resets a list. */
export type Unit = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

export function readUnit(text: string): Unit {
  const unit = new Map<string, Map<string, string[]>>();
  let section: Map<string, string[]> | undefined;
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const title = /^\[(\w+)\]$/u.exec(line)?.[1];
    if (title !== undefined) {
      section = new Map();
      unit.set(title, section);
      continue;
    }
    const [, key, value = ""] = /^([A-Za-z]+)=(.*)$/u.exec(line) ?? [];
    if (key === undefined || section === undefined) throw new Error(`not a setting: ${line}`);
    section.set(key, [...(section.get(key) ?? []), value]);
  }
  return unit;
}
