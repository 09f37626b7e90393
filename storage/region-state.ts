// The value of a region's REGION record: its counters as of the applied index. Local layout of one
// small record; what the numbers mean is `keyspace/effects.ts`.

import { DamagedError } from "./errors.ts";
import type { RegionState } from "./keyspace/effects.ts";

const version = 1;
const databases = 16;
/** Bytes of an encoded state. */
export const regionStateBytes = 1 + 6 + 6 + databases * 6 + databases;

/** version u8, nextOid u48, maxNowMs u48, 16 counts u48, 16 slots u8. */
export function encodeRegionState(state: RegionState): Buffer {
  const bytes = Buffer.alloc(regionStateBytes);
  bytes[0] = version;
  bytes.writeUIntBE(state.nextOid, 1, 6);
  bytes.writeUIntBE(state.maxNowMs, 7, 6);
  for (let db = 0; db < databases; db++) {
    bytes.writeUIntBE(state.counts[db] ?? 0, 13 + db * 6, 6);
    bytes[13 + databases * 6 + db] = state.slots[db] ?? db;
  }
  return bytes;
}

/** Inverse; DamagedError for another version or length. */
export function decodeRegionState(bytes: Buffer): RegionState {
  if (bytes[0] !== version || bytes.length !== regionStateBytes) {
    throw new DamagedError(
      "a region's counters have an unknown form",
      bytes.toString("hex", 0, 16),
    );
  }
  const counts: number[] = [];
  const slots: number[] = [];
  for (let db = 0; db < databases; db++) {
    counts.push(bytes.readUIntBE(13 + db * 6, 6));
    slots.push(bytes.readUInt8(13 + databases * 6 + db));
  }
  return { nextOid: bytes.readUIntBE(1, 6), maxNowMs: bytes.readUIntBE(7, 6), counts, slots };
}
