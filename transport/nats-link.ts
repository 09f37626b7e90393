// One connection to NATS that is always wanted: dials for ever with jitter, subscribes again, and
// says truly whether it is up. It stands between an endpoint and the `nats` package, whose own
// reconnecting is off, because that queues what is published meanwhile, and we drop it.

import { setTimeout as delay } from "node:timers/promises";

import { DebugEvents, Events } from "nats";
import type { NatsConnection } from "nats";

import { frameOverheadBytes } from "./codec.ts";
import { NatsRefusedError, dial, type DialSettings, type NatsServer } from "./nats-dial.ts";
import type { OnProblem } from "./problem.ts";
import type { Wire } from "./wire.ts";

export interface LinkSettings extends DialSettings {
  readonly servers: readonly NatsServer[];
  /** What may wait to be taken by the server, bytes. */
  readonly outboundCapBytes: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onProblem: OnProblem;
}

/** A body of 640 KiB must fit; NATS' own default of 1 MiB is plenty. */
export const minPayloadBytes = 640 * 1024 + frameOverheadBytes;
/** Longer messages are not better: the server handles one after the other. */
const maxPayloadBytes = 1024 * 1024;
const closeTimeoutMs = 2_000;
const firstRetryMs = 100;
const lastRetryMs = 1_000;
/** So often in the outbound cap the server is asked how far it is. */
const marksPerCap = 64;

