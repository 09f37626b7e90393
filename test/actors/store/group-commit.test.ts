// When a store writes: one flush a turn, evaluators that wait for the group in flight, and waves that
// gather while commands are under way and never for one that comes alone.

import { describe, expect, test } from "vitest";
import { GroupCommit } from "../../../actors/store/group-commit.ts";
import { Turn } from "../../../actors/system/turn.ts";
import { HeapClock } from "../../simulation/clock.ts";

function rig(waveMs: number) {
  const turns: Array<() => void> = [];
  const clock = new HeapClock();
  const ran: string[] = [];
  const turn = new Turn(
    (callback) => void turns.push(callback),
    (error) => {
      throw error;
    },
  );
  const journal = {
    isWriting: false,
    onLanded: undefined as (() => void) | undefined,
    append: () => undefined,
    flush: () => void ran.push("flush"),
  };
  const inFlight = { count: 0 };
  const commit = new GroupCommit({ journal, turn, clock, inFlight, waveMs });
  const endTurns = (): void => {
    while (turns.length > 0) for (const callback of turns.splice(0)) callback();
  };
  return {
    journal,
    inFlight,
    commit,
    ran,
    clock,
    endTurns,
    /** An evaluator that appends when nobody makes it wait. */
    evaluator: (name: string) => ({
      run(): void {
        if (commit.waitsFor(this)) return;
        ran.push(name);
        commit.append({ regionId: 1, replicaId: 1 }, () => undefined);
      },
    }),
    landed: () => {
      journal.isWriting = false;
      journal.onLanded?.();
      endTurns();
    },
  };
}

describe("one group in flight", () => {
  test("what several append in a turn is flushed once", () => {
    const { evaluator, endTurns, ran } = rig(2);
    for (const name of ["a", "b"]) evaluator(name).run();
    endTurns();
    expect(ran).toEqual(["a", "b", "flush"]);
  });

  test("who comes while a group is written is evaluated when it has landed", () => {
    const { evaluator, endTurns, journal, landed, ran } = rig(0);
    journal.isWriting = true;
    evaluator("a").run();
    endTurns();
    expect(ran).toEqual([]);
    landed();
    expect(ran).toEqual(["a", "flush"]);
  });
});

describe("waves", () => {
  test("a command that comes alone does not wait", () => {
    const { evaluator, inFlight, ran } = rig(2);
    inFlight.count = 1;
    evaluator("a").run();
    expect(ran).toEqual(["a"]);
  });

  test("with commands under way all evaluators gather and go together", () => {
    const { clock, evaluator, endTurns, inFlight, ran } = rig(2);
    inFlight.count = 2;
    evaluator("a").run();
    // Also who comes when nothing is under way any more: the wave is near.
    inFlight.count = 0;
    evaluator("b").run();
    clock.advance(1);
    endTurns();
    expect(ran).toEqual([]);
    clock.advance(1);
    endTurns();
    expect(ran).toEqual(["a", "b", "flush"]);
  });

  test("a group that lands lets nobody of a gathering wave go", () => {
    const { clock, evaluator, endTurns, inFlight, journal, landed, ran } = rig(2);
    inFlight.count = 2;
    journal.isWriting = true;
    evaluator("a").run();
    landed();
    expect(ran).toEqual([]);
    clock.advance(2);
    endTurns();
    expect(ran).toEqual(["a", "flush"]);
  });

  test("a wave goes while followers keep the journal busy; the next command gathers again", () => {
    const { clock, evaluator, endTurns, inFlight, journal, ran } = rig(2);
    inFlight.count = 2;
    journal.isWriting = true;
    evaluator("a").run();
    clock.advance(2);
    endTurns();
    expect(ran).toEqual(["a", "flush"]);
    evaluator("b").run();
    endTurns();
    expect(ran).toEqual(["a", "flush"]);
    clock.advance(2);
    endTurns();
    expect(ran).toEqual(["a", "flush", "b", "flush"]);
  });

  test("without waves commands under way make nobody wait", () => {
    const { evaluator, inFlight, ran } = rig(0);
    inFlight.count = 50;
    evaluator("a").run();
    expect(ran).toEqual(["a"]);
  });
});
