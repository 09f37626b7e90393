// CONFIG's parameters by Redis' names: those this server obeys, those clients and tools ask for, and
// those that are accepted and remembered because they change nothing here. It stands between CONFIG
// GET/SET and the gateway's parts, which read the numbers at every use.

import { defaultOutputLimits, parseOutputLimits } from "./output-limits.ts";

/** How a value is checked and written back. */
type Kind =
  | { readonly kind: "text" }
  | { readonly kind: "yesno" }
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  /** Bytes; `64mb` is understood, the answer is a plain number. */
  | { readonly kind: "memory"; readonly min: number }
  /** Of output buffers, per class of clients. */
  | { readonly kind: "limits" }
  | { readonly kind: "choice"; readonly of: readonly string[] };

interface Parameter {
  readonly shape: Kind;
  /** Not to be changed at run time; the present value may be set again. */
  readonly fixed: boolean;
  value: string;
}

const limit = Number.MAX_SAFE_INTEGER;
const text: Kind = { kind: "text" };
const yesno: Kind = { kind: "yesno" };
const memory: Kind = { kind: "memory", min: 0 };
const choice = (...of: string[]): Kind => ({ kind: "choice", of });
const integer = (min: number, max: number): Kind => ({ kind: "integer", min, max });
const count = integer(0, 2_147_483_647);

const evictionPolicies = [
  "volatile-lru",
  "volatile-lfu",
  "volatile-random",
  "volatile-ttl",
  "allkeys-lru",
  "allkeys-lfu",
  "allkeys-random",
  "noeviction",
];

/**
 * Name, default and shape of what CONFIG SET may change. Obeyed are the first eight, requirepass and
 * the normal class' hard limit of client-output-buffer-limit. The rest is remembered for clients and
 * tests that set it: whatever appendonly, appendfsync and save say, the log is synced before every
 * reply, and whatever maxmemory says, nothing is evicted.
 */
