// What the journal does when the disk refuses, and the rules of its queue. The proofs of this folder
// were seen red for each of these changes:
//
// | change                                       | red in         |
// | -------------------------------------------- | -------------- |
// | callbacks before the write                   | crash.test.ts  |
// | append keeps entries behind it (index order) | crash.test.ts  |
// | durableLsn of later groups ignored           | damage.test.ts |
// | gap between LSNs ignored                     | damage.test.ts |
// | journal file removed before its checkpoint   | crash.test.ts  |
// | recovered tail written but not synced        | crash.test.ts  |
// | segment not synced                           | crash.test.ts  |
// | recovered torn tail not cut                  | this file      |
// | ENOSPC of a new file is fatal                | this file      |

import { describe, expect, it } from "vitest";
import { openJournal } from "../../../storage/journal/journal.ts";
import type { Journal, JournalOptions } from "../../../storage/journal/types.ts";
import { diskFault, SimulatedDisk } from "../../simulation/disk.ts";
import { digestOf, ManualTimers, quietOptions, settle } from "./scenario.ts";

const FILE_BYTES = 8 * 512;

interface Watched {
  readonly disk: SimulatedDisk;
  readonly journal: Journal;
  readonly timers: ManualTimers;
  readonly fatal: Error[];
  readonly full: boolean[];
  /** Appends one entry of region 1 and flushes; pushes its index to `acked` when durable. */
  readonly write: (index: number, bytes?: number) => void;
  readonly acked: number[];
}

async function watched(files?: Map<string, Buffer>): Promise<Watched> {
  const disk = new SimulatedDisk(files);
  const timers = new ManualTimers();
  const fatal: Error[] = [];
  const full: boolean[] = [];
  const acked: number[] = [];
  const options: JournalOptions = {
    fileBytes: FILE_BYTES,
    onFatal: (error) => fatal.push(error),
    onFull: (now) => full.push(now),
  };
  const journal = await openJournal(disk, options, timers);
  await settle();
  const write = (index: number, bytes = 300): void => {
    const entries = [{ index, term: 1, kind: 1 as const, payload: Buffer.alloc(bytes, index) }];
    journal.append({ regionId: 1, replicaId: 1, entries }, () => acked.push(index));
    journal.flush();
  };
  return { disk, journal, timers, fatal, full, write, acked };
}

describe("a journal whose disk fails", () => {
  it("tells once that a failed write is the end, and acknowledges nothing ever after", async () => {
    const { disk, journal, write, fatal, acked } = await watched();
    write(1);
    await settle();
    disk.fault = (operation) => (operation === "writeSync" ? diskFault("EIO") : undefined);
    write(2);
    write(3);
    await settle();
    disk.fault = () => undefined;
    write(4);
    journal.flush();
    await settle();
    expect(acked).toEqual([1]);
    expect(fatal.map((e) => e.name)).toEqual(["DiskError"]);
  });

  it.each(["sync", "rename", "remove"] as const)(
    "ends on a failed %s of its files",
    async (name) => {
      const { disk, journal, write, fatal, acked } = await watched();
      disk.fault = (operation) => (operation === name ? diskFault("EIO") : undefined);
      for (let i = 1; i < 40; i++) {
        write(i);
        if (i > 3 && fatal.length === 0) journal.compact(1, i - 2, 1);
        await settle();
      }
      expect(fatal.map((e) => e.name)).toEqual(["DiskError"]);
      expect(acked.length).toBeLessThan(39);
    },
  );

  it("pauses while no new file can be prepared, and goes on when there is room", async () => {
    const { disk, journal, timers, write, fatal, full, acked } = await watched();
    disk.fault = (operation, path) =>
      operation === "write" && path.endsWith("preparing") ? diskFault("ENOSPC") : undefined;
    for (let i = 1; i <= 30; i++) {
      write(i);
      await settle();
    }
    expect(journal.full).toBe(true);
    expect(full).toEqual([true]);
    expect(acked.length).toBeLessThan(20);
    timers.fire();
    await settle();
    expect(full).toEqual([true]);
    disk.fault = () => undefined;
    timers.fire();
    await settle();
    expect(full).toEqual([true, false]);
    expect(journal.full).toBe(false);
    expect(acked).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(fatal).toEqual([]);
    expect([...disk.files().keys()].filter((p) => p.endsWith("preparing"))).toEqual([]);
  });

  it.each([
    ["failed", "EIO"],
    ["is full", "ENOSPC"],
  ])("closes without hanging when the disk %s", async (_, code) => {
    const { disk, journal, write, acked } = await watched();
    disk.fault = (operation, path) =>
      operation === "write" && path.endsWith("preparing") ? diskFault(code) : undefined;
    for (let i = 1; i <= 30; i++) write(i);
    for (let i = 31; i <= 60; i++) {
      write(i);
      await settle();
    }
    await journal.close();
    expect(acked.length).toBeLessThan(60);
  });

  it("cuts a torn tail off the file, not only out of sight", async () => {
    const { disk, write } = await watched();
    write(1);
    write(2);
    await settle();
    const files = disk.files();
    const [path, bytes] = [...files].find(([name]) => name.endsWith("0001.journal"))!;
    bytes.fill(0xee, 512 * 5, 512 * 6);
    const again = await watched(files);
    expect((await again.journal.read(1, 1, 2, 1e9)).length).toBe(2);
    const left = again.disk.files().get(path);
    expect(left === undefined || left.length <= 512 * 4).toBe(true);
  });

  it("refuses to open with the error's kind when there is no room or the disk fails", async () => {
    for (const [code, name] of [
      ["ENOSPC", "NoSpaceError"],
      ["EIO", "DiskError"],
    ] as const) {
      const disk = new SimulatedDisk();
      disk.fault = (operation) => (operation === "write" ? diskFault(code) : undefined);
      const opening = openJournal(disk, quietOptions(FILE_BYTES), new ManualTimers());
      await expect(opening).rejects.toMatchObject({ name });
    }
  });
});

