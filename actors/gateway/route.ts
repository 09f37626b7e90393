// The way to one region in a node of several: straight to the replica here while it leads, to the
// leader's node while another one does, and nowhere while nobody is known to lead, when commands wait
// in their order. What a region refuses comes back here and goes again before everything later. It
// stands between dispatch and the regions; who leads is the store's knowledge.

import { ErrorReply } from "../../resp/reply.ts";
import type { RegionPlace } from "../store/protocol.ts";
import type { TurnTask } from "../system/turn.ts";
import type { Stream, StreamOwner } from "./forward/stream.ts";
import type { Errand, RegionRef, Route } from "./protocol.ts";

/** A command that found no leader for this long is answered. */
const patienceMs = 5000;
/** A node that said it does not lead is not asked again in that term for this long. */
const refusedMs = 250;

/** What routes work with. */
export interface RoutePorts {
  readonly nodeId: string;
  now(): number;
  /** Runs the route at the end of this turn. */
  defer(route: TurnTask): void;
  /** Something waits: `tick` has to be called. */
  watch(): void;
  /** Whether anything sent to that node now would arrive. */
  isReachable(node: string): boolean;
  openStream(owner: StreamOwner, place: RegionPlace, node: string): Stream;
  /** Counts bytes on the way to a node; false = it has enough, wait for `run`. */
  reserve(errand: Errand, node: string, route: TurnTask): boolean;
}

interface Returned {
  readonly errand: Errand;
  readonly refusal: ErrorReply;
}

export class RegionWay implements Route, RegionRef, StreamOwner, TurnTask {
  readonly regionId: number;
  fromPosition: number;
  toPosition: number;
  readonly ref = this;
  readonly #ports: RoutePorts;
  #place: RegionPlace;
  /** Where commands go at once: the replica here, while nothing waits. */
  #direct: RegionPlace["ref"] = undefined;
  #stream: Stream | undefined;
  /** What waits, in order. */
  #held: Errand[] = [];
  /** What was refused since the last run. */
  #returned: Returned[] = [];
  #scheduled = false;
  /** Counts what was sent anywhere. */
  #sent = 0;
  /** The leader here that commands went to last, and the ticket before its first one. */
  #leaderRef: RegionPlace["ref"] = undefined;
  #leaderTerm = 0;
  #leaderSince = 0;
  #refusedBy:
    | { readonly node: string; readonly term: number; readonly untilMs: number }
    | undefined;

  constructor(place: RegionPlace, ports: RoutePorts) {
    this.#place = place;
    this.#ports = ports;
    this.regionId = place.regionId;
    this.fromPosition = place.fromPosition;
    this.toPosition = place.toPosition;
  }

  get epoch(): number {
    return this.#place.epoch;
  }

  /** Something waits for an answer or a leader. */
  get isBusy(): boolean {
    return this.#held.length > 0 || this.#returned.length > 0 || this.#stream?.isBusy === true;
  }

  send(errand: Errand): void {
    errand.route = this;
    const direct = this.#direct;
    if (direct !== undefined) {
      errand.ticket = ++this.#sent;
      direct.send(errand);
    } else {
      errand.ticket = 0;
      this.#held.push(errand);
      this.#schedule();
    }
  }

  takeBack(errand: Errand, refusal: ErrorReply): void {
    this.#direct = undefined;
    this.#returned.push({ errand, refusal });
    this.#schedule();
  }

  /** The store has a new map. */
  moveTo(place: RegionPlace): void {
    this.#place = place;
    this.fromPosition = place.fromPosition;
    this.toPosition = place.toPosition;
    this.changed();
  }