const changeable: ReadonlyArray<readonly [string, string, Kind]> = [
  ["maxclients", "10000", integer(1, 4_294_967_295)],
  ["timeout", "0", count],
  ["tcp-keepalive", "300", count],
  ["requirepass", "", text],
  ["proto-max-bulk-len", "67108864", { kind: "memory", min: 1024 * 1024 }],
  ["client-query-buffer-limit", "1073741824", { kind: "memory", min: 1024 * 1024 }],
  // Ten times Redis' default: the measured time holds the wait for the synced log.
  ["slowlog-log-slower-than", "100000", integer(-1, limit)],
  ["slowlog-max-len", "128", integer(0, limit)],
  ["client-output-buffer-limit", defaultOutputLimits, { kind: "limits" }],
  ["latency-monitor-threshold", "0", integer(0, limit)],
  ["loglevel", "notice", choice("debug", "verbose", "notice", "warning", "nothing")],
  ["appendonly", "yes", yesno],
  ["appendfsync", "always", choice("everysec", "always", "no")],
  ["save", "", text],
  ["maxmemory", "0", memory],
  ["maxmemory-policy", "noeviction", choice(...evictionPolicies)],
  ["maxmemory-samples", "5", integer(1, 64)],
  ["maxmemory-clients", "0", text],
  ["notify-keyspace-events", "", text],
  ["list-max-listpack-size", "-2", integer(-5, 2_147_483_647)],
  ["list-max-ziplist-size", "-2", integer(-5, 2_147_483_647)],
  ["list-compress-depth", "0", count],
  ["hash-max-listpack-entries", "512", integer(0, limit)],
  ["hash-max-listpack-value", "64", integer(0, limit)],
  ["hash-max-ziplist-entries", "512", integer(0, limit)],
  ["hash-max-ziplist-value", "64", integer(0, limit)],
  ["set-max-intset-entries", "512", integer(0, limit)],
  ["set-max-listpack-entries", "128", integer(0, limit)],
  ["set-max-listpack-value", "64", integer(0, limit)],
  ["zset-max-listpack-entries", "128", integer(0, limit)],
  ["zset-max-listpack-value", "64", integer(0, limit)],
  ["zset-max-ziplist-entries", "128", integer(0, limit)],
  ["zset-max-ziplist-value", "64", integer(0, limit)],
  ["hll-sparse-max-bytes", "3000", integer(0, limit)],
  ["stream-node-max-bytes", "4096", memory],
  ["stream-node-max-entries", "100", integer(0, limit)],
  ["lazyfree-lazy-eviction", "no", yesno],
  ["lazyfree-lazy-expire", "no", yesno],
  ["lazyfree-lazy-server-del", "no", yesno],
  ["lazyfree-lazy-user-del", "no", yesno],
  ["lazyfree-lazy-user-flush", "no", yesno],
  ["replica-lazy-flush", "no", yesno],
  ["activedefrag", "no", yesno],
  ["active-expire-effort", "1", integer(1, 10)],
  ["activerehashing", "yes", yesno],
  ["dynamic-hz", "yes", yesno],
  ["hz", "10", integer(1, 500)],
  ["lfu-log-factor", "10", count],
  ["lfu-decay-time", "1", count],
  ["lua-time-limit", "5000", integer(0, limit)],
  ["busy-reply-threshold", "5000", integer(0, limit)],
  ["no-appendfsync-on-rewrite", "no", yesno],
  ["auto-aof-rewrite-percentage", "100", count],
  ["auto-aof-rewrite-min-size", "67108864", memory],
  ["aof-load-truncated", "yes", yesno],
  ["aof-use-rdb-preamble", "yes", yesno],
  ["aof-rewrite-incremental-fsync", "yes", yesno],
  ["aof-timestamp-enabled", "no", yesno],
  ["rdb-save-incremental-fsync", "yes", yesno],
  ["rdbcompression", "yes", yesno],
  ["rdbchecksum", "yes", yesno],
  ["rdb-key-save-delay", "0", integer(-2_147_483_648, 2_147_483_647)],
  ["key-load-delay", "0", integer(-2_147_483_648, 2_147_483_647)],
  ["dbfilename", "dump.rdb", text],
  ["dir", ".", text],
  ["sanitize-dump-payload", "no", choice("no", "yes", "clients")],
  ["stop-writes-on-bgsave-error", "yes", yesno],
  ["repl-diskless-sync", "yes", yesno],
  ["repl-diskless-sync-delay", "5", count],
  ["repl-diskless-load", "disabled", choice("disabled", "on-empty-db", "swapdb")],
  ["repl-backlog-size", "1048576", memory],
  ["repl-timeout", "60", count],
  ["min-replicas-to-write", "0", count],
  ["min-slaves-to-write", "0", count],
  ["replica-read-only", "yes", yesno],
  ["replica-serve-stale-data", "yes", yesno],
  ["latency-tracking", "yes", yesno],
  ["tracking-table-max-keys", "1000000", integer(0, limit)],
  ["jemalloc-bg-thread", "yes", yesno],
  ["proc-title-template", "{title} {listen-addr} {server-mode}", text],
  ["set-proc-title", "yes", yesno],
  ["protected-mode", "no", yesno],
  ["masterauth", "", text],
];

/** What CONFIG GET shows and only the start can decide. */
const fixedParameters: ReadonlyArray<readonly [string, string, Kind]> = [
  ["port", "6379", integer(0, 65_535)],
  ["bind", "127.0.0.1", text],
  ["databases", "16", count],
  ["io-threads", "1", count],
  ["cluster-enabled", "no", yesno],
  ["daemonize", "no", yesno],
  ["tcp-backlog", "511", count],
  ["logfile", "", text],
  ["pidfile", "", text],
  ["unixsocket", "", text],
  ["supervised", "no", text],
  ["replicaof", "", text],
  ["slaveof", "", text],
  ["appendfilename", "appendonly.aof", text],
  ["appenddirname", "appendonlydir", text],
  ["aclfile", "", text],
  ["always-show-logo", "no", yesno],
  ["enable-debug-command", "yes", text],
  ["enable-protected-configs", "no", text],
  ["tls-port", "0", count],
];

/** Units of Redis' memory values (`memtoull`). */
const units: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1_000_000,
  mb: 1024 * 1024,
  g: 1_000_000_000,
  gb: 1024 * 1024 * 1024,
};

/** All parameters with their present values. */
export class Settings {
  readonly #parameters = new Map<string, Parameter>();
  /** Told after a successful CONFIG SET. */
  onChange: () => void = () => undefined;

