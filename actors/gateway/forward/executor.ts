// The receiving end of forwarded commands: on the node that leads a region it hands them to the
// replica, each once and in order, only in the term they were sent for, and keeps every answer until
// the sender has it (`safety.md` 25). It stands between other nodes' streams and the local regions.

import type { RegionCommand } from "../../../resp/command.ts";
import { ErrorReply, type Reply } from "../../../resp/reply.ts";
import type { TurnTask } from "../../system/turn.ts";
import type { Places, RegionEvent, RegionPlace, RegionRequest } from "../../store/protocol.ts";
import { acceptsBy, isRefusal, walkReply } from "../errand.ts";
import { answerOf, notExecuted, writeAnswer } from "./answers.ts";
import { end, isNewer, keyOf, newIncoming, stateOf } from "./incoming.ts";
import type { Incoming, Sender } from "./incoming.ts";
import {
  bodySoftBytes,
  kinds,
  readCommand,
  readCommandsHead,
  sides,
  streamStates,
  writeStart,
  type CommandsHead,
  type StreamId,
  type StreamState,
  type WireCommand,
} from "./messages.ts";
import { wholeBytesMax, type Transfers } from "./transfers.ts";
import type { Whole } from "./whole.ts";
import { WireReader, WireWriter } from "./wire.ts";

/** What a term that is over is remembered for: late messages of it are still answered truly. */
const rememberedMs = 30_000;
/** Sessions of one gateway process get numbers of their own, below zero, this far apart. */
const sessionsPerGateway = 2 ** 31;
/** A stream that was silent for so long is given up; its answers hold nobody back. */
const silentMs = 5000;

/** A command as it is known here. */
export interface KnownCommand {
  readonly command: RegionCommand;
  keyPositions(args: readonly Buffer[]): readonly number[];
}

export interface ExecutorPorts {
  readonly places: Places;
  /** By name and arguments: the table's commands and the shares of walks. */
  resolve(name: string, args: readonly Buffer[]): KnownCommand | ErrorReply;
  now(): number;
  send(to: string, body: Buffer): void;
  /** Runs the task at the end of this turn. */
  defer(task: TurnTask): void;
  readonly transfers: Transfers;
  /** Answers that a node has not collected: with more of them its commands are not taken. */
  readonly keptBytesMax: number;
}

export class Executor implements TurnTask {
  readonly #ports: ExecutorPorts;
  readonly #streams = new Map<string, Incoming>();
  /** By node: the process heard last. */
  readonly #senders = new Map<string, Sender>();
  #senderCount = 0;
  #holdsBack = false;
  #due: Incoming[] = [];
  readonly #writer = new WireWriter();

  constructor(ports: ExecutorPorts) {
    this.#ports = ports;
  }

