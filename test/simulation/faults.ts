// What befalls a simulated cluster: a profile says how often, a seed draws from it. It strikes through
// the nodes and the network only; whether the cluster bears it is for others to judge.

import type { Random } from "./disk.ts";
import { diskFault } from "./disk.ts";
import { goodNetwork, type SimulatedNetwork } from "./network.ts";
import type { NodeProcess, SimulatedNode } from "./process.ts";
import { faultKinds, none, type FaultKind, type Profile } from "./profiles.ts";
import type { Timeline } from "./timeline.ts";

/** At the end of a file, where the last groups are. */
const warmBytes = 4096;

/** What faults need of the world. */
export interface FaultPorts {
  readonly timeline: Timeline;
  readonly network: SimulatedNetwork;
  readonly random: Random;
  readonly nodes: readonly SimulatedNode[];
  /** Ends a node's process; it starts again after `downMs`. */
  readonly crash: (node: SimulatedNode, powerLoss: boolean, downMs: number) => void;
}

export class Faults {
  readonly figures = { ...none };
  readonly #ports: FaultPorts;
  readonly #profile: Profile;
  #running = false;
  /** Ends what is stopping, if it still is. */
  readonly #draining: Array<() => void> = [];
  /** The one whose wall clock somebody sets. */
  #astray: SimulatedNode | undefined;

  constructor(ports: FaultPorts, profile: Profile) {
    this.#ports = ports;
    this.#profile = profile;
  }

  start(): void {
    this.#running = true;
    this.#ports.network.conditions = this.#profile.network;
    this.#next();
  }

  /** The process does something that a crash should not find half done. */
  touched({ life, node }: NodeProcess): void {
    const { random, timeline, crash } = this.#ports;
    if (!this.#running || random() >= this.#profile.ambush) return;
    timeline.later(random() * 3, () => {
      if (!this.#running || !life.alive) return;
      this.figures.crash++;
      crash(node, true, this.#between(50, 1500));
    });
  }

  /** Everything is well from now on; what is down stays down. */
  stop(): void {
    const { network, nodes } = this.#ports;
    this.#running = false;
    for (const end of this.#draining.splice(0)) end();
    network.conditions = goodNetwork;
    network.heal();
    for (const node of nodes) {
      node.resume();
      node.process?.end.setConnected(true);
      node.process?.end.deafTo.clear();
      node.disk.fault = () => undefined;
      node.stallMs = 0;
      node.clock.wallErrorMs = 0;
    }
  }

  #next(): void {
    const { timeline, random } = this.#ports;
    const { everyMs } = this.#profile;
    if (everyMs === Infinity) return;
    timeline.later(-Math.log(1 - random()) * everyMs, () => {
      if (!this.#running) return;
      const kind = this.#draw();
      this.figures[kind]++;
      this.#strike(kind);
      this.#next();
    });
  }

  #draw(): FaultKind {
    const { weights } = this.#profile;
    const total = faultKinds.reduce((sum, kind) => sum + weights[kind], 0);
    let dice = this.#ports.random() * total;
    for (const kind of faultKinds) {
      dice -= weights[kind];
      if (dice < 0) return kind;
    }
    return "crash";
  }

  #node(): SimulatedNode {
    const { nodes, random } = this.#ports;
    return nodes[Math.floor(random() * nodes.length)]!;
  }

  #between(minMs: number, maxMs: number): number {
    return minMs + this.#ports.random() * (maxMs - minMs);
  }

  /** Undone after a while, unless everything was healed before. */
  #for(minMs: number, maxMs: number, undo: () => void): void {
    this.#ports.timeline.later(this.#between(minMs, maxMs), undo);
  }