  /** `initial` overrides defaults by name; an unknown name or a bad value throws. */
  constructor(initial: Readonly<Record<string, string>> = {}) {
    for (const [name, value, shape] of changeable) {
      this.#parameters.set(name, { shape, value, fixed: false });
    }
    for (const [name, value, shape] of fixedParameters) {
      this.#parameters.set(name, { shape, value, fixed: true });
    }
    for (const [name, value] of Object.entries(initial)) this.override(name, value);
  }

  /** Sets any parameter, also a fixed one: for the start and for the bound port. */
  override(name: string, value: string): void {
    const parameter = this.#parameters.get(name);
    if (parameter === undefined) throw new Error(`unknown parameter ${name}`);
    const checked = check(parameter, value);
    if ("problem" in checked) throw new Error(`${name}: ${checked.problem}`);
    parameter.value = checked.value;
  }

  get(name: string): string | undefined {
    return this.#parameters.get(name)?.value;
  }

  text(name: string): string {
    return this.#parameters.get(name)?.value ?? "";
  }

  /** The value of an integer or memory parameter. */
  number(name: string): number {
    return Number(this.text(name));
  }

  names(): readonly string[] {
    return [...this.#parameters.keys()];
  }

  /** All or nothing; the answer is undefined or the rest of Redis' error text. */
  set(pairs: ReadonlyArray<readonly [string, string]>): string | undefined {
    const accepted: Array<readonly [Parameter, string]> = [];
    const seen = new Set<Parameter>();
    for (const [name, raw] of pairs) {
      const failed = (why: string) =>
        `CONFIG SET failed (possibly related to argument '${name}') - ${why}`;
      const parameter = this.#parameters.get(name.toLowerCase());
      if (parameter === undefined) {
        return `Unknown option or number of arguments for CONFIG SET - '${name}'`;
      }
      if (seen.has(parameter)) return failed("duplicate parameter");
      seen.add(parameter);
      // Test tools write back every value they have read.
      if (parameter.fixed && raw !== parameter.value) return failed("can't set immutable config");
      const checked = check(parameter, raw);
      if ("problem" in checked) return failed(checked.problem);
      accepted.push([parameter, checked.value]);
    }
    for (const [parameter, value] of accepted) parameter.value = value;
    this.onChange();
    return undefined;
  }
}

type Checked = { readonly value: string } | { readonly problem: string };

function check({ shape, value: present }: Parameter, raw: string): Checked {
  switch (shape.kind) {
    case "text":
      return { value: raw };
    case "yesno": {
      const value = raw.toLowerCase();
      if (value === "yes" || value === "no") return { value };
      return { problem: "argument must be 'yes' or 'no'" };
    }
    case "choice": {
      const value = raw.toLowerCase();
      if (shape.of.includes(value)) return { value };
      return { problem: `argument(s) must be one of the following: ${shape.of.join(", ")}` };
    }
    case "integer":
      return checkInteger(raw, shape.min, shape.max);
    case "memory":
      return checkMemory(raw, shape.min);
    case "limits":
      return parseOutputLimits(raw, present, toBytes);
    default:
      return shape satisfies never;
  }
}

function checkInteger(raw: string, min: number, max: number): Checked {
  const value = /^-?\d+$/.test(raw) ? Number(raw) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    return { problem: "argument couldn't be parsed into an integer" };
  }
  if (value < min || value > max) {
    return { problem: `argument must be between ${min} and ${max} inclusive` };
  }
  return { value: String(value) };
}

/** Bytes of a memory value; undefined when it is none. */
function toBytes(raw: string): number | undefined {
  const parts = /^(\d+)([a-z]*)$/i.exec(raw);
  const unit = units[parts?.[2]?.toLowerCase() ?? "?"];
  return unit === undefined ? undefined : Number(parts?.[1]) * unit;
}

function checkMemory(raw: string, min: number): Checked {
  const value = toBytes(raw);
  if (value === undefined) return { problem: "argument must be a memory value" };
  if (!Number.isSafeInteger(value) || value < min) {
    return { problem: `argument must be between ${min} and ${limit} inclusive` };
  }
  return { value: String(value) };
}