describe("a journal's queue", () => {
  it("writes everything queued as one group, one in flight, and answers in order", async () => {
    const { journal, write, acked } = await watched();
    const before = journal.statistics().groupsTotal;
    for (let i = 1; i <= 8; i++) write(i, 10);
    await settle();
    expect(acked).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(journal.statistics().groupsTotal - before).toBe(2);
  });

  it("reads entries back from the queue, from the group in flight and from files", async () => {
    const { journal, write } = await watched();
    for (let i = 1; i <= 20; i++) {
      write(i);
      if (i < 18) await settle();
      const entries = await journal.read(1, 1, i, 1e9);
      expect(entries.map((e) => [e.index, e.payload[0]])).toEqual(
        Array.from({ length: i }, (_, j) => [j + 1, j + 1]),
      );
    }
    expect((await journal.read(1, 3, 20, 700)).map((e) => e.index)).toEqual([3, 4]);
    expect((await journal.read(1, 3, 20, 1)).map((e) => e.index)).toEqual([3]);
    expect(await journal.read(1, 21, 30, 1)).toEqual([]);
  });

  it("takes a group larger than a file, and reads it back after a crash", async () => {
    const { disk, write, acked } = await watched();
    write(1, 20_000);
    write(2, 30_000);
    await settle();
    expect(acked).toEqual([1, 2]);
    const again = await watched(disk.files());
    expect((await again.journal.read(1, 1, 2, 1e9)).map((e) => e.payload.length)).toEqual([
      20_000, 30_000,
    ]);
  });

  it("answers a write without content when everything before it is durable", async () => {
    const { journal, write, acked } = await watched();
    write(1);
    journal.append({ regionId: 1, replicaId: 1 }, () => acked.push(-1));
    journal.flush();
    await settle();
    expect(acked).toEqual([1, -1]);
  });

  it("writes one mark when it falls silent, then nothing, and keeps no timer", async () => {
    const { journal, timers, write } = await watched();
    write(1);
    await settle();
    const before = journal.statistics();
    for (let i = 0; i < 5; i++) {
      timers.fire();
      await settle();
    }
    expect(journal.statistics().recordsTotal - before.recordsTotal).toBe(1);
    expect(timers.waiting).toBe(0);
  });

  it("goes on in the same file after an orderly close", async () => {
    const { disk, journal, write } = await watched();
    write(1);
    await settle();
    await journal.close();
    const names = [...disk.files().keys()];
    const again = await watched(disk.files());
    expect([...again.disk.files().keys()]).toEqual(names);
    again.write(2);
    await settle();
    expect((await again.journal.read(1, 1, 2, 1e9)).length).toBe(2);
  });

  it("never lets a removed replica write or come back, and keeps its successor", async () => {
    const { disk, journal, write, acked } = await watched();
    for (let i = 1; i <= 30; i++) {
      write(i);
      await settle();
    }
    expect([...disk.files().keys()].some((p) => p.includes("region_1/wal/1-"))).toBe(true);
    const gone = journal.tombstone(1, 1);
    await settle();
    await gone;
    expect([...disk.files().keys()].some((p) => p.includes("region_1/"))).toBe(false);
    expect(() => write(31)).toThrow(RangeError);
    const entries = [{ index: 1, term: 1, kind: 0 as const, payload: Buffer.alloc(0) }];
    journal.append({ regionId: 1, replicaId: 2, entries }, () => acked.push(1000));
    journal.flush();
    await settle();
    await journal.tombstone(1, 1);
    const again = await watched(disk.files());
    expect(await digestOf(again.journal)).toBe("1,2,0,0,0,0:1/");
  });

  it("refuses entries that leave a gap or touch what was compacted", async () => {
    const { journal, write } = await watched();
    write(1);
    write(2);
    expect(() => write(4)).toThrow(RangeError);
    journal.compact(1, 1, 1);
    expect(() => write(1)).toThrow(RangeError);
    await expect(journal.read(1, 1, 2, 1e9)).rejects.toThrow("compacted");
  });

  it("keeps few files however much is written, as long as logs are compacted", async () => {
    const { disk, journal, write } = await watched();
    for (let i = 1; i <= 200; i++) {
      write(i);
      await settle();
      if (i % 10 === 0) journal.compact(1, i - 3, 1);
    }
    const files = [...disk.files().keys()].filter((p) => p.endsWith(".journal"));
    expect(files.length).toBeLessThanOrEqual(4);
    expect(journal.statistics().rollOversTotal).toBeGreaterThan(10);
    expect(journal.liveBytes()).toBeLessThan(4 * FILE_BYTES);
  });
});
