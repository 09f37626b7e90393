// Commands put aside: they wait for records or chunks from the engine, for their staged fragments,
// or behind a command that does. Keeps their order by session and key, and asks the engine once for
// all that they lack.

import type { Keyspace, Missing } from "../../storage/keyspace/keyspace.ts";
import { dataIdOfRegion } from "./apply.ts";
import type { EvaluatorHost } from "./evaluator-host.ts";
import { FetchPlan, missingName, type Fetch, type Waiter } from "./fetch.ts";
import { Locks } from "./locks.ts";
import type { RegionMemory } from "./memory.ts";
import type { RegionFetched, RegionRequest } from "./protocol.ts";
import type { RegionPorts } from "./region-ports.ts";
import type { StagedStream } from "./staged-stream.ts";

/** A command put aside. */
export interface Parked extends Waiter {
  readonly request: RegionRequest;
  /** Its fragments, when its effects do not fit one entry. */
  stream: StagedStream | undefined;
  /** How often it has been staged. */
  stagings: number;
}

export class Parking {
  readonly locks = new Locks();
  readonly #ports: RegionPorts;
  readonly #host: EvaluatorHost;
  readonly #memory: RegionMemory;
  readonly #onReady: () => void;
  readonly #parked = new Set<Parked>();
  readonly #plan = new FetchPlan();
  #ready: Parked[] = [];

  constructor(ports: RegionPorts, host: EvaluatorHost, memory: RegionMemory, onReady: () => void) {
    this.#ports = ports;
    this.#host = host;
    this.#memory = memory;
    this.#onReady = onReady;
  }

  get size(): number {
    return this.#parked.size + this.#ready.length;
  }

  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  /** Writes that may run again and wait for nothing but the evaluator. */
  get readyWrites(): number {
    let count = 0;
    for (const parked of this.#ready) if (isForWrite(parked)) count++;
    return count;
  }

  /** Fragments of large writes under way, in order of arrival. */
  *streams(): Generator<StagedStream> {
    for (const { stream } of this.#parked) if (stream !== undefined) yield stream;
  }

  /** What may run again, oldest first; locks are those of what still waits. */
  takeReady(): Parked[] {
    if (!this.locks.isFree) this.locks.clear();
    for (const { request } of this.#parked) this.locks.hold(request);
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /** Puts back what was taken and not reached. */
  putBack(ready: readonly Parked[]): void {
    this.#ready.push(...ready);
  }

  /** Forgets everything; returns the commands that waited. */
  clear(): RegionRequest[] {
    const requests = [...this.#parked, ...this.#ready].map(({ request }) => request);
    this.#parked.clear();
    this.#ready = [];
    return requests;
  }

  /** Whether every key's record is in memory; asking first is cheaper than a throw. */
  hasRecords({ keyPositions, args, db }: RegionRequest, keyspace: Keyspace): boolean {
    for (const position of keyPositions) {
      const key = args[position];
      if (key !== undefined && !keyspace.knows(db, key)) return false;
    }
    return true;
  }

  /** The command waits until everything it lacks is here: what it missed, and all its keys at once. */
  park(
    request: RegionRequest,
    before: Parked | undefined,
    missing: readonly Missing[],
    keyspace: Keyspace,
  ): void {
    const parked = this.#put(request, before);
    const names = new Set<string>();
    for (const thing of [...missing, ...missingInBatch(request, keyspace)]) {
      const name = missingName(thing);
      if (names.has(name)) continue;
      names.add(name);
      this.#plan.want(thing, parked);
    }
  }

  /** The command waits until its fragments are applied. */
  parkWith(stream: StagedStream, request: RegionRequest, before: Parked | undefined): void {
    const parked = this.#put(request, before);
    parked.stream = stream;
    parked.stagings++;
  }

  #put(request: RegionRequest, before: Parked | undefined): Parked {
    const fresh = { request, found: new Map(), outstanding: 0, stream: undefined, stagings: 0 };
    const parked: Parked = before ?? fresh;
    this.#parked.add(parked);
    this.locks.hold(request);
    return parked;
  }

  /** It waits behind an earlier command; what it will need is fetched together with the rest. */
  holdBack(request: RegionRequest, keyspace: Keyspace): void {
    this.locks.hold(request);
    for (const missing of missingInBatch(request, keyspace)) this.#plan.want(missing, undefined);
  }

  /** These will run soon: records of their keys that are not in memory are read already. */
  readAhead(requests: readonly RegionRequest[], slots: readonly number[]): void {
    // What an earlier command was brought is no memory of later ones.
    this.#memory.found = undefined;
    for (const { keyPositions, args, db } of requests) {
      const slot = slots[db] ?? db;
      for (const position of keyPositions) {
        const key = args[position];
        if (key === undefined) continue;
        const name = key.toString("latin1");
        if (this.#memory.peek(slot, name) !== undefined) continue;
        this.#plan.want({ type: "record", slot, name, key }, undefined);
      }
    }
    this.fetchWanted();
  }

  /** Asks the engine for everything that is wanted. */
  fetchWanted(): void {
    if (this.#plan.isEmpty) return;
    const fetch = this.#plan.take(
      dataIdOfRegion(this.#host.applied.meta),
      this.#ports.positions,
      (missing, of) => this.#memory.fetching(missing, of),
    );
    this.#ports.counters.fetches++;
    this.#read(fetch);
  }

  #read(fetch: Fetch): void {
    this.#ports.handles.engine?.reader.read(fetch.nextKeys(), (values) =>
      this.#host.tellSelf({ type: "region.fetched", fetch, values }),
    );
  }

  /** A slice has come from the engine. */
  fetched({ fetch, values }: RegionFetched): void {
    const ready = fetch.deliver(values, (missing, record, owners) => {
      // What is about to be overwritten need not be cached: its successor will be.
      this.#memory.fetched(missing, fetch, record, !owners.some(isForWrite));
    });
    for (const waiter of ready) this.#unpark(waiter as Parked);
    if (!fetch.done) this.#read(fetch);
  }

  /** The engine holds everything up to `index`: staged commands may be among what it holds. */
  applied(index: number): void {
    for (const parked of this.#parked) {
      if (parked.stream?.isAppliedAt(index) === true) this.#unpark(parked);
    }
  }

  #unpark(parked: Parked): void {
    if (!this.#parked.delete(parked)) return;
    this.#ready.push(parked);
    this.#onReady();
  }
}

/** Records of the command's keys that neither the batch nor memory has. */
function missingInBatch(request: RegionRequest, keyspace: Keyspace): Missing[] {
  const { keyPositions, args, db } = request;
  const slot = keyspace.slotOf(db);
  const missing: Missing[] = [];
  for (const position of keyPositions) {
    const key = args[position];
    // What the batch has written is not in the engine yet: a read would bring something older.
    if (key === undefined || keyspace.knows(db, key)) continue;
    missing.push({ type: "record", slot, name: key.toString("latin1"), key });
  }
  return missing;
}

function isForWrite(waiter: Waiter): boolean {
  return (waiter as Parked).request.command.flags.includes("write");
}