  #strike(kind: FaultKind): void {
    const { network, nodes, random, crash } = this.#ports;
    const node = this.#node();
    switch (kind) {
      case "crash":
        return crash(node, true, 30 + random() ** 2 * 4000);
      case "kill":
        return crash(node, false, 20 + random() ** 2 * 2000);
      case "drain":
        return this.#drain(node);
      case "blackout":
        for (const each of nodes) crash(each, random() < 0.8, this.#between(50, 1500));
        return undefined;
      case "pause":
        node.pause();
        return this.#for(200, 4500, () => node.resume());
      case "usurp":
        return this.#usurp(node);
      case "deaf":
        return this.#deafen();
      case "deposed":
        return this.#depose(node);
      case "reborn":
        crash(node, random() < 0.5, 20 + random() * 60);
        return this.#hearNoHeartbeats(node, 1700, 3200);
      case "split":
      case "oneWay":
      case "nonTransitive":
      case "isolate":
        this.#cut(kind, node);
        return this.#for(500, 5000, () => network.heal());
      case "disconnect":
        node.process?.end.setConnected(false);
        return this.#for(200, 3000, () => node.process?.end.setConnected(true));
      case "serverDown":
        for (const each of nodes) each.process?.end.setConnected(false);
        return this.#for(200, 4000, () => {
          for (const each of nodes) each.process?.end.setConnected(true);
        });
      case "drift":
        return node.clock.setRate(0.95 + random() * 0.1);
      case "wallStep":
        node.clock.wallErrorMs = (random() - 0.5) * 2 * 3_600_000;
        return this.#for(500, 6000, () => {
          node.clock.wallErrorMs = 0;
        });
      case "ioError":
        node.disk.fault = (operation) =>
          operation === "writeSync" || operation === "sync" ? diskFault("EIO") : undefined;
        return undefined;
      case "noSpace":
        node.disk.fault = (operation, path) =>
          operation === "write" && path.includes("journal") ? diskFault("ENOSPC") : undefined;
        return this.#for(500, 4000, () => {
          node.disk.fault = () => undefined;
        });
      case "bitFlip":
        return this.#flip(node);
      case "stall":
        node.stallMs = this.#between(5, 150);
        return this.#for(300, 3000, () => {
          node.stallMs = 0;
        });
      case "transfer":
        return this.#transfer(node);
      case "astray":
        return this.#setClock((this.#astray ??= node));
      default:
        return kind satisfies never;
    }
  }

  /** Long enough for others to lead what this node led; then it runs again and hears nothing of it yet. */
  #usurp(node: SimulatedNode): void {
    const { network, timeline, random } = this.#ports;
    this.#cut("isolate", node);
    node.pause();
    timeline.later(this.#between(1600, 4000), () => {
      node.resume();
      timeline.later(random() * 400, () => network.heal());
    });
  }

  /** Others hear no heartbeats and may elect somebody, of which this node hears nothing for a while. */
  #depose(node: SimulatedNode): void {
    this.#hearNoHeartbeats(node, 1400, 2300);
    const { process } = node;
    process?.end.deafTo.add("raft");
    this.#for(2500, 3500, () => process?.end.deafTo.delete("raft"));
  }

  #hearNoHeartbeats(of: SimulatedNode, minMs: number, maxMs: number): void {
    const others = this.#ports.nodes.filter((each) => each !== of);
    for (const { process } of others) process?.end.deafTo.add("cluster");
    this.#for(minMs, maxMs, () => {
      for (const { process } of others) process?.end.deafTo.delete("cluster");
    });
  }

  /** Some nodes hear nothing in one of their mailboxes. */
  #deafen(): void {
    const { nodes, random } = this.#ports;
    const mailbox = (["cluster", "cluster", "raft", "gateway"] as const)[Math.floor(random() * 4)]!;
    for (const node of nodes) if (random() < 0.6) node.process?.end.deafTo.add(mailbox);
    this.#for(500, 5000, () => {
      for (const { process } of nodes) process?.end.deafTo.delete(mailbox);
    });
  }

  #cut(kind: "split" | "oneWay" | "nonTransitive" | "isolate", node: SimulatedNode): void {
    const { network, nodes, random } = this.#ports;
    const others = nodes.filter((each) => each !== node);
    if (kind === "nonTransitive") {
      // These two do not hear each other; everybody else hears both.
      const other = others[Math.floor(random() * others.length)]!;
      network.cut(node.nodeId, other.nodeId);
      network.cut(other.nodeId, node.nodeId);
      return;
    }
    if (kind === "split") {
      const side = new Set(nodes.filter(() => random() < 0.5));
      for (const a of nodes) {
        for (const b of nodes) if (side.has(a) !== side.has(b)) network.cut(a.nodeId, b.nodeId);
      }
      return;
    }
    const speaks = random() < 0.5;
    for (const other of others) {
      if (kind === "isolate" || speaks) network.cut(node.nodeId, other.nodeId);
      if (kind === "isolate" || !speaks) network.cut(other.nodeId, node.nodeId);
    }
  }

  /** A bit of what was written long ago is another one at the next start; one node of a run at most. */
  #flip(node: SimulatedNode): void {
    const { crash, random, nodes } = this.#ports;
    if (node.process === undefined || this.figures.bitFlip > 1) return;
    if (nodes.some((each) => each.isOut)) return;
    crash(node, false, this.#between(100, 1000));
    node.damage((files) => {
      const names = [...files.keys()].filter((name) => name.includes("journal")).toSorted();
      const bytes = files.get(names[Math.floor(random() * names.length)] ?? "");
      if (bytes === undefined) return;
      // Only what later groups speak of as durable: a flip in the last one may look torn (`safety.md` 5).
      let end = bytes.length;
      while (end > 0 && bytes[end - 1] === 0) end--;
      const at = Math.floor(random() * (end - warmBytes));
      if (at >= 0) bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8));
    });
  }

  /** Wrong if it was right, right if it was wrong; under the running process or before the next one. */
  #setClock(node: SimulatedNode): void {
    const { random, crash } = this.#ports;
    if (random() < 0.7) crash(node, false, this.#between(20, 1500));
    const isAhead = random() < 0.75;
    const byMs = this.#between(10_000, 3_600_000);
    const { clock } = node;
    if (clock.wallErrorMs !== 0) clock.wallErrorMs = 0;
    else clock.wallErrorMs = isAhead ? byMs : -byMs;
  }

  /** Stops in good order, as far as its neighbours let it; the process ends in any case. */
  #drain(node: SimulatedNode): void {
    const { process } = node;
    if (process === undefined || process.life.paused) return;
    const { timeline, crash } = this.#ports;
    const end = (): void => {
      if (process.life.alive) crash(node, false, this.#between(100, 2000));
    };
    timeline.happen(process.life, 0, () => process.drain(() => timeline.later(0, end)));
    timeline.later(8000, end);
    this.#draining.push(end);
  }

  #transfer(node: SimulatedNode): void {
    const { process } = node;
    if (process === undefined || process.life.paused) return;
    const { nodes, random, timeline } = this.#ports;
    const to = nodes[Math.floor(random() * nodes.length)]!;
    timeline.happen(process.life, 0, () => {
      for (const { region } of process.store.directory.all()) {
        if (region?.role === "leader" && random() < 0.5) region.inbox.transferTo(to.nodeId);
      }
    });
  }
}
