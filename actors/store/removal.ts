// Keys whose time is over as ordinary requests: removing them takes the same path through locks,
// engine and log as a client's command, so that a key set anew on the way is left alone. Made for
// active expiry and for walks that hid such keys; what is due is decided when the request runs.

import type { RegionCommand } from "../../resp/command.ts";
import { ErrorReply, type Reply } from "../../resp/reply.ts";
import type { Keyspace } from "../../storage/keyspace/keyspace.ts";
import type { RegionExpire, RegionRequest } from "./protocol.ts";

/** Keys of one request, and about how many bytes they may have: one entry carries it easily. */
const keysMax = 128;
const keyBytesMax = 64 * 1024;
const databases = 16;

/** Replies with how many of its keys are gone. Looking at an expired key removes it. */
const removal: RegionCommand = {
  name: "remove expired",
  arity: -1,
  flags: [],
  categories: [],
  summary: "Removes the keys among these whose time is over",
  since: "7.2.0",
  group: "generic",
  complexity: "O(N)",
  runs: "region",
  spread: "one",
  execute: (view, args) => args.filter((key) => view.find(key) === undefined).length,
};

class Removal implements RegionRequest {
  readonly type = "region.request";
  readonly command = removal;
  readonly args: readonly Buffer[];
  readonly keyPositions: readonly number[];
  readonly db: number;
  /** Below zero: nobody's session. */
  readonly sessionId: number;
  readonly #settled: (reply: Reply) => void;

  constructor(
    db: number,
    keys: readonly Buffer[],
    sessionId: number,
    settled: (reply: Reply) => void,
  ) {
    this.db = db;
    this.args = keys;
    this.keyPositions = keys.map((_, position) => position);
    this.sessionId = sessionId;
    this.#settled = settled;
  }

  settle(reply: Reply): void {
    this.#settled(reply);
  }
}

/** Whether a request is one of ours, which no statistics of commands count. */
export const isRemoval = (request: RegionRequest): boolean => request.command === removal;

/**
 * The requests for what is due, by the slots as `keyspace` has them now; `event.settle` is called
 * when all have been answered, `onRemoved` hears how many keys are gone. Keys in a slot that a flush
 * has left are gone with it, once it is committed: a request without keys waits for that.
 */
export function removals(
  event: RegionExpire,
  keyspace: Keyspace,
  onRemoved: (count: number) => void,
): RegionRequest[] {
  const requests: RegionRequest[] = [];
  let failure: string | undefined;
  let open = 0;
  const settled = (reply: Reply): void => {
    if (typeof reply === "number") onRemoved(reply);
    else if (reply instanceof ErrorReply) failure = reply.message;
    open--;
    if (open === 0) event.settle(failure);
  };
  const request = (db: number, keys: readonly Buffer[]): void => {
    open++;
    requests.push(new Removal(db, keys, -open, settled));
  };
  const { flushed, keysOf } = byDatabase(event, keyspace);
  for (const [db, keys] of keysOf) {
    for (const slice of slices(keys)) request(db, slice);
  }
  if (flushed) request(0, []);
  if (open === 0) event.settle();
  return requests;
}

interface Due {
  readonly keysOf: ReadonlyMap<number, readonly Buffer[]>;
  /** Some lie where no database is any more. */
  readonly flushed: boolean;
}

function byDatabase(event: RegionExpire, keyspace: Keyspace): Due {
  const keysOf = new Map<number, Buffer[]>();
  let flushed = false;
  for (const { slot, key } of event.due) {
    const db = databaseOf(keyspace, slot);
    const before = db === undefined ? undefined : keysOf.get(db);
    if (db === undefined) flushed = true;
    else if (before === undefined) keysOf.set(db, [key]);
    else before.push(key);
  }
  return { keysOf, flushed };
}

function* slices(keys: readonly Buffer[]): Generator<Buffer[]> {
  let slice: Buffer[] = [];
  let bytes = 0;
  for (const key of keys) {
    slice.push(key);
    bytes += key.length;
    if (slice.length < keysMax && bytes < keyBytesMax) continue;
    yield slice;
    slice = [];
    bytes = 0;
  }
  if (slice.length > 0) yield slice;
}

/** The logical database that lives in a slot; undefined for one that a flush has left. */
function databaseOf(keyspace: Keyspace, slot: number): number | undefined {
  for (let db = 0; db < databases; db++) if (keyspace.slotOf(db) === slot) return db;
  return undefined;
}
