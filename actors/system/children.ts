// The book a supervisor keeps about its children: specifications, living actors, what is to be
// stopped and started next, and what an exit means. It sits between the supervisor's statechart,
// which decides when, and XState's actors; it holds no timers and never waits.

import { createActor } from "xstate";
import type { ActorOptions, AnyActorLogic, AnyActorRef } from "xstate";

import { defaultIntensity, isRestarted, restartGroup, RestartWindow } from "./restart-policy.ts";
import type { Intensity, Restart, Strategy } from "./restart-policy.ts";

/** How to start one child and what its end means. */
export interface ChildSpec {
  /** Unique within its supervisor; also the actor's id. */
  readonly id: string;
  readonly logic: AnyActorLogic;
  readonly input?: unknown;
  /** Unique within the system; freed and taken again at a restart (`registry.ts` finds by it). */
  readonly systemId?: string;
  /** Default permanent. */
  readonly restart?: Restart;
  /**
   * How long the child may take to reach a final state after `{type: "shutdown"}` before it is
   * stopped from outside; "brutal" stops it at once. Default 5000. Callback and promise actors
   * never reach one: give them "brutal", their cleanup runs.
   */
  readonly shutdownMs?: number | "brutal";
  /** The next child starts only after this one sent `{type: "child.ready", id}` to its parent. */
  readonly awaitReady?: boolean;
  /** Not ready after this long counts as a failed start. Default: as long as it takes. */
  readonly readyTimeoutMs?: number;
}

/** One exit as told to the hooks. */
export interface ExitNote {
  /** Ids of the supervisor and of its child. */
  readonly supervisor: string;
  readonly child: string;
  /** What it failed with; undefined when it ended by itself. */
  readonly error: unknown;
  /** Restarts within the intensity's period, this one included. */
  readonly restarts: number;
}

export interface SupervisorInput {
  /** Default one_for_one. */
  readonly strategy?: Strategy;
  /** Started in this order, shut down in the reverse one. */
  readonly children?: readonly ChildSpec[];
  readonly intensity?: Intensity;
  /** Pause before the restart, from the number of restarts in the period. Default none. */
  readonly backoffMs?: (restartsInPeriod: number) => number;
  /** Monotonic milliseconds, of the same clock that drives the actor system. */
  readonly now: () => number;
  /** Hears every end of a child that nobody asked for. A throw fails the supervisor. */
  readonly onExit?: (note: ExitNote) => void;
  /** Hears every restart before it happens. A throw fails the supervisor. */
  readonly onRestart?: (note: ExitNote) => void;
}

/** XState's notice that a child is over. */
export interface ExitEvent {
  readonly type: `xstate.error.actor.${string}` | `xstate.done.actor.${string}`;
  readonly actorId: string;
  readonly error?: unknown;
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The supervisor gave up. Its parent treats it like any failed child. */
export class MaxRestartsExceeded extends Error {
  override readonly name = "MaxRestartsExceeded";
  readonly supervisor: string;
  readonly child: string;

  /** `cause` is what the child failed with last; undefined when it ended by itself. */
  constructor(supervisor: string, child: string, intensity: Intensity, cause: unknown) {
    const limit = `more than ${intensity.max} restarts in ${intensity.periodMs} ms`;
    const last = cause === undefined ? "it ended by itself" : `last error: ${reason(cause)}`;
    super(`supervisor ${supervisor} gives up: ${limit}, last child ${child}, ${last}`, { cause });
    this.supervisor = supervisor;
    this.child = child;
  }
}

/** A child did not report ready in time. */
export class NotReadyInTime extends Error {
  override readonly name = "NotReadyInTime";

