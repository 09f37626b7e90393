// The leader's evaluator of one region: takes the commands of a turn, runs them in order against
// what is in memory, and appends their effects as one entry. What lacks something in memory is put
// aside until the engine has brought it; commands that touch other keys go on meanwhile.

import assert from "node:assert/strict";
import { tooManyWrites } from "../../resp/errors.ts";
import { ErrorReply, type Reply } from "../../resp/reply.ts";
import type { RegionState } from "../../storage/keyspace/effects.ts";
import { Keyspace } from "../../storage/keyspace/keyspace.ts";
import { Miss } from "../../storage/keyspace/view.ts";
import { stagingKey } from "../../storage/keys.ts";
import type { TurnTask } from "../system/turn.ts";
import type { AppliedState } from "./apply.ts";
import { commandFailure } from "./command-failure.ts";
import { Entries } from "./entries.ts";
import { copyCounters, RegionMemory } from "./memory.ts";
import { dependsOn, Outbox } from "./outbox.ts";
import type { EvaluatorHost } from "./evaluator-host.ts";
import { Parking, type Parked } from "./parking.ts";
import { Proposals } from "./proposals.ts";
import type { RegionPorts } from "./region-ports.ts";
import { diskFull, refuse, storeRestarting, unknownOutcome } from "./protocol.ts";
import type { RegionEvent, RegionExpire, RegionFetched, RegionWalked } from "./protocol.ts";
import type { RegionPropose, RegionRequest } from "./protocol.ts";
import { isRemoval, removals } from "./removal.ts";
import { StagedStream } from "./staged-stream.ts";
import { Upcoming } from "./upcoming.ts";
import { Walks } from "./walk.ts";

/** An entry is closed when it has this many bytes; with one more command it stays below 512 KiB. */
const entrySoftBytes = 128 * 1024;
/** A command with more effects than this is staged in fragments. */
const commandBytesMax = 320 * 1024;
/** A command that no longer fits what was staged is staged anew, so often at most. */
const stagingsMax = 3;
/** With this many writes it does not wait for the journal: evaluating them takes as long. */
const eagerWrites = 64;

export class Evaluator implements TurnTask {
  readonly memory: RegionMemory;
  readonly #ports: RegionPorts;
  readonly #host: EvaluatorHost;
  readonly #outbox: Outbox;
  readonly #proposals = new Proposals();
  readonly #entries: Entries;
  readonly #parking: Parking;
  readonly #walks: Walks;
  readonly #upcoming: Upcoming;
  #queue: RegionEvent[] = [];
  #blocked: RegionEvent[] = [];
  #deferred = false;
  #serving = false;
  #counters: RegionState | undefined;
  #nowMs = 0;
  /** What reads of this run wait for (`readGate`); below 0 = not asked yet. */
  #gate = 0;
  /** The batch being evaluated. */
  #keyspace: Keyspace | undefined;
  /** The event being evaluated, until it is answered, appended, or waits where others will find it. */
  #open: RegionEvent | undefined;

