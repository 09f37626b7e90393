// What waiting commands lack is read while they wait, once, and what was put aside for the engine
// waits for the others when it has come. It knows nothing of waves, which `group-commit.test.ts` shows.

import { describe, expect, it } from "vitest";
import type { Sent } from "../../simulation/store-world.ts";
import { coldStore } from "./cold-store.ts";

const answered = (sent: readonly Sent[]): boolean[] => sent.map((one) => one.reply !== undefined);

describe("commands that lack records", () => {
  it("have them read while their evaluator waits for the journal", async () => {
    const world = await coldStore(4, "SET a 0", "SET b 0");
    await world.ask("GET b");
    world.journalHeld = true;
    const first = world.send("APPEND b 1", { session: 1 });
    await world.stepMany(10);
    const second = world.send("APPEND a 1", { session: 2 });
    await world.stepMany(10);
    // Whatever it lacks now it will never get.
    world.engineHeld = true;
    world.releaseJournal();
    await world.until(() => answered([first, second]).every(Boolean), "both replies");
    expect(second.reply).toBe(2);
  });

  it("have them read once when nothing makes their evaluator wait", async () => {
    const world = await coldStore(6, "SET a 0");
    const before = world.store.counters.fetches;
    expect(await world.ask("APPEND a 1")).toBe(2);
    expect(world.store.counters.fetches).toBe(before + 1);
  });

  it("go with others when what they waited for has come", async () => {
    const world = await coldStore(5, "SET a 0", "SET b 0");
    await world.ask("GET b");
    const { region } = world.regions[0]!;
    world.engineHeld = true;
    const waits = world.send("APPEND a 1", { session: 1 });
    await world.stepMany(10);
    world.journalHeld = true;
    const first = world.send("APPEND b 1", { session: 2 });
    await world.stepMany(10);
    const { lastIndex } = region!;
    world.engineHeld = false;
    await world.stepMany(40);
    expect(region!.lastIndex).toBe(lastIndex);
    const second = world.send("APPEND b 2", { session: 3 });
    world.releaseJournal();
    await world.until(() => answered([waits, first, second]).every(Boolean), "all replies");
    expect(region!.lastIndex).toBe(lastIndex + 1);
  });
});
