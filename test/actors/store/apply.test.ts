// What applying does beyond puts and deletes: changes of membership reach the meta record, once.
// Effects of commands are covered by the recovery tests.

import { expect, test } from "vitest";
import { encodeMembership } from "../../../actors/raft/membership.ts";
import { applyEntries, type AppliedState } from "../../../actors/store/apply.ts";
import { DataIds } from "../../../actors/store/data-ids.ts";
import { KeyFilter } from "../../../actors/store/key-filter.ts";
import { emptyCounters } from "../../../actors/store/recover.ts";
import { decodeRegionMeta } from "../../../storage/local-records.ts";

const extent = { fromPosition: 0, toPosition: 9, dataId: 1, controlDataId: 2 };
const peers = [1, 2, 3].map((replicaId) => ({ replicaId, nodeId: `n${replicaId}` }));

const applied = (): AppliedState => ({
  meta: {
    regionId: 4,
    replicaId: 1,
    extents: [extent],
    epoch: { version: 1, confVersion: 1 },
    membership: { voters: [1, 2, 3], learners: [] },
    membershipIndex: 0,
    peers,
  },
  counters: emptyCounters(),
  nextExpiryMs: Infinity,
  uncleared: new Set(),
  keys: new KeyFilter(),
});

const change = (index: number, voters: number[], learners: number[]) => ({
  index,
  term: 1,
  kind: 2 as const,
  payload: encodeMembership({ membership: { voters, learners }, peers }),
});

test("a change of membership goes into the meta record, synced, and is applied once", () => {
  const state = applied();
  const run = applyEntries([change(7, [1, 2], [3])], state, new DataIds(9));
  expect(run.sync).toBe(true);
  const [put] = run.operations;
  const stored = decodeRegionMeta(put?.type === "put" ? put.value : Buffer.alloc(0));
  expect(stored).toEqual(state.meta);
  expect(stored.membership).toEqual({ voters: [1, 2], learners: [3] });
  expect([stored.membershipIndex, stored.epoch.confVersion]).toEqual([7, 2]);
  const again = applyEntries([change(7, [1, 2], [3])], state, new DataIds(9));
  expect(again.operations).toEqual([]);
  expect(state.meta.epoch.confVersion).toBe(2);
});
