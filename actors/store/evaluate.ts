// The leader's evaluator of one region: takes the commands of a turn, runs them in order against
// what is in memory, and appends their effects as one entry. What lacks something in memory is put
// aside until the engine has brought it; commands that touch other keys go on meanwhile.

import assert from "node:assert/strict";
import { tooManyWrites } from "../../resp/errors.ts";
import { ErrorReply, type Reply } from "../../resp/reply.ts";
import { EntryEncoder } from "../../storage/codec.ts";
import { DamagedError } from "../../storage/errors.ts";
import type { Effect, RegionState } from "../../storage/keyspace/effects.ts";
import { Keyspace, type Missing } from "../../storage/keyspace/keyspace.ts";
import { Miss } from "../../storage/keyspace/view.ts";
import { stagingKey } from "../../storage/keys.ts";
import type { TurnTask } from "../system/turn.ts";
import { dataIdOfRegion, type AppliedState } from "./apply.ts";
import { FetchPlan, missingName, type Fetch, type Waiter } from "./fetch.ts";
import { Locks } from "./locks.ts";
import { copyCounters, RegionMemory } from "./memory.ts";
import { Outbox } from "./outbox.ts";
import type { RegionPorts } from "./region.ts";
import {
  storeRestarting,
  unknownOutcome,
  type RegionEvent,
  type RegionExpire,
  type RegionFetched,
  type RegionFailed,
  type RegionWalked,
  type RegionPropose,
  type RegionRequest,
} from "./protocol.ts";
import { isRemoval, removals } from "./removal.ts";
import { StagedStream } from "./staged-stream.ts";
import { Walks } from "./walk.ts";

/** An entry is closed when it has this many bytes; with one more command it stays below 512 KiB. */
const entrySoftBytes = 128 * 1024;
/** A command with more effects than this is staged in fragments. */
const commandBytesMax = 320 * 1024;
/** A region with this many writes does not wait for the journal: evaluating them takes as long. */
const eagerWrites = 64;
/** Unapplied bytes of a region above which it evaluates nothing: its clients wait. */
const backlogBytesMax = 16 * 1024 * 1024;

/** Counted over all regions of the store; for INFO and /metrics. */
export interface EvaluatorCounters {
  commands: number;
  entries: number;
  keyspaceHits: number;
  keyspaceMisses: number;
  expiredKeys: number;
  fetches: number;
}

/** What the evaluator needs of its replica. */
export interface EvaluatorHost {
  readonly regionId: number;
  readonly lastIndex: number;
  readonly appliedIndex: number;
  readonly applied: AppliedState;
  /** Appends one entry and returns its index. Only while serving. */
  propose(payload: Buffer): number;
  /** Reaches the region's own actor. */
  tellSelf(event: RegionFetched | RegionWalked | RegionFailed): void;
}

/** A command put aside: for things from the engine, or for its staged fragments. */
interface Parked extends Waiter {
  readonly request: RegionRequest;
  stream: StagedStream | undefined;
}

const databases = 16;

/** One for all regions: a batch is encoded within one synchronous step. */
const encoder = new EntryEncoder();

export class Evaluator implements TurnTask {
  readonly memory: RegionMemory;
  readonly #ports: RegionPorts;
  readonly #host: EvaluatorHost;
  readonly #outbox = new Outbox();
  readonly #locks = new Locks();
  readonly #walks: Walks;
  readonly #parked = new Set<Parked>();
  /** Internal proposals that wait for their entry, by index. */
  readonly #proposals: Array<{ index: number; settle: (error?: string) => void }> = [];
  #plan = new FetchPlan();
  #queue: RegionEvent[] = [];
  #queuedWrites = 0;
  #blocked: RegionEvent[] = [];
  #ready: Parked[] = [];
  #deferred = false;
  #serving = false;
  #counters: RegionState | undefined;
  /** Bytes of entries appended and not yet applied, by index. */
  readonly #backlog: Array<{ index: number; bytes: number }> = [];
  #backlogBytes = 0;
  #nowMs = 0;
  /** The batch being evaluated. */
  #keyspace: Keyspace | undefined;
  #extraEffects: Effect[] = [];
  #afterClose: Array<(index: number) => void> = [];

