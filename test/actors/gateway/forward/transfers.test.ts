// What is fetched in pieces and has to wait its turn. Both ends are played by the test.

import { expect, test } from "vitest";

import {
  kinds,
  pieceBytes,
  readPieceId,
  readStart,
  sides,
  writePieceId,
} from "../../../../actors/gateway/forward/messages.ts";
import { Transfers } from "../../../../actors/gateway/forward/transfers.ts";
import { WireReader, WireWriter } from "../../../../actors/gateway/forward/wire.ts";

const mebibyte = 1024 * 1024;
const stream = { epoch: 1, number: 1, regionId: 1 };

function fetching() {
  const clock = { nowMs: 1 };
  const asked: Buffer[] = [];
  const transfers = new Transfers({
    now: () => clock.nowMs,
    send: (_, body) => asked.push(body),
    whole: () => undefined,
  });
  const fetch = (side: 0 | 1, seq: number, length: number) =>
    transfers.fetch("n1", { side, stream, seq }, length, () => undefined);
  /** The next piece that was asked for arrives. */
  const arrive = (): void => {
    const request = new WireReader(asked.shift()!);
    readStart(request);
    const writer = new WireWriter();
    writePieceId(writer, kinds.piece, readPieceId(request, stream));
    writer.bytes(Buffer.alloc(pieceBytes));
    const reader = new WireReader(writer.take());
    readStart(reader);
    transfers.received("n1", stream, reader);
  };
  const tick = (): void => transfers.tick(clock.nowMs);
  return { clock, asked, fetch, arrive, tick };
}

test("what waits for others goes on as they do, and stands still when they do", () => {
  const { clock, fetch, arrive } = fetching();
  fetch(sides.reply, 1, 64 * mebibyte);
  const waiting = fetch(sides.reply, 2, mebibyte);
  clock.nowMs = 6000;
  expect(waiting.progressAtMs).toBe(1);
  arrive();
  clock.nowMs = 7000;
  expect(waiting.progressAtMs).toBe(6000);
});

test("commands do not wait for the replies of the same node", () => {
  const { asked, fetch } = fetching();
  fetch(sides.reply, 1, 64 * mebibyte);
  const before = asked.length;
  fetch(sides.command, 1, mebibyte);
  expect(asked.length).toBe(before + 4);
});

test("a slow line is not filled with the same pieces again and again", () => {
  for (const msPerPiece of [125, 500]) {
    const { clock, asked, fetch, arrive, tick } = fetching();
    const pieces = 40;
    fetch(sides.command, 1, pieces * pieceBytes);
    let arrived = 0;
    for (; asked.length > 0 && arrived < 1000; arrived++) {
      for (let ms = 0; ms < msPerPiece; ms += 25) {
        clock.nowMs += 25;
        tick();
      }
      arrive();
    }
    // Some twice, until it is known how slow it is.
    expect(arrived).toBeLessThan(pieces * 1.5);
  }
});

test("a piece that is lost is asked for soon, and then less and less often", () => {
  const { clock, asked, fetch, tick } = fetching();
  fetch(sides.command, 1, pieceBytes);
  const askedAtMs: number[] = [];
  for (asked.length = 0; clock.nowMs < 9000; asked.length = 0) {
    clock.nowMs += 100;
    tick();
    if (asked.length > 0) askedAtMs.push(clock.nowMs - 1);
  }
  expect(askedAtMs).toEqual([300, 900, 2100, 4500, 8500]);
});
