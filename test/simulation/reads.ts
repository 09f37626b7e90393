// Looks at every read a node answers, and at what proves that it still led: one without proof must not
// leave, even if it says what the new leader would have said. It stands between the directory of a
// process and the replicas, and changes nothing.

import type { Region } from "../../actors/store/region.ts";
import type { RegionEvent, RegionRequest } from "../../actors/store/protocol.ts";
import { quorumValue } from "../../actors/raft/quorum.ts";
import { leaseMs } from "../../actors/raft/reads.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { NodeProcess } from "./process.ts";

type Ref = { send(event: RegionEvent): void };

const isRead = (event: RegionEvent): event is RegionRequest =>
  event.type === "region.request" &&
  event.keyPositions.length > 0 &&
  !event.command.flags.includes("write");

/** `onBroken` hears what is wrong; `newestTerm` is the newest one of a region with a commit. */
export function watchReads(
  process: NodeProcess,
  onBroken: (what: string) => void,
  newestTerm: (regionId: number) => number,
): void {
  const { directory } = process.store;
  const attach = directory.attach.bind(directory);
  const watched = (region: Region, event: RegionRequest): RegionRequest => {
    const { regionId } = region;
    const askedTerm = newestTerm(regionId);
    const askedMs = process.clock.monotonicMs();
    const settle: RegionRequest["settle"] = (reply) => {
      if (process.life.alive && !(reply instanceof ErrorReply)) {
        const what = broken(region, askedTerm, askedMs);
        if (what !== undefined) onBroken(`region ${regionId}: ${process.node.nodeId} ${what}`);
      }
      event.settle(reply);
    };
    // Everything else of the request is the request's own.
    return Object.create(event, { settle: { value: settle } }) as RegionRequest;
  };
  directory.attach = (region, ref: Ref) =>
    attach(region, {
      send: (event) => ref.send(isRead(event) ? watched(region, event) : event),
    });
}

/** A lease that was good after the question came, or anything a majority acknowledged of later. */
function broken({ raft }: Region, askedTerm: number, askedMs: number): string | undefined {
  if (raft?.role !== "leader") return undefined;
  if (raft.term < askedTerm) {
    return `answered a read in term ${raft.term} that was asked in term ${askedTerm}`;
  }
  const provedMs = quorumValue(raft.membership.voters, (voter) =>
    voter === raft.replicaId ? Infinity : (raft.progress.get(voter)?.ackedSentAtMs ?? -Infinity),
  );
  if (askedMs < provedMs + leaseMs) return undefined;
  return `answered a read without proof of leading: asked at ${askedMs}, proved at ${provedMs}`;
}
