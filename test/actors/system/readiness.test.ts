// Synchronous init: a child with `awaitReady` holds back those after it until it says it is ready;
// what dies, times out or is asked for meanwhile is handled then and not lost.

import { createActor, createMachine, sendParent } from "xstate";
import type { AnyActorRef } from "xstate";
import { expect, test } from "vitest";

import type { ChildSpec, SupervisorInput } from "../../../actors/system/children.ts";
import { MaxRestartsExceeded } from "../../../actors/system/children.ts";
import { supervisor } from "../../../actors/system/supervisor.ts";
import { HeapClock } from "../../simulation/clock.ts";

/** Logs "+a" at start, "a!" when ready (told so by READY), "-a" at its own end. */
const gated = (log: string[], name: string) =>
  createMachine({
    id: name,
    entry: () => log.push(`+${name}`),
    initial: "opening",
    on: {
      BOOM: {
        actions: () => {
          throw new Error(`boom ${name}`);
        },
      },
      END: ".end",
      shutdown: ".end",
    },
    states: {
      opening: { on: { READY: "up" } },
      up: {
        entry: [() => log.push(`${name}!`), sendParent({ type: "child.ready", id: name })],
      },
      end: { type: "final", entry: () => log.push(`-${name}`) },
    },
  });

const rig = (
  input: Partial<SupervisorInput> = {},
  overrides: Record<string, Partial<ChildSpec>> = {},
) => {
  const clock = new HeapClock();
  const log: string[] = [];
  const children = ["a", "b", "c"].map((id) => ({
    id,
    systemId: id,
    logic: gated(log, id),
    awaitReady: true,
    ...overrides[id],
  }));
  const now = () => clock.monotonicMs();
  const root = createActor(supervisor, { id: "top", clock, input: { children, now, ...input } });
  let error: unknown;
  root.subscribe({ error: (thrown) => (error = thrown) });
  root.start();
  return {
    root,
    clock,
    error: () => error,
    state: () => root.getSnapshot().value,
    send: (id: string, type: string) => (root.system.get(id) as AnyActorRef).send({ type }),
    take: () => log.splice(0),
  };
};

const waiting = { starting: "awaitingReady" };

test("each child starts only when the one before it is ready", () => {
  const r = rig();
  expect(r.take()).toEqual(["+a"]);
  expect(r.state()).toEqual(waiting);
  r.send("a", "READY");
  expect(r.take()).toEqual(["a!", "+b"]);
  r.send("b", "READY");
  r.send("c", "READY");
  expect(r.take()).toEqual(["b!", "+c", "c!"]);
  expect(r.state()).toBe("running");
});

test("without awaitReady nobody waits", () => {
  const r = rig({}, { b: { awaitReady: false } });
  r.take();
  r.send("a", "READY");
  expect(r.take()).toEqual(["a!", "+b", "+c"]);
});

test("a child that fails before it is ready is restarted, and the next still waits", () => {
  const r = rig();
  r.send("a", "BOOM");
  expect(r.take()).toEqual(["+a", "+a"]);
  expect(r.state()).toEqual(waiting);
  r.send("a", "READY");
  expect(r.take()).toEqual(["a!", "+b"]);
});

test("a child that keeps failing before it is ready escalates; those before it go down", () => {
  const r = rig({ intensity: { max: 1, periodMs: 1000 } });
  r.send("a", "READY");
  r.send("b", "BOOM");
  r.take();
  r.send("b", "BOOM");
  expect(r.take()).toEqual(["-a"]);
  expect(r.error()).toBeInstanceOf(MaxRestartsExceeded);
  expect((r.error() as Error).message).toContain("last child b, last error: boom b");
});

test("not ready in time counts as a failed start: it is stopped and started again", () => {
  const r = rig({ intensity: { max: 1, periodMs: 1000 } }, { a: { readyTimeoutMs: 300 } });
  const first = r.root.system.get("a") as AnyActorRef;
  r.clock.advance(299);
  expect(first.getSnapshot().status).toBe("active");
  r.clock.advance(1);
  expect(first.getSnapshot().status).toBe("stopped");
  expect(r.take()).toEqual(["+a", "+a"]);
  r.clock.advance(300);
  expect((r.error() as Error).message).toContain("last error: a was not ready after 300 ms");
  expect(r.clock.pending).toBe(0);
});

test("a sibling's restart meanwhile does not lengthen the time to get ready", () => {
  const input = { intensity: { max: 1, periodMs: 100 } };
  const r = rig(input, { b: { readyTimeoutMs: 300, restart: "temporary" } });
  r.send("a", "READY");
  r.clock.advance(200);
  r.send("a", "BOOM");
  r.send("a", "READY");
  expect(r.take()).toEqual(["+a", "a!", "+b", "+a", "a!"]);
  r.clock.advance(100);
  expect(r.take()).toEqual(["+c"]);
});