  /** Answers are kept, which are forgotten when nobody fetches them. */
  get isBusy(): boolean {
    for (const { answers } of this.#streams.values()) if (!answers.isEmpty) return true;
    return false;
  }

  /** A body of commands; the reader stands behind its start. */
  received(from: string, id: StreamId, reader: WireReader): void {
    const head = readCommandsHead(reader);
    const place = this.#ports.places.byId(id.regionId);
    const stream = this.#streamOf(from, id) ?? this.#open(from, id, head, place);
    if (stream === undefined) return;
    stream.heardAtMs = this.#ports.now();
    if (!isLedHere(place, head)) stream.closed = true;
    stream.answers.forget(head.watermark);
    if (this.#holdsBack) this.#letGoOn();
    if (head.probes) stream.fresh = stream.answers.numbers(head.watermark);
    for (let seq = head.firstSeq; !reader.atEnd; seq++) {
      const command = readCommand(reader);
      if (seq < stream.expected) continue;
      if (stream.closed || stream.fetch !== undefined) break;
      if (seq > stream.expected) {
        stream.hasGap = true;
        break;
      }
      if (this.#isFull(stream.sender)) {
        stream.isHeldBack = true;
        this.#holdsBack = true;
        break;
      }
      this.#take(stream, seq, command, place);
    }
    if (head.probes || stream.closed || stream.hasGap || stream.isHeldBack)
      this.#answerLater(stream);
  }

  /** The region is led in another term now, or elsewhere: nothing more is taken for the old one. */
  changed(place: RegionPlace): void {
    for (const stream of this.#streams.values()) {
      if (stream.id.regionId !== place.regionId || stream.closed) continue;
      if (place.isLeader && place.term === stream.term && place.ref !== undefined) continue;
      stream.closed = true;
      this.#answerLater(stream);
    }
  }

  /** A large reply that its sender fetches. */
  whole(from: string, id: StreamId, seq: number): Whole | undefined {
    const stream = this.#streamOf(from, id);
    const answer = stream?.answers.get(seq);
    if (stream !== undefined) stream.heardAtMs = this.#ports.now();
    return answer?.outcome === "large" ? answer.whole : undefined;
  }

  tick(nowMs: number): void {
    for (const [key, stream] of this.#streams) {
      if (stream.answers.isEmpty && !stream.closed) continue;
      if (nowMs - stream.heardAtMs <= rememberedMs) continue;
      // An open one is known as long as its term, so that nothing of it is executed twice; but nobody
      // waits for its answers any more.
      stream.answers.clear();
      if (!stream.closed) continue;
      stream.isOver = true;
      this.#streams.delete(key);
    }
    if (this.#holdsBack) this.#letGoOn();
  }

  /** The end of a turn: what was answered in it leaves. */
  run(): void {
    const due = this.#due;
    this.#due = [];
    for (const stream of due) {
      stream.isDue = false;
      this.#sendAnswers(stream);
    }
  }

  #open(
    from: string,
    id: StreamId,
    head: CommandsHead,
    place: RegionPlace | undefined,
  ): Incoming | undefined {
    // What its sender has given up on must not be executed behind what came later.
    const known = this.#streams.get(keyOf(from, id));
    if (known !== undefined && isNewer(known.id, id)) return undefined;
    const sender = this.#senderOf(from, id.epoch);
    if (sender === undefined) return undefined;
    const stream = newIncoming(from, id, head.term, sender);
    if (!isLedHere(place, head)) {
      // An earlier process of this node may have led in that term and executed anything.
      const isOurs = place !== undefined && head.term > place.recoveredTerm;
      this.#send(stream, isOurs ? streamStates.closed : streamStates.stranger, []);
      return undefined;
    }
    if (known !== undefined) end(known);
    this.#streams.set(keyOf(from, id), stream);
    return stream;
  }

  #streamOf(from: string, id: StreamId): Incoming | undefined {
    const stream = this.#streams.get(keyOf(from, id));
    return stream?.id.epoch === id.epoch && stream.id.number === id.number ? stream : undefined;
  }

  /** Undefined: nobody waits for what an older process of that node asks; it may have been executed. */
  #senderOf(from: string, epoch: number): Sender | undefined {
    const known = this.#senders.get(from);
    if (known !== undefined && known.epoch >= epoch) {
      return known.epoch === epoch ? known : undefined;
    }
    const sender = { epoch, number: ++this.#senderCount, keptBytes: 0 };
    this.#senders.set(from, sender);
    return sender;
  }

  /** Whether a node has to collect answers before more of its commands are taken. */
  #isFull(sender: Sender): boolean {
    const { keptBytesMax } = this.#ports;
    if (sender.keptBytes <= keptBytesMax) return false;
    const nowMs = this.#ports.now();
    let bytes = 0;
    for (const stream of this.#streams.values()) {
      if (stream.sender !== sender || stream.closed) continue;
      if (nowMs - stream.heardAtMs < silentMs) bytes += stream.answers.bytes;
    }
    return bytes > keptBytesMax;
  }

