// The supervisor's promises, one claim a test: strategies, restart modes, intensity and escalation,
// orderly shutdown, backoff, dynamic children, and that no child ever outlives it.

import { createActor, createMachine, fromCallback } from "xstate";
import type { AnyActorRef } from "xstate";
import { describe, expect, test } from "vitest";

import type { ChildSpec, ExitNote, SupervisorInput } from "../../../actors/system/children.ts";
import { MaxRestartsExceeded } from "../../../actors/system/children.ts";
import { supervisor } from "../../../actors/system/supervisor.ts";
import { HeapClock } from "../../simulation/clock.ts";

/** A child that logs its life: "+a" at start, "-a" at its own end. */
const childMachine = (log: string[], name: string, lingers = false) =>
  createMachine({
    id: name,
    entry: () => log.push(`+${name}`),
    initial: "up",
    states: {
      up: {
        on: {
          BOOM: {
            actions: () => {
              throw new Error(`boom ${name}`);
            },
          },
          END: "end",
          ...(lingers ? {} : { shutdown: "end" }),
        },
      },
      end: { type: "final", entry: () => log.push(`-${name}`) },
    },
  });

interface Rig {
  readonly names?: readonly string[];
  readonly input?: Partial<SupervisorInput>;
  readonly overrides?: Record<string, Partial<ChildSpec>>;
  readonly lingering?: readonly string[];
}

const rig = ({ names = ["a", "b", "c"], input, overrides = {}, lingering = [] }: Rig = {}) => {
  const clock = new HeapClock();
  const log: string[] = [];
  const children = names.map((name) => ({
    id: name,
    systemId: `s.${name}`,
    logic: childMachine(log, name, lingering.includes(name)),
    ...overrides[name],
  }));
  const now = () => clock.monotonicMs();
  const root = createActor(supervisor, { id: "top", clock, input: { children, now, ...input } });
  let error: unknown;
  root.subscribe({ error: (thrown) => (error = thrown) });
  root.start();
  return {
    root,
    clock,
    log,
    error: () => error,
    state: () => root.getSnapshot().value,
    find: (name: string) => root.system.get(`s.${name}`) as AnyActorRef | undefined,
    send: (name: string, type: string) =>
      (root.system.get(`s.${name}`) as AnyActorRef).send({ type }),
    take: () => log.splice(0),
  };
};

describe("strategies", () => {
  test("starts in order; one_for_one restarts only the failed child, under the same id", () => {
    const r = rig();
    expect(r.take()).toEqual(["+a", "+b", "+c"]);
    const [a, b] = [r.find("a")!, r.find("b")!];
    r.send("b", "BOOM");
    expect(r.take()).toEqual(["+b"]);
    expect(r.find("a")).toBe(a);
    expect(r.find("b")).not.toBe(b);
    expect(r.find("b")!.id).toBe("b");
    expect(b.getSnapshot().status).toBe("error");
  });

  test("rest_for_one stops later siblings in reverse order, then starts in order", () => {
    const r = rig({ input: { strategy: "rest_for_one" } });
    r.take();
    r.send("b", "BOOM");
    expect(r.take()).toEqual(["-c", "+b", "+c"]);
  });

  test("one_for_all stops all in reverse order, then starts all in order", () => {
    const r = rig({ input: { strategy: "one_for_all" } });
    r.take();
    r.send("b", "BOOM");
    expect(r.take()).toEqual(["-c", "-a", "+a", "+b", "+c"]);
  });
});

describe("restart modes", () => {
  const overrides = { t: { restart: "transient" }, x: { restart: "temporary" } } as const;

  test("after a normal end only a permanent child comes back", () => {
    const r = rig({ names: ["p", "t", "x"], overrides });
    r.take();
    for (const name of ["p", "t", "x"]) r.send(name, "END");
    expect(r.take()).toEqual(["-p", "+p", "-t", "-x"]);
  });

  test("after a failure a transient child comes back, a temporary one does not", () => {
    const r = rig({ names: ["t", "x"], overrides });
    r.take();
    r.send("t", "BOOM");
    r.send("x", "BOOM");
    expect(r.take()).toEqual(["+t"]);
    expect(r.state()).toBe("running");
  });
});

