// A change of membership as an entry of the log: who takes part from now on, and where each of them
// lives. It stands between the core and the bytes in journal and snapshot; when a change may be made
// is `reconfiguration.ts`.

import { DamagedError } from "../../storage/errors.ts";
import type { Peer } from "../../storage/local-records.ts";
import type { Membership } from "./protocol.ts";

/** What an entry of kind 2 says. */
export interface MembershipRecord {
  readonly membership: Membership;
  /** Where each member lives. */
  readonly peers: readonly Peer[];
}

/** A membership and the index of the entry that brought it; 0 = since the region was created. */
export interface MembershipAt extends MembershipRecord {
  readonly index: number;
}

const version = 1;
const u48Bytes = 6;

/** The payload of an entry of kind 2. Node ids are at most 255 bytes. */
export function encodeMembership({ membership, peers }: MembershipRecord): Buffer {
  const { voters, learners } = membership;
  const head = Buffer.alloc(1 + 3 * 2 + (voters.length + learners.length) * u48Bytes);
  let at = head.writeUInt8(version, 0);
  for (const ids of [voters, learners]) {
    at = head.writeUInt16BE(ids.length, at);
    for (const id of ids) at = head.writeUIntBE(id, at, u48Bytes);
  }
  head.writeUInt16BE(peers.length, at);
  const named = peers.map(({ replicaId, nodeId }) => {
    const name = Buffer.from(nodeId);
    const bytes = Buffer.alloc(u48Bytes + 1);
    bytes.writeUIntBE(replicaId, 0, u48Bytes);
    bytes.writeUInt8(name.length, u48Bytes);
    return Buffer.concat([bytes, name]);
  });
  return Buffer.concat([head, ...named]);
}

/** Inverse of `encodeMembership`; DamagedError for anything else. */
export function decodeMembership(payload: Buffer): MembershipRecord {
  if (payload[0] !== version) throw broken(`version ${payload[0]}`);
  try {
    let at = 1;
    const ids = (): number[] => {
      const start = at + 2;
      const count = payload.readUInt16BE(at);
      at = start + count * u48Bytes;
      if (at > payload.length) throw new RangeError("too few members");
      return Array.from({ length: count }, (_, i) =>
        payload.readUIntBE(start + i * u48Bytes, u48Bytes),
      );
    };
    const membership = { voters: ids(), learners: ids() };
    const peers: Peer[] = [];
    let left = payload.readUInt16BE(at);
    for (at += 2; left > 0; left--) {
      const start = at + u48Bytes + 1;
      const end = start + payload.readUInt8(start - 1);
      if (end > payload.length) throw new RangeError("a name ends too early");
      const replicaId = payload.readUIntBE(at, u48Bytes);
      peers.push({ replicaId, nodeId: payload.toString("utf8", start, end) });
      at = end;
    }
    if (at !== payload.length) throw new RangeError("it goes on behind its end");
    return { membership, peers };
  } catch (error) {
    throw broken(error instanceof Error ? error.message : String(error));
  }
}

const broken = (why: string): DamagedError =>
  new DamagedError(`a change of membership cannot be read: ${why}`, "an entry of kind 2");