  constructor(child: string, timeoutMs: number) {
    super(`${child} was not ready after ${timeoutMs} ms`);
  }
}

/** What follows when everything in `toStop` is down. */
type Outcome = "run" | "stop" | "fail";

/** Node clamps longer timers to 1 ms instead of waiting. */
const longestTimerMs = 2 ** 31 - 1;

/** State of one supervisor; mutated in place by its machine's actions. */
export class Children {
  /** Insertion order is start order. */
  readonly specs = new Map<string, ChildSpec>();
  readonly refs = new Map<string, AnyActorRef>();
  outcome: Outcome = "run";
  failure: MaxRestartsExceeded | undefined;
  /** The child being shut down, and the one the start waits for. */
  current: string | undefined;
  awaited: string | undefined;
  /** Exits and requests that arrived at a bad moment; replayed, where stale exits are ignored. */
  postponedExits: ExitEvent[] = [];
  postponedRequests: SupervisorRequest[] = [];
  /** Pause before the next start, milliseconds. */
  pauseMs = 0;
  readonly #self: AnyActorRef;
  readonly #input: SupervisorInput;
  readonly #intensity: Intensity;
  readonly #window: RestartWindow;
  /** Next to stop and next to start are at the end. */
  #toStop: string[] = [];
  #toStart: string[] = [];
  /** Children with `awaitReady` that are not ready yet, and by when they must be. */
  readonly #readyByMs = new Map<string, number>();
  #forget: string | undefined;
  #announced = false;

  constructor(self: AnyActorRef, input: SupervisorInput) {
    this.#self = self;
    this.#input = input;
    this.#intensity = input.intensity ?? defaultIntensity;
    this.#window = new RestartWindow(this.#intensity);
    for (const spec of input.children ?? []) this.specs.set(spec.id, spec);
    this.#toStart = [...this.specs.keys()].toReversed();
  }

  /** Restarts within the intensity's period, for inspection. */
  get restarts(): number {
    return this.#window.count;
  }

  alive(id: string): boolean {
    return this.refs.get(id)?.getSnapshot().status === "active";
  }

  /** Starts what is planned, up to the first child that must report ready before the next. */
  launch(): void {
    for (let id = this.#toStart.at(-1); id !== undefined; id = this.#toStart.at(-1)) {
      const spec = this.specs.get(id);
      if (spec !== undefined && !this.alive(id)) this.#start(spec);
      if (spec !== undefined && this.#readyByMs.has(id)) {
        this.awaited = id;
        return;
      }
      this.#toStart.pop();
    }
    this.awaited = undefined;
  }

  #start(spec: ChildSpec): void {
    const { id, logic, input, systemId } = spec;
    if (spec.awaitReady === true) {
      this.#readyByMs.set(id, this.#input.now() + (spec.readyTimeoutMs ?? longestTimerMs));
    }
    try {
      // Not spawnChild: it copies snapshot.children at every start and stop, so a supervisor of n
      // regions would pay O(n) for each. The wrapper in supervisor.ts stops these children instead.
      const options = { parent: this.#self, id, systemId, input };
      const ref: AnyActorRef = createActor(logic, options as ActorOptions<AnyActorLogic>);
      this.refs.set(id, ref);
      ref.start();
    } catch (error) {
      this.#self.send({ type: `xstate.error.actor.${id}`, actorId: id, error });
    }
  }

  /** Tells the parent, once, that all children have been started: now this one is ready. */
  announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    // XState's sendParent throws in a root actor, and a supervisor may be one.
    // oxlint-disable-next-line no-underscore-dangle
    this.#self._parent?.send({ type: "child.ready", id: this.#self.id });
  }

  /** Stops a child from outside; its own children go with it when it is a supervisor. */
  kill(id: string): void {
    const ref = this.refs.get(id);
    this.refs.delete(id);
    this.#readyByMs.delete(id);
    if (ref?.getSnapshot().status === "active") ref.send({ type: "xstate.stop" });
  }

  killAll(): void {
    for (const id of [...this.refs.keys()].toReversed()) this.kill(id);
  }

  markReady(id: string): void {
    if (this.alive(id)) this.#readyByMs.delete(id);
  }