test("rest_for_one: the restart is gated again, in order, after stopping in reverse order", () => {
  const r = rig({ strategy: "rest_for_one" });
  for (const id of ["a", "b", "c"]) r.send(id, "READY");
  r.take();
  r.send("b", "BOOM");
  expect(r.take()).toEqual(["-c", "+b"]);
  expect(r.state()).toEqual(waiting);
  r.send("b", "READY");
  expect(r.take()).toEqual(["b!", "+c"]);
  r.send("c", "READY");
  expect(r.state()).toBe("running");
});

test("rest_for_one: when an earlier child dies while a later one opens, both start over", () => {
  const r = rig({ strategy: "rest_for_one" });
  r.send("a", "READY");
  r.take();
  r.send("a", "BOOM");
  expect(r.take()).toEqual(["-b", "+a"]);
  r.send("a", "READY");
  r.send("b", "READY");
  r.send("c", "READY");
  expect(r.take()).toEqual(["a!", "+b", "b!", "+c", "c!"]);
  expect(r.state()).toBe("running");
});

test("a death during a shutdown is noticed while a later start is still being awaited", () => {
  const r = rig({ strategy: "rest_for_one" }, { c: { logic: createMachine({}), shutdownMs: 100 } });
  for (const id of ["a", "b"]) r.send(id, "READY");
  r.root.send({ type: "child.ready", id: "c" });
  expect(r.state()).toBe("running");
  r.take();
  r.send("b", "BOOM");
  r.send("a", "BOOM");
  expect(r.state()).toEqual({ stopping: "waiting" });
  r.clock.advance(100);
  expect(r.take()).toEqual(["+b", "-b", "+a"]);
  for (const id of ["a", "b"]) r.send(id, "READY");
  expect(r.take()).toEqual(["a!", "+b", "b!"]);
});

test("one_for_one: an earlier child is restarted and awaited while a later one goes on opening", () => {
  const r = rig();
  r.send("a", "READY");
  r.take();
  r.send("a", "BOOM");
  expect(r.take()).toEqual(["+a"]);
  r.send("b", "READY");
  expect(r.take()).toEqual(["b!"]);
  r.send("a", "READY");
  expect(r.take()).toEqual(["a!", "+c"]);
});

test("a temporary or finished child that never got ready does not hold up the rest", () => {
  const r = rig({}, { a: { restart: "temporary" }, b: { restart: "transient" } });
  r.send("a", "BOOM");
  expect(r.take()).toEqual(["+a", "+b"]);
  r.send("b", "END");
  expect(r.take()).toEqual(["-b", "+c"]);
});

test("shutdown while waiting for ready stops what was started and starts nothing more", () => {
  const r = rig({}, { b: { readyTimeoutMs: 300 } });
  r.send("a", "READY");
  r.take();
  r.root.send({ type: "shutdown" });
  expect(r.take()).toEqual(["-b", "-a"]);
  expect(r.root.getSnapshot().status).toBe("done");
  expect(r.clock.pending).toBe(0);
});

test("requests during the start are served once it is over", () => {
  const r = rig({}, { b: { awaitReady: false }, c: { awaitReady: false } });
  r.root.send({ type: "child.terminate", id: "c" });
  expect(r.take()).toEqual(["+a"]);
  r.send("a", "READY");
  expect(r.take()).toEqual(["a!", "+b", "+c", "-c"]);
});

test("backoff applies to a failed start as well", () => {
  const r = rig({ backoffMs: () => 50 });
  r.send("a", "BOOM");
  expect(r.state()).toBe("backingOff");
  r.clock.advance(50);
  expect(r.take()).toEqual(["+a", "+a"]);
  expect(r.state()).toEqual(waiting);
});

test("a supervisor is ready for its parent when all its children are", () => {
  const log: string[] = [];
  const clock = new HeapClock();
  const now = () => clock.monotonicMs();
  const leaf = { id: "k", systemId: "k", logic: gated(log, "k"), awaitReady: true };
  const inner: ChildSpec = {
    id: "inner",
    logic: supervisor,
    input: { now, children: [leaf] },
    awaitReady: true,
  };
  const children = [inner, { id: "after", logic: gated(log, "after") }];
  const root = createActor(supervisor, { clock, input: { now, children } }).start();
  expect(log).toEqual(["+k"]);
  (root.system.get("k") as AnyActorRef).send({ type: "READY" });
  expect(log).toEqual(["+k", "k!", "+after"]);
});
