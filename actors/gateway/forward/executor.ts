// The receiving end of forwarded commands: on the node that leads a region it hands them to the
// replica, each once and in order, only in the term they were sent for, and keeps every answer until
// the sender has it (`safety.md` 25). It stands between other nodes' streams and the local regions.

import type { RegionCommand } from "../../../resp/command.ts";
import { ErrorReply, type Reply } from "../../../resp/reply.ts";
import type { TurnTask } from "../../system/turn.ts";
import type { Places, RegionEvent, RegionPlace, RegionRequest } from "../../store/protocol.ts";
import { acceptsBy, isRefusal, walkReply } from "../errand.ts";
import {
  bodySoftBytes,
  kinds,
  outcomes,
  pieceBytes,
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
import { replyBytes, writeReply } from "./reply-codec.ts";
import type { Transfers } from "./transfers.ts";
import { WireReader, WireWriter } from "./wire.ts";

/** What a term that is over is remembered for: late messages of it are still answered truly. */
const rememberedMs = 30_000;
/** Sessions of one gateway process get numbers of their own, below zero, this far apart. */
const sessionsPerGateway = 2 ** 31;

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
}

/** An answer as it is kept. Undefined = the command is being executed. */
type Answer =
  | { readonly outcome: "reply"; readonly reply: Reply }
  | { readonly outcome: "refused" }
  | { readonly outcome: "large"; readonly whole: Buffer }
  | undefined;

/** Which of two streams of a node for a region is the newer one. */
const isNewer = (id: StreamId, than: StreamId): boolean =>
  id.epoch === than.epoch ? id.number > than.number : id.epoch > than.epoch;

/** What is known of one stream. */
interface Incoming {
  readonly from: string;
  readonly id: StreamId;
  readonly term: number;
  /** Everything below has been taken. */
  expected: number;
  readonly answers: Map<number, Answer>;
  /** Answered since the last body of answers. */
  fresh: number[];
  /** The large command at `expected` is on its way. */
  fetching: boolean;
  /** Its term is over: nothing more is taken. */
  closed: boolean;
  heardAtMs: number;
  /** A body of answers is due. */
  isDue: boolean;
  /** A command was missing. */
  hasGap: boolean;
}

/** A node's gateway uses one stream for a region at a time: with a newer one the older is over. */
const keyOf = (from: string, { regionId }: StreamId): string => `${regionId}/${from}`;

const notExecuted: Answer = { outcome: "refused" };

export class Executor implements TurnTask {
  readonly #ports: ExecutorPorts;
  readonly #streams = new Map<string, Incoming>();
  /** By node: the process heard last, and its number among all gateways ever heard. */
  readonly #gateways = new Map<string, { readonly epoch: number; readonly number: number }>();
  #gatewayCount = 0;
  #due: Incoming[] = [];
  readonly #writer = new WireWriter();

  constructor(ports: ExecutorPorts) {
    this.#ports = ports;
  }

  /** Answers are kept, which are forgotten when nobody fetches them. */
  get isBusy(): boolean {
    for (const { answers } of this.#streams.values()) if (answers.size > 0) return true;
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
    this.#forget(stream, head.watermark);
    if (head.probes) this.#freshenAll(stream, head.watermark);
    for (let seq = head.firstSeq; !reader.atEnd; seq++) {
      const command = readCommand(reader);
      if (seq < stream.expected) continue;
      if (stream.closed || stream.fetching) break;
      if (seq > stream.expected) {
        stream.hasGap = true;
        break;
      }
      this.#take(stream, seq, command, place);
    }
    if (head.probes || stream.closed || stream.hasGap) this.#answerLater(stream);
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
  whole(from: string, id: StreamId, seq: number): Buffer | undefined {
    const stream = this.#streamOf(from, id);
    const answer = stream?.answers.get(seq);
    if (stream !== undefined) stream.heardAtMs = this.#ports.now();
    return answer?.outcome === "large" ? answer.whole : undefined;
  }

  tick(nowMs: number): void {
    for (const [key, stream] of this.#streams) {
      if (stream.answers.size === 0 && !stream.closed) continue;
      if (nowMs - stream.heardAtMs <= rememberedMs) continue;
      // An open one is known as long as its term, so that nothing of it is executed twice; but nobody
      // waits for its answers any more.
      if (stream.closed) this.#streams.delete(key);
      else stream.answers.clear();
    }
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
    if (!this.#isNewestProcess(from, id.epoch)) return undefined;
    const stream: Incoming = {
      from,
      id,
      term: head.term,
      expected: 1,
      answers: new Map(),
      fresh: [],
      fetching: false,
      closed: false,
      heardAtMs: 0,
      isDue: false,
      hasGap: false,
    };
    if (!isLedHere(place, head)) {
      // An earlier process of this node may have led in that term and executed anything.
      const isOurs = place !== undefined && head.term > place.recoveredTerm;
      this.#send(stream, isOurs ? streamStates.closed : streamStates.stranger, []);
      return undefined;
    }
    if (known !== undefined) known.closed = true;
    this.#streams.set(keyOf(from, id), stream);
    return stream;
  }

  #streamOf(from: string, id: StreamId): Incoming | undefined {
    const stream = this.#streams.get(keyOf(from, id));
    return stream?.id.epoch === id.epoch && stream.id.number === id.number ? stream : undefined;
  }

  /** Nobody waits for what an older process of that node has asked, and it may have been executed. */
  #isNewestProcess(from: string, epoch: number): boolean {
    const known = this.#gateways.get(from);
    if (known !== undefined && known.epoch >= epoch) return known.epoch === epoch;
    this.#gateways.set(from, { epoch, number: ++this.#gatewayCount });
    return true;
  }

  #forget(stream: Incoming, watermark: number): void {
    for (const seq of stream.answers.keys()) {
      if (seq >= watermark) return;
      stream.answers.delete(seq);
    }
  }

