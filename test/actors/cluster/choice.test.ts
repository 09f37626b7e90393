// The formation machine by itself, message by message: what it agrees to, what it counts as agreed,
// and what it must leave alone. The network's share is in formation.test.ts.

import { describe, expect, test } from "vitest";
import { FormationMachine, type FormationEffect } from "../../../actors/cluster/formation.ts";
import type { Formation, Proposal } from "../../../actors/cluster/protocol.ts";
import { Roster } from "../../../actors/cluster/roster.ts";
import type { Introduction } from "../../../actors/cluster/wire.ts";
import { dice } from "./world.ts";

const shape = { regionCount: 16, hashTags: true, replicas: 3 };
const disk = (nodeId: string) => ({ nodeId, incarnation: `disk of ${nodeId}` });
const expecting: Formation = { kind: "expect", count: 3 };
const naming = (...nodeIds: string[]): Formation => ({ kind: "named", nodeIds });

const proposal = (clusterId: string, ...nodeIds: string[]): Proposal => ({
  clusterId,
  members: nodeIds.map(disk),
  ...shape,
});

function machine(nodeId: string, formation: Formation, pledge?: Proposal): FormationMachine {
  return new FormationMachine({
    self: disk(nodeId),
    formation,
    shape,
    random: dice(1),
    record: { pledge, formed: undefined },
    roster: new Roster(),
  });
}

/** A node that hears all of a to f. */
function introduction(nodeId: string, more: Partial<Introduction> = {}): Introduction {
  return {
    info: { ...disk(nodeId), epoch: 1, respAddress: "", httpAddress: "" },
    process: 1,
    upForMs: 0,
    formation: expecting,
    hears: ["a", "b", "c", "d", "e", "f"],
    pledge: undefined,
    formed: undefined,
    ...more,
  };
}

/** Ids of the members of what it wants to pledge or form. */
const writes = (effects: readonly FormationEffect[]): (string[] | undefined)[] =>
  effects.flatMap((effect) =>
    effect.type === "write" ? [effect.record.pledge?.members.map(({ nodeId }) => nodeId)] : [],
  );

describe("a proposal of its own", () => {
  test("is made of the lowest heard within the time they have to settle", () => {
    const a = machine("a", expecting);
    expect(writes(a.introduced(introduction("c"), 0))).toEqual([]);
    expect(writes(a.introduced(introduction("d"), 10))).toEqual([]);
    expect(writes(a.introduced(introduction("b"), 300))).toEqual([]);
    expect(writes(a.tick(600))).toEqual([]);
    expect(writes(a.tick(801))).toEqual([["a", "b", "c"]]);
    expect(a.pledge).toBeUndefined();
    a.written(802);
    expect(a.pledge?.members).toEqual(["a", "b", "c"].map(disk));
  });

  test("is not made while two of the set have not heard each other", () => {
    const a = machine("a", naming("a", "b", "c"));
    const formation = naming("a", "b", "c");
    a.introduced(introduction("b", { formation }), 0);
    expect(writes(a.introduced(introduction("c", { formation, hears: ["a"] }), 0))).toEqual([]);
    expect(writes(a.tick(2000))).toEqual([]);
    expect(writes(a.introduced(introduction("c", { formation }), 2000))).toHaveLength(1);
  });

  test("leaves out who is silent, bound, or wants something else", () => {
    const a = machine("a", expecting);
    a.introduced(introduction("b"), 0);
    a.introduced(introduction("c", { pledge: proposal("x", "c", "d", "e") }), 0);
    a.introduced(introduction("d", { formation: { kind: "expect", count: 4 } }), 0);
    expect(writes(a.tick(1000))).toEqual([]);
    a.introduced(introduction("e"), 7000);
    expect(writes(a.tick(8000))).toEqual([]);
    a.introduced(introduction("b"), 8000);
    expect(writes(a.tick(8600))).toEqual([["a", "b", "e"]]);
  });

  test("is not made beside one that may come true, however old, and names none of the set", () => {
    const d = machine("d", expecting);
    const rival = proposal("x", "a", "b", "c");
    d.introduced(introduction("a", { pledge: rival }), 0);
    for (const nowMs of [0, 4000, 8000]) {
      d.introduced(introduction("e"), nowMs);
      d.introduced(introduction("f"), nowMs);
      expect(writes(d.tick(nowMs + 600))).toEqual([]);
    }
    // A member that has agreed to something else never agrees to it.
    d.introduced(introduction("c", { pledge: proposal("y", "c", "e", "g") }), 8700);
    expect(writes(d.tick(8800))).toEqual([]);
    expect(writes(d.tick(9400))).toEqual([["d", "e", "f"]]);
  });

  test("is not made beside one of a former disk of this node's", () => {
    const a = machine("a", expecting);
    const former = { nodeId: "a", incarnation: "former disk" };
    const pledge = { ...proposal("x", "x", "y"), members: [former, disk("x"), disk("y")] };
    a.introduced(introduction("x", { pledge }), 0);
    for (const id of ["b", "c"]) a.introduced(introduction(id), 0);
    expect(writes(a.tick(1000))).toEqual([]);
  });

  test("is not made beside a cluster that exists, answered or not", () => {
    const a = machine("a", expecting);
    for (const id of ["b", "c"]) a.introduced(introduction(id), 0);
    a.introduced(introduction("e", { formed: proposal("x", "d", "e") }), 0);
    expect(writes(a.tick(2000))).toEqual([]);
    expect(a.phase).toBe("unformed");
  });
});

