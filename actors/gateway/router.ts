// The ways from this gateway to the regions: the local replica where that leads, the leader's node
// where another does, and a place to wait while nobody is known to. It stands between dispatch, which
// finds a way by key, and the regions; it keeps the order of every session over all changes.

import { ErrorReply } from "../../resp/reply.ts";
import type { NodeInfo, NodeListener } from "../cluster/protocol.ts";
import { diskFull } from "../store/protocol.ts";
import type { Places, RegionPlace } from "../store/protocol.ts";
import type { Turn, TurnTask } from "../system/turn.ts";
import type { ExecutorPorts } from "./forward/executor.ts";
import { Forwarding } from "./forward/forwarding.ts";
import type { Stream, StreamOwner } from "./forward/stream.ts";
import type {
  Errand,
  ForwardingOptions,
  GatewayClock,
  RegionRef,
  Route,
  Routes,
} from "./protocol.ts";

/** How long a command looks for a leader. */
const patienceMs = 5000;
/** After "not in this term" from a node that is believed to lead: how long it is not asked again. */
const refusedPauseMs = 100;

export interface RouterOptions {
  readonly places: Places;
  readonly turn: Turn;
  readonly clock: GatewayClock;
  readonly resolve: ExecutorPorts["resolve"];
  /** Undefined on a node that is alone. */
  readonly forwarding?: ForwardingOptions;
}

/** The way to one region. */
class Way implements Route, RegionRef, StreamOwner, TurnTask {
  readonly regionId: number;
  place: RegionPlace;
  readonly #clock: GatewayClock;
  readonly #turn: Turn;
  readonly #forwarding: Forwarding;
  #lastTicket = 0;
  /** Not on its way to anybody, in the order of its sending. */
  #held: Errand[] = [];
  #stream: Stream | undefined;
  /** Streams of former leaders that may still answer: until then nothing new is sent. */
  #ending = 0;
  #isDeferred = false;
  #pausedUntilMs = -Infinity;

  constructor(place: RegionPlace, clock: GatewayClock, turn: Turn, forwarding: Forwarding) {
    this.regionId = place.regionId;
    this.place = place;
    this.#clock = clock;
    this.#turn = turn;
    this.#forwarding = forwarding;
  }

  get fromPosition(): number {
    return this.place.fromPosition;
  }

  get toPosition(): number {
    return this.place.toPosition;
  }

  get epoch(): number {
    return this.place.epoch;
  }

  get ref(): RegionRef {
    return this;
  }

  /** Something waits for the clock. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  send(errand: Errand): void {
    errand.route = this;
    errand.ticket = ++this.#lastTicket;
    if (this.#held.length > 0 || this.#ending > 0 || this.#stream?.isOpen === false) {
      this.#hold(errand);
    } else this.#pass(errand);
  }

  takeBack(errand: Errand, refusal: ErrorReply): void {
    if (!isPassing(refusal)) {
      errand.finish(refusal);
      return;
    }
    // In the order of their sending; they mostly come back in it.
    let at = this.#held.length;
    while (at > 0 && (this.#held[at - 1]?.ticket ?? 0) > errand.ticket) at--;
    this.#held.splice(at, 0, errand);
    this.#forwarding.wake();
    this.#drainLater();
  }

  streamEnded(refused: boolean): void {
    if (this.#stream !== undefined && !this.#stream.isOpen) this.#stream = undefined;
    else this.#ending--;
    if (refused) this.#pausedUntilMs = this.#clock.monotonicMs() + refusedPauseMs;
    this.#drainLater();
  }

  /** Somebody else leads, or nobody. */
  changed(place: RegionPlace): void {
    this.place = place;
    this.#pausedUntilMs = -Infinity;
    const stream = this.#stream;
    if (stream !== undefined && !this.#isCurrent(stream)) {
      this.#stream = undefined;
      this.#ending++;
      stream.close();
    }
    this.#drainLater();
  }

