// The node as session commands see it: the `Server` port of `resp`, filled from the gateway's own
// state and the store's view. It stands between CLIENT, CONFIG, INFO and friends and what they ask
// about; it decides nothing.

import type {
  ClientLine,
  ClusterNode,
  RegionLine,
  Server,
  Session,
  SlowlogEntry,
} from "../../resp/server.ts";
import type { Gateway } from "./gateway.ts";
import { writeInfo } from "./info.ts";

export class Front implements Server {
  readonly #gateway: Gateway;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  get nodeId(): string {
    return this.#gateway.nodeId;
  }

  get version(): string {
    return this.#gateway.version;
  }

  nowMs(): number {
    return this.#gateway.clock.wallMs();
  }

  requirepass(): string {
    return this.#gateway.settings.text("requirepass");
  }

  clients(): readonly ClientLine[] {
    return Array.from(this.#gateway.connections.values(), (connection) => connection.line());
  }

  kill(sessions: readonly Session[], self: Session): number {
    let killed = 0;
    for (const session of sessions) {
      const connection = this.#gateway.connections.get(session.id);
      if (connection === undefined) continue;
      killed += 1;
      if (session.id === self.id) connection.end();
      else connection.destroy();
    }
    return killed;
  }

  readonly config: Server["config"] = {
    get: (name) => this.#gateway.settings.get(name),
    names: () => this.#gateway.settings.names(),
    set: (pairs) => this.#gateway.settings.set(pairs),
    resetStatistics: () => this.#gateway.statistics.reset(),
  };

  info(sections: readonly string[], done: (text: string) => void): void {
    writeInfo(this.#gateway, sections, done);
  }

  readonly slowlog: Server["slowlog"] = {
    entries: (count): readonly SlowlogEntry[] => this.#gateway.slowlog.entries(count),
    length: () => this.#gateway.slowlog.length(),
    reset: () => this.#gateway.slowlog.reset(),
  };

  lastSaveSeconds(): number {
    return this.#gateway.store.lastSaveSeconds();
  }

  shutdown(): void {
    this.#gateway.store.shutdown();
  }

  setActiveExpire(on: boolean): void {
    this.#gateway.store.setActiveExpire(on);
  }

  later(delayMs: number, run: () => void): void {
    this.#gateway.clock.later(delayMs, run);
  }

  regions(): readonly RegionLine[] {
    return this.#gateway.store.regions();
  }

  clusterNodes(): readonly ClusterNode[] {
    return this.#gateway.store.nodes();
  }

  regionOf(key: Buffer): RegionLine | undefined {
    const position = this.#gateway.routes.positionOf(key);
    return this.regions().find(
      (line) => line.fromPosition <= position && position <= line.toPosition,
    );
  }
}
