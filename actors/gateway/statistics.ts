// Plain counters of the gateway: totals, one record per command literal, one count per error code.
// The hot path adds to them; INFO, CONFIG RESETSTAT and the metrics collector read them. No clock
// is read here: durations come in.

import type { Command } from "../../resp/command.ts";
import { Latency } from "../observe/latency.ts";

/** Counters of one command, as INFO commandstats names them. */
export interface CommandStatistics {
  readonly name: string;
  calls: number;
  /** Time from arrival to the reply's encoding, microseconds. */
  microseconds: number;
  /** Refused before execution: arity, authentication, routing. */
  rejected: number;
  /** Executed and answered with an error. */
  failed: number;
  /** The same time as a histogram, shared by all commands of a family ("string", "key" …). */
  readonly latency: Latency;
}

/** Everything the gateway counts; one instance per node, it survives restarts of the listener. */
export class Statistics {
  readonly #commands = new Map<string, CommandStatistics>();
  readonly #errors = new Map<string, number>();
  readonly #families = new Map<string, Latency>();
  connectionsReceived = 0;
  connectionsRejected = 0;
  connectionsOpen = 0;
  commandsProcessed = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Closed because they did not read their replies, or sent too much at once. */
  outputLimitClosed = 0;
  queryLimitClosed = 0;
  timeoutClosed = 0;
  protocolErrors = 0;
  errorReplies = 0;
  /** Commands per second over the last sample. */
  opsPerSecond = 0;
  bytesInPerSecond = 0;
  bytesOutPerSecond = 0;
  #sampledAtMs = 0;
  #sampledCommands = 0;
  #sampledIn = 0;
  #sampledOut = 0;

  /** The counters of a command; the same object every time. */
  of(command: Command): CommandStatistics {
    let found = this.#commands.get(command.name);
    if (found === undefined) {
      const latency = this.#familyOf(command);
      found = { name: command.name, calls: 0, microseconds: 0, rejected: 0, failed: 0, latency };
      this.#commands.set(command.name, found);
    }
    return found;
  }

  #familyOf({ group }: Command): Latency {
    let latency = this.#families.get(group);
    if (latency === undefined) this.#families.set(group, (latency = new Latency()));
    return latency;
  }

  /** Durations by family since the start; CONFIG RESETSTAT leaves them, a scrape takes differences. */
  families(): IterableIterator<[string, Latency]> {
    return this.#families.entries();
  }

  /** Commands that were called or refused at least once. */
  *commands(): Generator<CommandStatistics> {
    for (const one of this.#commands.values()) {
      if (one.calls > 0 || one.rejected > 0) yield one;
    }
  }

  /** Counts an error reply under its code, the first word of the message. */
  error(message: string): void {
    this.errorReplies += 1;
    const space = message.indexOf(" ");
    const code = space < 0 ? message : message.slice(0, space);
    const count = this.#errors.get(code);
    // Codes come from our own texts, but a bound costs nothing.
    if (count === undefined && this.#errors.size >= 128) return;
    this.#errors.set(code, (count ?? 0) + 1);
  }

  errors(): IterableIterator<[string, number]> {
    return this.#errors.entries();
  }

  /** Called about once a second: the rates since the last call. */
  sample(nowMs: number): void {
    const elapsedMs = nowMs - this.#sampledAtMs;
    if (elapsedMs <= 0) return;
    const rate = (now: number, before: number) =>
      Math.max(0, Math.round(((now - before) * 1000) / elapsedMs));
    this.opsPerSecond = rate(this.commandsProcessed, this.#sampledCommands);
    this.bytesInPerSecond = rate(this.bytesIn, this.#sampledIn);
    this.bytesOutPerSecond = rate(this.bytesOut, this.#sampledOut);
    this.#sampledAtMs = nowMs;
    this.#sampledCommands = this.commandsProcessed;
    this.#sampledIn = this.bytesIn;
    this.#sampledOut = this.bytesOut;
  }

  /** CONFIG RESETSTAT. Open connections are a state, not a count, and stay. */
  reset(): void {
    for (const one of this.#commands.values()) {
      one.calls = 0;
      one.microseconds = 0;
      one.rejected = 0;
      one.failed = 0;
    }
    this.#errors.clear();
    this.connectionsReceived = 0;
    this.connectionsRejected = 0;
    this.commandsProcessed = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.outputLimitClosed = 0;
    this.queryLimitClosed = 0;
    this.timeoutClosed = 0;
    this.protocolErrors = 0;
    this.errorReplies = 0;
    this.#sampledCommands = 0;
    this.#sampledIn = 0;
    this.#sampledOut = 0;
  }
}
