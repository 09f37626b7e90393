// The codec of the wire: what goes in comes out, what was changed is told from what was not, and no
// bytes make it throw.

import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  FrameEncoder,
  bodyCostBytes,
  clusterTag,
  decodeFrame,
  frameOverheadBytes,
  noCluster,
  protocolVersion,
  streamIdCount,
  type BulkContent,
} from "../../transport/codec.ts";
import { announceSubject, bulkSubject, isName, mailboxSubject } from "../../transport/subjects.ts";

const names = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const streamId = fc.integer({ min: 0, max: streamIdCount - 1 });
const sequence = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const reason = fc.string({ maxLength: 100, unit: "grapheme" });
const contents: fc.Arbitrary<BulkContent> = fc.oneof(
  fc.record({ kind: fc.constant("open" as const), streamId, header: bytes }),
  fc.record({ kind: fc.constant("chunk" as const), streamId, sequence, chunk: bytes }),
  fc.record({ kind: fc.constantFrom("mark" as const, "end" as const), streamId, sequence }),
  fc.record({ kind: fc.constant("abortByWriter" as const), streamId, reason }),
  fc.record({ kind: fc.constant("abortByReader" as const), streamId, reason }),
  fc.record({ kind: fc.constant("credit" as const), streamId, limitBytes: fc.nat(2 ** 48 - 1) }),
  fc.record({ kind: fc.constant("accept" as const), streamId }),
);
const frames = fc.oneof(
  fc
    .tuple(names, fc.array(bytes, { maxLength: 20 }))
    .map(([sender, list]) => new FrameEncoder(sender).bodies(list, 0, list.length)),
  fc.tuple(names, contents).map(([sender, content]) => new FrameEncoder(sender).bulk(content)),
);

test("bodies come out as they went in, any slice of the list", () => {
  const lists = fc.array(bytes, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(names, lists, fc.nat(), fc.nat(), (sender, list, x, y) => {
      const [from = 0, to = 0] = [x % list.length, y % (list.length + 1)].toSorted((a, b) => a - b);
      const frame = new FrameEncoder(sender).bodies(list, from, to);
      const bodies = list.slice(from, to);
      expect(decodeFrame(frame)).toEqual({ kind: "bodies", sender, cluster: noCluster, bodies });
      const cost = bodies.reduce((sum, body) => sum + bodyCostBytes(body), 0);
      expect(frame.length).toBe(new FrameEncoder(sender).emptyBytes + cost);
    }),
  );
});

test("what is said about a stream comes out as it went in", () => {
  fc.assert(
    fc.property(names, contents, fc.nat(2 ** 48 - 1), (sender, content, cluster) => {
      const encoder = new FrameEncoder(sender);
      encoder.bind(cluster);
      expect(decodeFrame(encoder.bulk(content))).toEqual({ ...content, sender, cluster });
    }),
  );
});

test("the tags of clusters differ from each other and from that of none", () => {
  const tags = Array.from({ length: 1000 }, (_, index) => clusterTag(`cluster ${index}`));
  expect(new Set([...tags, noCluster]).size).toBe(1001);
});

test("no message is longer than its content and the overhead", () => {
  const encoder = new FrameEncoder("x".repeat(64));
  const body = Buffer.alloc(5000);
  const content = { kind: "chunk", streamId: 1, sequence: 1, chunk: body } as const;
  for (const frame of [encoder.bodies([body], 0, 1), encoder.bulk(content)]) {
    expect(frame.length).toBeLessThanOrEqual(body.length + frameOverheadBytes);
  }
});

test("a reason of any length fits", () => {
  const content = { kind: "abortByReader", streamId: 1, reason: "ü".repeat(10_000) } as const;
  const frame = decodeFrame(new FrameEncoder("a").bulk(content));
  expect(frame).toMatchObject({ kind: "abortByReader", reason: expect.stringMatching(/^ü{512}$/) });
});

test("random bytes are told from messages, and never throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      expect(decodeFrame(Buffer.from(array)).kind).toBe("unreadable");
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      expect(decodeFrame(Buffer.from([protocolVersion, 1, 97, ...array])).kind).toBe("unreadable");
    }),
  );
});

test("a message with one changed, missing or added byte is never taken for one", () => {
  const changed = fc.integer({ min: 1, max: 255 });
  fc.assert(
    fc.property(frames, fc.nat(), changed, (frame, place, flip) => {
      const at = place % frame.length;
      const mutated = Buffer.from(frame);
      mutated[at]! ^= flip;
      const shorter = Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1)]);
      const longer = Buffer.concat([frame, Buffer.from([flip])]);
      for (const bad of [mutated, shorter, longer, frame.subarray(0, at)]) {
        // A repeated neighbour removed is the same message.
        if (!bad.equals(frame)) expect(decodeFrame(bad).kind).toBe("unreadable");
      }
    }),
  );
});

test("another version is told as such, with its sender", () => {
  fc.assert(
    fc.property(frames, fc.nat(255), (frame, version) => {
      fc.pre(version !== protocolVersion);
      frame[0] = version;
      const told = decodeFrame(frame);
      expect(told).toMatchObject({ kind: "unreadable", problem: "version", version });
      expect(told.sender).toBeDefined();
    }),
  );
});

test("subjects", () => {
  expect(mailboxSubject("prod", "n1", "raft")).toBe("spire.prod.node.n1.raft");
  expect(bulkSubject("prod", "n1")).toBe("spire.prod.bulk.n1");
  expect(announceSubject("prod")).toBe("spire.prod.announce");
  const bad = ["", ".", "a.b", "*", ">", "a b", "ä", "a\n", "x".repeat(65)];
  expect(bad.filter((name) => isName(name))).toEqual([]);
  expect(["a", "A-9_", "x".repeat(64)].filter((name) => !isName(name))).toEqual([]);
});
