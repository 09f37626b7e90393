// The small parts of the actor kit: registry, mailbox, ask, clocks and the hot path.

import { createActor, createMachine, fromCallback, setup } from "xstate";
import { describe, expect, test } from "vitest";

import { ask } from "../../../actors/system/ask.ts";
import { systemClock } from "../../../actors/system/clock.ts";
import { hot } from "../../../actors/system/hot.ts";
import { Mailbox } from "../../../actors/system/mailbox.ts";
import { actorName, liveActors, lookup, tell } from "../../../actors/system/registry.ts";
import { supervisor } from "../../../actors/system/supervisor.ts";
import { Turn } from "../../../actors/system/turn.ts";
import { HeapClock } from "../../simulation/clock.ts";

const now = (): number => 0;

describe("registry", () => {
  const got: string[] = [];
  const logic = fromCallback<{ type: "hello" }>(({ receive }) => {
    receive((event) => got.push(event.type));
  });
  const name = actorName<{ type: "hello" }>("leaf");
  const leaf = { id: "leaf", systemId: "leaf", logic, shutdownMs: "brutal" as const };
  const inner = { id: "inner", logic: supervisor, input: { now, children: [leaf] } };
  const build = () =>
    createActor(supervisor, { id: "top", input: { now, children: [inner] } }).start();

  test("finds living actors by name and sends to them", () => {
    const root = build();
    got.length = 0;
    expect(tell(root.system, name, { type: "hello" })).toBe(true);
    expect(got).toEqual(["hello"]);
    root.stop();
  });

  test("an absent actor is undefined and a send to it false, never a throw", () => {
    const root = build();
    root.send({ type: "child.terminate", id: "inner" });
    expect(lookup(root.system, name)).toBeUndefined();
    expect(tell(root.system, name, { type: "hello" })).toBe(false);
    expect(lookup(root.system, actorName("nobody"))).toBeUndefined();
  });

  test("lists the living tree through supervisors", () => {
    const root = build();
    const lines = liveActors(root).map(({ path, depth }) => `${depth} ${path}`);
    expect(lines).toEqual(["0 top", "1 top/inner", "2 top/inner/leaf"]);
    root.stop();
    expect(liveActors(root)).toEqual([]);
  });
});

