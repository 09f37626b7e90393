// What a node that belongs to no cluster yet waits for, as one sentence for the log and for /readyz.
// It reads the formation machine and changes nothing.

import type { FormationMachine } from "./formation.ts";
import { shortId } from "./proposals.ts";
import type { Formation, Member, Proposal } from "./protocol.ts";

/** Undefined when it waits for nothing: the node belongs to a cluster. */
export function describeWaiting(
  machine: FormationMachine,
  formation: Formation,
  self: Member,
  nowMs: number,
): string | undefined {
  const { phase, pledge, joining, refusal } = machine;
  if (phase === "formed") return undefined;
  if (phase === "refused") return refusal;
  if (phase === "unformed") return describeSearch(machine, formation, self, nowMs);
  if (phase === "pledged" && pledge !== undefined) {
    return describePledge(machine, pledge, self.nodeId);
  }
  if (joining !== undefined) return `joining cluster ${shortId(joining.clusterId)}`;
  return "writing down what it belongs to";
}

function describeSearch(
  machine: FormationMachine,
  formation: Formation,
  self: Member,
  nowMs: number,
): string {
  const { heard } = machine;
  const selfId = self.nodeId;
  const others = heard.lately(nowMs);
  if (heard.clusters().size > 0) return "waiting for an answer of the cluster of this name";
  const [founded] = heard.rivals([self]);
  if (founded !== undefined) {
    return `${describePledge(machine, founded, selfId)}; this node would join it`;
  }
  if (formation.kind === "named") {
    if (formation.nodeIds.length === 0) {
      return "waiting for a cluster of this name to join; this node was not told to found one";
    }
    const missing = formation.nodeIds.filter((id) => id !== selfId && !others.includes(id));
    if (!formation.nodeIds.includes(selfId)) {
      return `waiting for the cluster of ${listed(formation.nodeIds)} to answer`;
    }
    return missing.length > 0
      ? `waiting for ${listed(missing)}`
      : `waiting for ${listed(formation.nodeIds)} to agree`;
  }
  if (formation.kind === "alone") return "founding a cluster of this node alone";
  const missing = formation.count - 1 - others.length;
  const there = others.length === 0 ? "no other one" : listed(others);
  return missing > 0
    ? `waiting for ${missing} more of ${formation.count} nodes; heard ${there}`
    : `waiting for ${formation.count} nodes to agree; heard ${there}`;
}

/** A pledge binds for ever, so what can never be fulfilled must be said. */
function describePledge({ heard }: FormationMachine, pledge: Proposal, selfId: string): string {
  const set = listed(pledge.members.map(({ nodeId }) => nodeId));
  const broken = [...heard.elsewhere(pledge), ...heard.wiped(pledge)];
  if (broken.length > 0) {
    return (
      `cannot form a cluster of ${set}: ${listed(broken)} lost the data directory or agreed to ` +
      "another set; stop these nodes and start them with empty data directories and --initial-nodes"
    );
  }
  const agreed = new Set(heard.agreed(pledge)).add(selfId);
  const missing = pledge.members.flatMap(({ nodeId }) => (agreed.has(nodeId) ? [] : [nodeId]));
  return `waiting for ${listed(missing)} to agree to a cluster of ${set}`;
}

function listed(ids: readonly string[]): string {
  return ids.join(", ");
}