  /** The region has another leader, term or actor. */
  changed(): void {
    this.#direct = undefined;
    this.#refusedBy = undefined;
    if (this.#stream !== undefined && !this.#leads(this.#stream)) this.#stream.close();
    this.#schedule();
  }

  /** Nothing can be sent to a node, or again. */
  reachabilityChanged(): void {
    if (this.#held.length > 0) this.#schedule();
  }

  streamEnded(refused: boolean): void {
    const ended = this.#stream?.target;
    this.#stream = undefined;
    if (refused && ended !== undefined) {
      const untilMs = this.#ports.now() + refusedMs;
      this.#refusedBy = { node: ended.node, term: ended.term, untilMs };
    }
    this.#schedule();
  }

  /** The end of a turn: what waits goes on, if somebody leads. */
  run(): void {
    this.#scheduled = false;
    // Until all of an older stream is decided, nothing can be put in order.
    if (this.#stream !== undefined && !this.#stream.isOpen) return this.#watch();
    if (this.#returned.length > 0) this.#arrange();
    const { isLeader, ref } = this.#place;
    if (isLeader && ref !== undefined) this.#sendHere(ref);
    else if (this.#held.length > 0) this.#sendAway();
    this.#watch();
  }

  /** About ten times a second while it is busy. */
  tick(nowMs: number): void {
    this.#stream?.tick(nowMs);
    if (this.#held.length === 0) return;
    const isLate = (errand: Errand): boolean => nowMs - errand.arrivedAtMs >= patienceMs;
    const late = this.#held.filter(isLate);
    if (late.length > 0) this.#held = this.#held.filter((errand) => !isLate(errand));
    this.#refuse(late, `no leader for region ${this.regionId}`);
    if (this.#held.length > 0) this.#schedule();
  }

  /** The node stops: whatever waits is answered. */
  close(): void {
    this.#stream?.break("the node stops");
    if (this.#returned.length > 0) this.#arrange();
    const held = this.#held;
    this.#held = [];
    this.#refuse(held, "the node stops");
  }

  #refuse(errands: readonly Errand[], reason: string): void {
    const refusal = new ErrorReply(`CLUSTERDOWN ${reason}`);
    for (const errand of errands) errand.finish(refusal);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#ports.defer(this);
  }

  #watch(): void {
    if (this.isBusy) this.#ports.watch();
  }

  /** Whether the stream goes to whom the store knows as the leader. */
  #leads({ target }: Stream): boolean {
    const { isLeader, leaderNode, term, epoch } = this.#place;
    if (isLeader || leaderNode !== target.node) return false;
    return term === target.term && epoch === target.regionEpoch;
  }

  /** Puts what was refused before what waits, in the order in which it was sent. */
  #arrange(): void {
    const returned = this.#returned.toSorted((a, b) => a.errand.ticket - b.errand.ticket);
    this.#returned = [];
    const { isLeader, ref, term } = this.#place;
    const stillLeads = isLeader && ref === this.#leaderRef && term === this.#leaderTerm;
    const executed = new Map<number, number>();
    const again: Errand[] = [];
    for (const { errand, refusal } of returned) {
      // A leader that stands refused this one for a reason of its own (a full disk): that is the answer.
      const isFinal = stillLeads && errand.ticket > this.#leaderSince;
      if (isFinal || this.#isOvertaken(errand, executed)) errand.finish(refusal);
      else again.push(errand);
    }
    if (again.length > 0) this.#held = [...again, ...this.#held];
  }

  /** Whether a later command of its session was executed: then it must not be any more. */
  #isOvertaken(errand: Errand, executed: Map<number, number>): boolean {
    let last = executed.get(errand.sessionId);
    if (last === undefined) {
      last = errand.lastExecuted(this);
      executed.set(errand.sessionId, last);
    }
    return last > errand.ticket;
  }

  #sendHere(ref: NonNullable<RegionPlace["ref"]>): void {
    const { term } = this.#place;
    if (ref !== this.#leaderRef || term !== this.#leaderTerm) {
      this.#leaderRef = ref;
      this.#leaderTerm = term;
      this.#leaderSince = this.#sent;
    }
    const held = this.#held;
    this.#held = [];
    let at = 0;
    // A refusal inside `send` stops it: nothing may overtake what comes back.
    for (; at < held.length && this.#returned.length === 0; at++) {
      const errand = held[at];
      if (errand === undefined) continue;
      errand.ticket = ++this.#sent;
      ref.send(errand);
    }
    if (at < held.length) this.#held = [...held.slice(at), ...this.#held];
    if (this.#held.length > 0 || this.#returned.length > 0) this.#schedule();
    else this.#direct = ref;
  }

  #sendAway(): void {
    const stream = (this.#stream ??= this.#openStream());
    if (stream === undefined) return;
    const held = this.#held;
    let at = 0;
    for (; at < held.length; at++) {
      const errand = held[at];
      if (errand === undefined) continue;
      if (!this.#ports.reserve(errand, stream.target.node, this)) break;
      errand.ticket = ++this.#sent;
      stream.push(errand);
    }
    this.#held = at === held.length ? [] : held.slice(at);
    stream.flush();
  }

  #openStream(): Stream | undefined {
    const place = this.#place;
    const { leaderNode: node, term } = place;
    if (node === undefined || node === this.#ports.nodeId) return undefined;
    if (!this.#ports.isReachable(node)) return undefined;
    const refused = this.#refusedBy;
    if (refused !== undefined && refused.node === node && refused.term === term) {
      if (this.#ports.now() < refused.untilMs) return undefined;
    }
    return this.#ports.openStream(this, place, node);
  }
}
