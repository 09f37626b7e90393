// SpiredbStore.Supervisor: engine, log, replicas (regions and their server), expiry, in this order and
// rest_for_one, because each rests on the ones before it: a new engine means a new journal, new
// replicas, and so on.

import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import { supervisor } from "../system/supervisor.ts";
import { engineLogic, type EngineInput } from "./engine.ts";
import { expiryLogic, type ExpiryInput } from "./expiry.ts";
import { logLogic, type LogInput } from "./log.ts";
import { storeActors } from "./protocol.ts";
import { serverLogic, type ServerInput } from "./server.ts";

/** Everything the store's actors are given. */
export interface StoreInput {
  readonly engine: EngineInput;
  readonly log: LogInput;
  readonly server: ServerInput;
  readonly expiry: ExpiryInput;
  /** Run the charts for hot events too (`--pure-actors`). */
  readonly pureActors: boolean;
  /** Monotonic clock and observation hooks of every supervisor in the tree. */
  readonly supervision: Pick<SupervisorInput, "now" | "onExit" | "onRestart">;
}

/** The specification of the store's tree for the node's supervisor. */
export function storeSpec(input: StoreInput): ChildSpec {
  const regions: SupervisorInput = {
    ...input.supervision,
    strategy: "one_for_one",
    // A replica that fails again and again takes the regions with it, then the store, then the node.
    intensity: { max: 5, periodMs: 10_000 },
  };
  const replicas: SupervisorInput = {
    ...input.supervision,
    // The server drives the replicas that it started and they report to it: neither makes sense
    // with another incarnation of the other.
    strategy: "one_for_all",
    intensity: { max: 1, periodMs: 5000 },
    children: [
      child("regions", supervisor, regions, true),
      child("server", serverLogic, input.server, true),
    ],
  };
  const children: ChildSpec[] = [
    child("engine", engineLogic(input.pureActors), input.engine, true),
    child("log", logLogic(input.pureActors), input.log, true),
    { ...child("replicas", supervisor, replicas, true), shutdownMs: 20_000 },
    child("expiry", expiryLogic, input.expiry, false),
  ];
  const tree: SupervisorInput = { ...input.supervision, strategy: "rest_for_one", children };
  return {
    id: "store",
    systemId: storeActors.store,
    logic: supervisor,
    input: tree,
    shutdownMs: 30_000,
    awaitReady: true,
  };
}

function child(
  id: keyof typeof storeActors,
  logic: ChildSpec["logic"],
  input: unknown,
  awaitReady: boolean,
): ChildSpec {
  return { id, systemId: storeActors[id], logic, input, awaitReady, shutdownMs: 10_000 };
}
