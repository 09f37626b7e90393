// The lock file that keeps a second process out of a data directory, with a clear sentence. Node
// offers no OS-level file lock, so this one names its owner and is judged by looking at /proc; the
// lock RocksDB takes (fcntl, held by the kernel, also across containers) is the guard behind it.

import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

import { SetupError } from "./failure.ts";
import { statField } from "./process-stat.ts";

/** Who holds a lock. Pid and start tick together survive pid reuse; boot id tells another boot. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  /** Ticks since boot when it started (field 22 of /proc/<pid>/stat); "" = unknown. */
  readonly startTick: string;
  readonly bootId: string;
}

/** A held lock. `release` comes at the very end; a second call does nothing. */
export interface Lock {
  release(): void;
}

/** How long a killed owner may take to be gone, ms. */
const deathMs = 5000;

/** Takes the lock of the folder or throws `SetupError` naming the process that has it. */
export function takeLock(folder: string): Lock {
  const path = join(folder, "lock");
  const own = `${JSON.stringify(ownerOf(process.pid))}\n`;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, own, { mode: 0o600 });
  try {
    // A hard link appears whole or not at all: nobody ever reads a half-written owner.
    for (let attempt = 0; !tryLink(temporary, path); attempt++) {
      const text = readText(path);
      if (text === undefined) continue;
      const owner = parseOwner(text);
      if (owner !== undefined) waitWhileItDies(owner);
      if (attempt > 8 || (owner !== undefined && isAlive(owner))) {
        const who =
          owner === undefined ? "another process" : `process ${owner.pid} on ${owner.host}`;
        throw new SetupError(`${folder} is in use by ${who}; one data directory serves one node`);
      }
      removeStale(path, text);
    }
  } finally {
    unlinkSync(temporary);
  }
  return {
    release() {
      if (readText(path) === own) unlinkSync(path);
    },
  };
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Moves the stale lock aside before deleting it: two processes may judge the same lock stale, and
 * the slower one must not delete what the faster one has just taken; it puts that back.
 */
function removeStale(path: string, judged: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readText(aside) !== judged) tryLink(aside, path);
  unlinkSync(aside);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Owner;
    return Number.isInteger(owner.pid) && owner.pid > 0 ? owner : undefined;
  } catch {
    return undefined;
  }
}

function ownerOf(pid: number): Owner {
  return {
    pid,
    host: hostname(),
    startTick: startTickOf(pid) ?? "",
    bootId: systemText("/proc/sys/kernel/random/boot_id"),
  };
}

/**
 * Whether the owner still runs, as far as this process can see. A process in another pid namespace
 * is invisible and looks dead; there RocksDB's lock decides.
 */
function isAlive(owner: Owner): boolean {
  if (owner.pid === process.pid) return false;
  if (owner.host === hostname() && owner.bootId !== systemText("/proc/sys/kernel/random/boot_id")) {
    return false;
  }
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  if (isZombie(owner.pid)) return false;
  const startTick = startTickOf(owner.pid);
  return startTick === undefined || owner.startTick === "" || startTick === owner.startTick;
}

/**
 * A process that was just killed frees its memory before it is gone: whoever starts the next one in
 * the same second should not be told that the directory is in use.
 */
function waitWhileItDies(owner: Owner): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < deathMs && isAlive(owner) && isDying(owner.pid);) {
    Atomics.wait(sleeper, 0, 0, 20);
    waitedMs += 20;
  }
}

/** Killed or a zombie: SIGKILL pending, or state Z or X of /proc/<pid>/stat. */
function isDying(pid: number): boolean {
  const pending = /^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm;
  for (const [, mask] of systemText(`/proc/${pid}/status`).matchAll(pending)) {
    if ((Number.parseInt(mask?.slice(-4) ?? "0", 16) & (1 << 8)) !== 0) return true;
  }
  return isZombie(pid);
}

/** It has ended and holds nothing; only its parent has not asked for the exit code yet. */
function isZombie(pid: number): boolean {
  return /^[ZX]/u.test(statField(`/proc/${pid}`, 3) ?? "");
}

const startTickOf = (pid: number): string | undefined => statField(`/proc/${pid}`, 22);

function systemText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
