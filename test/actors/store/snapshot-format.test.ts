// What a snapshot's bytes promise: they come back as they went in, and anything else is refused.

import { describe, expect, it } from "vitest";
import {
  ChunkDecoder,
  ChunkEncoder,
  chunkBytesMax,
  decodeSnapshotHeader,
  encodeSnapshotHeader,
  SnapshotError,
  snapshotRegionOf,
  type SnapshotHeader,
} from "../../../actors/store/snapshot-format.ts";
import { SnapshotTraffic } from "../../../actors/store/snapshot-traffic.ts";

const header: SnapshotHeader = {
  regionId: 7,
  from: 2 ** 47,
  to: 3,
  term: 9,
  snapshotId: 2 ** 48 - 1,
  index: 2 ** 40,
  indexTerm: 8,
  membership: { voters: [1, 3], learners: [2 ** 47] },
  membershipIndex: 5,
  peers: [{ replicaId: 3, nodeId: "n3" }],
  epoch: { version: 2, confVersion: 3 },
  counters: {
    nextOid: 2 ** 45,
    maxNowMs: 1_700_000_000_000,
    counts: Array.from({ length: 16 }, (_, db) => db),
    slots: Array.from({ length: 16 }, (_, db) => 255 - db),
  },
  extents: [{ fromPosition: 0, toPosition: 0xffffffff }],
  unclearedSlots: [0, 255],
  firstChunk: 70_000,
};

const record = (bytes: number) => ({ key: Buffer.from("key"), stored: Buffer.alloc(bytes, 7) });

function chunksOf(sizes: readonly number[]): Buffer[] {
  const encoder = new ChunkEncoder(4);
  const chunks = sizes.flatMap((bytes) => encoder.add(record(bytes)) ?? []);
  return [...chunks, ...[encoder.flush() ?? []].flat(), encoder.end()];
}

const readAll = (chunks: readonly Buffer[]): number[] => {
  const decoder = new ChunkDecoder(4);
  const sizes = chunks.flatMap((chunk) =>
    (decoder.take(chunk) ?? []).map(({ stored }) => stored.length),
  );
  decoder.finish();
  return sizes;
};

describe("a snapshot's header", () => {
  it("comes back as it was", () => {
    expect(decodeSnapshotHeader(encodeSnapshotHeader(header))).toEqual(header);
    expect(snapshotRegionOf(encodeSnapshotHeader(header))).toBe(7);
  });

  it("is refused with any bit flipped, cut short, or of another version", () => {
    const bytes = encodeSnapshotHeader(header);
    for (let at = 0; at < bytes.length; at++) {
      const broken = Buffer.from(bytes);
      broken[at]! ^= 1 << (at % 8);
      expect(snapshotRegionOf(broken), `byte ${at}`).toBe(undefined);
      expect(snapshotRegionOf(bytes.subarray(0, at))).toBe(undefined);
    }
    expect(() => decodeSnapshotHeader(bytes.subarray(1))).toThrow(SnapshotError);
  });
});

describe("a snapshot's chunks", () => {
  const sizes = [100_000, 100_000, 100_000, 1, 0, 300_000, 5];

  it("hold the records in order, and are not too long", () => {
    const chunks = chunksOf(sizes);
    expect(readAll(chunks)).toEqual(sizes);
    const tooLong = chunks.filter(({ length }) => length > chunkBytesMax);
    expect(tooLong.length).toBe(1);
    expect(readAll(chunksOf([]))).toEqual([]);
  });

  it("are refused when one is lost, doubled, overtaken, broken, or of another snapshot", () => {
    const chunks = chunksOf(sizes);
    const end = chunks.length - 1;
    expect(end).toBeGreaterThan(2);
    const flipped = Buffer.from(chunks[1]!);
    flipped[flipped.length - 1]! ^= 1;
    const wrong = [
      chunks.toSpliced(1, 1),
      chunks.toSpliced(1, 0, chunks[1]!),
      [chunks[1]!, chunks[0]!, ...chunks.slice(2)],
      chunks.with(1, flipped),
      chunks.slice(0, end),
      [...chunks, chunks[end]!],
    ];
    for (const [i, each] of wrong.entries()) {
      expect(() => readAll(each), `case ${i}`).toThrow(SnapshotError);
    }
    expect(() => new ChunkDecoder(5).take(chunks[0]!)).toThrow(SnapshotError);
  });
});

describe("the snapshots of a store", () => {
  it("leave two at a time", () => {
    const traffic = new SnapshotTraffic();
    const [first] = [traffic.beginSending(), traffic.beginSending()];
    expect(traffic.beginSending()).toBe(undefined);
    traffic.endSending(first!);
    traffic.endSending(first!);
    expect(traffic.beginSending()).not.toBe(undefined);
    expect(traffic.beginSending()).toBe(undefined);
  });

  it("show what arrives as of the moment of asking", () => {
    const traffic = new SnapshotTraffic();
    traffic.beginArriving([5, 6]);
    const seen = traffic.arriving();
    traffic.endArriving([5, 6]);
    expect([...seen]).toEqual([5, 6]);
    expect([...traffic.arriving()]).toEqual([]);
  });
});
