// The proxy must cut NATS traffic between messages and nowhere else, whatever the chunks are.

import * as fc from "fast-check";
import { expect, it } from "vitest";

import { ClientFrames } from "./nats-proxy.ts";

const frame = fc.oneof(
  fc.constantFrom("PING\r\n", "PONG\r\n", 'CONNECT {"verbose":false}\r\n', "SUB a.b 1\r\n"),
  fc.tuple(fc.constantFrom("keep.x", "lose.x", "twice.x"), fc.string({ maxLength: 30 })).map(
    // Payloads that look like protocol must not be taken for it.
    ([subject, text]) => {
      const payload = `${text}\r\nPUB lose.y 0\r\n`;
      return `PUB ${subject} ${Buffer.byteLength(payload)}\r\n${payload}\r\n`;
    },
  ),
  fc.constant("HPUB lose.h reply 4 6\r\nabcdef\r\n"),
);

const copiesOf = (subject: string): number => {
  if (subject.startsWith("lose")) return 0;
  return subject.startsWith("twice") ? 2 : 1;
};

it("loses and doubles exactly the messages to the chosen subjects, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 })), (frames, cuts) => {
      const bytes = Buffer.from(frames.join(""));
      const reader = new ClientFrames();
      const out: Buffer[] = [];
      let at = 0;
      for (let step = 0; at < bytes.length; step++) {
        const end = at + (cuts[step % Math.max(cuts.length, 1)] ?? 7);
        out.push(reader.repeat(bytes.subarray(at, end), copiesOf));
        at = end;
      }
      const kept = frames.map((text) => text.repeat(copiesOf(text.split(" ")[1] ?? "")));
      expect(Buffer.concat(out).toString()).toBe(kept.join(""));
    }),
  );
});