describe("intensity and escalation", () => {
  test("beyond max restarts in the period it fails itself and takes its children down", () => {
    const r = rig({ input: { intensity: { max: 2, periodMs: 1000 } } });
    r.send("a", "BOOM");
    r.send("a", "BOOM");
    r.clock.advance(1001);
    r.send("a", "BOOM");
    r.send("a", "BOOM");
    expect(r.error()).toBeUndefined();
    r.take();
    const b = r.find("b")!;
    r.send("a", "BOOM");
    expect(r.take()).toEqual(["-c", "-b"]);
    const error = r.error() as MaxRestartsExceeded;
    expect(error).toBeInstanceOf(MaxRestartsExceeded);
    expect(error.message).toBe(
      "supervisor top gives up: more than 2 restarts in 1000 ms, last child a, last error: boom a",
    );
    expect((error.cause as Error).message).toBe("boom a");
    expect(r.root.getSnapshot().status).toBe("error");
    expect(b.getSnapshot().status).toBe("done");
  });

  test("the inner supervisor gives up, the outer restarts it afresh, then gives up in turn", () => {
    const clock = new HeapClock();
    const log: string[] = [];
    const now = () => clock.monotonicMs();
    const intensity = { max: 1, periodMs: 1000 };
    const leaf = { id: "k", systemId: "s.k", logic: childMachine(log, "k") };
    const inner = { id: "inner", logic: supervisor, input: { now, intensity, children: [leaf] } };
    const root = createActor(supervisor, { clock, input: { now, intensity, children: [inner] } });
    let error: unknown;
    root.subscribe({ error: (thrown) => (error = thrown) });
    root.start();
    const boom = () => (root.system.get("s.k") as AnyActorRef).send({ type: "BOOM" });
    boom();
    boom();
    expect(error).toBeUndefined();
    expect(log).toEqual(["+k", "+k", "+k"]);
    boom();
    boom();
    expect(error).toBeInstanceOf(MaxRestartsExceeded);
    expect((error as MaxRestartsExceeded).child).toBe("inner");
    expect((error as MaxRestartsExceeded).cause).toBeInstanceOf(MaxRestartsExceeded);
    expect((error as Error).message).toContain("last error: supervisor inner gives up");
    expect(root.system.get("s.k")).toBeUndefined();
  });

  test("a child that fails while starting counts; endless failure escalates", () => {
    const bad = createMachine({
      entry: () => {
        throw new Error("no start");
      },
    });
    const r = rig({ names: [], input: { children: [{ id: "bad", logic: bad }] } });
    expect(r.error()).toBeInstanceOf(MaxRestartsExceeded);
  });

  test("a systemId that is taken is a failed start, not the end of the siblings' supervisor", () => {
    const r = rig({ overrides: { c: { systemId: "s.a", restart: "temporary" } } });
    expect(r.take()).toEqual(["+a", "+b"]);
    expect(r.state()).toBe("running");
    expect(r.root.getSnapshot().context.children.specs.has("c")).toBe(false);
  });

  test("hooks hear every unasked end and every restart, with the count", () => {
    const heard: string[] = [];
    const write = (what: string) => (note: ExitNote) => {
      const error = note.error instanceof Error ? note.error.message : "none";
      heard.push(`${what} ${note.supervisor}/${note.child} ${error} ${note.restarts}`);
    };
    const input = { onExit: write("exit"), onRestart: write("restart") };
    const r = rig({ names: ["a", "x"], input, overrides: { x: { restart: "temporary" } } });
    r.send("a", "BOOM");
    r.send("x", "END");
    r.root.send({ type: "shutdown" });
    expect(heard).toEqual(["exit top/a boom a 1", "restart top/a boom a 1", "exit top/x none 1"]);
  });
});

describe("shutdown", () => {
  test("reverse order, one at a time; a deaf child is killed at its deadline, brutal at once", () => {
    const r = rig({
      names: ["a", "b", "c", "d"],
      overrides: { b: { shutdownMs: 200 }, c: { shutdownMs: "brutal" } },
      lingering: ["b"],
    });
    r.take();
    const [b, c] = [r.find("b")!, r.find("c")!];
    r.root.send({ type: "shutdown" });
    expect(r.take()).toEqual(["-d"]);
    expect(c.getSnapshot().status).toBe("stopped");
    expect(b.getSnapshot().status).toBe("active");
    expect(r.state()).toEqual({ stopping: "waiting" });
    r.clock.advance(199);
    expect(b.getSnapshot().status).toBe("active");
    r.clock.advance(1);
    expect(b.getSnapshot().status).toBe("stopped");
    expect(r.take()).toEqual(["-a"]);
    expect(r.root.getSnapshot().status).toBe("done");
    expect(r.clock.pending).toBe(0);
  });

  test("a second shutdown does not lengthen the grace of the child being waited for", () => {
    const r = rig({ overrides: { c: { shutdownMs: 200 } }, lingering: ["c"] });
    r.take();
    r.root.send({ type: "shutdown" });
    r.clock.advance(150);
    r.root.send({ type: "shutdown" });
    r.clock.advance(49);
    expect(r.take()).toEqual([]);
    r.clock.advance(1);
    expect(r.take()).toEqual(["-b", "-a"]);
    expect(r.clock.pending).toBe(0);
  });

  test("shutdown during backoff starts nothing more", () => {
    const r = rig({ input: { backoffMs: () => 100 } });
    r.take();
    r.send("a", "BOOM");
    r.root.send({ type: "shutdown" });
    r.clock.advance(1000);
    expect(r.take()).toEqual(["-c", "-b"]);
    expect(r.root.getSnapshot().status).toBe("done");
  });
});

const now = (): number => 0;

const onRestart = (): void => {
  throw new Error("bad hook");
};

