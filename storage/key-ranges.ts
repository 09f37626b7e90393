// The ranges of physical keys that scans and clears walk. Sits between `keys.ts` (the layout) and
// the engine's `iterate` and `clear`; which range is dead or due is the caller's knowledge.

import type { KeyRange } from "./engine.ts";
import { spaces } from "./keys.ts";

function prefix(space: number, dataId: number, extraBytes: number): Buffer {
  const bytes = Buffer.alloc(5 + extraBytes);
  bytes[0] = space;
  bytes.writeUInt32BE(dataId, 1);
  return bytes;
}

/** The smallest key above every key that begins with `start`, which must not be all 0xff. */
function afterPrefix(start: Buffer): Buffer {
  let length = start.length;
  while (length > 1 && start[length - 1] === 0xff) length--;
  const bytes = Buffer.from(start.subarray(0, length));
  bytes[length - 1] = (bytes[length - 1] as number) + 1;
  return bytes;
}

/**
 * The positions `from..to` (inclusive) of a space whose keys go on with a position: META, SUB,
 * STAGING, and the local records of dropped objects.
 */
export function positionRange(space: number, dataId: number, from: number, to: number): KeyRange {
  const gte = prefix(space, dataId, 4);
  gte.writeUInt32BE(from, 5);
  const last = prefix(space, dataId, 4);
  last.writeUInt32BE(to, 5);
  return { gte, lt: afterPrefix(last) };
}

/** META of the positions `fromPosition..toPosition` (inclusive). */
export function metaRange(dataId: number, fromPosition: number, toPosition: number): KeyRange {
  return positionRange(spaces.meta, dataId, fromPosition, toPosition);
}

/** META from bucket `cursor` = position * 65536 + bucket (u48) on, up to `toPosition` inclusive. */
export function metaRangeFrom(dataId: number, cursor: number, toPosition: number): KeyRange {
  const gte = prefix(spaces.meta, dataId, 6);
  gte.writeUIntBE(cursor, 5, 6);
  return { gte, lt: positionRange(spaces.meta, dataId, toPosition, toPosition).lt };
}

/** SUB of the positions `fromPosition..toPosition` (inclusive). */
export function subPositionRange(
  dataId: number,
  fromPosition: number,
  toPosition: number,
): KeyRange {
  return positionRange(spaces.sub, dataId, fromPosition, toPosition);
}

/** Everything under one object id. */
export function subRange(dataId: number, position: number, oid: number): KeyRange {
  const gte = prefix(spaces.sub, dataId, 10);
  gte.writeUInt32BE(position, 5);
  gte.writeUIntBE(oid, 9, 6);
  return { gte, lt: afterPrefix(gte) };
}

/** TTL entries due at `untilMs` (Unix ms, inclusive), oldest first, of every position. */
export function ttlRange(dataId: number, untilMs: number): KeyRange {
  const last = prefix(spaces.ttl, dataId, 6);
  last.writeUIntBE(untilMs, 5, 6);
  return { gte: prefix(spaces.ttl, dataId, 0), lt: afterPrefix(last) };
}

/** Everything of one space under one dataId. */
export function dataIdRange(space: number, dataId: number): KeyRange {
  const gte = prefix(space, dataId, 0);
  return { gte, lt: afterPrefix(gte) };
}

/** One key alone. */
export function keyRange(key: Buffer): KeyRange {
  return { gte: key, lt: Buffer.concat([key, Buffer.alloc(1)]) };
}

/** Every key of one local space of this store. */
export function spaceRange(space: number): KeyRange {
  return { gte: Buffer.from([space]), lt: Buffer.from([space + 1]) };
}
