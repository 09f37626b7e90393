// A writer of a store's engine whose batches end when the test says so, and whose turns end when the
// test says so too.

import { expect } from "vitest";
import { EngineWriter, noGather, type ApplyJob } from "../../../actors/store/writer.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Engine, WriteOperation } from "../../../storage/engine.ts";
import { appliedKey, markerKey } from "../../../storage/local-records.ts";
import { HeapClock } from "../../simulation/clock.ts";

export interface Batch {
  readonly operations: readonly WriteOperation[];
  readonly sync: boolean;
  readonly succeed: () => Promise<void>;
  readonly fail: (error: Error) => Promise<void>;
}

export const settled = (): Promise<void> => new Promise((next) => void setImmediate(next));

export function rig(gather = noGather) {
  const batches: Batch[] = [];
  const fatal: Error[] = [];
  const done: string[] = [];
  const turns: Array<() => void> = [];
  const clock = new HeapClock();
  const turn = new Turn(
    (callback) => void turns.push(callback),
    (error) => {
      throw error;
    },
  );
  const engine: Pick<Engine, "write"> = {
    write: (operations, { sync }) =>
      new Promise((resolve, reject) => {
        batches.push({
          operations,
          sync,
          succeed: () => (resolve(), settled()),
          fail: (error) => (reject(error), settled()),
        });
      }),
  };
  const writer = new EngineWriter(engine as Engine, turn, clock, gather, (error) =>
    fatal.push(error),
  );
  return {
    writer,
    batches,
    fatal,
    done,
    clock,
    /** The end of a turn. */
    turn: () => {
      for (const callback of turns.splice(0)) callback();
    },
    /** The turn in which something synced starts: first what was written before is made durable. */
    turnOfSync: async () => {
      for (const callback of turns.splice(0)) callback();
      const earlier = batches.pop()!;
      expect([names(earlier), earlier.sync]).toEqual([["\0"], true]);
      await earlier.succeed();
      for (const callback of turns.splice(0)) callback();
    },
    submit: (name: string, job: Partial<ApplyJob> = {}) =>
      writer.submit({
        regionId: 1,
        operations: [put(name)],
        sync: false,
        ...job,
        onDone: () => done.push(name),
      }),
    /** A region that has something to submit, whenever it is asked. */
    later: (name: string, bytes = 0) => {
      const collect = (): void =>
        writer.submit({
          regionId: 1,
          operations: [put(name)],
          sync: false,
          onDone: () => done.push(name),
        });
      writer.collectLater({ collect }, bytes);
    },
  };
}

export const put = (name: string, value = ""): WriteOperation => ({
  type: "put",
  key: Buffer.from(name),
  value: Buffer.from(value),
});

/** The names of a batch's own operations, in order. */
export const names = ({ operations }: Batch): string[] => {
  const local = [appliedKey(0)[0], markerKey(0)[0]];
  return operations.filter(({ key }) => !local.includes(key[0])).map(({ key }) => key.toString());
};
