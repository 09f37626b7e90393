// Raft time of a store: one timer ticks every replica (design decision 4). It runs always among
// several nodes; alone only while some region does not serve yet, because nobody can take anything
// from a leader that is alone.

import type { Clock, TimerId } from "../system/clock.ts";
import type { ScheduleTurn } from "../system/turn.ts";
import type { Region } from "./region.ts";

const tickMs = 100;
/**
 * While every replica may be left alone so long. Whatever may happen to one meanwhile has more time than
 * this, so that it is looked at a `tickMs` too late at most all the same.
 */
const calmTickMs = 250;

export interface RaftTimePorts {
  readonly clock: Clock;
  /** Runs it after the next poll for input: what waits in the sockets is heard first. */
  readonly schedule: ScheduleTurn;
  readonly isAlone: boolean;
  /** False while no replica here should stand for election; asked at every tick. */
  readonly mayLead: () => boolean;
  readonly regions: () => Iterable<Region>;
  readonly failed: (error: unknown) => void;
}

export class RaftTime {
  readonly #ports: RaftTimePorts;
  #timer: TimerId;
  #stopped = false;

  constructor(ports: RaftTimePorts) {
    this.#ports = ports;
  }

  /** Goes on, or begins soon: a replica has started or stopped serving. */
  wake(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    const { clock, isAlone } = this.#ports;
    this.#timer = clock.setTimeout(() => this.#due(), isAlone ? 1 : tickMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#ports.clock.clearTimeout(this.#timer);
  }

  #due(): void {
    // After a stall a due timer runs before what waits in the sockets: heartbeats are heard first.
    if (this.#ports.isAlone) this.#tick();
    else this.#ports.schedule(() => this.#tick());
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#stopped) return;
    const { clock, isAlone, regions, failed } = this.#ports;
    const nowMs = clock.monotonicMs();
    const mayLead = this.#ports.mayLead();
    let isNeeded = !isAlone;
    let quietMs = calmTickMs;
    try {
      for (const region of regions()) {
        if (region.ended || (isAlone && region.serving)) continue;
        isNeeded = true;
        quietMs = Math.min(quietMs, region.inbox.tick(nowMs, mayLead));
      }
    } catch (error) {
      failed(error);
    }
    if (isNeeded) this.#timer = clock.setTimeout(() => this.#due(), Math.max(tickMs, quietMs));
  }
}