  #freshenAll(stream: Incoming, watermark: number): void {
    stream.fresh = [];
    for (const [seq, answer] of stream.answers) {
      if (seq >= watermark && answer !== undefined) stream.fresh.push(seq);
    }
  }

  #take(stream: Incoming, seq: number, command: WireCommand, place: RegionPlace | undefined): void {
    if (command.shape === "large") {
      this.#fetch(stream, seq, command.length);
      return;
    }
    stream.expected = seq + 1;
    stream.answers.set(seq, undefined);
    const event = this.#eventOf(stream, seq, command);
    if (event instanceof ErrorReply) this.#answer(stream, seq, event);
    else if (place?.ref === undefined) this.#answer(stream, seq, refusal);
    else place.ref.send(event);
  }

  #fetch(stream: Incoming, seq: number, length: number): void {
    stream.fetching = true;
    const what = { side: sides.command, stream: stream.id, seq };
    this.#ports.transfers.fetch(stream.from, what, length, (whole) => {
      stream.fetching = false;
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
    const settle = (reply: Reply): void => this.#answer(stream, seq, reply);
    const sessionId = this.#sessionOf(stream, command.session);
    const { db } = command;
    if (command.shape === "walk") {
      const { cursor, count, filter } = command;
      const accepts = acceptsBy(filter);
      const done = (result: Parameters<typeof walkReply>[0]): void => settle(walkReply(result));
      return { type: "region.walk", db, sessionId, cursor, count, accepts, settle: done };
    }
    const { args } = command;
    const known = this.#ports.resolve(command.name, args);
    if (known instanceof ErrorReply) return known;
    const request: RegionRequest = {
      type: "region.request",
      command: known.command,
      args,
      keyPositions: known.keyPositions(args),
      db,
      sessionId,
      settle,
    };
    return request;
  }

  /** The evaluator keeps the order of each session: those of other nodes must not meet ours. */
  #sessionOf({ from }: Incoming, session: number): number {
    const number = this.#gateways.get(from)?.number ?? 0;
    return -(number * sessionsPerGateway + session);
  }

  #answer(stream: Incoming, seq: number, reply: Reply): void {
    stream.answers.set(seq, this.#kept(reply));
    stream.fresh.push(seq);
    this.#answerLater(stream);
  }

  #kept(reply: Reply): Answer {
    if (replyBytes(reply) <= pieceBytes) return { outcome: "reply", reply };
    const writer = new WireWriter();
    writeReply(writer, reply);
    return { outcome: "large", whole: writer.take() };
  }

  #answerLater(stream: Incoming): void {
    if (stream.isDue) return;
    stream.isDue = true;
    if (this.#due.push(stream) === 1) this.#ports.defer(this);
  }

  #sendAnswers(stream: Incoming): void {
    this.#sortRefusals(stream);
    const gap = stream.hasGap ? streamStates.gap : streamStates.open;
    const state = stream.closed ? streamStates.closed : gap;
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

function isLedHere(place: RegionPlace | undefined, head: CommandsHead): boolean {
  return (
    place?.ref !== undefined &&
    place.isLeader &&
    place.term === head.term &&
    place.epoch === head.regionEpoch
  );
}

function writeAnswer(writer: WireWriter, seq: number, answer: Answer): void {
  // Forgotten: the sender has it.
  if (answer === undefined) return;
  writer.varint(seq);
  writer.u8(outcomes[answer.outcome]);
  if (answer.outcome === "reply") writeReply(writer, answer.reply);
  else if (answer.outcome === "large") writer.varint(answer.whole.length);
}
