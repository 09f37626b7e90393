// What Redis 7.2 has and 7.0.15 has not, so that no server here can be asked: one table of commands
// and the replies that the documentation of 7.2 (redis.io/docs/latest/commands) gives them. Replies
// are written as `render` shows them; a pattern stands where a value is the server's own.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientFields, fieldsOf, itemsOf, textOf } from "./fields.ts";
import { render, type Typed } from "./parser.ts";
import { SELF, startSpire, type Peer } from "./peers.ts";
import { replies, words, type Protocol } from "./run.ts";

/** A command line, and its reply in both protocols or in RESP2 and RESP3. */
type Row = readonly [command: string, reply: string | RegExp, resp3?: string | RegExp];

const REFUSED = "cannot contain spaces, newlines or special characters.";

/** One script after the other, each on a connection of its own. */
const TABLE: ReadonlyArray<readonly [title: string, rows: readonly Row[]]> = [
  [
    "CLIENT SETINFO names the library, and RESET keeps that",
    [
      ["CLIENT SETINFO LIB-NAME redis-py", "+OK"],
      ["CLIENT SETINFO LIB-VER 1.2.3", "+OK"],
      ["CLIENT INFO", / lib-name=redis-py lib-ver=1\.2\.3\b/],
      ["client setinfo lib-name redis-py(om_v1.0)", "+OK"],
      ["CLIENT INFO", / lib-name=redis-py\(om_v1\.0\) lib-ver=1\.2\.3\b/],
      ["RESET", "+RESET"],
      ["CLIENT INFO", / lib-name=redis-py\(om_v1\.0\) lib-ver=1\.2\.3\b/],
      ['CLIENT SETINFO lib-name ""', "+OK"],
      ["CLIENT INFO", / lib-name= lib-ver=1\.2\.3\b/],
    ],
  ],
  [
    "CLIENT SETINFO refuses what would break the format of CLIENT LIST",
    [
      ["CLIENT INFO", / lib-name= lib-ver=/],
      ['CLIENT SETINFO lib-name "redis py"', `-ERR lib-name ${REFUSED}`],
      ['CLIENT SETINFO LIB-VER "1\\n2"', `-ERR LIB-VER ${REFUSED}`],
      ["CLIENT SETINFO lib-foo x", "-ERR Unrecognized option 'lib-foo'"],
      ["CLIENT SETINFO lib-name", arity("client|setinfo")],
      ["CLIENT SETINFO", arity("client|setinfo")],
      ["CLIENT SETINFO lib-name a b", arity("client|setinfo")],
      ["CLIENT INFO", / lib-name= lib-ver=/],
    ],
  ],
  [
    "CLIENT NO-TOUCH shows as flag T, and RESET ends it",
    [
      ["CLIENT NO-TOUCH ON", "+OK"],
      ["CLIENT INFO", / flags=T /],
      ["CLIENT NO-EVICT on", "+OK"],
      ["CLIENT INFO", / flags=(eT|Te) /],
      ["CLIENT NO-TOUCH off", "+OK"],
      ["CLIENT INFO", / flags=e /],
      ["CLIENT NO-TOUCH on", "+OK"],
      ["RESET", "+RESET"],
      ["CLIENT INFO", / flags=N /],
      ["CLIENT NO-TOUCH maybe", "-ERR syntax error"],
      ["CLIENT NO-TOUCH", arity("client|no-touch")],
      ["CLIENT NO-TOUCH on off", arity("client|no-touch")],
    ],
  ],
  [
    "the version is that of 7.2",
    [
      ["HELLO", /"version" \$"7\.2\.4"/, /"version"=\$"7\.2\.4"/],
      ["INFO server", /redis_version:7\.2\.4\\r\\n/],
      ["INFO server", /spiredb_version:\d+\.\d+\.\d+\\r\\n/],
    ],
  ],
  [
    "COMMAND GETKEYS asks for one argument of the command less",
    [
      ["COMMAND GETKEYS", arity("command|getkeys")],
      ["COMMAND GETKEYS PING", "-ERR The command has no key arguments"],
      ["COMMAND GETKEYS FLUSHALL", "-ERR The command has no key arguments"],
      ["COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command"],
      ["COMMAND GETKEYS NOSUCH", "-ERR Invalid command specified"],
    ],
  ],
  [
    "COMMAND knows the new sub-commands",
    [
      ["COMMAND INFO client|setinfo", /^\*\[\*\[\$"client\|setinfo" :4 /],
      ["COMMAND INFO client|no-touch", /^\*\[\*\[\$"client\|no-touch" :3 /],
      ["COMMAND DOCS client|setinfo", /\$"since" \$"7\.2\.0"/, /\$"since"=\$"7\.2\.0"/],
      ["COMMAND DOCS client|no-touch", /\$"since" \$"7\.2\.0"/, /\$"since"=\$"7\.2\.0"/],
    ],
  ],
];

function arity(name: string): string {
  return `-ERR wrong number of arguments for '${name}' command`;
}

/** Fields that clients and tools read from INFO, by section. */
const INFO_FIELDS: Readonly<Record<string, readonly string[]>> = {
  server: ["redis_version", "redis_mode", "process_id", "tcp_port", "uptime_in_seconds", "run_id"],
  clients: ["connected_clients", "blocked_clients", "maxclients"],
  memory: ["used_memory", "used_memory_human", "used_memory_peak", "maxmemory"],
  persistence: ["loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress", "aof_enabled"],
  stats: [
    "total_connections_received",
    "total_commands_processed",
    "instantaneous_ops_per_sec",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
  ],
  replication: ["role", "connected_slaves", "master_replid", "master_repl_offset"],
  cpu: ["used_cpu_sys", "used_cpu_user"],
  cluster: ["cluster_enabled"],
};

describe.skipIf(SELF)("Redis 7.2", () => {
  let spire: Peer;

  beforeAll(async () => {
    spire = await startSpire();
  });

  afterAll(() => spire?.stop());

  const ask = async (protocol: Protocol, line: string): Promise<Typed> => {
    const [reply] = await replies(spire, protocol, [words(line)]);
    return reply!;
  };

  describe.each<Protocol>([2, 3])("in RESP%i", (protocol) => {
    it.each(TABLE)("%s", async (_, rows) => {
      const commands = rows.map(([line]) => words(line));
      const got = await replies(spire, protocol, commands);
      const wrong = rows.flatMap(([line, resp2, resp3], i) => {
        const wanted = protocol === 3 ? (resp3 ?? resp2) : resp2;
        const shown = render(got[i]!);
        const good = typeof wanted === "string" ? wanted === shown : wanted.test(shown);
        return good ? [] : [`${line}\n  wanted  ${wanted}\n  spiredb ${shown.slice(0, 500)}`];
      });
      expect(wrong.join("\n")).toBe("");
    });

    it("CLIENT LIST has the fields of 7.2 in their order", async () => {
      const text = textOf(await ask(protocol, "CLIENT LIST")).replace(/^txt:/, "");
      expect([...clientFields(text).keys()].join(" ")).toBe(
        "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem " +
          "multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver",
      );
      expect(text.endsWith("\n")).toBe(true);
    });

    it("CLIENT HELP names what it has", async () => {
      const lines = itemsOf(await ask(protocol, "CLIENT HELP")).map(textOf);
      for (const name of ["SETINFO", "NO-TOUCH", "NO-EVICT", "KILL", "LIST", "HELP"]) {
        expect(lines.some((line) => line.startsWith(name))).toBe(true);
      }
    });

    it.each(Object.entries(INFO_FIELDS))(
      "INFO %s has what clients read",
      async (section, names) => {
        const text = textOf(await ask(protocol, `INFO ${section}`));
        expect(names.filter((name) => !text.includes(`\r\n${name}:`))).toEqual([]);
      },
    );

    it("CONFIG GET takes several patterns, each setting once", async () => {
      const fields = fieldsOf(await ask(protocol, "CONFIG GET max* maxmemory maxclients nosuch*"));
      expect([...(fields?.keys() ?? [])]).toEqual(
        expect.arrayContaining(["maxmemory", "maxclients"]),
      );
    });
  });
});
