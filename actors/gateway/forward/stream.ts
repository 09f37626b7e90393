// The sending end of one stream: commands for one region on its way to the node that leads it in one
// term, numbered, kept until they are answered, and sent again when an answer is overdue. It stands
// between the route of a region and the transport. Its end sorts what is left: what was not executed
// goes back to the route, a write that may have been executed is answered as unknown.

import { ErrorReply } from "../../../resp/reply.ts";
import type { Reply } from "../../../resp/reply.ts";
import { notLeader, unknownOutcome } from "../../store/protocol.ts";
import type { Errand, ErrandRoute } from "../protocol.ts";
import {
  bodySoftBytes,
  kinds,
  outcomes,
  pieceBytes,
  sides,
  streamStates,
  writeCommandsHead,
  writeErrand,
  writeLarge,
  writeStart,
} from "./messages.ts";
import type { StreamId } from "./messages.ts";
import { readReply } from "./reply-codec.ts";
import type { Fetch, Transfers } from "./transfers.ts";
import { WholeWriter, type Whole } from "./whole.ts";
import { WireError, WireReader, WireWriter } from "./wire.ts";

/** Without an answer for this long it is asked for again, then after twice as long, and so on. */
const askAgainMs = 300;
const askAgainMaxMs = 2400;
/** Sent and not answered for this long: nobody will answer. */
const silenceMaxMs = 5000;
/** How long answers may still come when the region is led elsewhere already. */
const closingMs = 500;
/** Sent without a sign that it has arrived. */
const unconfirmedBytesMax = 1024 * 1024;
const unconfirmedCommandsMax = 8192;
/** Answered entries at the head of the list beyond which it is cut. */
const compactAt = 512;
/** A read that was lost with a node is asked again so many times: it may be what ends them. */
const lossesMax = 2;
/** What a command takes beside its arguments, about. */
const overheadBytes = 64;

/** The region and leader a stream goes to. */
export interface StreamTarget extends StreamId {
  readonly node: string;
  readonly term: number;
  readonly regionEpoch: number;
}

/** Who hears of a stream. */
export interface StreamOwner extends ErrandRoute {
  /** Nothing of it is open any more; `refused` = that node says it does not lead in that term. */
  streamEnded(refused: boolean): void;
}

export interface StreamPorts {
  now(): number;
  send(to: string, body: Buffer): void;
  readonly transfers: Transfers;
  /** Bytes that were on the way to a node are answered. */
  released(node: string, bytes: number): void;
  ended(stream: Stream): void;
}

/** For all streams: a body, or a large command, is written within one synchronous step. */
const writer = new WireWriter();
const wholeWriter = new WholeWriter();

export class Stream {
  readonly target: StreamTarget;
  readonly #owner: StreamOwner;
  readonly #ports: StreamPorts;
  /** From `#start` on; undefined = answered. */
  #errands: Array<Errand | undefined> = [];
  /** Parallel: monotonic ms of the first sending, 0 = not sent. */
  #sentAtMs: number[] = [];
  #start = 1;
  /** The first one without an answer. */
  #base = 1;
  /** The next one to be sent; going back makes it smaller. */
  #next = 1;
  /** The highest that was ever sent. */
  #sent = 0;
  /** The executor has everything below. */
  #received = 1;
  #unanswered = 0;
  #toldWatermark = 1;
  #unconfirmedBytes = 0;
  #askAgainMs = askAgainMs;
  #askedAtMs = 0;
  #progressAtMs = 0;
  #wentBackAtMs = -Infinity;
  /** The executor takes nothing more at the moment. */
  #isHeldBack = false;
  /** Since when nothing new is sent; undefined = it is open. */
  #closedAtMs: number | undefined;
  #refused = false;
  #ended = false;
  /** Large commands, and large replies on their way, by number. */
  readonly #wholes = new Map<number, Whole>();
  readonly #fetches = new Map<number, Fetch>();

  constructor(target: StreamTarget, owner: StreamOwner, ports: StreamPorts) {
    this.target = target;
    this.#owner = owner;
    this.#ports = ports;
  }

  get isOpen(): boolean {
    return this.#closedAtMs === undefined && !this.#ended;
  }

  /** Something has to be watched by the clock. */
  get isBusy(): boolean {
    return !this.#ended && (this.#unanswered > 0 || this.#toldWatermark < this.#base);
  }

  /** Queues it; `flush` sends. */
  push(errand: Errand): void {
    this.#errands.push(errand);
    this.#sentAtMs.push(0);
    this.#unanswered += 1;
  }

