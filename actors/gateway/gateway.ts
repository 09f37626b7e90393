// What all connections of a node share: ports, limits, settings, counters, the slow log and the list
// of clients. It outlives the listener, so a restart of that actor forgets nothing but the sockets.
// It stands between `node`, which makes it, and the files of this room.

import { defaultLimits as decoderDefaults } from "../../resp/decoder.ts";
import type { DecoderLimits } from "../../resp/decoder.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import type { NodeListener } from "../cluster/protocol.ts";
import type { Places } from "../store/protocol.ts";
import type { Turn } from "../system/turn.ts";
import type { Connection } from "./connection.ts";
import type { DispatchContext } from "./dispatch.ts";
import { Entries } from "./entries.ts";
import type { CommandTable } from "./entries.ts";
import { Front } from "./front.ts";
import { normalHardBytes } from "./output-limits.ts";
import { defaultLimits } from "./protocol.ts";
import type {
  ForwardingOptions,
  GatewayClock,
  GatewayLimits,
  Routes,
  StoreView,
} from "./protocol.ts";
import { Router } from "./router.ts";
import type { ClientSession } from "./session.ts";
import { Settings } from "./settings.ts";
import type { KnownCommand } from "./forward/executor.ts";
import type { Slot } from "./slot.ts";
import { Slowlog, withoutSecrets } from "./slowlog.ts";
import { Statistics } from "./statistics.ts";
import { shares } from "./walks.ts";

/** What the node provides. */
export interface GatewayOptions {
  readonly places: Places;
  /** Undefined on a node that is alone. */
  readonly forwarding?: ForwardingOptions;
  readonly store: StoreView;
  readonly commands: CommandTable;
  readonly turn: Turn;
  readonly clock: GatewayClock;
  /** [0, 1). */
  readonly random: () => number;
  readonly nodeId: string;
  readonly version: string;
  /** CONFIG parameters that differ from the defaults, by Redis' names. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly limits?: Partial<GatewayLimits>;
}

/** What another gateway asks a region here for: a command of the table, or a share of a walk. */
function resolveKnown(
  entries: Entries,
  name: string,
  args: readonly Buffer[],
): KnownCommand | ErrorReply {
  const share = shares.find((each) => each.name === name);
  if (share !== undefined) return { command: share, keyPositions: () => [] };
  const entry = entries.resolve(args);
  if (entry instanceof ErrorReply) return entry;
  const { command } = entry;
  if (command.runs !== "region") return new ErrorReply(`ERR '${name}' is no command of a region`);
  return { command, keyPositions: (given) => entry.keyPositions(given) };
}

export class Gateway {
  readonly routes: Routes;
  /** Has to hear of other nodes' ups and downs. */
  readonly nodeListener: NodeListener;
  readonly store: StoreView;
  readonly turn: Turn;
  readonly clock: GatewayClock;
  readonly random: () => number;
  readonly nodeId: string;
  readonly version: string;
  readonly settings: Settings;
  readonly limits: GatewayLimits;
  readonly statistics = new Statistics();
  readonly slowlog = new Slowlog();
  readonly connections = new Map<number, Connection>();
  readonly decoderLimits: DecoderLimits;
  readonly dispatch: DispatchContext;
  readonly startedAtMs: number;
  /** Bytes of replies held back for a client that does not read, above which it is closed. */
  heldBytesMax = 0;
  /** Bytes of replies waiting for a client, above which it is closed: client-output-buffer-limit. */
  waitingBytesMax = Infinity;
  #lastConnectionId = 0;
  #slowerThanMicroseconds = 0;
  #slowlogLengthMax = 0;

  constructor(options: GatewayOptions) {
    this.store = options.store;
    this.turn = options.turn;
    this.clock = options.clock;
    this.random = options.random;
    this.nodeId = options.nodeId;
    this.version = options.version;
    this.settings = new Settings(options.settings);
    this.limits = { ...defaultLimits, ...options.limits };
    this.decoderLimits = { ...decoderDefaults };
    this.startedAtMs = options.clock.wallMs();
    const entries = new Entries(options.commands, this.statistics);
    const router = new Router({
      ...options,
      resolve: (name, args) => resolveKnown(entries, name, args),
    });
    this.routes = router;
    this.nodeListener = router;
    this.dispatch = {
      entries,
      routes: this.routes,
      server: new Front(this),
    };
    this.settings.onChange = () => this.#readSettings();
    this.#readSettings();
  }

  nextConnectionId(): number {
    this.#lastConnectionId += 1;
    return this.#lastConnectionId;
  }

  /** Counts one answered command; `nowMs` is the monotonic time its reply is written. */
  account(slot: Slot, reply: Reply, nowMs: number, session: ClientSession): void {
    const { entry } = slot;
    if (reply instanceof ErrorReply) {
      this.statistics.error(reply.message);
      if (entry !== undefined) entry.statistics.failed += 1;
    }
    if (entry === undefined) return;
    const microseconds = (nowMs - slot.arrivedAtMs) * 1000;
    entry.statistics.calls += 1;
    entry.statistics.microseconds += microseconds;
    entry.statistics.latency.observe(microseconds);
    const slower = this.#slowerThanMicroseconds;
    if (slower < 0 || microseconds < slower) return;
    const atMs = this.clock.wallMs();
    const { address, name } = session;
    const args = withoutSecrets(entry.command.name, slot.args);
    this.slowlog.add({ atMs, microseconds, address, name }, args, this.#slowlogLengthMax);
  }

  /** About once a second: rates, and connections that were silent longer than `timeout`. */
  sweep(): void {
    const nowMs = this.clock.monotonicMs();
    this.statistics.sample(nowMs);
    const timeoutMs = this.settings.number("timeout") * 1000;
    if (timeoutMs === 0) return;
    for (const connection of this.connections.values()) {
      if (!connection.idle || nowMs - connection.activeAtMs <= timeoutMs) continue;
      this.statistics.timeoutClosed += 1;
      connection.destroy();
    }
  }

  /** What the hot path needs as numbers. */
  #readSettings(): void {
    this.#slowerThanMicroseconds = this.settings.number("slowlog-log-slower-than");
    this.#slowlogLengthMax = this.settings.number("slowlog-max-len");
    this.slowlog.trim(this.#slowlogLengthMax);
    const hardBytes = normalHardBytes(this.settings.text("client-output-buffer-limit"));
    this.heldBytesMax = hardBytes ?? this.limits.outputHardBytes;
    this.waitingBytesMax = hardBytes ?? Infinity;
    this.decoderLimits.maxBulkBytes = this.settings.number("proto-max-bulk-len");
    this.decoderLimits.maxQueryBytes = this.settings.number("client-query-buffer-limit");
  }
}
