// Store.API.RESP.Supervisor: keeps the listener alive. It stands between the node's tree and the
// listener; connections hang on the listener and go with it.

import type { ChildSpec, SupervisorInput } from "../system/children.ts";
import { listener } from "./listener.ts";
import type { ListenerInput } from "./listener.ts";

export interface GatewaySupervision {
  readonly listener: ListenerInput;
  /** The hooks and clock of the node's supervisors. */
  readonly supervision: Pick<SupervisorInput, "now" | "onExit" | "onRestart">;
}

/** Input for `supervisor` (actors/system/supervisor.ts) that runs the gateway. */
export function gatewaySupervisorInput(options: GatewaySupervision): SupervisorInput {
  const child: ChildSpec = {
    id: "listener",
    systemId: "gateway.listener",
    logic: listener,
    input: options.listener,
    restart: "permanent",
    // The listener closes what is left at its own deadline; this one is behind it.
    shutdownMs: options.listener.drainMs + 1000,
    awaitReady: true,
  };
  return {
    ...options.supervision,
    strategy: "one_for_one",
    // A port that another process holds for a moment after our own restart is worth some patience.
    backoffMs: (restarts) => Math.min(1000, 50 * 2 ** restarts),
    children: [child],
  };
}
