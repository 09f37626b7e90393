// The cluster's tree: formation, then liveness, which has nothing to do before the node belongs to a
// cluster. one_for_one: what each knows is kept outside the actors, so neither needs the other's restart.

import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import { supervisor } from "../system/supervisor.ts";
import { formationLogic, type FormationActorInput } from "./formation-actor.ts";
import { livenessLogic, type LivenessActorInput } from "./liveness-actor.ts";

/** The systemIds of the room. */
const clusterActors = {
  cluster: "cluster",
  formation: "cluster.formation",
  liveness: "cluster.liveness",
} as const;

/** Everything the cluster's actors are given. */
export interface ClusterInput {
  readonly formation: FormationActorInput;
  readonly liveness: LivenessActorInput;
  readonly supervision: Pick<SupervisorInput, "now" | "onExit" | "onRestart">;
}

/** The specification of the cluster's tree for the node's supervisor; ready when it is formed. */
export function clusterSpec({ formation, liveness, supervision }: ClusterInput): ChildSpec {
  const children: ChildSpec[] = [
    {
      id: "formation",
      systemId: clusterActors.formation,
      logic: formationLogic,
      input: formation,
      awaitReady: true,
    },
    { id: "liveness", systemId: clusterActors.liveness, logic: livenessLogic, input: liveness },
  ];
  const tree: SupervisorInput = { ...supervision, strategy: "one_for_one", children };
  return {
    id: "cluster",
    systemId: clusterActors.cluster,
    logic: supervisor,
    input: tree,
    awaitReady: true,
  };
}
