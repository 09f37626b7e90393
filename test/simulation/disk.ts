// A disk in memory that forgets: it keeps apart what was written and what was synced, records every
// step, and rebuilds what a stop at any byte would leave, with unsynced sectors lost, torn or
// reordered. Stands in for `storage/disk-node.ts` in tests; models no bit rot (tests flip bits).

import type { Disk, DiskFile } from "../../storage/disk.ts";

const SECTOR_BYTES = 512;

/** A number in [0, 1) from a seed; the same seed gives the same run. */
export type Random = () => number;

/** mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

type NameStep =
  | { readonly do: "link"; readonly path: string; readonly inode: number }
  | { readonly do: "unlink"; readonly path: string }
  | { readonly do: "rename"; readonly from: string; readonly to: string };

/** One recorded step; `begin` and `end` of a slow operation are two. */
export type Step =
  | {
      readonly type: "write";
      readonly inode: number;
      readonly at: number;
      readonly bytes: Buffer;
      readonly path: string;
      readonly sync: boolean;
    }
  | { readonly type: "synced"; readonly inode: number; readonly at?: number; readonly end?: number }
  | { readonly type: "truncate"; readonly inode: number; readonly length: number }
  | { readonly type: "name"; readonly step: NameStep }
  | { readonly type: "folder"; readonly path: string }
  | { readonly type: "folderSynced"; readonly path: string };

/** Asked before an operation: an answer makes it fail. */
export type Fault = (
  operation: "write" | "writeSync" | "sync" | "read" | "open" | "rename" | "remove",
  path: string,
) => Error | undefined;

export function diskFault(code: string): Error {
  return Object.assign(new Error(`simulated ${code}`), { code });
}

class Inode {
  live = Buffer.alloc(0);
  /** What surely survives; sectors in `dirty` may be either. */
  durable = Buffer.alloc(0);
  dirty = new Set<number>();

  write(bytes: Buffer, at: number): void {
    const end = at + bytes.length;
    if (end > this.live.length) {
      this.live = Buffer.concat([this.live, Buffer.alloc(end - this.live.length)]);
    }
    bytes.copy(this.live, at);
    for (let s = Math.floor(at / SECTOR_BYTES); s * SECTOR_BYTES < end; s++) this.dirty.add(s);
  }

  truncate(length: number): void {
    this.live = Buffer.from(this.live.subarray(0, length));
  }

  /** Everything, or the sectors that [at, end) touches. */
  sync(at?: number, end?: number): void {
    if (at === undefined || end === undefined) {
      this.durable = Buffer.from(this.live);
      this.dirty.clear();
      return;
    }
    if (this.durable.length < Math.min(end, this.live.length)) {
      const missing = this.live.length - this.durable.length;
      this.durable = Buffer.concat([this.durable, Buffer.alloc(missing)]);
    }
    for (let s = Math.floor(at / SECTOR_BYTES); s * SECTOR_BYTES < end; s++) {
      this.live.copy(this.durable, s * SECTOR_BYTES, s * SECTOR_BYTES, (s + 1) * SECTOR_BYTES);
      this.dirty.delete(s);
    }
  }

  copy(): Inode {
    const inode = new Inode();
    inode.live = Buffer.from(this.live);
    inode.durable = Buffer.from(this.durable);
    inode.dirty = new Set(this.dirty);
    return inode;
  }

  /** The bytes after power loss: per unsynced sector old, new, or new up to some byte. */
  afterPowerLoss(random: Random): Buffer {
    const length = random() < 0.5 ? this.live.length : this.durable.length;
    const bytes = Buffer.alloc(length);
    this.durable.copy(bytes, 0, 0, length);
    for (const sector of this.dirty) {
      const choice = random();
      if (choice < 0.4) continue;
      const start = sector * SECTOR_BYTES;
      const torn = choice < 0.7 ? Math.floor(random() * SECTOR_BYTES) : SECTOR_BYTES;
      this.live.copy(bytes, start, start, Math.min(start + torn, length));
    }
    return bytes;
  }
}