export class NatsLink implements Wire {
  readonly #settings: LinkSettings;
  readonly #subscriptions = new Map<string, (frame: Buffer) => void>();
  readonly #stop = new AbortController();
  #listener: ((connected: boolean) => void) | undefined;
  /** Undefined while there is none. */
  #connection: NatsConnection | undefined;
  #running: Promise<void> | undefined;
  #maxFrameBytes = 0;
  #reconnects = 0;
  /** Which server comes first in the next round. */
  #turn: number;
  /** Kinds of trouble told since it last worked. */
  readonly #told = new Set<string>();
  /** Published, and not yet known to be taken by the server. */
  #pendingBytes = 0;
  #unmarkedBytes = 0;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
    this.#turn = Math.floor(settings.random() * settings.servers.length);
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  get maxFrameBytes(): number {
    return this.#maxFrameBytes;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  /**
   * Resolves when it is connected for the first time. Rejects with NatsRefusedError when a server is
   * there and none takes us, and with the signal's reason when that fires first.
   */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const stop = this.#stop.signal;
    const either = signal === undefined ? stop : AbortSignal.any([stop, signal]);
    const first = await this.#connect(either, true).catch((error: unknown) => {
      // A wait that is cut short rejects with an error of its own instead of the reason.
      either.throwIfAborted();
      throw error;
    });
    this.#maxFrameBytes = Math.min(first.info?.max_payload ?? 0, maxPayloadBytes);
    this.#running = this.#keepUp(first);
  }

  publish(subject: string, frame: Buffer): boolean {
    const connection = this.#connection;
    if (connection === undefined) return false;
    if (this.#pendingBytes + frame.length > this.#settings.outboundCapBytes) return false;
    try {
      connection.publish(subject, frame);
    } catch {
      // Closed a moment ago, and not yet told.
      return false;
    }
    this.#pendingBytes += frame.length;
    this.#unmarkedBytes += frame.length;
    if (this.#unmarkedBytes * marksPerCap >= this.#settings.outboundCapBytes)
      this.#mark(connection);
    return true;
  }

  subscribe(subject: string, receive: (frame: Buffer) => void): void {
    this.#subscriptions.set(subject, receive);
  }

  onConnection(listener: (connected: boolean) => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) {
      await within(closeTimeoutMs, [connection.drain(), connection.closed()]);
      // Does nothing after a drain; a drain that hangs on a stopped server is cut off here.
      await connection.close();
    }
    await this.#running;
  }

  /** The server answers pings in order with what it was sent before. */
  #mark(connection: NatsConnection): void {
    const bytes = this.#unmarkedBytes;
    this.#unmarkedBytes = 0;
    connection.flush().then(
      () => {
        if (this.#connection === connection) this.#pendingBytes -= bytes;
      },
      () => {
        // The connection broke; the count begins anew with the next one.
      },
    );
  }

  async #keepUp(first: NatsConnection): Promise<void> {
    const stop = this.#stop.signal;
    let connection = first;
    for (;;) {
      this.#up(connection);
      const error = await connection.closed();
      if (stop.aborted) return;
      this.#down(connection, error);
      try {
        await delay(this.#settings.random() * firstRetryMs, undefined, { signal: stop });
        connection = await this.#connect(stop, false);
      } catch {
        // Closed meanwhile: that is the only thing that ends the attempts.
        return;
      }
      this.#reconnects++;
    }
  }

  #up(connection: NatsConnection): void {
    this.#connection = connection;
    this.#pendingBytes = 0;
    this.#unmarkedBytes = 0;
    this.#told.clear();
    this.#listener?.(true);
  }

  #down(connection: NatsConnection, error: Error | void): void {
    this.#connection = undefined;
    const from = connection.getServer();
    const why = error instanceof Error && error.message !== "" ? `: ${error.message}` : "";
    const message = `${this.#settings.name} lost its connection to the NATS server ${from}${why}`;
    this.#settings.onProblem({ kind: "lost", message, from, error });
    this.#listener?.(false);
  }

  /** Rounds through all servers until one takes us. */
  async #connect(signal: AbortSignal, givesUp: boolean): Promise<NatsConnection> {
    const { servers, random } = this.#settings;
    for (let retryMs = firstRetryMs; ; retryMs = Math.min(retryMs * 2, lastRetryMs)) {
      let failure: Error | undefined;
      for (let tried = 0; tried < servers.length; tried++) {
        signal.throwIfAborted();
        const server = servers[this.#turn++ % servers.length];
        if (server === undefined) continue;
        try {
          return await this.#attempt(server, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (!(failure instanceof NatsRefusedError)) failure = error as Error;
        }
      }
      if (givesUp && failure instanceof NatsRefusedError) throw failure;
      if (failure !== undefined) this.#tell(failure);
      await delay(retryMs * (0.5 + random()), undefined, { signal });
    }
  }

  #tell(failure: Error): void {
    const kind = failure instanceof NatsRefusedError ? "refused" : "unreachable";
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    const message = `${this.#settings.name} keeps trying: ${failure.message}`;
    this.#settings.onProblem({ kind, message, error: failure });
  }

  async #attempt(server: NatsServer, signal: AbortSignal): Promise<NatsConnection> {
    const connection = await dial(server, this.#settings, signal);
    try {
      const payloadBytes = connection.info?.max_payload ?? 0;
      const neededBytes = Math.max(minPayloadBytes, this.#maxFrameBytes);
      if (payloadBytes < neededBytes) {
        throw new NatsRefusedError(
          `max_payload of the NATS server ${server.label} is ${payloadBytes} bytes; ` +
            `it must be at least ${neededBytes}`,
        );
      }
      void this.#hear(connection);
      for (const [subject, receive] of this.#subscriptions) {
        connection.subscribe(subject, {
          callback: (error, message) => {
            if (error !== null) return;
            const { buffer, byteOffset, length } = message.data;
            receive(Buffer.from(buffer, byteOffset, length));
          },
        });
      }
      // After this the server has our subscriptions: who hears that we are up is heard.
      await within(this.#settings.dialTimeoutMs, [connection.flush(), connection.closed()]);
      signal.throwIfAborted();
      if (connection.isClosed()) throw new Error(`the NATS server ${server.label} hung up`);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async #hear(connection: NatsConnection): Promise<void> {
    for await (const { type, data } of connection.status()) {
      // The package would first wait for its last write, for ever if the server has stopped reading.
      if (type === DebugEvents.StaleConnection) await connection.close();
      if (type === Events.Error) this.#complain(connection.getServer(), data as string);
    }
  }

  /** Once a connection and code: a refused permission would come with every message. */
  #complain(from: string, code: string): void {
    if (this.#told.has(code)) return;
    this.#told.add(code);
    const message = `the NATS server ${from} reports ${code} to ${this.#settings.name}`;
    this.#settings.onProblem({ kind: "server", message, from });
  }
}

/** Resolves when one of them has settled, after `timeoutMs` at the latest. */
async function within(timeoutMs: number, promises: readonly Promise<unknown>[]): Promise<void> {
  const timeout = new AbortController();
  const timer = delay(timeoutMs, undefined, { signal: timeout.signal });
  await Promise.race([...promises, timer]).catch(() => {});
  timeout.abort();
  await timer.catch(() => {});
}
