// The Raft messages of a turn on their way out: whatever a turn has to say, no body is longer than every
// transport takes, and all of it arrives in order.

import { expect, test } from "vitest";

import type { RaftMessage } from "../../../actors/raft/protocol.ts";
import { decodeMessages, encodeMessages } from "../../../actors/raft/wire.ts";
import { RaftMail } from "../../../actors/store/mail.ts";
import { Turn } from "../../../actors/system/turn.ts";
import type { Transport } from "../../../transport/transport.ts";

/** What `Transport.maxBodyBytes` is at least. */
const bodyBytesMin = 640 * 1024;
const head = { from: 1, to: 2, term: 3 };

const reply: RaftMessage = {
  type: "append.reply",
  ...head,
  matched: true,
  index: 5,
  hintTerm: 0,
  commitIndex: 4,
  sentAtMs: 0,
  promiseMs: 1500,
};

function append(...payloadBytes: readonly number[]): RaftMessage {
  const entries = payloadBytes.map((bytes, at) => ({
    index: at + 1,
    term: 3,
    kind: 1 as const,
    payload: Buffer.alloc(bytes, at),
  }));
  const log = { prevIndex: 0, prevTerm: 0, commitIndex: 0 };
  return { type: "append.request", ...head, ...log, sentAtMs: 0, entries };
}

/** The bodies of one turn that says all of this to one node, region by region. */
function mailed(messages: readonly RaftMessage[]): Buffer[] {
  const bodies: Buffer[] = [];
  const turns: (() => void)[] = [];
  const failures: unknown[] = [];
  const turn = new Turn(
    (run) => turns.push(run),
    (error) => failures.push(error),
  );
  const send: Transport["send"] = (to, mailbox, body) => {
    expect([to, mailbox]).toEqual(["n2", "raft"]);
    bodies.push(Buffer.from(body));
  };
  const mail = new RaftMail({ send } as Transport, turn);
  for (const [at, message] of messages.entries()) mail.send("n2", at, message);
  for (const run of turns) run();
  expect(failures).toEqual([]);
  // Behind its version each body is nothing but messages.
  const arrived = Buffer.concat(bodies.map((body) => body.subarray(1)));
  const all = encodeMessages(messages.map((message, regionId) => ({ regionId, message })));
  expect(arrived.equals(all.subarray(1))).toBe(true);
  expect(bodies.flatMap((body) => decodeMessages(body))).toHaveLength(messages.length);
  return bodies;
}

test("what is short leaves as one body", () => {
  expect(mailed([reply, append(), append(100, 200_000), reply])).toHaveLength(1);
});

test.each([
  ["answers of very many regions", Array.from({ length: 20_000 }, () => reply)],
  ["very many empty appends", Array.from({ length: 20_000 }, () => append())],
  ["very many empty entries", Array.from({ length: 300 }, () => append(...Array(1000).fill(0)))],
  ["the longest entry behind nearly a body", [append(255 * 1024), append(512 * 1024), reply]],
  ["the longest entries", [append(512 * 1024), append(512 * 1024), append(512 * 1024)]],
])("%s fit into bodies that every transport takes, and are not strewn", (_, messages) => {
  const bodies = mailed(messages);
  const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
  expect(Math.max(...bodies.map(({ length }) => length))).toBeLessThanOrEqual(bodyBytesMin);
  // Two neighbours together are always more than a body takes.
  expect(bodies.length).toBeLessThanOrEqual(1 + (2 * bytes) / (256 * 1024));
});