  tick(nowMs: number): void {
    if (this.#held.length === 0) return;
    this.#expire(nowMs);
    if (this.#held.length > 0) this.#drainLater();
  }

  room(): void {
    if (this.#held.length > 0) this.#drainLater();
  }

  /** The end of a turn: by then everything that comes back together is back. */
  run(): void {
    this.#isDeferred = false;
    if (!this.#isOpen() || this.#held.length === 0) return;
    const waiting = this.#inTime();
    for (const [at, errand] of waiting.entries()) {
      // Closed by a refusal meanwhile, which must not be overtaken either.
      if (!this.#isOpen() || this.#held.length > 0) {
        const back = [...this.#held, ...waiting.slice(at)];
        this.#held = back.toSorted((one, other) => one.ticket - other.ticket);
        this.#drainLater();
        return;
      }
      this.#pass(errand);
    }
  }

  /** Takes what waits, without what comes too late. */
  #inTime(): Errand[] {
    const held = this.#held;
    this.#held = [];
    const executed = new Map<number, number>();
    const late = new Set(held.filter((errand) => this.#isOvertaken(errand, executed)));
    for (const errand of late) errand.finish(leaderChanged);
    return late.size === 0 ? held : held.filter((errand) => !late.has(errand));
  }

  /** Whether something that its session sent after it was executed: then it is too late for this one. */
  #isOvertaken(errand: Errand, executed: Map<number, number>): boolean {
    let last = executed.get(errand.sessionId);
    if (last === undefined) {
      last = errand.lastExecuted(this);
      executed.set(errand.sessionId, last);
    }
    return last > errand.ticket;
  }

  /** Whether anything may be sent now. */
  #isOpen(): boolean {
    const { place } = this;
    // A stream that has closed itself may still be answering.
    if (this.#ending > 0 || this.#stream?.isOpen === false) return false;
    if (place.isLeader && place.ref !== undefined) return true;
    if (place.leaderNode === undefined || place.isLeader) return false;
    if (this.#clock.monotonicMs() < this.#pausedUntilMs) return false;
    return this.#forwarding.hasRoom(place.leaderNode);
  }

  #pass(errand: Errand): void {
    const { place } = this;
    if (place.isLeader && place.ref !== undefined) place.ref.send(errand);
    else if (this.#isOpen()) this.#forwarding.push(this.#streamTo(place), errand);
    else this.#hold(errand);
  }

  #streamTo({ leaderNode = "", term, epoch }: RegionPlace): Stream {
    const open = this.#stream;
    if (open?.isOpen === true) return open;
    const { regionId } = this;
    const target = { node: leaderNode, term, regionEpoch: epoch, regionId };
    return (this.#stream = this.#forwarding.open(target, this));
  }

  #isCurrent({ target, isOpen }: Stream): boolean {
    const { leaderNode, term, isLeader, epoch } = this.place;
    if (!isOpen || isLeader) return false;
    return target.node === leaderNode && target.term === term && target.regionEpoch === epoch;
  }

  #hold(errand: Errand): void {
    this.#held.push(errand);
    this.#forwarding.wake();
  }

  #drainLater(): void {
    if (this.#isDeferred || this.#held.length === 0) return;
    this.#isDeferred = true;
    this.#turn.defer("evaluate", this);
  }

  #expire(nowMs: number): void {
    const isOver = (errand: Errand): boolean => nowMs - errand.arrivedAtMs >= patienceMs;
    const over = this.#held.filter(isOver);
    if (over.length === 0) return;
    this.#held = this.#held.filter((errand) => !isOver(errand));
    const reply = new ErrorReply(`CLUSTERDOWN no leader for region ${this.regionId}`);
    for (const errand of over) errand.finish(reply);
  }
}

const leaderChanged = new ErrorReply("CLUSTERDOWN the region's leader has changed");

/** A refusal that another leader, or the same a little later, would not give. */
const isPassing = ({ message }: ErrorReply): boolean => message !== diskFull;

export class Router implements Routes, NodeListener {
  readonly #options: RouterOptions;
  readonly #ways = new Map<number, Way>();
  readonly #forwarding: Forwarding | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
    const { forwarding, places } = options;
    if (forwarding === undefined) return;
    this.#forwarding = new Forwarding({
      ...options,
      ...forwarding,
      tick: (nowMs) => this.#tick(nowMs),
      onRoom: () => {
        for (const way of this.#ways.values()) way.room();
      },
    });
    places.onChange((place) => this.#changed(place));
  }

  positionOf(key: Buffer): number {
    return this.#options.places.positionOf(key);
  }

  regionOf(position: number): Route | undefined {
    const place = this.#options.places.regionOf(position);
    return place === undefined || this.#forwarding === undefined ? place : this.#wayTo(place);
  }

  all(): readonly Route[] {
    const places = this.#options.places.all();
    return this.#forwarding === undefined ? places : places.map((place) => this.#wayTo(place));
  }

  nodeUp({ nodeId }: NodeInfo): void {
    this.#forwarding?.nodeUp(nodeId);
  }

  nodeDown({ nodeId }: NodeInfo): void {
    this.#forwarding?.nodeDown(nodeId);
  }

  nodeRestarted({ nodeId }: NodeInfo): void {
    this.#forwarding?.nodeRestarted(nodeId);
  }

  #wayTo(place: RegionPlace): Way {
    let way = this.#ways.get(place.regionId);
    if (way === undefined) {
      const { clock, turn } = this.#options;
      way = new Way(place, clock, turn, this.#forwarding as Forwarding);
      this.#ways.set(place.regionId, way);
    } else if (way.place !== place) {
      way.changed(place);
    }
    return way;
  }

  #changed(place: RegionPlace): void {
    this.#forwarding?.changed(place);
    this.#ways.get(place.regionId)?.changed(place);
  }

  #tick(nowMs: number): boolean {
    let isHolding = false;
    for (const way of this.#ways.values()) {
      way.tick(nowMs);
      isHolding ||= way.isHolding;
    }
    return isHolding;
  }
}
