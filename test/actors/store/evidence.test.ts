// What heartbeats prove about leaders, between two stores that say and hear versions of what they lead,
// over loss and restarts. When heartbeats leave is tested in the cluster room.

import { expect, test } from "vitest";
import { Evidence, type Led, type Proof } from "../../../actors/store/evidence.ts";

/** A store with replicas that write down what they are told. */
class Side {
  readonly led: Led[] = [];
  /** regionId -> term it follows a leader in. */
  readonly follows = new Map<number, number>();
  readonly proofs: string[] = [];
  readonly evidence: Evidence;
  round = 0;

  constructor() {
    const replica = (regionId: number) => ({
      heard: (_leader: number, term: number) => this.follows.get(regionId) === term,
      evidence: (nodeId: string, proof: Proof & { readonly term: number }) => {
        const { term, round, sentAtMs, promiseMs } = proof;
        this.proofs.push(`${regionId}@${term} ${nodeId} r${round} ${sentAtMs}+${promiseMs}`);
      },
    });
    this.evidence = new Evidence({ replica }, 1500, () => [...this.led]);
  }
}

/** One heartbeat from `a` to `b`, acknowledging the newest of `b` that `a` has received. */
function beat(a: Side, b: Side, seen: { round: number; sentAtMs: number }, nowMs: number) {
  a.round++;
  const cargo = a.evidence.cargoFor("peer");
  b.evidence.received("peer", {
    round: a.round,
    ackRound: seen.round,
    ackSentAtMs: seen.sentAtMs,
    cargo,
  });
  return { round: a.round, sentAtMs: nowMs };
}

const nothing = { round: 0, sentAtMs: 0 };

test("a region counts as acknowledged only when its replica there follows in that term", () => {
  const leader = new Side();
  const follower = new Side();
  leader.led.push({ regionId: 1, replicaId: 7, term: 3 }, { regionId: 2, replicaId: 8, term: 5 });
  follower.follows.set(1, 3).set(2, 4);
  const sent = beat(leader, follower, nothing, 100);
  beat(follower, leader, sent, 101);
  expect(leader.proofs).toEqual(["1@3 peer r1 100+1500"]);
});

test("evidence of an older set of leaderships proves nothing for the new one", () => {
  const leader = new Side();
  const follower = new Side();
  leader.led.push({ regionId: 1, replicaId: 7, term: 3 });
  follower.follows.set(1, 3);
  const sent = beat(leader, follower, nothing, 100);
  leader.led[0] = { regionId: 1, replicaId: 7, term: 6 };
  beat(follower, leader, sent, 101);
  expect(leader.proofs).toEqual([]);
});

test("a known set is not sent again, and is when the peer is a new process", () => {
  const leader = new Side();
  const follower = new Side();
  leader.led.push({ regionId: 1, replicaId: 7, term: 3 });
  follower.follows.set(1, 3);
  const first = beat(leader, follower, nothing, 100);
  const back = beat(follower, leader, first, 101);
  const short = leader.evidence.cargoFor("peer").length;
  const second = beat(leader, follower, back, 600);
  beat(follower, leader, second, 601);
  expect(leader.proofs).toHaveLength(2);
  leader.evidence.forget("peer");
  expect(leader.evidence.cargoFor("peer").length).toBeGreaterThan(short);
});

test("an acknowledgement of another heartbeat than the transport's says nothing", () => {
  const leader = new Side();
  const follower = new Side();
  leader.led.push({ regionId: 1, replicaId: 7, term: 3 });
  follower.follows.set(1, 3);
  const first = beat(leader, follower, nothing, 100);
  beat(follower, leader, { ...first, round: first.round + 1 }, 101);
  expect(leader.proofs).toEqual([]);
});
