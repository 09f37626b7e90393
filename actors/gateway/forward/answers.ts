// What became of the commands of one stream, as the executor keeps it until the sender has it: small
// replies as they are, large ones as wholes to be fetched. It counts what they hold, so that the
// executor can take no more from a node that does not collect its answers.

import { ErrorReply } from "../../../resp/reply.ts";
import type { Reply } from "../../../resp/reply.ts";
import { unknownOutcome } from "../../store/protocol.ts";
import { outcomes, pieceBytes } from "./messages.ts";
import { replyBytes, writeReply } from "./reply-codec.ts";
import { wholeBytesMax } from "./transfers.ts";
import { WholeWriter, type Whole } from "./whole.ts";
import type { WireWriter } from "./wire.ts";

/** `bytes` is about what it holds. */
export type Answer =
  | { readonly outcome: "reply"; readonly reply: Reply; readonly bytes: number }
  | { readonly outcome: "refused"; readonly bytes: number }
  | { readonly outcome: "large"; readonly whole: Whole; readonly bytes: number };

export const notExecuted: Answer = { outcome: "refused", bytes: 0 };

/** What the answers of all streams of a process hold. */
export interface KeptBytes {
  keptBytes: number;
}

/** One for all: a reply is written within one synchronous step. */
const wholeWriter = new WholeWriter();

/** A reply as it is kept; one that nobody could fetch becomes an error. */
export function answerOf(reply: Reply, isWrite: boolean): Answer {
  const bytes = replyBytes(reply);
  if (bytes <= pieceBytes) return { outcome: "reply", reply, bytes };
  writeReply(wholeWriter, reply);
  const whole = wholeWriter.whole();
  if (whole.length <= wholeBytesMax) return { outcome: "large", whole, bytes: whole.length };
  const reason = "the reply is longer than 1 GiB";
  const error = new ErrorReply(isWrite ? unknownOutcome(reason) : `ERR ${reason}`);
  return { outcome: "reply", reply: error, bytes: replyBytes(error) };
}

/** By number; undefined = the command is being executed. */
export class Answers {
  readonly #byNumber = new Map<number, Answer | undefined>();
  readonly #all: KeptBytes;
  /** Of these alone. */
  bytes = 0;

  constructor(all: KeptBytes) {
    this.#all = all;
  }

  get isEmpty(): boolean {
    return this.#byNumber.size === 0;
  }

  get(seq: number): Answer | undefined {
    return this.#byNumber.get(seq);
  }

  set(seq: number, answer: Answer | undefined): void {
    this.#count((answer?.bytes ?? 0) - (this.#byNumber.get(seq)?.bytes ?? 0));
    this.#byNumber.set(seq, answer);
  }

  /** The sender has everything below. */
  forget(watermark: number): void {
    for (const [seq, answer] of this.#byNumber) {
      if (seq >= watermark) return;
      this.#byNumber.delete(seq);
      this.#count(-(answer?.bytes ?? 0));
    }
  }

  /** Of the commands that are answered, from `watermark` on. */
  numbers(watermark: number): number[] {
    const found: number[] = [];
    for (const [seq, answer] of this.#byNumber) {
      if (seq >= watermark && answer !== undefined) found.push(seq);
    }
    return found;
  }

  clear(): void {
    this.#byNumber.clear();
    this.#count(-this.bytes);
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    this.#all.keptBytes += bytes;
  }
}

export function writeAnswer(writer: WireWriter, seq: number, answer: Answer | undefined): void {
  // Forgotten: the sender has it.
  if (answer === undefined) return;
  writer.varint(seq);
  writer.u8(outcomes[answer.outcome]);
  if (answer.outcome === "reply") writeReply(writer, answer.reply);
  else if (answer.outcome === "large") writer.varint(answer.whole.length);
}
