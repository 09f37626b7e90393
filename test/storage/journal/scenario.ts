// A seeded run of a journal with a model beside it: what was asked, in order, and which of it was
// acknowledged at which step of the disk's trace. Shared by the crash and damage tests.

import { openJournal } from "../../../storage/journal/journal.ts";
import type { JournalTimers } from "../../../storage/journal/timers.ts";
import type {
  Journal,
  JournalOptions,
  JournalWrite,
  LogEntry,
} from "../../../storage/journal/types.ts";
import type { SimulatedDisk, Random } from "../../simulation/disk.ts";

interface ModelLog {
  replicaId: number;
  term: number;
  vote: number;
  prevIndex: number;
  prevTerm: number;
  entries: { term: number; payload: string }[];
}

/** The logs as they should be: a plain array per region. */
class Model {
  readonly logs = new Map<number, ModelLog>();

  write({ regionId, replicaId, hardState, reset, entries }: JournalWrite): void {
    let log = this.logs.get(regionId);
    if (log === undefined) {
      log = { replicaId, term: 0, vote: 0, prevIndex: 0, prevTerm: 0, entries: [] };
      this.logs.set(regionId, log);
    }
    if (hardState !== undefined) Object.assign(log, hardState);
    if (reset !== undefined) {
      log.entries = [];
      log.prevIndex = reset.index;
      log.prevTerm = reset.term;
    }
    for (const { index, term, payload } of entries ?? []) {
      log.entries.length = index - log.prevIndex - 1;
      log.entries.push({ term, payload: payload.toString("hex") });
    }
  }

  compact(regionId: number, index: number): void {
    const log = this.logs.get(regionId)!;
    log.prevTerm = log.entries[index - log.prevIndex - 1]!.term;
    log.entries.splice(0, index - log.prevIndex);
    log.prevIndex = index;
  }

  last(regionId: number): number {
    const log = this.logs.get(regionId);
    return log === undefined ? 0 : log.prevIndex + log.entries.length;
  }

  /** The whole state as one string, comparable with `digestOf`. */
  digest(): string {
    const lines: string[] = [];
    for (const regionId of [...this.logs.keys()].toSorted((x, y) => x - y)) {
      const log = this.logs.get(regionId)!;
      const { replicaId, term, vote, prevIndex, prevTerm } = log;
      lines.push(line([regionId, replicaId, term, vote, prevIndex, prevTerm], log.entries));
    }
    return lines.join("\n");
  }
}

function line(head: number[], entries: readonly { term: number; payload: string }[]): string {
  return `${head.join(",")}:${entries.map((e) => `${e.term}/${e.payload}`).join(" ")}`;
}

/** What a journal recovered, read back whole. */
export async function digestOf(journal: Journal): Promise<string> {
  const lines: string[] = [];
  for (const log of journal.recovered) {
    const { regionId, replicaId, hardState, prevIndex, prevTerm, lastIndex } = log;
    let entries: LogEntry[] = [];
    if (lastIndex > prevIndex)
      entries = await journal.read(regionId, prevIndex + 1, lastIndex, 1e9);
    const head = [regionId, replicaId, hardState.term, hardState.vote, prevIndex, prevTerm];
    const found = entries.map((e) => ({ term: e.term, payload: e.payload.toString("hex") }));
    if (found.length !== lastIndex - prevIndex) throw new Error("entries are missing");
    lines.push(line(head, found));
  }
  return lines.join("\n");
}

/** A model that starts with what a journal recovered. */
async function modelOf(journal: Journal): Promise<Model> {
  const model = new Model();
  for (const {
    regionId,
    replicaId,
    hardState,
    prevIndex,
    prevTerm,
    lastIndex,
  } of journal.recovered) {
    model.write({ regionId, replicaId, hardState, reset: { index: prevIndex, term: prevTerm } });
    if (lastIndex === prevIndex) continue;
    const entries = await journal.read(regionId, prevIndex + 1, lastIndex, 1e9);
    model.write({ regionId, replicaId, entries });
  }
  return model;
}

/** Fails unless the state lies between everything acknowledged and everything asked at the stop. */
export function expectPrefix(run: Run, step: number, digest: string, what: string): void {
  let acked = 0;
  for (const [i, at] of run.ackedAt.entries()) if (at <= step) acked = i;
  for (let i = acked; i < run.digests.length; i++) {
    if (run.digests[i] === digest) return;
    if ((run.issuedAt[i + 1] ?? 0) > step) break;
  }
  const known = run.digests.lastIndexOf(digest);
  throw new Error(`${what}: recovered request ${known}, acknowledged ${acked}\n${digest}`);
}

/** Time moved by hand. */
export class ManualTimers implements JournalTimers {
  #tasks = new Set<() => void>();

