// A client that is honest about what it knows: one command at a time over a socket, and for each
// either the answer, "certainly not executed", or "perhaps". It reconnects by itself and gives up on
// an answer after a while; it keeps no history.

import { setTimeout as delay } from "node:timers/promises";

import { notAnInteger, type Command, type Outcome } from "../linearizability/history.ts";
import { Connection, ErrorText, type Reply } from "./connection.ts";

/** What became of one command, with the time of it. */
export interface Exchange {
  readonly invokedAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
  /** The error's text, or why there was no answer; "" for an answer. */
  readonly problem: string;
}

/** Errors that promise that nothing was executed (the contract's §6 and `safety.md` 25). */
const refusals = /^(CLUSTERDOWN|CROSSSLOT|LOADING|TRYAGAIN|MOVED)\b/u;

/** Bounded, so that a server that never answers is noticed instead of waited for. */
export const answerTimeoutMs = 15_000;

/** The words a command is sent as. */
export function wordsOf(key: string, command: Command): string[] {
  switch (command.kind) {
    case "get":
    case "del":
    case "getdel":
      return [command.kind.toUpperCase(), key];
    case "set":
      return ["SET", key, command.value];
    case "setnx":
      return ["SET", key, command.value, "NX"];
    case "getset":
      return ["SET", key, command.value, "GET"];
    case "append":
      return ["APPEND", key, command.value];
    case "incr":
      return ["INCRBY", key, String(command.by)];
    default:
      return command satisfies never;
  }
}

/** One client of one node. */
export class HonestClient {
  readonly #port: number;
  #connection: Connection | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  /** Sends a command and waits for what there is to know. Never rejects. */
  async execute(key: string, command: Command): Promise<Exchange> {
    const connection = await this.#connect();
    const invokedAt = performance.now();
    if (connection === undefined) {
      return { invokedAt, endedAt: invokedAt, outcome: { kind: "fail" }, problem: "no connection" };
    }
    const reply = await this.#answer(connection, wordsOf(key, command));
    const endedAt = performance.now();
    return { invokedAt, endedAt, ...judge(reply, endedAt) };
  }

  close(): void {
    this.#connection?.close();
  }

  async #connect(): Promise<Connection | undefined> {
    if (this.#connection !== undefined && !this.#connection.closed) return this.#connection;
    try {
      this.#connection = await Connection.open(this.#port);
      return this.#connection;
    } catch {
      this.#connection = undefined;
      await delay(50);
      return undefined;
    }
  }

  #answer(connection: Connection, words: string[]): Promise<Reply | Lost> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(new Lost("no answer in time"));
        connection.close();
      }, answerTimeoutMs);
      const settle = (reply: Reply | Lost): void => {
        clearTimeout(timer);
        resolve(reply);
      };
      connection.send(words, settle);
      void connection.whenClosed().then(() => settle(new Lost("the connection was closed")));
    });
  }
}

/** No answer came. */
class Lost {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

function judge(reply: Reply | Lost, returnedAt: number): Pick<Exchange, "outcome" | "problem"> {
  if (reply instanceof Lost) return { outcome: { kind: "unknown" }, problem: reply.why };
  if (reply instanceof ErrorText) {
    const { text } = reply;
    if (text.startsWith("ERR value is not an integer")) {
      return { outcome: { kind: "ok", answer: notAnInteger, returnedAt }, problem: "" };
    }
    return { outcome: { kind: refusals.test(text) ? "fail" : "unknown" }, problem: text };
  }
  if (Array.isArray(reply)) return { outcome: { kind: "unknown" }, problem: "an array" };
  return { outcome: { kind: "ok", answer: reply, returnedAt }, problem: "" };
}

/** Whether an error is one that the contract allows while a cluster is in trouble. */
export function isExpected(problem: string): boolean {
  if (problem.startsWith("UNKNOWN outcome: ") || refusals.test(problem)) return true;
  return ["", "no connection", "the connection was closed", "no answer in time"].includes(problem);
}
