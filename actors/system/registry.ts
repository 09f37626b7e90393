// Finds living actors by their systemId and lists them for inspection. It sits between actors that
// know only names and XState's system, where sending to an absent actor kills the sender.
// It keeps no table of its own, so it cannot disagree with what lives.

import type { ActorSystem, ActorSystemInfo, AnyActorRef } from "xstate";

import { Children } from "./children.ts";

/**
 * A systemId together with what may be sent to its actor: the room that owns the actor exports the
 * name once, and every sender is checked against it.
 */
export interface ActorName<TEvent extends { readonly type: string }> {
  readonly systemId: string;
  /** Type only; never present. */
  readonly accepts?: (event: TEvent) => void;
}

/** What a lookup gives: enough to send, nothing to reach into. */
export interface ActorHandle<TEvent extends { readonly type: string }> {
  send(event: TEvent): void;
}

/** Names an actor, for example `actorName<EngineEvent>("store.engine")`. */
export function actorName<TEvent extends { readonly type: string }>(
  systemId: string,
): ActorName<TEvent> {
  return { systemId };
}

/** Any XState system; an actor reaches its own as `self.system`. */
export type LiveSystem = ActorSystem<ActorSystemInfo>;

const refOf = (system: LiveSystem, systemId: string): AnyActorRef | undefined =>
  system.get(systemId);

/** The living actor of this name, or undefined: between crash and restart there is none. */
export function lookup<TEvent extends { readonly type: string }>(
  system: LiveSystem,
  name: ActorName<TEvent>,
): ActorHandle<TEvent> | undefined {
  const ref = refOf(system, name.systemId);
  return ref?.getSnapshot().status === "active" ? ref : undefined;
}

/** Sends when the actor lives; false: nobody is there and nothing was sent. */
export function tell<TEvent extends { readonly type: string }>(
  system: LiveSystem,
  name: ActorName<TEvent>,
  event: TEvent,
): boolean {
  const handle = lookup(system, name);
  handle?.send(event);
  return handle !== undefined;
}

/** One living actor as inspection shows it. */
export interface ActorNode {
  readonly ref: AnyActorRef;
  /** Ids from the root down, joined by "/". */
  readonly path: string;
  /** The root has depth 0. */
  readonly depth: number;
  /** State value of a machine; undefined for other logic. */
  readonly state: unknown;
  /** Restarts in the current period, when it is a supervisor. */
  readonly restarts: number | undefined;
}

const childrenOf = (ref: AnyActorRef): { refs: AnyActorRef[]; book: Children | undefined } => {
  const snapshot: unknown = ref.getSnapshot();
  if (typeof snapshot !== "object" || snapshot === null) return { refs: [], book: undefined };
  const { children, context } = snapshot as { children?: object; context?: unknown };
  const refs: AnyActorRef[] = Object.values(children ?? {});
  const supervised = (context as { children?: unknown } | undefined)?.children;
  const book = supervised instanceof Children ? supervised : undefined;
  if (book !== undefined) refs.push(...book.refs.values());
  return { refs, book };
};

/**
 * Every living actor under `root`, parents before children, siblings in start order. Walks the
 * supervisors' books, because XState does not list supervised children.
 */
export function liveActors(root: AnyActorRef): ActorNode[] {
  const found: ActorNode[] = [];
  const open: { ref: AnyActorRef; path: string; depth: number }[] = [
    { ref: root, path: root.id, depth: 0 },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { ref, path, depth } = next;
    const snapshot = ref.getSnapshot() as { status?: string; value?: unknown };
    if (snapshot.status !== "active") continue;
    const { refs, book } = childrenOf(ref);
    found.push({ ref, path, depth, state: snapshot.value, restarts: book?.restarts });
    for (const child of refs.toReversed()) {
      open.push({ ref: child, path: `${path}/${child.id}`, depth: depth + 1 });
    }
  }
  return found;
}