describe("a proposal of others", () => {
  test("is agreed to once, and only when it is what this node may found", () => {
    const c = machine("c", naming("a", "b", "c"));
    const wide = proposal("x", "a", "b", "c", "d");
    expect(writes(c.introduced(introduction("a", { pledge: wide }), 0))).toEqual([]);
    const other = machine("c", naming("a", "b", "c"));
    const fits = proposal("y", "a", "b", "c");
    expect(writes(other.introduced(introduction("a", { pledge: fits }), 0))).toHaveLength(1);
    other.written(1);
    const second = proposal("z", "a", "b", "c");
    expect(writes(other.introduced(introduction("b", { pledge: second }), 2))).toEqual([]);
    expect(other.pledge).toEqual(fits);
  });

  test("is left alone when a member has agreed to another one or lost its disk", () => {
    const offer = proposal("x", "a", "b", "c");
    const c = machine("c", expecting);
    c.introduced(introduction("b", { pledge: proposal("y", "b", "d", "e") }), 0);
    expect(writes(c.introduced(introduction("a", { pledge: offer }), 1))).toEqual([]);
    const other = machine("c", expecting);
    const wiped = { ...introduction("b").info, incarnation: "new disk" };
    other.introduced(introduction("b", { info: wiped }), 0);
    expect(writes(other.introduced(introduction("a", { pledge: offer }), 1))).toEqual([]);
  });

  test("is not agreed to beside another one that may come true", () => {
    const f = machine("f", expecting);
    f.introduced(introduction("a", { pledge: proposal("x", "a", "b", "c") }), 0);
    const offer = proposal("y", "d", "e", "f");
    expect(writes(f.introduced(introduction("d", { pledge: offer }), 1))).toEqual([]);
    f.introduced(introduction("b", { pledge: proposal("z", "b", "c", "g") }), 2);
    expect(writes(f.tick(3))).toEqual([]);
    const late = introduction("c", { pledge: proposal("w", "c", "d", "g") });
    expect(writes(f.introduced(late, 4))).toEqual([["d", "e", "f"]]);
  });

  test("that names this node's former disk is not for it", () => {
    const old = { nodeId: "c", incarnation: "former disk" };
    const offer = { ...proposal("x", "a", "b"), members: [disk("a"), disk("b"), old] };
    const c = machine("c", expecting);
    expect(writes(c.introduced(introduction("a", { pledge: offer }), 0))).toEqual([]);
  });
});

describe("unanimity", () => {
  const mine = proposal("x", "a", "b", "c");

  test("is all pledges of the one proposal, whatever comes late", () => {
    const a = machine("a", expecting, mine);
    a.introduced(introduction("b", { pledge: mine }), 0);
    // From before its pledge.
    a.introduced(introduction("b"), 1);
    expect(a.phase).toBe("pledged");
    expect(writes(a.introduced(introduction("c", { pledge: mine }), 2))).toHaveLength(1);
    expect(a.phase).toBe("forming");
    expect(a.formed).toBeUndefined();
    a.written(3);
    expect(a.formed).toEqual(mine);
  });

  test("is not reached by pledges of another proposal, of another shape, or from another disk", () => {
    const a = machine("a", expecting, mine);
    a.introduced(introduction("b", { pledge: mine }), 0);
    const wiped = { ...introduction("c").info, incarnation: "new disk" };
    for (const different of [
      introduction("c", { pledge: proposal("y", "a", "b", "c") }),
      introduction("c", { pledge: { ...mine, regionCount: 8 } }),
      introduction("c", { pledge: { ...mine, members: ["a", "b", "d"].map(disk) } }),
      introduction("c", { pledge: mine, info: wiped }),
      introduction("d", { pledge: mine }),
    ]) {
      expect(writes(a.introduced(different, 1))).toEqual([]);
    }
    expect(a.phase).toBe("pledged");
  });
});