describe("no orphans", () => {
  const open = { count: 0 };
  const leaf = fromCallback(() => {
    open.count++;
    return () => {
      open.count--;
    };
  });
  const leaves = [
    { id: "l", logic: leaf },
    { id: "m", logic: leaf },
  ];

  test("stopping a supervisor stops nested children", () => {
    const nested = { id: "s", logic: supervisor, input: { now, children: leaves } };
    const root = createActor(supervisor, { input: { now, children: [nested] } }).start();
    expect(open.count).toBe(2);
    root.stop();
    expect(open.count).toBe(0);
  });

  test("a supervisor that throws stops its living children", () => {
    const bomb = childMachine([], "bomb");
    const children = [...leaves, { id: "bomb", systemId: "bomb", logic: bomb }];
    const root = createActor(supervisor, { input: { now, children, onRestart } });
    let error: unknown;
    root.subscribe({ error: (thrown) => (error = thrown) });
    root.start();
    expect(open.count).toBe(2);
    (root.system.get("bomb") as AnyActorRef).send({ type: "BOOM" });
    expect((error as Error).message).toBe("bad hook");
    expect(open.count).toBe(0);
  });
});

describe("simultaneous events", () => {
  test("two children dying in one step restart once each", () => {
    const r = rig({
      names: ["a", "b"],
      input: { strategy: "one_for_all", intensity: { max: 2, periodMs: 1000 } },
    });
    r.take();
    const [a, b] = [r.find("a")!, r.find("b")!];
    const logic = fromCallback(() => {
      a.send({ type: "BOOM" });
      b.send({ type: "BOOM" });
    });
    const spec: ChildSpec = { id: "z", restart: "temporary", shutdownMs: "brutal", logic };
    r.root.send({ type: "child.start", spec });
    expect(r.take()).toEqual(["+a", "+b"]);
    expect(r.error()).toBeUndefined();
  });

  test("a sibling that dies while another is being shut down is still restarted", () => {
    const r = rig({ names: ["a", "b"], overrides: { a: { shutdownMs: 500 } }, lingering: ["a"] });
    r.take();
    r.root.send({ type: "child.terminate", id: "a" });
    r.send("b", "BOOM");
    const late = { id: "late", systemId: "s.late", logic: fromCallback(() => {}) };
    r.root.send({ type: "child.start", spec: late });
    r.clock.advance(500);
    expect(r.take()).toEqual(["+b"]);
    expect(r.find("late")).toBeDefined();
    expect(r.state()).toBe("running");
  });

  test("a sibling that dies during backoff is restarted too", () => {
    const r = rig({ names: ["a", "b"], input: { backoffMs: () => 100 } });
    r.take();
    r.send("a", "BOOM");
    r.send("b", "BOOM");
    r.clock.advance(100);
    r.clock.advance(100);
    expect(r.take()).toEqual(["+a", "+b"]);
  });
});

describe("dynamic children", () => {
  test("backoff pauses before the restart; a terminated child does not come back", () => {
    const r = rig({ names: ["a"], input: { backoffMs: (restarts) => restarts * 100 } });
    r.take();
    r.send("a", "BOOM");
    expect(r.state()).toBe("backingOff");
    r.clock.advance(99);
    expect(r.take()).toEqual([]);
    r.clock.advance(1);
    expect(r.take()).toEqual(["+a"]);
    r.root.send({ type: "child.terminate", id: "a" });
    expect(r.take()).toEqual(["-a"]);
    expect(r.state()).toBe("running");
  });

  test("terminated and temporary children leave nothing behind; an unknown id is ignored", () => {
    const r = rig({ names: ["a", "x"], overrides: { x: { restart: "temporary" } } });
    r.root.send({ type: "child.terminate", id: "a" });
    r.root.send({ type: "child.terminate", id: "nobody" });
    r.send("x", "END");
    const { specs, refs } = r.root.getSnapshot().context.children;
    expect(specs.size).toBe(0);
    expect(refs.size).toBe(0);
    expect(r.state()).toBe("running");
  });

  test("10,000 children: the last starts and restarts cost what the first did", () => {
    const input = { now: () => 0, intensity: { max: 1e9, periodMs: 1 } };
    const root = createActor(supervisor, { input }).start();
    const logic = childMachine([], "r");
    const measure = (from: number, to: number, restarting = true): number => {
      const started = performance.now();
      for (let i = from; i < to; i++) {
        root.send({ type: "child.start", spec: { id: `r${i}`, systemId: `r${i}`, logic } });
        if (restarting) (root.system.get(`r${i}`) as AnyActorRef).send({ type: "BOOM" });
      }
      return performance.now() - started;
    };
    measure(0, 500);
    const firstMs = measure(500, 1000);
    measure(1000, 9500, false);
    const lastMs = measure(9500, 10_000);
    expect(root.getSnapshot().context.children.refs.size).toBe(10_000);
    // Copying the children at each step would make the last ones some 10 times dearer.
    expect(lastMs).toBeLessThan(firstMs * 5 + 50);
    root.stop();
    expect(root.getSnapshot().context.children.refs.size).toBe(0);
  });
});
