// Walks of a region by themselves: the engine's iterators, the region's log and its leadership are
// played by the test.

import { expect, it } from "vitest";

import type { EvaluatorHost } from "../../../actors/store/evaluator-host.ts";
import type { RegionWalk, RegionWalked } from "../../../actors/store/protocol.ts";
import type { RegionPorts } from "../../../actors/store/region-ports.ts";
import { Walks } from "../../../actors/store/walk.ts";

/** A region that leads, with everything applied; each iterator ends when the test says so. */
function region() {
  const iterators: Array<() => void> = [];
  const walked: RegionWalked[] = [];
  const iterate = () => ({
    next: () => new Promise<[]>((resolve) => iterators.push(() => resolve([]))),
    end: () => Promise.resolve(),
  });
  const ports = { handles: { engine: { engine: { iterate } } } } as unknown as RegionPorts;
  const host = {
    lastIndex: 1,
    appliedIndex: 1,
    applied: {
      meta: { extents: [{ fromPosition: 0, toPosition: 9, dataId: 1 }] },
      counters: { slots: [], maxNowMs: 0 },
    },
    readGate: () => 0,
    tellSelf: (event: RegionWalked) => walked.push(event),
  } as unknown as EvaluatorHost;
  const walks = new Walks(
    ports,
    host,
    () => 0,
    () => undefined,
  );
  return { walks, iterators, walked };
}

/** Lets promises that are resolved go on. */
const settled = (): Promise<void> => new Promise(setImmediate);

it("a walk that comes again is not answered from the iterator of its first time", async () => {
  const { walks, iterators, walked } = region();
  const answers: Array<Parameters<RegionWalk["settle"]>[0]> = [];
  const walk: RegionWalk = {
    type: "region.walk",
    db: 0,
    sessionId: 1,
    cursor: 0,
    count: 10,
    accepts: () => true,
    settle: (answer) => answers.push(answer),
  };
  walks.begin(walk, 0);
  walks.abandon("CLUSTERDOWN the region's leader is another node");
  walks.begin(walk, 0);
  iterators[0]!();
  await settled();
  for (const { run, found } of walked.splice(0)) walks.finish(run, found);
  expect(answers.length).toBe(1);
  iterators[1]!();
  await settled();
  for (const { run, found } of walked.splice(0)) walks.finish(run, found);
  expect(answers.slice(1)).toEqual([{ keys: [], next: undefined }]);
});