  /** Answers were collected: whoever was held back because of them sends again. */
  #letGoOn(): void {
    this.#holdsBack = false;
    for (const stream of this.#streams.values()) {
      if (!stream.isHeldBack) continue;
      stream.isHeldBack = this.#isFull(stream.sender);
      if (stream.isHeldBack) this.#holdsBack = true;
      else this.#answerLater(stream);
    }
  }

  #take(stream: Incoming, seq: number, command: WireCommand, place: RegionPlace | undefined): void {
    const isLarge = command.shape === "large";
    if (isLarge && command.length <= wholeBytesMax) {
      this.#fetch(stream, seq, command.length);
      return;
    }
    stream.expected = seq + 1;
    stream.answers.set(seq, undefined);
    const event = isLarge ? commandTooLong : this.#eventOf(stream, seq, command);
    if (event instanceof ErrorReply) this.#answer(stream, seq, event);
    else if (place?.ref === undefined) this.#answer(stream, seq, refusal);
    else place.ref.send(event);
  }

  #fetch(stream: Incoming, seq: number, length: number): void {
    const what = { side: sides.command, stream: stream.id, seq };
    stream.fetch = this.#ports.transfers.fetch(stream.from, what, length, (whole) => {
      stream.fetch = undefined;
      const place = this.#ports.places.byId(stream.id.regionId);
      if (!stream.closed) this.#take(stream, seq, readCommand(new WireReader(whole)), place);
      // What came behind it meanwhile was not taken.
      stream.hasGap = true;
      this.#answerLater(stream);
    });
  }

  #eventOf(
    stream: Incoming,
    seq: number,
    command: Exclude<WireCommand, { shape: "large" }>,
  ): RegionEvent | ErrorReply {
    const sessionId = this.#sessionOf(stream, command.session);
    const { db } = command;
    if (command.shape === "walk") {
      const { cursor, count, filter } = command;
      const accepts = acceptsBy(filter);
      const done = (result: Parameters<typeof walkReply>[0]): void =>
        this.#answer(stream, seq, walkReply(result));
      return { type: "region.walk", db, sessionId, cursor, count, accepts, settle: done };
    }
    const { args } = command;
    const known = this.#ports.resolve(command.name, args);
    if (known instanceof ErrorReply) return known;
    const isWrite = known.command.flags.includes("write");
    const request: RegionRequest = {
      type: "region.request",
      command: known.command,
      args,
      keyPositions: known.keyPositions(args),
      db,
      sessionId,
      settle: (reply) => this.#answer(stream, seq, reply, isWrite),
    };
    return request;
  }

  /** The evaluator keeps the order of each session: those of other nodes must not meet ours. */
  #sessionOf({ sender }: Incoming, session: number): number {
    return -(sender.number * sessionsPerGateway + session);
  }

  #answer(stream: Incoming, seq: number, reply: Reply, isWrite = false): void {
    if (stream.isOver) return;
    stream.answers.set(seq, answerOf(reply, isWrite));
    stream.fresh.push(seq);
    this.#answerLater(stream);
  }

  #answerLater(stream: Incoming): void {
    if (stream.isDue) return;
    stream.isDue = true;
    if (this.#due.push(stream) === 1) this.#ports.defer(this);
  }

  #sendAnswers(stream: Incoming): void {
    this.#sortRefusals(stream);
    const state = stateOf(stream, this.#ports.now());
    stream.hasGap = false;
    const { fresh } = stream;
    stream.fresh = [];
    this.#send(stream, state, fresh);
  }

  /**
   * Whether a region's refusal means that its leader is gone is clear at the end of the turn only. A
   * leader that stands has a reason of its own (a full disk): that is the client's answer.
   */
  #sortRefusals(stream: Incoming): void {
    for (const seq of stream.fresh) {
      const answer = stream.answers.get(seq);
      if (answer?.outcome !== "reply" || !isRefusal(answer.reply)) continue;
      const place = this.#ports.places.byId(stream.id.regionId);
      if (place?.isLeader === true && place.term === stream.term && !stream.closed) continue;
      stream.closed = true;
      stream.answers.set(seq, notExecuted);
    }
  }

  #send(stream: Incoming, state: StreamState, fresh: readonly number[]): void {
    const writer = this.#writer;
    let at = 0;
    do {
      writeStart(writer, kinds.answers, stream.id);
      writer.u8(state);
      writer.varint(stream.expected);
      for (; at < fresh.length && writer.length < bodySoftBytes; at++) {
        const seq = fresh[at] ?? 0;
        writeAnswer(writer, seq, stream.answers.get(seq));
      }
      this.#ports.send(stream.from, writer.take());
    } while (at < fresh.length);
  }
}

const refusal = new ErrorReply("CLUSTERDOWN store restarting");
const commandTooLong = new ErrorReply("ERR the command is longer than 1 GiB");

function isLedHere(place: RegionPlace | undefined, head: CommandsHead): boolean {
  return (
    place?.ref !== undefined &&
    place.isLeader &&
    place.term === head.term &&
    place.epoch === head.regionEpoch
  );
}