describe("mailbox", () => {
  test("refuses beyond its count and beyond its bytes, and is empty after takeAll", () => {
    const box = new Mailbox<string>({ maxItems: 2, maxBytes: 10 });
    expect([box.offer("a", 6), box.offer("b", 5), box.offer("c", 4), box.offer("d", 0)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(box.bytes).toBe(10);
    expect(box.takeAll()).toEqual(["a", "c"]);
    expect([box.count, box.bytes]).toEqual([0, 0]);
  });

  test("an item above the byte cap goes in alone", () => {
    const box = new Mailbox<string>({ maxItems: 9, maxBytes: 10 });
    expect(box.offer("huge", 99)).toBe(true);
    expect(box.offer("x", 0)).toBe(false);
  });
});

describe("ask", () => {
  test("gives the answer and leaves no timer", async () => {
    const clock = new HeapClock();
    const outcome = await ask<number>(clock, 50, (answer) => {
      answer(7);
      answer(8);
      return true;
    });
    expect(outcome).toEqual({ kind: "answered", value: 7 });
    expect(clock.pending).toBe(0);
  });

  test("without an answer in time the outcome is unknown; a later answer changes nothing", async () => {
    const clock = new HeapClock();
    let late: ((value: number) => void) | undefined;
    const asked = ask<number>(clock, 50, (answer) => {
      late = answer;
      return true;
    });
    clock.advance(50);
    late?.(7);
    expect(await asked).toEqual({ kind: "unknown", reason: "no answer within 50 ms" });
  });

  test("an absent actor is told apart from a silent one; a throw is passed on", async () => {
    const clock = new HeapClock();
    expect(await ask(clock, 50, () => false)).toEqual({ kind: "absent" });
    const thrown = ask(clock, 50, () => {
      throw new Error("no way");
    });
    await expect(thrown).rejects.toThrow("no way");
    expect(clock.pending).toBe(0);
  });
});

describe("clocks", () => {
  test("the heap clock fires by time, then by order of arming, and nested timers in the same run", () => {
    const clock = new HeapClock();
    const fired: string[] = [];
    const note = (text: string) => () => fired.push(`${text}@${clock.monotonicMs()}`);
    clock.setTimeout(note("c"), 20);
    clock.setTimeout(note("a"), 10);
    clock.setTimeout(note("b"), 10);
    const cleared = clock.setTimeout(note("x"), 5);
    clock.setTimeout(() => clock.setTimeout(note("nested"), 3), 12);
    clock.clearTimeout(cleared);
    clock.runUntil(20);
    expect(fired).toEqual(["a@10", "b@10", "nested@15", "c@20"]);
    expect(clock.pending).toBe(0);
  });

  test("the system clock moves and never goes back", () => {
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
    expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1000);
  });
});

describe("turn", () => {
  test("phases run in order, and a task that throws does not stop the others", () => {
    const scheduled: (() => void)[] = [];
    const errors: unknown[] = [];
    const turn = new Turn(
      (callback) => scheduled.push(callback),
      (error) => errors.push(error),
    );
    const ran: string[] = [];
    const task = (text: string) => ({ run: () => void ran.push(text) });
    turn.defer("reply", task("reply"));
    turn.defer("evaluate", {
      run: () => {
        turn.defer("journal", task("journal"));
        throw new Error("bad task");
      },
    });
    turn.defer("evaluate", task("evaluate"));
    while (scheduled.length > 0) scheduled.shift()!();
    expect(ran).toEqual(["evaluate", "journal", "reply"]);
    expect(errors).toHaveLength(1);
  });
});

describe("hot path", () => {
  type HotEvent = { type: "core.add"; n: number };
  type ColdEvent = { type: "role.odd" } | { type: "role.even" } | { type: "ping" };
  const build = (pure: boolean) => {
    const trace: string[] = [];
    const types = {} as { context: { sum: number }; events: HotEvent | ColdEvent };
    const machine = setup({ types }).createMachine({
      context: () => ({ sum: 0 }),
      initial: "even",
      on: { ping: { actions: ({ context }) => trace.push(`ping ${context.sum}`) } },
      states: {
        even: { entry: () => trace.push("even"), on: { "role.odd": "odd" } },
        odd: { entry: () => trace.push("odd"), on: { "role.even": "even" } },
      },
    });
    const logic = hot<typeof machine, HotEvent>(
      machine,
      {
        isHot: (event): event is HotEvent => event.type === "core.add",
        step: (context, event) => {
          const before = context.sum % 2;
          context.sum += event.n;
          trace.push(`sum ${context.sum}`);
          if (context.sum % 2 === before) return undefined;
          return { type: before === 0 ? "role.odd" : "role.even" };
        },
      },
      pure,
    );
    const microsteps = { count: 0 };
    const actor = createActor(logic, {
      inspect: (event) => {
        if (event.type === "@xstate.snapshot") trace.push("snapshot");
        if (event.type === "@xstate.microstep") microsteps.count++;
      },
      id: "hot",
    });
    return { actor, trace, microsteps };
  };
  const events = [2, 1, 4, 3, 0, 5].map((n) => ({ type: "core.add" as const, n }));

  test("with and without the bypass the trace is the same", () => {
    const runs = [true, false].map((pure) => {
      const { actor, trace, microsteps } = build(pure);
      actor.start();
      const states: unknown[] = [];
      for (const event of events) {
        actor.send(event);
        states.push(actor.getSnapshot().value);
      }
      actor.send({ type: "ping" });
      return { trace, states, microsteps: microsteps.count };
    });
    const [pure, bypass] = [runs[0]!, runs[1]!];
    expect(bypass.trace).toEqual(pure.trace);
    expect(bypass.states).toEqual(pure.states);
    expect(pure.states).toEqual(["even", "odd", "odd", "even", "even", "odd"]);
    expect(bypass.microsteps).toBeLessThan(pure.microsteps);
  });

  test("an error of a hot step fails the actor, as an action's would", () => {
    const machine = createMachine({});
    const bad = hot<typeof machine, HotEvent>(
      machine,
      {
        isHot: (event): event is HotEvent => event.type === "core.add",
        step: () => {
          throw new Error("bad step");
        },
      },
      false,
    );
    const actor = createActor(bad);
    let error: unknown;
    actor.subscribe({ error: (thrown) => (error = thrown) });
    actor.start();
    actor.send({ type: "core.add" });
    expect((error as Error).message).toBe("bad step");
  });
});