  /** Sends what is queued, as much as may be under way. */
  flush(): void {
    while (this.isOpen && this.#next < this.#end && this.#mayHaveMore()) this.#sendBody(false);
  }

  /** Sends nothing new; answers to what was sent may still come for a moment. */
  close(): void {
    if (!this.isOpen) return;
    this.#closedAtMs = this.#ports.now();
    this.#takeBack(this.#sent + 1);
    if (this.#unanswered === 0) this.#finish();
  }

  /** Nobody will answer any more. */
  break(reason: string): void {
    if (this.#ended) return;
    const unknown = new ErrorReply(unknownOutcome(reason));
    // Unknowns first: whether a read may be repeated depends on them.
    for (let seq = this.#base; seq <= this.#sent; seq++) {
      const errand = this.#errands[seq - this.#start];
      if (errand?.isWrite === true) this.#remove(seq)?.finish(unknown);
      if (errand?.isWrite === false && ++errand.losses > lossesMax) {
        this.#remove(seq)?.finish(new ErrorReply(`CLUSTERDOWN ${reason}`));
      }
    }
    this.#takeBack(this.#base);
    this.#finish();
  }

  /** Its large command, which the executor fetches. */
  whole(seq: number): Whole | undefined {
    const whole = this.#wholes.get(seq);
    if (whole !== undefined) this.#progressAtMs = this.#ports.now();
    return whole;
  }

  /** Answers of the executor; the reader stands behind the start of the body. */
  received(reader: WireReader): void {
    const state = reader.u8();
    const expected = reader.varint();
    if (this.#ended || expected > this.#sent + 1) return;
    this.#confirm(expected);
    while (!reader.atEnd) this.#answer(reader);
    if (state === streamStates.closed || state === streamStates.stranger) {
      this.#refused = true;
      this.#closedAtMs ??= this.#ports.now();
      if (state === streamStates.stranger) return this.break("the node that led has restarted");
      this.#takeBack(expected);
    } else if (state === streamStates.full) {
      // It waits for us, not for its region: that we collect, and hear that we have, or that what
      // we keep has come.
      this.#isHeldBack = true;
      this.#progressAtMs = this.#ports.now();
      this.#tellWatermark();
    } else if (state === streamStates.gap || this.#isHeldBack) {
      this.#goBack();
    }
    if (this.#closedAtMs !== undefined && this.#unanswered === 0) this.#finish();
    else if (this.isOpen) this.flush();
  }

  tick(nowMs: number): void {
    if (this.#ended) return;
    if (this.#unanswered === 0) {
      // Nothing follows that would carry it: the executor keeps answers until it hears this.
      this.#tellWatermark();
      return;
    }
    const sentAtMs = this.#sentAtMs[this.#base - this.#start] ?? 0;
    if (sentAtMs === 0) return this.flush();
    const progressAtMs = this.#progress();
    const silentMs = nowMs - Math.max(sentAtMs, progressAtMs);
    if (silentMs >= silenceMaxMs) return this.break(`no answer from node ${this.target.node}`);
    const closedAtMs = this.#closedAtMs ?? Infinity;
    if (nowMs - Math.max(closedAtMs, progressAtMs) >= closingMs) {
      return this.break("the region's leader changed");
    }
    if (nowMs < Math.max(sentAtMs + askAgainMs, this.#askedAtMs + this.#askAgainMs)) return;
    this.#askAgain(nowMs);
  }

  /** The connection is back: what is overdue does not wait for its time. */
  reconnected(): void {
    if (!this.#ended && this.#unanswered > 0) this.#askAgain(this.#ports.now());
  }

  get #end(): number {
    return this.#start + this.#errands.length;
  }

  #mayHaveMore(): boolean {
    return (
      this.#unconfirmedBytes < unconfirmedBytesMax &&
      this.#next - this.#received < unconfirmedCommandsMax
    );
  }

  #askAgain(nowMs: number): void {
    if (this.#askedAtMs > 0) this.#askAgainMs = Math.min(this.#askAgainMs * 2, askAgainMaxMs);
    this.#askedAtMs = nowMs;
    this.#next = this.#received;
    this.#unconfirmedBytes = 0;
    this.#sendBody(true);
  }

  #goBack(): void {
    const nowMs = this.#ports.now();
    // Everything behind a gap reports it: once is enough for as long as a round trip takes.
    const isRepeated = !this.#isHeldBack && nowMs - this.#wentBackAtMs < 20;
    this.#isHeldBack = false;
    if (this.#next <= this.#received || isRepeated) return;
    this.#wentBackAtMs = nowMs;
    this.#next = this.#received;
    this.#unconfirmedBytes = 0;
  }

  #tellWatermark(): void {
    if (this.#toldWatermark < this.#base) this.#sendBody(false);
  }

  /** One body: as many commands as fit, from `#next` on. */
  #sendBody(probes: boolean): void {
    const { regionEpoch, term, node } = this.target;
    const end = this.#sendEnd();
    const nowMs = this.#ports.now();
    writeStart(writer, kinds.commands, this.target);
    const head = { regionEpoch, term, watermark: this.#base, firstSeq: this.#next, probes };
    writeCommandsHead(writer, head);
    while (this.#next < end && writer.length < bodySoftBytes) {
      const errand = this.#errands[this.#next - this.#start];
      if (errand === undefined) throw new Error("an answered command was to be sent");
      this.#write(errand, this.#next);
      this.#noteSent(this.#next, nowMs);
      this.#next += 1;
    }
    this.#unconfirmedBytes += writer.length;
    this.#toldWatermark = this.#base;
    this.#ports.send(node, writer.take());
  }

  /** A closing stream repeats what it sent, and nothing else; a refused one only asks. */
  #sendEnd(): number {
    if (this.isOpen) return this.#end;
    return this.#refused ? this.#next : this.#sent + 1;
  }

  #write(errand: Errand, seq: number): void {
    if (errand.bytes <= pieceBytes) return writeErrand(writer, errand);
    let whole = this.#wholes.get(seq);
    if (whole === undefined) {
      writeErrand(wholeWriter, errand);
      whole = wholeWriter.whole();
      this.#wholes.set(seq, whole);
    }
    writeLarge(writer, whole.length);
  }

  #noteSent(seq: number, nowMs: number): void {
    if (seq <= this.#sent) return;
    this.#sent = seq;
    this.#sentAtMs[seq - this.#start] = Math.max(nowMs, Number.MIN_VALUE);
  }

  #confirm(expected: number): void {
    if (expected <= this.#received) return;
    this.#received = expected;
    this.#unconfirmedBytes = 0;
    if (this.#next < expected) this.#next = expected;
  }

  #answer(reader: WireReader): void {
    const seq = reader.varint();
    const outcome = reader.u8();
    if (seq >= this.#received) throw new WireError("an answer to what was not sent");
    if (outcome === outcomes.reply) {
      this.#answered(seq, readReply(reader));
    } else if (outcome === outcomes.refused) {
      this.#refused = true;
      this.#closedAtMs ??= this.#ports.now();
      const errand = this.#remove(seq);
      if (errand !== undefined) this.#owner.takeBack(errand, refusal);
    } else {
      this.#fetch(seq, reader.varint());
    }
  }

  #answered(seq: number, reply: Reply): void {
    this.#remove(seq)?.finish(reply);
  }

  #fetch(seq: number, length: number): void {
    if (this.#errands[seq - this.#start] === undefined || this.#fetches.has(seq)) return;
    const { transfers } = this.#ports;
    const what = { side: sides.reply, stream: this.target, seq };
    const fetch = transfers.fetch(this.target.node, what, length, (whole) => {
      this.#fetches.delete(seq);
      this.#answered(seq, readReply(new WireReader(whole)));
      this.#tellWatermark();
      if (this.#closedAtMs !== undefined && this.#unanswered === 0) this.#finish();
    });
    this.#fetches.set(seq, fetch);
  }

  /** Takes one out as answered. */
  #remove(seq: number): Errand | undefined {
    const errand = this.#errands[seq - this.#start];
    if (errand === undefined) return undefined;
    this.#errands[seq - this.#start] = undefined;
    this.#unanswered -= 1;
    this.#wholes.delete(seq);
    this.#ports.released(this.target.node, errand.bytes + overheadBytes);
    if (seq === this.#base) this.#advance();
    return errand;
  }

  #advance(): void {
    this.#askAgainMs = askAgainMs;
    this.#askedAtMs = 0;
    const end = this.#end;
    while (this.#base < end && this.#errands[this.#base - this.#start] === undefined) this.#base++;
    const answered = this.#base - this.#start;
    if (answered < compactAt && this.#base < end) return;
    this.#errands = this.#errands.slice(answered);
    this.#sentAtMs = this.#sentAtMs.slice(answered);
    this.#start = this.#base;
  }

  /** From `first` on nothing was executed. */
  #takeBack(first: number): void {
    for (let seq = Math.max(first, this.#base); seq < this.#end; seq++) {
      const errand = this.#remove(seq);
      if (errand !== undefined) this.#owner.takeBack(errand, refusal);
    }
  }

  #progress(): number {
    let latest = this.#progressAtMs;
    for (const { progressAtMs } of this.#fetches.values()) latest = Math.max(latest, progressAtMs);
    return latest;
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#closedAtMs ??= this.#ports.now();
    for (const fetch of this.#fetches.values()) fetch.cancel();
    this.#fetches.clear();
    this.#ports.ended(this);
    this.#owner.streamEnded(this.#refused);
  }
}

const refusal = new ErrorReply(notLeader);

/** What a command counts for while it is on the way. */
export const errandBytes = (errand: Errand): number => errand.bytes + overheadBytes;
