// The transport over NATS: an endpoint with two connections, one for messages and one for streams,
// so that a snapshot never stands in the way of a heartbeat. It sits between deploy, which has the
// settings, and the `nats` package; nothing but this file and its two neighbours knows NATS.
//
// A received body is a view of the bytes as they came from the socket: Node reads each piece into
// memory of its own and the package joins a message in parts into fresh memory, so nothing writes
// there again and nothing need be copied. A body that is kept keeps its piece, 64 KiB at most or its
// message; what is kept for long in small parts is better copied by its keeper.

import type { Timers } from "./bulk.ts";
import { Endpoint } from "./endpoint.ts";
import { parseServer, type NatsCredentials } from "./nats-dial.ts";
import { NatsLink } from "./nats-link.ts";
import type { OnProblem } from "./problem.ts";
import type { Transport } from "./transport.ts";

export interface NatsOptions extends NatsCredentials {
  /** Part of every subject: clusters of different names on one server do not meet. */
  readonly cluster: string;
  readonly nodeId: string;
  /** `nats://` or `tls://` URLs, with `user:password@` or `token@` if need be; all are tried. */
  readonly servers: readonly string[];
  /** Ends the wait for the first connection; without effect afterwards. */
  readonly signal?: AbortSignal;
  /** Hears of everything worth a log line; must not throw. */
  readonly onProblem: OnProblem;
  /**
   * Runs its argument when the code that sends is done; `queueMicrotask` unless given: who sends
   * gathers for a turn anyway, and one more pass of the event loop would come after every turn.
   */
  readonly schedule?: (run: () => void) => void;
  /** Uniform in [0, 1), for jitter, the order of servers and stream ids; `Math.random` unless given. */
  readonly random?: () => number;
  /** How long one server may take to let us in; 2 s. */
  readonly dialTimeoutMs?: number;
  /** A connection with two of these unanswered is given up; 2 s. */
  readonly pingIntervalMs?: number;
  /** Bodies are dropped while more than this waits to leave; 64 MiB. */
  readonly outboundCapBytes?: number;
  /** What a reader lets its writer send ahead; 2 MiB, which is also the least. */
  readonly streamWindowBytes?: number;
  /** Without a word of the other end for this long a stream fails; 5 s. */
  readonly streamSilenceMs?: number;
}

const mebibyte = 1024 * 1024;

const timers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};

/**
 * Connects, and waits for a server as long as it takes. Rejects with NatsRefusedError when a server
 * is there but cannot be used (password, certificate, a `max_payload` that is too small), with
 * TypeError for names and URLs that are none, and with the signal's reason when that fires first.
 */
export async function openNatsTransport(options: NatsOptions): Promise<Transport> {
  const { nodeId, onProblem, random = Math.random } = options;
  const servers = options.servers.map((server) => parseServer(server));
  if (servers.length === 0) throw new TypeError("no NATS server is named");
  const outboundCapBytes = options.outboundCapBytes ?? 64 * mebibyte;
  const link = (name: string): NatsLink =>
    new NatsLink({
      ...options,
      servers,
      name,
      random,
      outboundCapBytes,
      dialTimeoutMs: options.dialTimeoutMs ?? 2_000,
      pingIntervalMs: options.pingIntervalMs ?? 2_000,
    });
  const messages = link(nodeId);
  const bulk = link(`${nodeId}-streams`);
  const endpoint = new Endpoint({
    cluster: options.cluster,
    nodeId,
    messages,
    bulk,
    schedule: options.schedule ?? queueMicrotask,
    timers,
    random,
    streams: {
      windowBytes: Math.max(options.streamWindowBytes ?? 0, 2 * mebibyte),
      silenceMs: options.streamSilenceMs ?? 5_000,
    },
    outboundCapBytes,
    onProblem,
  });
  try {
    await messages.start(options.signal);
    await bulk.start(options.signal);
  } catch (error) {
    await endpoint.close();
    throw error;
  }
  return endpoint;
}
