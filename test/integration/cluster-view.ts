// Questions to one node over a connection of their own: any command, and the regions as the node sees
// them. For harness and tests; a node that does not answer is an error after a while.

import { Connection, type Reply } from "./connection.ts";

/** A region as one node sees it. */
export interface RegionView {
  readonly region: number;
  /** "" when that node knows none. */
  readonly leader: string;
  readonly peers: readonly string[];
  readonly term: number;
}

/** One command on a connection of its own; rejects when there is no answer in time. */
export async function ask(port: number, args: string[], timeoutMs: number): Promise<Reply> {
  const connection = await Connection.open(port);
  const timer = setTimeout(() => connection.close(), timeoutMs);
  try {
    return await connection.call(...args);
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}

/** SPIRE.REGIONS. */
export async function regionsSeenBy(port: number): Promise<RegionView[]> {
  const reply = await ask(port, ["SPIRE.REGIONS"], 3000);
  return Array.isArray(reply) ? reply.map(regionView) : [];
}

function regionView(line: Reply): RegionView {
  const fields = Array.isArray(line) ? line : [];
  const valueOf = (name: string): Reply | undefined => fields[fields.indexOf(name) + 1];
  const peers = valueOf("peers");
  const leader = valueOf("leader");
  return {
    region: Number(valueOf("region")),
    leader: typeof leader === "string" ? leader : "",
    peers: Array.isArray(peers) ? peers.map(String) : [],
    term: Number(valueOf("term")),
  };
}