  constructor(ports: RegionPorts, host: EvaluatorHost) {
    this.#ports = ports;
    this.#host = host;
    this.#outbox = new Outbox((round) => host.isConfirmed(round), ports.handles.inFlight);
    this.memory = new RegionMemory(ports.cache, ports.random);
    this.#entries = new Entries(ports, host, this.memory);
    this.#parking = new Parking(ports, host, this.memory, () => this.#defer());
    this.#walks = new Walks(
      ports,
      host,
      () => this.#now(),
      (due, settle) => this.enqueue({ type: "region.expire", due, settle }),
    );
    this.#upcoming = new Upcoming(ports.turn, (requests) => {
      const slots = this.#counters?.slots;
      if (this.#serving && slots !== undefined) this.#parking.readAhead(requests, slots);
    });
  }

  /** Something waits until the engine has caught up. */
  get waitsForApply(): boolean {
    if (this.#walks.isWaiting || this.#entries.isBehind) return true;
    return this.#parking.streams().next().done !== true;
  }

  /** Commands that wait for anything at all. */
  get pending(): number {
    return this.#queue.length + this.#blocked.length + this.#parking.size + this.#outbox.size;
  }

  enqueue(event: RegionEvent): void {
    this.#queue.push(event);
    this.#defer();
    this.#upcoming.add(event);
  }

  /** The replica leads and its state is exact: evaluate from what is applied. */
  serve(applied: AppliedState): void {
    this.#serving = true;
    this.#counters = copyCounters(applied.counters);
    this.#nowMs = applied.counters.maxNowMs;
    this.memory.reset(this.#host.appliedIndex);
    this.memory.standOn(applied);
    this.#outbox.committed(this.#host.appliedIndex);
    this.#entries.clear();
    this.#defer();
  }

  /** Not the leader any more: what was appended may or may not survive. */
  pause(reason: string): void {
    this.#serving = false;
    const fate = (wrote: boolean): string => (wrote ? unknownOutcome(reason) : storeRestarting);
    this.#outbox.abandon((wrote) => new ErrorReply(fate(wrote)));
    this.#proposals.abandon(unknownOutcome(reason));
    this.#refuseWaiting();
    this.memory.forget();
  }

  /** Nothing waits any more: commands that were not appended have certainly not happened. */
  #refuseWaiting(): void {
    const waiting: RegionEvent[] = [...this.#parking.clear(), ...this.#blocked, ...this.#queue];
    this.#blocked = [];
    this.#queue = [];
    this.#upcoming.taken();
    for (const event of waiting) refuse(event, storeRestarting);
    this.#walks.abandon(storeRestarting);
  }

  committed(index: number): void {
    this.#outbox.committed(index);
    this.#proposals.committed(index);
  }

  /** Acknowledged heartbeats have come in: reads may wait for their round. */
  confirmed(): void {
    this.#outbox.confirmed();
    this.#walks.confirmed();
  }

  applied(index: number): void {
    this.memory.standOn(this.#host.applied);
    this.memory.applied(index);
    this.#entries.applied(index);
    this.#walks.applied(index);
    this.#parking.applied(index);
    if (this.#hasWork()) this.#defer();
  }

  /** Time has passed: what could not be appended may be now. */
  wake(): void {
    if (this.#hasWork()) this.#defer();
  }

  #hasWork(): boolean {
    if (this.#queue.length > 0 || this.#blocked.length > 0 || this.#parking.hasReady) return true;
    for (const stream of this.#parking.streams()) if (stream.isSending) return true;
    return false;
  }

  /** A slice has come from the engine. */
  fetched(event: RegionFetched): void {
    this.#parking.fetched(event);
  }

  /** A walk's iterator is done. */
  walked({ run, found }: RegionWalked): void {
    this.#walks.finish(run, found);
  }

  #defer(): void {
    if (this.#deferred || !this.#serving) return;
    this.#deferred = true;
    this.#ports.turn.defer("evaluate", this);
  }

  /** The end of a turn: evaluates everything that can be, and appends it. */
  run(): void {
    this.#deferred = false;
    if (!this.#serving || this.#entries.isFull) return;
    // Not while leadership is handed over, or too much waits for a majority: the tick comes back.
    if (!this.#host.canPropose) return;
    const writes = this.#upcoming.writes + this.#parking.readyWrites;
    if (writes > 0 && writes < eagerWrites) {
      this.#deferred = this.#ports.handles.journalGate?.waitsFor(this) === true;
      if (this.#deferred) return;
    }
    this.#upcoming.taken();
    this.#gate = -1;
    const ready = this.#parking.takeReady();
    const waiting = this.#blocked.length === 0 ? this.#queue : this.#blocked.concat(this.#queue);
    this.#blocked = [];
    this.#queue = [];
    let revisited = 0;
    let considered = 0;
    try {
      for (const parked of ready) {
        revisited++;
        this.#open = parked.request;
        this.#evaluate(parked.request, parked);
      }
      for (const event of waiting) {
        considered++;
        // What no longer fits waits as it stands, so that nothing overtakes it.
        if (this.#entries.isFull) this.#block(event);
        else this.#consider(event);
      }
      this.#close();
      this.#entries.sendFragments(this.#parking.streams(), this.#now());
      this.#parking.fetchWanted();
    } catch (error) {
      // A bug of ours: the region fails, and whoever was not reached yet has to hear of it. What
      // stands half evaluated in the batch is never appended.
      this.#serving = false;
      this.#parking.putBack(ready.slice(revisited));
      if (this.#open !== undefined) this.#block(this.#open);
      this.#blocked.push(...waiting.slice(considered));
      this.#host.tellSelf({ type: "region.failed", error });
    }
  }

  #consider(event: RegionEvent): void {
    const { locks } = this.#parking;
    this.#open = event;
    switch (event.type) {
      case "region.request":
        if (!locks.isFree && locks.blocks(event)) {
          this.#block(event);
          this.#parking.holdBack(event, this.#batch());
        } else {
          this.#evaluate(event, undefined);
        }
        break;
      case "region.walk":
        if (!locks.isFree && locks.blocksSession(event.sessionId)) {
          this.#block(event);
        } else {
          this.#close();
          this.#open = undefined;
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

  /** It waits as it stands. */
  #block(event: RegionEvent): void {
    this.#open = undefined;
    this.#blocked.push(event);
  }

  /** The answer to a command that does nothing: what was staged for it is taken back. */
  #refuse(request: RegionRequest, parked: Parked | undefined, reply: Reply): void {
    this.#open = undefined;
    if (parked?.stream !== undefined) this.#entries.add(parked.stream.drops());
    request.settle(reply);
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
    return (this.#keyspace = new Keyspace(this.memory, positions, this.#counters, this.#now()));
  }

  #evaluate(request: RegionRequest, parked: Parked | undefined): void {
    const keyspace = this.#batch();
    const { counters } = this.#ports;
    const { memory } = this;
    memory.found = parked?.found;
    memory.readIndex = 0;
    if (parked === undefined && !this.#parking.hasRecords(request, keyspace)) {
      this.#open = undefined;
      this.#parking.park(request, undefined, [], keyspace);
      return;
    }
    const isWrite = request.command.flags.includes("write");
    if (isWrite && this.#ports.handles.journal?.full === true) {
      this.#refuse(request, parked, new ErrorReply(diskFull));
      return;
    }
    const stream = parked?.stream;
    keyspace.begin(stream?.staged);
    keyspace.spill = stream?.spilled === true;
    keyspace.readsOnly = !isWrite && !isRemoval(request);
    const reply = this.#execute(request, parked, keyspace);
    if (reply === undefined) return;
    if (stream !== undefined) keyspace.finishStaged();
    if (keyspace.commandBytes > commandBytesMax) {
      if (parked !== undefined && stream !== undefined) this.#stageAnew(parked, stream, keyspace);
      else this.#stage(request, parked, keyspace);
      return;
    }
    if (stream !== undefined) this.#entries.add(stream.stagingRecordDels());
    if (!isRemoval(request)) {
      counters.commands++;
      if (!isWrite) {
        counters.keyspaceHits += keyspace.hits;
        counters.keyspaceMisses += keyspace.misses;
      }
      if (keyspace.hidExpired) counters.expiredKeys++;
    }
    const wrote = keyspace.commandBytes > 0;
    // What it wrote proves by its commit that this replica leads; what it only read does not.
    if (!wrote && this.#gate < 0) this.#gate = this.#host.readGate();
    const round = wrote ? 0 : this.#gate;
    const index = dependsOn(request, keyspace, this.memory.readIndex, this.#host.lastIndex);
    this.#open = undefined;
    this.#outbox.put(index, request, reply, wrote, round);
    if (keyspace.effectBytes > entrySoftBytes) this.#close();
  }

  /** The command's reply; undefined when it was put aside or has failed. */
  #execute(
    request: RegionRequest,
    parked: Parked | undefined,
    keyspace: Keyspace,
  ): Reply | undefined {
    try {
      return request.command.execute(keyspace.view(request.db), request.args);
    } catch (error) {
      keyspace.rollback();
      this.#open = undefined;
      if (error instanceof Miss) this.#parking.park(request, parked, keyspace.missing, keyspace);
      else this.#refuse(request, parked, commandFailure(this.#ports, request, error));
      return undefined;
    }
  }

  /** The command's effects do not fit one entry: its chunks go ahead in fragments nobody can see. */
  #stage(request: RegionRequest, parked: Parked | undefined, keyspace: Keyspace): void {
    const spilled = keyspace.commandFixedBytes > commandBytesMax;
    if (spilled) {
      keyspace.rollback();
      keyspace.begin();
      keyspace.spill = true;
      if (this.#execute(request, parked, keyspace) === undefined) return;
      if (keyspace.commandFixedBytes > commandBytesMax) {
        keyspace.rollback();
        this.#refuse(request, parked, tooManyWrites);
        return;
      }
    }
    const stream = new StagedStream(keyspace.stage(), spilled, stagingKey);
    this.#open = undefined;
    this.#parking.parkWith(stream, request, parked);
  }

  /** Something expired meanwhile: the command came out differently, and too large again. */
  #stageAnew(parked: Parked, stream: StagedStream, keyspace: Keyspace): void {
    keyspace.rollback();
    if (parked.stagings >= stagingsMax) {
      this.#refuse(parked.request, parked, tooManyWrites);
      return;
    }
    this.#entries.add(stream.drops());
    parked.stream = undefined;
    this.#evaluate(parked.request, parked);
  }

  #expire(event: RegionExpire): void {
    const requests = removals(event, this.#batch(), (count) => {
      this.#ports.counters.expiredKeys += count;
    });
    this.#open = undefined;
    for (const request of requests) this.enqueue(request);
  }

  #proposeEffects(propose: RegionPropose): void {
    this.#batch();
    this.#entries.add(propose.effects);
    this.#open = undefined;
    this.#proposals.add(this.#host.lastIndex + 1, propose);
    this.#close();
  }

  /** Ends the batch. */
  #close(): void {
    const keyspace = this.#keyspace;
    if (keyspace === undefined) return;
    this.#keyspace = undefined;
    this.#counters = this.#entries.close(keyspace) ?? this.#counters;
  }
}
