// The replica's actor: what the chart shows, what happens to its host at every kind of end, and that
// the hot path and the pure chart cannot be told apart.

import * as fc from "fast-check";
import { createActor } from "xstate";
import { describe, expect, test } from "vitest";
import { replicaLogic, type ReplicaHost } from "../../../actors/raft/machine.ts";
import type { Role } from "../../../actors/raft/protocol.ts";

type HostEvent =
  | { readonly type: "raft.become"; readonly role: Role }
  | { readonly type: "raft.nothing" }
  | { readonly type: "raft.echo"; readonly times: number }
  | { readonly type: "raft.boom" };

const isHostEvent = (event: { readonly type: string }): event is HostEvent =>
  event.type.startsWith("raft.");

/** A host that does as it is told and writes down what it was asked. */
class Host implements ReplicaHost<HostEvent> {
  role: Role = "follower";
  readonly calls: string[];
  readonly opened: Promise<void>;
  readonly #send: (event: HostEvent) => void;

  constructor(calls: string[], opened: Promise<void>, send: (event: HostEvent) => void) {
    this.calls = calls;
    this.opened = opened;
    this.#send = send;
  }

  open(): Promise<void> {
    this.calls.push("open");
    return this.opened;
  }

  handle(event: HostEvent): void {
    this.calls.push(event.type);
    if (event.type === "raft.become") this.role = event.role;
    else if (event.type === "raft.echo" && event.times > 0) {
      this.#send({ type: "raft.echo", times: event.times - 1 });
    } else if (event.type === "raft.boom") throw new Error("boom");
  }

  abandon(reason: string): void {
    this.calls.push(`abandon: ${reason}`);
  }
}

function rig(pure: boolean, opened: Promise<void> = Promise.resolve()) {
  const calls: string[] = [];
  const states: string[] = [];
  const actor = createActor(replicaLogic<HostEvent>(isHostEvent, pure), {
    input: (send) => new Host(calls, opened, send),
  });
  let error: unknown;
  actor.subscribe({ error: (thrown) => (error = thrown) });
  const note = (): void => {
    const { status, value } = actor.getSnapshot();
    const shown = `${status} ${value}`;
    if (states.at(-1) !== shown) states.push(shown);
  };
  actor.start();
  note();
  return {
    calls,
    states,
    error: () => error,
    state: () => actor.getSnapshot().value,
    status: () => actor.getSnapshot().status,
    send: (event: HostEvent | { readonly type: "shutdown" }) => {
      actor.send(event as never);
      note();
    },
    stop: () => actor.stop(),
    settle: async () => {
      await new Promise(setImmediate);
      note();
    },
  };
}

for (const pure of [false, true]) {
  describe(pure ? "pure chart" : "hot path", () => {
    test("it opens, then is a follower", async () => {
      const r = rig(pure);
      expect(r.state()).toBe("opening");
      await r.settle();
      expect(r.state()).toBe("follower");
      expect(r.calls).toEqual(["open"]);
    });

    test("the chart shows the role of its host", async () => {
      const r = rig(pure);
      await r.settle();
      for (const role of ["preCandidate", "candidate", "leader", "follower"] as const) {
        r.send({ type: "raft.become", role });
        expect(r.state()).toBe(role);
        r.send({ type: "raft.nothing" });
        expect(r.state()).toBe(role);
      }
    });

    test("a throw of the host abandons it first and then fails the actor with that error", async () => {
      const r = rig(pure);
      await r.settle();
      r.send({ type: "raft.boom" });
      expect(r.status()).toBe("error");
      expect(r.error()).toMatchObject({ message: "boom" });
      expect(r.calls).toEqual(["open", "raft.boom", "abandon: boom"]);
    });

    test("after a failure nothing reaches the host any more", async () => {
      const r = rig(pure);
      await r.settle();
      r.send({ type: "raft.boom" });
      const before = r.calls.length;
      r.send({ type: "raft.nothing" });
      expect(r.calls).toHaveLength(before);
    });

    test("an open that fails abandons the host and fails the actor", async () => {
      const r = rig(pure, Promise.reject(new Error("no such log")));
      await r.settle();
      expect(r.status()).toBe("error");
      expect(r.error()).toMatchObject({ message: "no such log" });
      expect(r.calls).toEqual(["open", "abandon: no such log"]);
    });

    test("shutdown abandons the host and reaches the final state, also while opening", async () => {
      const opening = rig(pure, new Promise(() => {}));
      opening.send({ type: "shutdown" });
      const leading = rig(pure);
      await leading.settle();
      leading.send({ type: "raft.become", role: "leader" });
      leading.send({ type: "shutdown" });
      for (const r of [opening, leading]) {
        expect(r.status()).toBe("done");
        expect(r.state()).toBe("stopped");
        expect(r.calls.filter((call) => call.startsWith("abandon"))[0]).toBe(
          "abandon: the store is stopping",
        );
      }
    });

    test("a kill from outside abandons the host", async () => {
      const r = rig(pure);
      await r.settle();
      r.stop();
      expect(r.status()).toBe("stopped");
      expect(r.calls.at(-1)).toBe("abandon: the replica was stopped");
    });
  });
}

const roles = fc.constantFrom<Role>("follower", "preCandidate", "candidate", "leader");
const events = fc.oneof(
  { weight: 8, arbitrary: roles.map((role): HostEvent => ({ type: "raft.become", role })) },
  { weight: 8, arbitrary: fc.constant<HostEvent>({ type: "raft.nothing" }) },
  {
    weight: 4,
    arbitrary: fc.nat(3).map((times): HostEvent => ({ type: "raft.echo", times })),
  },
  { weight: 1, arbitrary: fc.constant<HostEvent>({ type: "raft.boom" }) },
  { weight: 1, arbitrary: fc.constant({ type: "shutdown" } as const) },
);

type AnyEvent = HostEvent | { readonly type: "shutdown" };

/** Sends the events, up to the one that ends the replica. */
async function run(pure: boolean, list: readonly AnyEvent[], isOpen: boolean) {
  const r = rig(pure);
  if (isOpen) await r.settle();
  for (const event of list) if (r.status() === "active") r.send(event);
  await r.settle();
  return r;
}

test("hot path and pure chart pass through the same states and ask the host the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(events, { maxLength: 30 }), fc.boolean(), async (list, isOpen) => {
      const [hot, pure] = [await run(false, list, isOpen), await run(true, list, isOpen)];
      expect(hot.states).toEqual(pure.states);
      expect(hot.calls).toEqual(pure.calls);
    }),
    { numRuns: 200 },
  );
});
