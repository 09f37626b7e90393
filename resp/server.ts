// What session commands (CLIENT, CONFIG, INFO, HELLO …) may ask of the node they run on, and of
// the connection that sent them. The gateway implements both; commands stay pure over them.

import type { Reply } from "./reply.ts";

/** One client connection as commands see it. */
export interface Session {
  /** Connection id, counted from 1 and never reused (CLIENT ID). */
  readonly id: number;
  protocol: 2 | 3;
  /** Selected logical database, 0..15. */
  db: number;
  name: string;
  libraryName: string;
  libraryVersion: string;
  authenticated: boolean;
  noEvict: boolean;
  noTouch: boolean;
  /** "ip:port" of the peer, and of our side. */
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  /** CLIENT REPLY: "off" sends nothing, "skip" leaves out the next reply. */
  replyMode: "on" | "off" | "skip" | "skipping";
  /** Answers a command that returned `undefined`. */
  reply(reply: Reply): void;
  /** Back to the state of a new connection (RESET). */
  reset(): void;
  /** Closes after the replies so far have been sent (QUIT). */
  closeAfterReply(): void;
}

/** One line of CLIENT LIST. */
export interface ClientLine {
  readonly session: Session;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  /** Bytes waiting in the query buffer and in the output buffer. */
  readonly queryBytes: number;
  readonly outputBytes: number;
  /** Last command, lower case, "client|list". */
  readonly lastCommand: string;
  readonly totalCommands: number;
  /** Totals of bytes read from and written to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** One entry of SLOWLOG GET. */
export interface SlowlogEntry {
  readonly id: number;
  readonly atSeconds: number;
  readonly microseconds: number;
  readonly args: readonly Buffer[];
  readonly address: string;
  readonly name: string;
}

/** One node of the cluster. */
export interface ClusterNode {
  readonly nodeId: string;
  /** Of its RESP listener; port 0 while that is not known. */
  readonly host: string;
  readonly port: number;
  readonly isUp: boolean;
}

/** The node as session commands see it. */
export interface Server {
  /** Wall clock, Unix ms with microsecond fraction when known. */
  nowMs(): number;
  readonly nodeId: string;
  readonly version: string;
  /** The password asked for, "" = none (`--requirepass` or CONFIG SET requirepass). */
  requirepass(): string;
  clients(): readonly ClientLine[];
  /** Kills these sessions; the caller's own is closed after its reply. Returns how many. */
  kill(sessions: readonly Session[], self: Session): number;
  /** Settings by Redis' names: CONFIG GET/SET. Values as text. */
  readonly config: {
    get(name: string): string | undefined;
    names(): readonly string[];
    /** Undefined when it worked, else why not, in Redis' words. All or nothing over the pairs. */
    set(pairs: ReadonlyArray<readonly [string, string]>): string | undefined;
    resetStatistics(): void;
  };
  /** INFO text for these sections ("default", "all" or names, lower case); may come later. */
  info(sections: readonly string[], done: (text: string) => void): void;
  slowlog: {
    entries(count: number): readonly SlowlogEntry[];
    length(): number;
    reset(): void;
  };
  /** Unix seconds of the last synced marker of the store (LASTSAVE). */
  lastSaveSeconds(): number;
  /** Starts a drain: SHUTDOWN. */
  shutdown(): void;
  /** DEBUG SET-ACTIVE-EXPIRE. */
  setActiveExpire(on: boolean): void;
  /** Calls back after that many ms (DEBUG SLEEP delays this session's later replies only). */
  later(delayMs: number, run: () => void): void;
  /** SPIRE.REGIONS: one map per region; SPIRE.REGION key: the one of that key. */
  regions(): readonly RegionLine[];
  /** Every node of the cluster, this one first. */
  clusterNodes(): readonly ClusterNode[];
  /** Undefined while the store does not run. */
  regionOf(key: Buffer): RegionLine | undefined;
}

/** A region as SPIRE.REGIONS shows it. */
export interface RegionLine {
  readonly region: number;
  /** First and last position (u32) it owns, both inclusive. */
  readonly fromPosition: number;
  readonly toPosition: number;
  /** Node id of the leader, "" when unknown. */
  readonly leader: string;
  readonly peers: readonly string[];
  readonly epoch: number;
  readonly term: number;
}
