// What a command is: one literal per command in `commands/*.ts`, gathered by `table.ts`. The
// gateway's gate checks existence, arity, authentication and keys once, from these fields; bodies
// never repeat that. Shapes follow Redis' own command table (redis.io/docs/latest/commands/command-info).

import type { KeyspaceView } from "../storage/keyspace/view.ts";
import type { Reply } from "./reply.ts";
import type { Server, Session } from "./server.ts";

/** Where the keys stand, as COMMAND INFO says it: 1-based; last -1 = to the end. step >= 1. */
export interface KeySpec {
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

/** COMMAND INFO flags, in Redis' words: "write", "readonly", "fast", "denyoom", "no_auth", … */
export type CommandFlag = string;

interface CommandBase {
  /** Lower case; a sub-command is "client|list". */
  readonly name: string;
  /** As Redis: positive = exact count with the name, negative = at least. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  /**
   * A container whose sub-commands are not in Redis' table (DEBUG): a wrong number of arguments is
   * answered like an unknown sub-command.
   */
  readonly looseArity?: boolean;
  /** ACL categories with the at sign: "@read". */
  readonly categories: readonly string[];
  /** For COMMAND DOCS. */
  readonly summary: string;
  readonly since: string;
  readonly group:
    | "string"
    | "bitmap"
    | "generic"
    | "connection"
    | "server"
    | "scripting"
    | "cluster";
  readonly complexity: string;
  readonly keys?: KeySpec;
  /** Where keys depend on the arguments: 0-based positions in `args`. Overrides `keys`. */
  readonly findKeys?: (args: readonly Buffer[]) => number[];
  readonly subcommands?: readonly Command[];
}

/**
 * Runs in the region that owns its keys, pure over the view. `args[0]` is the name as sent.
 * Throwing `Miss` is normal (see view.ts); errors are returned as `ErrorReply`.
 */
export interface RegionCommand extends CommandBase {
  readonly runs: "region";
  /**
   * Over several regions: "one" = all keys must be in one region, else CROSSSLOT; the others
   * are split by region and the replies merged: sums added, arrays put back in the order of
   * the keys, "ok" when all said OK.
   */
  readonly spread: "one" | "sum" | "array" | "ok";
  readonly execute: (view: KeyspaceView, args: readonly Buffer[]) => Reply;
}

/** Runs at the connection, without data. A returned `undefined` = `Session.reply` gets it later. */
export interface SessionCommand extends CommandBase {
  readonly runs: "session";
  readonly execute: (
    server: Server,
    session: Session,
    args: readonly Buffer[],
  ) => Reply | undefined;
}

/**
 * Asks every region, or walks them in order: KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHALL, FLUSHDB. The gateway
 * has the walk; the literal only parses: an ErrorReply ends it at once.
 */
export interface KeyspaceCommand extends CommandBase {
  readonly runs: "keyspace";
  readonly parse: (args: readonly Buffer[]) => KeyspaceWalk | ErrorReplyLike;
}

/** Structural so that this file needs no class: an `ErrorReply`. */
export interface ErrorReplyLike {
  readonly message: string;
}

/** A parsed command over the whole key space. */
export type KeyspaceWalk =
  | { readonly walk: "keys"; readonly pattern: Buffer }
  | {
      readonly walk: "scan";
      /** Position * 65536 + CRC16 bucket, < 2^48; 0 = start. */
      readonly cursor: number;
      readonly count: number;
      readonly pattern?: Buffer;
      /** "string"; a type nobody has matches nothing. */
      readonly type?: string;
    }
  | { readonly walk: "dbsize" }
  | { readonly walk: "randomkey" }
  | { readonly walk: "flushall" }
  | { readonly walk: "flushdb" };

export type Command = RegionCommand | SessionCommand | KeyspaceCommand;