/** The tree as it is (live) and as a power loss leaves it; steps are applied in order. */
class Tree {
  inodes = new Map<number, Inode>();
  names = new Map<string, number>();
  folders = new Set<string>([""]);
  durableNames = new Map<string, number>();
  /** Unsynced changes by folder, in order. */
  pending = new Map<string, NameStep[]>();

  inode(id: number): Inode {
    let inode = this.inodes.get(id);
    if (inode === undefined) this.inodes.set(id, (inode = new Inode()));
    return inode;
  }

  apply(step: Step): void {
    switch (step.type) {
      case "write":
        this.inode(step.inode).write(step.bytes, step.at);
        return;
      case "synced":
        this.inode(step.inode).sync(step.at, step.end);
        return;
      case "truncate":
        this.inode(step.inode).truncate(step.length);
        return;
      case "name": {
        const path = step.step.do === "rename" ? step.step.to : step.step.path;
        applyName(this.names, step.step);
        const folder = folderOf(path);
        this.pending.set(folder, [...(this.pending.get(folder) ?? []), step.step]);
        return;
      }
      case "folder":
        this.folders.add(step.path);
        return;
      case "folderSynced":
        for (const name of this.pending.get(step.path) ?? []) applyName(this.durableNames, name);
        this.pending.delete(step.path);
    }
  }

  /** Files after a stop: of the process alone, or with power loss. */
  image(random: Random | undefined, instead?: { id: number; inode: Inode }): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    const inodeOf = (id: number): Inode => (instead?.id === id ? instead.inode : this.inode(id));
    if (random === undefined) {
      for (const [path, id] of this.names) files.set(path, Buffer.from(inodeOf(id).live));
      return files;
    }
    const names = new Map(this.durableNames);
    for (const steps of this.pending.values()) {
      const kept = Math.floor(random() * (steps.length + 1));
      for (const step of steps.slice(0, kept)) applyName(names, step);
    }
    for (const [path, id] of names) files.set(path, inodeOf(id).afterPowerLoss(random));
    return files;
  }
}

function applyName(names: Map<string, number>, step: NameStep): void {
  if (step.do === "link") names.set(step.path, step.inode);
  else if (step.do === "unlink") names.delete(step.path);
  else {
    const inode = names.get(step.from);
    names.delete(step.from);
    if (inode !== undefined) names.set(step.to, inode);
  }
}

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

/** How long an operation takes, and whether every step is remembered. */
export interface DiskOptions {
  /** False: `trace` stays empty, for long runs. */
  readonly keepsTrace?: boolean;
  /** Resolves when a slow operation is over; default: a few promises later. */
  readonly wait?: () => Promise<void>;
}

// Slow enough for other operations to be issued while it is under way.
const fewPromises = async (): Promise<void> => {
  for (let i = 0; i < 4; i++) await Promise.resolve();
};

/** The disk; `files` are durable contents that it starts with. */
export class SimulatedDisk implements Disk {
  readonly trace: Step[] = [];
  readonly initial: ReadonlyMap<string, Buffer>;
  fault: Fault = () => undefined;
  readonly #tree = new Tree();
  #nextInode = 1;
  readonly #keepsTrace: boolean;
  readonly #wait: () => Promise<void>;

  constructor(files: ReadonlyMap<string, Buffer> = new Map(), options: DiskOptions = {}) {
    this.initial = files;
    this.#nextInode = plant(this.#tree, files);
    this.#keepsTrace = options.keepsTrace ?? true;
    this.#wait = options.wait ?? fewPromises;
  }

  /** Contents as a reader sees them now. */
  files(): Map<string, Buffer> {
    return this.#tree.image(undefined);
  }

  /** What a stop at this moment leaves: of the process alone, or with power loss. */
  afterStop(random: Random | undefined): Map<string, Buffer> {
    return this.#tree.image(random);
  }

  async open(path: string, mode: "read" | "create" | "write"): Promise<DiskFile> {
    this.#maybeFail("open", path);
    let id = this.#tree.names.get(path);
    if (mode === "create") {
      if (id === undefined) {
        id = this.#nextInode++;
        this.#record({ type: "name", step: { do: "link", path, inode: id } });
      } else this.#record({ type: "truncate", inode: id, length: 0 });
    }
    if (id === undefined) throw diskFault("ENOENT");
    return this.#file(path, id);
  }