  after(_delayMs: number, task: () => void): () => void {
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  get waiting(): number {
    return this.#tasks.size;
  }

  /** Lets everything that waits run once. */
  fire(): void {
    const tasks = [...this.#tasks];
    this.#tasks.clear();
    for (const task of tasks) task();
  }
}

export function quietOptions(fileBytes: number): JournalOptions {
  return {
    fileBytes,
    onFatal: (error) => {
      throw error;
    },
    onFull: () => undefined,
  };
}

/** Lets the simulated disk finish what is under way. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** What happened in a run, against the trace of its disk. */
export interface Run {
  readonly disk: SimulatedDisk;
  /** State after the first i requests. */
  readonly digests: string[];
  /** Trace length when request i was made, and when it was acknowledged (Infinity: never). */
  readonly issuedAt: number[];
  readonly ackedAt: number[];
  readonly rollOvers: number;
}

/**
 * Drives `rounds` turns of three regions: appends, higher terms that truncate, votes, compactions,
 * resets, a removed replica, marks of idle moments. Closes the journal only when asked.
 */
export async function play(
  disk: SimulatedDisk,
  random: Random,
  rounds: number,
  fileBytes: number,
  close: boolean,
): Promise<Run> {
  const timers = new ManualTimers();
  const journal = await openJournal(disk, quietOptions(fileBytes), timers);
  const model = await modelOf(journal);
  const run = { disk, digests: [model.digest()], issuedAt: [0], ackedAt: [0], rollOvers: 0 };
  const below = (n: number): number => Math.floor(random() * n);
  const replicas = new Map([1, 2, 3].map((id) => [id, id * 10]));
  for (const { regionId, replicaId } of journal.recovered) replicas.set(regionId, replicaId);
  const note = (): number => {
    run.digests.push(model.digest());
    run.issuedAt.push(disk.trace.length);
    return run.ackedAt.push(Infinity) - 1;
  };
  const write = (content: JournalWrite): void => {
    model.write(content);
    const request = note();
    journal.append(content, () => {
      run.ackedAt[request] = disk.trace.length;
    });
  };
  const payload = (): Buffer => {
    const kind = below(12);
    if (kind === 0) return Buffer.alloc(900);
    const bytes = Buffer.alloc(below(kind === 1 ? 1500 : 90));
    for (let i = 0; i < bytes.length; i++) bytes[i] = below(256);
    return bytes;
  };
  const batch = (from: number, count: number, inTerm: number): LogEntry[] =>
    Array.from({ length: count }, (_, i) => {
      return { index: from + i, term: inTerm, kind: 1 as const, payload: payload() };
    });
  const turn = (regionId: number): void => {
    const replicaId = replicas.get(regionId)!;
    const log = model.logs.get(regionId);
    const last = model.last(regionId);
    const term = log?.term ?? 0;
    const choice = log === undefined ? 0 : below(20);
    if (choice === 0) {
      write({ regionId, replicaId, hardState: { term: term + 1, vote: replicaId } });
    } else if (choice <= 3) {
      const from = log!.prevIndex + 1 + below(last - log!.prevIndex + 1);
      const hardState = { term: term + 1, vote: 0 };
      const entries = batch(from, 1 + below(2), term + 1);
      write({ regionId, replicaId, hardState, entries });
    } else if (choice <= 7 && last > log!.prevIndex) {
      const index = log!.prevIndex + 1 + below(last - log!.prevIndex);
      const at = log!.entries[index - log!.prevIndex - 1]!.term;
      model.compact(regionId, index);
      note();
      journal.compact(regionId, index, at);
    } else if (choice === 8) {
      const reset = { index: last + below(5), term };
      write({ regionId, replicaId, reset, entries: batch(reset.index + 1, 1, term) });
    } else {
      write({ regionId, replicaId, entries: batch(last + 1, 1 + below(3), term) });
    }
  };
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i <= below(3); i++) turn(1 + below(3));
    if (rounds > 10 && round === Math.floor(rounds / 2)) {
      model.logs.delete(2);
      const request = note();
      const gone = journal.tombstone(2, replicas.get(2)!);
      void gone.then(() => (run.ackedAt[request] = disk.trace.length));
      replicas.set(2, 25);
    }
    journal.flush();
    if (below(3) > 0) await settle();
    if (below(8) === 0) timers.fire();
  }
  await settle();
  // A run that is cut off ends in a group that changes something.
  write({ regionId: 1, replicaId: replicas.get(1)!, hardState: { term: 1000, vote: 7 } });
  journal.flush();
  await settle();
  if (close) await journal.close();
  run.rollOvers = journal.statistics().rollOversTotal;
  return run;
}
