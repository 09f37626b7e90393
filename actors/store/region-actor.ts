// The actor logic of a region: the replica chart around a `Region`.

import { replicaLogic } from "../raft/machine.ts";
import { isReplicaEvent, type ReplicaEvent } from "./region-ports.ts";

/** Input: a function that builds the region's host for one incarnation. */
export const regionLogic = (pure: boolean) => replicaLogic<ReplicaEvent>(isReplicaEvent, pure);