  constructor(ports: RegionPorts, host: EvaluatorHost) {
    this.#ports = ports;
    this.#host = host;
    this.memory = new RegionMemory(ports.cache, ports.random);
    this.#walks = new Walks(
      ports,
      host,
      () => this.#now(),
      (due, settle) => this.enqueue({ type: "region.expire", due, settle }),
    );
  }

  /** Something waits until the engine has caught up. */
  get waitsForApply(): boolean {
    if (this.#walks.isWaiting || this.#backlogBytes > backlogBytesMax / 8) return true;
    for (const { stream } of this.#parked) if (stream !== undefined) return true;
    return false;
  }

  /** Commands that wait for anything at all. */
  get pending(): number {
    return this.#queue.length + this.#blocked.length + this.#parked.size + this.#outbox.size;
  }

  enqueue(event: RegionEvent): void {
    this.#queue.push(event);
    if (event.type === "region.request" && event.command.flags.includes("write")) {
      this.#queuedWrites++;
    }
    this.#defer();
  }

  /** The replica leads and its state is exact: evaluate from what is applied. */
  serve(applied: AppliedState): void {
    this.#serving = true;
    this.#counters = copyCounters(applied.counters);
    this.#nowMs = applied.counters.maxNowMs;
    this.memory.reset(dataIdOfRegion(applied.meta), this.#host.appliedIndex);
    this.memory.uncleared = applied.uncleared;
    this.#outbox.committed(this.#host.appliedIndex);
    this.#defer();
  }

  /** Not the leader any more: what was appended may or may not survive. */
  pause(reason: string): void {
    this.#serving = false;
    this.#outbox.abandon((wrote) =>
      wrote ? new ErrorReply(unknownOutcome(reason)) : new ErrorReply(storeRestarting),
    );
    for (const { settle } of this.#proposals.splice(0)) settle(unknownOutcome(reason));
    this.#refuseWaiting();
  }

  /** Nothing waits any more: commands that were not appended have certainly not happened. */
  #refuseWaiting(): void {
    const refusal = new ErrorReply(storeRestarting);
    const parked = [...this.#parked, ...this.#ready];
    const waiting = [...this.#blocked, ...this.#queue];
    this.#parked.clear();
    this.#ready = [];
    this.#blocked = [];
    this.#queue = [];
    for (const { request } of parked) request.settle(refusal);
    for (const event of waiting) {
      if (event.type === "region.request") event.settle(refusal);
      else if (event.type === "region.walk") event.settle({ error: storeRestarting });
      else if (event.type === "region.propose") event.settle(storeRestarting);
      else event.settle(storeRestarting);
    }
    this.#walks.abandon(storeRestarting);
  }

  committed(index: number): void {
    this.#outbox.committed(index);
    let settled = 0;
    for (const proposal of this.#proposals) {
      if (proposal.index > index) break;
      settled++;
    }
    for (const { settle } of this.#proposals.splice(0, settled)) settle();
  }

  applied(index: number): void {
    const { meta, uncleared } = this.#host.applied;
    this.memory.setDataId(dataIdOfRegion(meta));
    this.memory.uncleared = uncleared;
    this.memory.applied(index);
    let done = 0;
    for (const { index: entry, bytes } of this.#backlog) {
      if (entry > index) break;
      this.#backlogBytes -= bytes;
      done++;
    }
    this.#backlog.splice(0, done);
    this.#walks.applied(index);
    for (const parked of this.#parked) {
      if (parked.stream?.isAppliedAt(index) === true) this.#unpark(parked);
    }
    if (this.#hasWork()) this.#defer();
  }

  #hasWork(): boolean {
    if (this.#queue.length > 0 || this.#ready.length > 0 || this.#blocked.length > 0) return true;
    for (const parked of this.#parked) if (parked.stream?.isSending === true) return true;
    return false;
  }

  /** A slice has come from the engine. */
  fetched({ fetch, values }: RegionFetched): void {
    const ready = fetch.deliver(values, (name, record, owners) => {
      this.memory.fetched(name, fetch, record, !owners.some(isForWrite));
    });
    for (const waiter of ready)
      if (this.#parked.has(waiter as Parked)) this.#unpark(waiter as Parked);
    if (!fetch.done) this.#read(fetch);
  }

  /** A walk's iterator is done. */
  walked({ walk, found }: RegionWalked): void {
    this.#walks.finish(walk, found);
  }

  #unpark(parked: Parked): void {
    this.#parked.delete(parked);
    this.#ready.push(parked);
    this.#defer();
  }

  #defer(): void {
    if (this.#deferred || !this.#serving) return;
    this.#deferred = true;
    this.#ports.turn.defer("evaluate", this);
  }

  /** The end of a turn: evaluates everything that can be, and appends it. */
  run(): void {
    this.#deferred = false;
    if (!this.#serving || this.#backlogBytes > backlogBytesMax) return;
    if (this.#queuedWrites > 0 && this.#queuedWrites < eagerWrites) {
      this.#deferred = this.#ports.handles.journalGate?.waitsFor(this) === true;
      if (this.#deferred) return;
    }
    this.#queuedWrites = 0;
    const ready = this.#ready;
    const waiting = this.#blocked.length === 0 ? this.#queue : this.#blocked.concat(this.#queue);
    this.#ready = [];
    this.#blocked = [];
    this.#queue = [];
    let revisited = 0;
    let considered = 0;
    try {
      if (!this.#locks.isFree) this.#locks.clear();
      for (const { request } of this.#parked) this.#locks.hold(request);
      for (const parked of ready) {
        revisited++;
        this.#evaluate(parked.request, parked);
      }
      for (const event of waiting) {
        considered++;
        // What no longer fits waits as it stands, so that nothing overtakes it.
        if (this.#backlogBytes > backlogBytesMax) this.#blocked.push(event);
        else this.#consider(event);
      }
      this.#close();
      this.#pumpStreams();
      if (!this.#plan.isEmpty) this.#startFetch();
    } catch (error) {
      // A bug of ours: the region fails, and whoever was not reached yet has to hear of it.
      this.#ready.push(...ready.slice(revisited));
      this.#blocked.push(...waiting.slice(considered));
      this.#host.tellSelf({ type: "region.failed", error });
    }
  }

  #consider(event: RegionEvent): void {
    switch (event.type) {
      case "region.request":
        if (!this.#locks.isFree && this.#locks.blocks(event)) this.#block(event);
        else this.#evaluate(event, undefined);
        break;
      case "region.walk":
        if (!this.#locks.isFree && this.#locks.blocksSession(event.sessionId)) {
          this.#blocked.push(event);
        } else {
          this.#close();
          this.#walks.begin(event, this.#now());
        }
        break;
      case "region.expire":
        this.#expire(event);
        break;
      case "region.propose":
        this.#proposeEffects(event);
        break;
      default:
        event satisfies never;
    }
  }

  /** Waits behind an earlier command; what it will need is fetched together with the rest. */
  #block(request: RegionRequest): void {
    this.#blocked.push(request);
    this.#locks.hold(request);
    for (const missing of this.#missingRecords(request)) this.#plan.want(missing, undefined);
  }

  /** Whether every key's record is in memory; asking first is cheaper than a throw. */
  #hasRecords({ keyPositions, args, db }: RegionRequest, keyspace: Keyspace): boolean {
    for (const position of keyPositions) {
      const key = args[position];
      if (key !== undefined && !keyspace.knows(db, key)) return false;
    }
    return true;
  }

  #missingRecords(request: RegionRequest): Missing[] {
    const keyspace = this.#batch();
    const slot = keyspace.slotOf(request.db);
    const missing: Missing[] = [];
    for (const position of request.keyPositions) {
      const key = request.args[position];
      if (key === undefined) continue;
      const name = key.toString("latin1");
      // What the batch has written is not in the engine yet: a read would bring something older.
      if (!keyspace.knows(request.db, key)) missing.push({ type: "record", slot, name, key });
    }
    return missing;
  }

  #now(): number {
    const wallMs = Math.floor(this.#ports.clock.wallMs());
    if (wallMs > this.#nowMs) this.#nowMs = wallMs;
    return this.#nowMs;
  }

  /** The batch being evaluated, a new one when there is none. */
  #batch(): Keyspace {
    if (this.#keyspace !== undefined) return this.#keyspace;
    assert(this.#counters !== undefined, "a serving region has counters");
    const { positions } = this.#ports;
    this.#keyspace = new Keyspace(this.memory, positions, this.#counters, this.#now());
    return this.#keyspace;
  }

  #evaluate(request: RegionRequest, parked: Parked | undefined): void {
    const keyspace = this.#batch();
    const { counters } = this.#ports;
    const { memory } = this;
    memory.found = parked?.found;
    memory.readIndex = 0;
    if (parked === undefined && !this.#hasRecords(request, keyspace)) {
      this.#park(request, undefined, []);
      return;
    }
    const isWrite = request.command.flags.includes("write");
    if (isWrite && this.#ports.handles.journal?.full === true) {
      request.settle(new ErrorReply("CLUSTERDOWN the disk is full, writes are refused"));
      return;
    }
    keyspace.begin(parked?.stream?.staged);
    keyspace.spill = parked?.stream?.spilled === true;
    let reply: Reply;
    try {
      reply = request.command.execute(keyspace.view(request.db), request.args);
    } catch (error) {
      keyspace.rollback();
      if (error instanceof Miss) this.#park(request, parked, keyspace.missing);
      else request.settle(this.#internalError(request, error));
      return;
    }
    if (parked?.stream !== undefined) {
      keyspace.finishStaged();
      this.#extraEffects.push(...parked.stream.stagingRecordDels());
      if (keyspace.commandBytes > commandBytesMax) {
        // Something expired meanwhile: it comes out differently, and too large again.
        keyspace.rollback();
        this.#extraEffects.push(...parked.stream.staged.drops());
        parked.stream = undefined;
        this.#evaluate(request, parked);
        return;
      }
    } else if (keyspace.commandBytes > commandBytesMax) {
      this.#stage(request, parked, keyspace);
      return;
    }
    if (!isRemoval(request)) {
      counters.commands++;
      if (keyspace.hidExpired) counters.expiredKeys++;
    }
    const wrote = keyspace.commandBytes > 0;
    this.#outbox.put(this.#dependsOn(request, keyspace, wrote), request, reply, wrote);
    if (keyspace.effectBytes > entrySoftBytes) this.#close();
  }

  /** The log index that has to be committed before the command's reply may leave. */
  #dependsOn({ keyPositions }: RegionRequest, keyspace: Keyspace, wrote: boolean): number {
    const { lastIndex } = this.#host;
    // The batch's own entry is the next one.
    if (wrote || keyspace.readBatch) return lastIndex + 1;
    if (keyPositions.length > 0) return this.memory.readIndex;
    // Without keys it read the region's counters, which everything appended has moved.
    return keyspace.isWriting ? lastIndex + 1 : lastIndex;
  }

  /** A bug in a command, which harmed nobody: evaluation is pure. A broken record is the end. */
  #internalError(request: RegionRequest, error: unknown): ErrorReply {
    if (error instanceof DamagedError) this.#ports.onFatal(error);
    else this.#ports.onBug(error, request.command.name);
    const reason = error instanceof Error ? error.message : String(error);
    return new ErrorReply(`ERR internal error in '${request.command.name}': ${reason}`);
  }

  #park(request: RegionRequest, before: Parked | undefined, missing: readonly Missing[]): void {
    const parked: Parked = before ?? {
      request,
      found: new Map(),
      outstanding: 0,
      stream: undefined,
    };
    this.#parked.add(parked);
    this.#locks.hold(request);
    // A command stops at the first record it lacks: bring all its keys at once.
    const names = new Set<string>();
    for (const thing of [...missing, ...this.#missingRecords(request)]) {
      const name = missingName(thing);
      if (names.has(name)) continue;
      names.add(name);
      this.#plan.want(thing, parked);
    }
  }

  #startFetch(): void {
    const fetch = this.#plan.take(
      dataIdOfRegion(this.#host.applied.meta),
      this.#ports.positions,
      (name, of) => this.memory.fetching(name, of),
    );
    this.#ports.counters.fetches++;
    this.#read(fetch);
  }

  #read(fetch: Fetch): void {
    this.#ports.handles.engine?.reader.read(fetch.nextKeys(), (values) =>
      this.#host.tellSelf({ type: "region.fetched", fetch, values }),
    );
  }

  /** The command's effects do not fit one entry: its chunks go ahead in fragments nobody can see. */
  #stage(request: RegionRequest, parked: Parked | undefined, keyspace: Keyspace): void {
    const spilled = keyspace.commandMetaBytes > commandBytesMax;
    if (spilled) {
      keyspace.rollback();
      keyspace.begin();
      keyspace.spill = true;
      try {
        request.command.execute(keyspace.view(request.db), request.args);
      } finally {
        keyspace.spill = false;
      }
      if (keyspace.commandMetaBytes > commandBytesMax) {
        keyspace.rollback();
        request.settle(tooManyWrites);
        return;
      }
    }
    const stream = new StagedStream(keyspace.stage(), spilled, stagingKey);
    const waiting: Parked = parked ?? { request, found: new Map(), outstanding: 0, stream };
    waiting.stream = stream;
    this.#parked.add(waiting);
    this.#locks.hold(request);
  }

  /** Appends the next fragments of staged writes, as long as the engine keeps up. */
  #pumpStreams(): void {
    for (const { stream } of this.#parked) {
      while (stream?.isSending === true && this.#backlogBytes < backlogBytesMax / 4) {
        encoder.reset(this.#now());
        for (const effect of stream.nextFragment()) encoder.effect(effect);
        stream.sentAt(this.#append());
      }
    }
  }

  #expire(event: RegionExpire): void {
    const keyspace = this.#batch();
    const { counters } = this.#ports;
    const databaseIn = (slot: number): number | undefined => databaseOf(keyspace, slot);
    const requests = removals(event, databaseIn, (count) => {
      counters.expiredKeys += count;
    });
    for (const request of requests) this.#consider(request);
  }

  #proposeEffects({ effects, settle }: RegionPropose): void {
    this.#batch();
    this.#extraEffects.push(...effects);
    this.#afterClose.push((index) => this.#proposals.push({ index, settle }));
    this.#close();
  }

  /** Ends the batch: its effects become one entry, and what it read stays valid in the overlay. */
  #close(): void {
    const keyspace = this.#keyspace;
    if (keyspace === undefined) return;
    this.#keyspace = undefined;
    const state = keyspace.changedState();
    const extra = this.#extraEffects;
    if (keyspace.effects.length === 0 && extra.length === 0 && state === undefined) return;
    encoder.reset(keyspace.nowMs);
    for (const effect of keyspace.effects) encoder.effect(effect);
    for (const effect of extra) encoder.effect(effect);
    if (extra.length > 0) this.#extraEffects = [];
    if (state !== undefined) {
      encoder.state(state);
      this.#counters = state;
    }
    const index = this.#append();
    this.memory.appended(keyspace, index);
    for (const told of this.#afterClose.splice(0)) told(index);
  }

  #append(): number {
    const payload = encoder.finish();
    const expected = this.#host.lastIndex + 1;
    const index = this.#host.propose(payload);
    assert.equal(index, expected, "replies were promised this index");
    this.#backlog.push({ index, bytes: payload.length });
    this.#backlogBytes += payload.length;
    this.#ports.counters.entries++;
    return index;
  }
}

/** The logical database that lives in a slot; undefined for one that a flush has left. */
function databaseOf(keyspace: Keyspace, slot: number): number | undefined {
  for (let db = 0; db < databases; db++) if (keyspace.slotOf(db) === slot) return db;
  return undefined;
}

/** What is about to be overwritten need not be cached: its successor will be. */
function isForWrite(waiter: Waiter): boolean {
  return (waiter as Parked).request.command.flags.includes("write");
}