  /** Milliseconds the awaited child still has. */
  readyWithinMs(): number {
    const byMs = this.#readyByMs.get(this.awaited ?? "") ?? 0;
    return Math.min(Math.max(0, byMs - this.#input.now()), longestTimerMs);
  }

  /** The awaited child took too long: it is stopped and judged as failed. */
  giveUpWaiting(): void {
    const id = this.awaited;
    if (id === undefined) return;
    const error = new NotReadyInTime(id, this.specs.get(id)?.readyTimeoutMs ?? 0);
    this.kill(id);
    this.judge({ type: `xstate.error.actor.${id}`, actorId: id, error });
  }

  /** Plans what one exit asks for: nothing, a restart of its group, or giving up. */
  judge(exit: ExitEvent): void {
    const id = exit.actorId;
    const spec = this.specs.get(id);
    // Forgotten, or the late notice of an incarnation that has been replaced already.
    if (spec === undefined || this.alive(id)) return;
    this.refs.delete(id);
    this.#readyByMs.delete(id);
    const failed = exit.type.startsWith("xstate.error");
    const restart = spec.restart ?? "permanent";
    const supervisor = this.#self.id;
    const note = { supervisor, child: id, error: exit.error };
    if (!isRestarted(restart, failed)) {
      if (restart === "temporary") this.specs.delete(id);
      this.#toStart = this.#toStart.filter((other) => other !== id);
      this.#input.onExit?.({ ...note, restarts: this.#window.count });
      return;
    }
    const bearable = this.#window.note(this.#input.now());
    const counted = { ...note, restarts: this.#window.count };
    this.#input.onExit?.(counted);
    if (!bearable) {
      this.failure = new MaxRestartsExceeded(supervisor, id, this.#intensity, exit.error);
      this.#plan("fail", [...this.specs.keys()], []);
      return;
    }
    this.#input.onRestart?.(counted);
    this.#planRestart(id);
  }

  #planRestart(id: string): void {
    const order = (): string[] => [...this.specs.keys()];
    const group = restartGroup(this.#input.strategy ?? "one_for_one", order, id);
    const back = group.filter((other) => this.specs.get(other)?.restart !== "temporary");
    this.pauseMs = this.#input.backoffMs?.(this.#window.count) ?? 0;
    this.#plan("run", group, this.#toStart.length === 0 ? back : this.#mergeStarts(back));
  }

  /** A restart during a start: both, in start order. */
  #mergeStarts(ids: readonly string[]): string[] {
    const wanted = new Set([...ids, ...this.#toStart]);
    return [...this.specs.keys()].filter((id) => wanted.has(id));
  }

  #plan(outcome: Outcome, stop: readonly string[], start: readonly string[]): void {
    this.outcome = outcome;
    this.#toStop = stop.filter((id) => this.alive(id));
    this.#toStart = start.toReversed();
  }

  /** Plans the end of everybody. A failure on its way stays one. */
  planShutdown(): void {
    this.#plan(this.outcome === "fail" ? "fail" : "stop", [...this.specs.keys()], []);
  }

  /** Plans the start of a new child; one with this id that lives stays as it is. */
  planStart(spec: ChildSpec): void {
    if (this.alive(spec.id)) return;
    this.specs.set(spec.id, spec);
    this.#plan("run", [], [spec.id]);
  }

  /** Plans the end of a child and that its specification is forgotten. */
  planTermination(id: string): void {
    if (this.alive(id)) {
      this.#forget = id;
      this.#plan("run", [id], []);
    } else {
      this.specs.delete(id);
      this.refs.delete(id);
    }
  }

  get hasToStop(): boolean {
    return this.#toStop.length > 0;
  }

  /** Takes the next living child to stop as `current`; a child may end on its own meanwhile. */
  chooseNext(): void {
    do this.current = this.#toStop.pop();
    while (this.current !== undefined && !this.alive(this.current));
  }

  /** Asks the current child to end by itself. */
  askToStop(): void {
    if (this.current !== undefined) this.refs.get(this.current)?.send({ type: "shutdown" });
  }

  killCurrent(): void {
    if (this.current !== undefined) this.kill(this.current);
  }

  /** How long the current child may take. */
  grace(): number | "brutal" {
    const spec = this.current === undefined ? undefined : this.specs.get(this.current);
    const grace = spec?.shutdownMs ?? 5000;
    return grace === "brutal" ? grace : Math.min(grace, longestTimerMs);
  }

  /** Everything planned is down: what was terminated for good leaves nothing behind. */
  settleStops(): void {
    if (this.#forget === undefined) return;
    this.specs.delete(this.#forget);
    this.refs.delete(this.#forget);
    this.#forget = undefined;
  }

  /** Sends again what came at a bad moment, exits first; `requests` too once it runs. */
  replay(requests: boolean): void {
    for (const exit of this.postponedExits.splice(0)) this.#self.send(exit);
    if (!requests) return;
    for (const request of this.postponedRequests.splice(0)) this.#self.send(request);
  }
}

/** What a running supervisor can be asked for; ends of children arrive by themselves. */
export type SupervisorRequest =
  | { readonly type: "child.start"; readonly spec: ChildSpec }
  | { readonly type: "child.terminate"; readonly id: string };