  #file(path: string, id: number): DiskFile {
    const inode = this.#tree.inode(id);
    const write = async (bytes: Buffer, at: number, sync: boolean): Promise<void> => {
      this.#maybeFail(sync ? "writeSync" : "write", path);
      this.#record({ type: "write", inode: id, at, bytes: Buffer.from(bytes), path, sync });
      if (!sync) return;
      await this.#wait();
      this.#record({ type: "synced", inode: id, at, end: at + bytes.length });
    };
    return {
      writeSync: (bytes, at) => write(bytes, at, true),
      write: (bytes, at) => write(bytes, at, false),
      read: async (at, length) => {
        this.#maybeFail("read", path);
        return Buffer.from(inode.live.subarray(at, at + length));
      },
      sync: async () => {
        this.#maybeFail("sync", path);
        this.#record({ type: "synced", inode: id });
      },
      truncate: async (length) => this.#record({ type: "truncate", inode: id, length }),
      size: async () => inode.live.length,
      close: async () => undefined,
    };
  }

  async list(folder: string): Promise<string[]> {
    const names = new Set<string>();
    for (const path of [...this.#tree.names.keys(), ...this.#tree.folders]) {
      if (!path.startsWith(`${folder}/`)) continue;
      const [name] = path.slice(folder.length + 1).split("/");
      if (name !== undefined) names.add(name);
    }
    return [...names].toSorted();
  }

  async makeFolder(path: string): Promise<void> {
    if (!this.#tree.folders.has(path)) this.#record({ type: "folder", path });
  }

  async rename(from: string, to: string): Promise<void> {
    this.#maybeFail("rename", from);
    this.#record({ type: "name", step: { do: "rename", from, to } });
  }

  async remove(path: string): Promise<void> {
    this.#maybeFail("remove", path);
    if (!this.#tree.names.has(path)) throw diskFault("ENOENT");
    this.#record({ type: "name", step: { do: "unlink", path } });
  }

  async removeFolder(path: string): Promise<void> {
    for (const name of this.#tree.names.keys()) {
      if (name.startsWith(`${path}/`)) await this.remove(name);
    }
    this.#tree.folders.delete(path);
  }

  async syncFolder(path: string): Promise<void> {
    this.#maybeFail("sync", path);
    this.#record({ type: "folderSynced", path });
  }

  #record(step: Step): void {
    if (this.#keepsTrace) this.trace.push(step);
    this.#tree.apply(step);
  }

  #maybeFail(operation: Parameters<Fault>[0], path: string): void {
    const error = this.fault(operation, path);
    if (error !== undefined) throw error;
  }
}

/** Puts durable files into an empty tree; returns the next free inode number. */
function plant(tree: Tree, files: ReadonlyMap<string, Buffer>): number {
  let id = 1;
  for (const [path, bytes] of files) {
    tree.names.set(path, id);
    tree.durableNames.set(path, id);
    const inode = tree.inode(id++);
    inode.live = Buffer.from(bytes);
    inode.durable = Buffer.from(bytes);
  }
  return id;
}

/** A stop: after `step` whole steps of the trace, and `bytes` bytes of the next one. */
export interface Stop {
  readonly step: number;
  readonly bytes: number;
}

/**
 * Walks every stop of a trace in order: before each step, and after each byte of a write. `image`
 * builds what that stop leaves (call it before the next stop is asked for); without `random` only
 * the process stops.
 */
export function* everyStop(
  trace: readonly Step[],
  initial: ReadonlyMap<string, Buffer>,
): Generator<Stop & { image: (random: Random | undefined) => Map<string, Buffer> }> {
  const tree = new Tree();
  plant(tree, initial);
  for (const [step, next] of trace.entries()) {
    const length = next.type === "write" ? next.bytes.length : 0;
    for (let bytes = 0; bytes <= length; bytes++) {
      yield {
        step,
        bytes,
        image(random) {
          if (next.type !== "write") return tree.image(random);
          const inode = tree.inode(next.inode).copy();
          inode.write(next.bytes.subarray(0, bytes), next.at);
          return tree.image(random, { id: next.inode, inode });
        },
      };
    }
    tree.apply(next);
  }
}
