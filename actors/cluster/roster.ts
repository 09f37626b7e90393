// Which disk stands behind which node id, as far as this process knows: the founders, and who was heard
// as a member since the start. Formation and heartbeats ask it before they believe a node; nothing
// is kept on disk.

import type { Member } from "./protocol.ts";

export class Roster {
  readonly #incarnations = new Map<string, string>();

  /** The incarnation known for a node id. */
  incarnation(nodeId: string): string | undefined {
    return this.#incarnations.get(nodeId);
  }

  /** Learns a node of the cluster; false when its id belongs to another incarnation. */
  admit({ nodeId, incarnation }: Member): boolean {
    const known = this.#incarnations.get(nodeId);
    if (known === undefined) this.#incarnations.set(nodeId, incarnation);
    return known === undefined || known === incarnation;
  }

  nodeIds(): string[] {
    return [...this.#incarnations.keys()];
  }
}
