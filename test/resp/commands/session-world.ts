// A node and a connection made of plain values, for commands that run at the gateway.

import { clusterCommands } from "../../../resp/commands/cluster.ts";
import { connectionCommands } from "../../../resp/commands/connection.ts";
import { serverCommands } from "../../../resp/commands/server.ts";
import { encodeReply } from "../../../resp/encoder.ts";
import { createRegistry } from "../../../resp/registry.ts";
import { ErrorReply } from "../../../resp/reply.ts";
import type { Reply } from "../../../resp/reply.ts";
import type { ClientLine, Server, Session } from "../../../resp/server.ts";

export const registry = createRegistry([
  ...connectionCommands,
  ...serverCommands,
  ...clusterCommands,
]);

export interface FakeSession extends Session {
  closing: boolean;
  readonly later: Reply[];
}

export function fakeSession(id: number): FakeSession {
  const later: Reply[] = [];
  return {
    id,
    protocol: 2,
    db: 0,
    name: "",
    libraryName: "",
    libraryVersion: "",
    authenticated: true,
    noEvict: false,
    noTouch: false,
    address: `127.0.0.1:${50_000 + id}`,
    localAddress: "127.0.0.1:6379",
    connectedAtMs: 0,
    replyMode: "on",
    closing: false,
    later,
    reply: (reply) => later.push(reply),
    reset() {
      this.db = 0;
      this.protocol = 2;
    },
    closeAfterReply() {
      this.closing = true;
    },
  };
}

export class FakeServer implements Server {
  readonly nodeId = "n1";
  readonly version = "0.1.0";
  password = "";
  sessions: Session[] = [];
  killed: Session[] = [];
  shutdowns = 0;
  activeExpire = true;
  delays: Array<{ delayMs: number; run: () => void }> = [];
  values = new Map([
    ["maxclients", "10000"],
    ["maxmemory", "0"],
    ["save", ""],
  ]);

  nowMs(): number {
    return 1_700_000_000_123.456;
  }
  requirepass(): string {
    return this.password;
  }
  clients(): readonly ClientLine[] {
    return this.sessions.map((session) => ({
      session,
      ageSeconds: 7,
      idleSeconds: 1,
      queryBytes: 10,
      outputBytes: 20,
      lastCommand: "client|list",
      totalCommands: 3,
      bytesIn: 4,
      bytesOut: 5,
    }));
  }
  kill(sessions: readonly Session[]): number {
    this.killed.push(...sessions);
    return sessions.length;
  }
  config: Server["config"] = {
    get: (name) => this.values.get(name),
    names: () => [...this.values.keys()],
    set: (pairs) => {
      if (pairs.some(([name]) => name === "bad")) return "no";
      for (const [name, value] of pairs) this.values.set(name, value);
      return undefined;
    },
    resetStatistics: () => undefined,
  };
  info(sections: readonly string[], done: (text: string) => void): void {
    done(`sections=${sections.join(",")}`);
  }
  slowlog: Server["slowlog"] = {
    entries: (count) =>
      [3, 2, 1].slice(0, count < 0 ? 3 : count).map((id) => ({
        id,
        atSeconds: 5,
        microseconds: 12_345,
        args: [Buffer.from("GET")],
        address: "a:1",
        name: "me",
      })),
    length: () => 3,
    reset: () => undefined,
  };
  lastSaveSeconds(): number {
    return 42;
  }
  shutdown(): void {
    this.shutdowns += 1;
  }
  setActiveExpire(on: boolean): void {
    this.activeExpire = on;
  }
  later(delayMs: number, whenOver: () => void): void {
    this.delays.push({ delayMs, run: whenOver });
  }
  peers = ["n1"];
  regions() {
    return [
      {
        region: 1,
        fromPosition: 0,
        toPosition: 0xffff_ffff,
        leader: "n1",
        peers: this.peers,
        epoch: 1,
        term: 2,
      },
    ];
  }
  nodes = [{ nodeId: "n1", host: "127.0.0.1", port: 6379, isUp: true }];
  clusterNodes() {
    return this.nodes;
  }
  regionOf() {
    return this.regions()[0];
  }
}

/** Runs a command line as the gateway would; the reply as RESP text, "" while there is none. */
export function run(server: Server, session: FakeSession, line: string): string {
  const args = line.split(" ").map((word) => Buffer.from(word, "latin1"));
  const command = registry.resolve(args);
  if (command instanceof ErrorReply) return `-${command.message}`;
  if (command.runs !== "session") throw new Error(`${line} does not run here`);
  let reply = command.execute(server, session, args);
  if (reply === undefined) reply = session.later.shift();
  if (reply === undefined) return "";
  return encodeReply(reply, session.protocol)
    .toString("latin1")
    .slice(0, -2)
    .replaceAll("\r\n", "|");
}
