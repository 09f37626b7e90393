// The cluster room's bytes: everything comes back as it went, and what is of another version, cut off
// or random is a WireError and never something else.

import { assert, integer, property, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeMessage,
  encodeAnswer,
  encodeGoodbye,
  encodeHeartbeat,
  encodeIntroduction,
  WireError,
  type Heartbeat,
  type Introduction,
} from "../../../actors/cluster/wire.ts";
import { emptyDisk, World } from "./world.ts";

const proposal = {
  clusterId: "0123456789abcdef".repeat(2),
  members: ["a", "b"].map((nodeId) => ({ nodeId, incarnation: nodeId.repeat(32) })),
  regionCount: 65536,
  hashTags: false,
  replicas: 3,
};
const introduction: Introduction = {
  info: {
    nodeId: "a",
    incarnation: "a".repeat(32),
    epoch: 2 ** 40,
    respAddress: "[::1]:6379",
    httpAddress: "",
  },
  process: 2 ** 48 - 1,
  upForMs: 12.5,
  formation: { kind: "named", nodeIds: ["a", "b"] },
  hears: ["b"],
  pledge: proposal,
  formed: undefined,
};
const heartbeat: Heartbeat = {
  clusterId: proposal.clusterId,
  incarnation: "a".repeat(32),
  epoch: 7,
  process: 2 ** 47 + 1,
  respAddress: "127.0.0.1:6379",
  httpAddress: "127.0.0.1:9090",
  round: 2 ** 41,
  wantsAnswer: true,
  sentAtMs: 123_456.789,
  wallMs: 1_700_000_000_000.5,
  ack: { epoch: 3, process: 4, round: 5, sentAtMs: 6.25 },
  cargo: Buffer.from([0, 1, 2, 255]),
};
const goodbye = { clusterId: "x", incarnation: "y", epoch: 1, process: 2 };
const bodies = [
  encodeIntroduction(introduction),
  encodeAnswer({ introduction, incarnation: "z", refusal: "no" }),
  encodeHeartbeat(heartbeat),
  encodeGoodbye(goodbye),
];

/** False: it is a WireError; anything else fails the test. */
const isReadable = (body: Buffer): boolean => {
  try {
    decodeMessage(body);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
    return false;
  }
};

describe("cluster messages", () => {
  test("come back as they went", () => {
    expect(bodies.map(decodeMessage)).toEqual([
      { kind: "introduction", introduction },
      { kind: "answer", answer: { introduction, incarnation: "z", refusal: "no" } },
      { kind: "heartbeat", heartbeat },
      { kind: "goodbye", goodbye },
    ]);
    for (const formation of [{ kind: "alone" }, { kind: "expect", count: 5 }] as const) {
      const other = { ...introduction, formation, pledge: undefined, formed: proposal };
      expect(decodeMessage(encodeIntroduction(other))).toEqual({
        kind: "introduction",
        introduction: other,
      });
    }
    const plain = { ...heartbeat, wantsAnswer: false, cargo: Buffer.alloc(0) };
    expect(decodeMessage(encodeHeartbeat(plain))).toEqual({ kind: "heartbeat", heartbeat: plain });
    const welcome = { introduction, incarnation: "z", refusal: undefined };
    expect(decodeMessage(encodeAnswer(welcome))).toEqual({ kind: "answer", answer: welcome });
  });

  test("of another version say which", () => {
    const [body] = bodies as [Buffer];
    const other = Buffer.concat([Buffer.from([9]), body.subarray(1)]);
    expect(() => decodeMessage(other)).toThrowError(
      expect.objectContaining({ name: "WireError", foundVersion: 9 }),
    );
  });

  test("that are cut off or random are WireErrors", () => {
    // A heartbeat ends with its cargo, of any length.
    const cut = bodies.flatMap((body) =>
      Array.from({ length: body.length - 4 }, (_, end) => body.subarray(0, end)),
    );
    expect(cut.filter(isReadable)).toEqual([]);
    assert(
      property(integer({ min: 0, max: 5 }), uint8Array({ maxLength: 200 }), (kind, rest) => {
        isReadable(Buffer.concat([Buffer.from([1, kind]), rest]));
      }),
    );
  });

  test("that a node cannot read make one line per sender and nothing else", async () => {
    const world = new World();
    const node = world.start(emptyDisk("a", "disk"), { kind: "expect", count: 3 });
    for (const from of ["b", "b", "c"]) {
      node.endpoint.handlers.get("announce")?.(from, Buffer.from([9, 1, 2]));
    }
    await world.pass(100);
    const errors = node.lines.filter((line) => line.startsWith("error"));
    const text =
      "error a node cannot be understood: a cluster message of protocol version 9; this node speaks 1";
    expect(errors).toEqual([`${text} {"from":"b"}`, `${text} {"from":"c"}`]);
    expect(node.cluster.figures().unreadable).toBe(3);
  });
});
