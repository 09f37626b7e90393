// One client connection: bytes in, commands through the gate, replies out in order, one write per
// turn. It stands between a socket and dispatch, and holds back a client that sends faster than it
// is served or reads slower than it asks. It knows no command by name.

import type { Socket } from "node:net";

import { Decoder, ProtocolError } from "../../resp/decoder.ts";
import { Output } from "../../resp/encoder.ts";
import { ErrorReply } from "../../resp/reply.ts";
import type { Reply } from "../../resp/reply.ts";
import type { ClientLine } from "../../resp/server.ts";
import type { TurnTask } from "../system/turn.ts";
import { dispatch } from "./dispatch.ts";
import type { Gateway } from "./gateway.ts";
import type { ErrandRoute } from "./protocol.ts";
import { ClientSession } from "./session.ts";
import { Slot } from "./slot.ts";
import type { SlotOwner } from "./slot.ts";
import { startWalk } from "./walks.ts";

/** Commands in flight allowed to a new or stalled connection; doubles while it reads its replies. */
const firstWindow = 64;
/** How long a client may go on sending after its connection was ended from here. */
const lingerMs = 500;
/** Answered slots at the head of the ring beyond which it is compacted. */
const compactAt = 1024;

/** How a connection tells the actor around it. */
export interface ConnectionHooks {
  closed(): void;
  failed(error: unknown): void;
}

export class Connection implements TurnTask, SlotOwner {
  readonly session: ClientSession;
  readonly #gateway: Gateway;
  readonly #socket: Socket;
  readonly #hooks: ConnectionHooks;
  readonly #decoder: Decoder;
  readonly #output = new Output();
  /** Commands in order of arrival; before `#head` they are written. */
  #slots: Array<Slot | undefined> = [];
  #head = 0;
  #bytesInFlight = 0;
  #window = firstWindow;
  /** The command all later ones wait for, and whether its walk has begun. */
  #barrier: Slot | undefined;
  #barrierStarted = true;
  /** The decoder may hold another whole command. */
  #hasMore = false;
  #scheduled = false;
  #paused = false;
  /** The socket holds more than the soft limit; nothing is encoded until it drains. */
  #stalled = false;
  #heldBytes = 0;
  /** No further command is taken; the socket ends when everything is written. */
  #ending = false;
  #closed = false;
  #cancelLinger: (() => void) | undefined;
  /** The client will send nothing more. */
  #clientDone = false;
  #lastCommand = "NULL";
  #commands = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  /** Monotonic ms of the last bytes from the client. */
  activeAtMs: number;
  readonly #openedAtMs: number;

  constructor(gateway: Gateway, socket: Socket, hooks: ConnectionHooks) {
    this.#gateway = gateway;
    this.#socket = socket;
    this.#hooks = hooks;
    this.#decoder = new Decoder(gateway.decoderLimits);
    this.activeAtMs = gateway.clock.monotonicMs();
    this.#openedAtMs = this.activeAtMs;
    const origin = {
      id: gateway.nextConnectionId(),
      address: endpoint(socket.remoteAddress, socket.remotePort),
      localAddress: endpoint(socket.localAddress, socket.localPort),
      connectedAtMs: gateway.clock.wallMs(),
    };
    this.session = new ClientSession(
      origin,
      {
        answerLater: (reply) => this.#answerLater(reply),
        endAfterReplies: () => this.end(),
        authenticationChanged: () => {
          this.#decoder.unauthenticated = !this.session.authenticated;
        },
      },
      () => gateway.settings.text("requirepass") !== "",
    );
    this.#decoder.unauthenticated = !this.session.authenticated;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("drain", () => this.#drained());
    // A client that half-closes (`printf … | nc`) still gets its replies.
    socket.on("end", () => this.#clientEnded());
    // "close" follows every error.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#gone());
  }

  /** Takes no further command; ends when the replies so far are written. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#hasMore = false;
    this.#schedule();
  }

  /** Closes at once; what is under way in regions goes on there. */
  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  /** A reply has come. The write waits for the end of the turn. */
  settled(slot: Slot): void {
    if (this.#closed) return;
    if (slot === this.#barrier) this.#barrier = undefined;
    if (this.#stalled) this.#hold(slot.reply);
    if (this.#slots[this.#head] === slot) this.#schedule();
  }

  lastExecuted(route: ErrandRoute): number {
    if (this.#closed) return Infinity;
    return this.#slots.reduce((last, slot) => Math.max(last, slot?.executedBy(route) ?? 0), 0);
  }

  /** The end of a turn: write what is answered, then go on with what was held back. */
  run(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    try {
      this.#flush();
      if (this.#hasMore) this.#take();
      else this.#regulate();
    } catch (error) {
      this.#hooks.failed(error);
    }
  }

  line(): ClientLine {
    const nowMs = this.#gateway.clock.monotonicMs();
    return {
      session: this.session,
      ageSeconds: Math.floor((nowMs - this.#openedAtMs) / 1000),
      idleSeconds: Math.floor((nowMs - this.activeAtMs) / 1000),
      queryBytes: this.#decoder.queryBytes,
      outputBytes: this.#socket.writableLength + this.#output.bytes,
      // The one in progress, when CLIENT LIST asks about itself.
      lastCommand: this.#slots.at(-1)?.entry?.command.name ?? this.#lastCommand,
      totalCommands: this.#commands,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
    };
  }

  /** Nothing of this client is being executed or written. */
  get idle(): boolean {
    return this.#head === this.#slots.length && this.#socket.writableLength === 0;
  }

  #receive(chunk: Buffer): void {
    this.#bytesIn += chunk.length;
    this.#gateway.statistics.bytesIn += chunk.length;
    if (this.#ending) return;
    try {
      this.#decoder.feed(chunk);
      this.#hasMore = true;
      this.#take();
    } catch (error) {
      this.#hooks.failed(error);
    }
  }

  /** Commands through the gate, as many as this turn and the limits allow. */
  #take(): void {
    const { limits, clock } = this.#gateway;
    const nowMs = clock.monotonicMs();
    this.activeAtMs = nowMs;
    let budget = limits.commandsPerTurnMax;
    while (this.#mayTake()) {
      if (budget === 0) {
        this.#schedule();
        break;
      }
      budget -= 1;
      const args = this.#decoder.next();
      if (args === undefined) this.#drainedInput();
      else if (args instanceof ProtocolError) this.#refuse(args, nowMs);
      else this.#command(args, nowMs);
    }
    this.#regulate();
  }

  #mayTake(): boolean {
    return (
      this.#hasMore &&
      !this.#ending &&
      !this.#stalled &&
      this.#barrier === undefined &&
      this.#slots.length - this.#head < this.#window &&
      this.#bytesInFlight < this.#gateway.limits.bytesInFlightMax
    );
  }

  #command(args: Buffer[], nowMs: number): void {
    const { session } = this;
    const slot = new Slot(this, args, session, nowMs);
    slot.protocol = session.protocol;
    this.#slots.push(slot);
    this.#bytesInFlight += slot.bytes;
    this.#commands += 1;
    if (session.replyMode === "skip") session.replyMode = "skipping";
    const how = dispatch(this.#gateway.dispatch, session, slot);
    if (how === "refused") return this.#drop();
    if (session.replyMode !== "on") {
      slot.silent = true;
      if (session.replyMode === "skipping") session.replyMode = "on";
    }
    if (slot.entry !== undefined) this.#lastCommand = slot.entry.command.name;
    // A deferred command may have been answered inside its own call.
    if (how === "going" || slot.reply !== undefined) return;
    this.#barrier = slot;
    this.#barrierStarted = how === "later";
    if (!this.#barrierStarted) this.#schedule();
  }

  /** Closes without a word, and without the replies still to be written. */
  #drop(): void {
    this.#gateway.statistics.protocolErrors += 1;
    this.#ending = true;
    this.#hasMore = false;
    this.destroy();
  }

  /** A stream that makes no sense any more: say so and close. */
  #refuse(error: ProtocolError, nowMs: number): void {
    const { statistics } = this.#gateway;
    if (error.tooLong) statistics.queryLimitClosed += 1;
    else statistics.protocolErrors += 1;
    const slot = new Slot(this, [], this.session, nowMs);
    slot.protocol = this.session.protocol;
    this.#slots.push(slot);
    slot.settle(new ErrorReply(error.message));
    this.end();
  }

  #answerLater(reply: Reply): void {
    // The client may be gone, or the command may answer inside its own call.
    const slot = this.#barrier ?? this.#slots.at(-1);
    if (slot === undefined || slot.reply !== undefined) return;
    slot.protocol = this.session.protocol;
    slot.settle(reply);
  }

  /** Writes the replies at the head of the ring, in one call to the socket. */
  #flush(): void {
    const { statistics, limits } = this.#gateway;
    const slots = this.#slots;
    const nowMs = this.#gateway.clock.monotonicMs();
    const queuedBytes = this.#socket.writableLength;
    let written = 0;
    while (this.#head < slots.length && !this.#stalled) {
      const slot = slots[this.#head];
      if (slot?.reply === undefined) break;
      slots[this.#head] = undefined;
      this.#head += 1;
      written += 1;
      this.#bytesInFlight -= slot.bytes;
      this.#gateway.account(slot, slot.reply, nowMs, this.session);
      if (!slot.silent) this.#output.write(slot.reply, slot.protocol);
      const waiting = queuedBytes + this.#output.bytes;
      if (waiting > this.#gateway.waitingBytesMax) return this.#overflow();
      this.#stalled = waiting > limits.outputSoftBytes;
    }
    statistics.commandsProcessed += written;
    this.#send();
    this.#compact();
    const enough = limits.commandsInFlightMax;
    this.#window = this.#stalled ? firstWindow : Math.min(this.#window * 2, enough);
    const barrier = this.#barrier;
    if (barrier !== undefined && !this.#barrierStarted && slots[this.#head] === barrier) {
      this.#barrierStarted = true;
      startWalk(this.#gateway, barrier);
    }
    if (this.#ending && this.#head === this.#slots.length) this.#finish();
  }

  /** Says that nothing more will come; a client that goes on sending is cut off soon after. */
  #finish(): void {
    if (this.#cancelLinger !== undefined) return;
    this.#socket.end();
    // Closed at once, the client's unread bytes would make TCP drop the last replies.
    this.#cancelLinger = this.#gateway.clock.later(lingerMs, () => this.destroy());
  }

  #send(): void {
    const bytes = this.#output.bytes;
    if (bytes === 0) return;
    this.#bytesOut += bytes;
    this.#gateway.statistics.bytesOut += bytes;
    const pieces = this.#output.take();
    const only = pieces[0];
    if (only !== undefined && pieces.length === 1) {
      this.#socket.write(only);
    } else {
      this.#socket.cork();
      for (const piece of pieces) this.#socket.write(piece);
      this.#socket.uncork();
    }
  }

  #drained(): void {
    if (this.#closed) return;
    this.#stalled = false;
    this.#heldBytes = 0;
    this.#schedule();
  }

  /** Counts what waits for a client that does not read; too much and it is closed. */
  #hold(reply: Reply | undefined): void {
    this.#heldBytes += replyBytes(reply);
    const waiting = this.#heldBytes + this.#socket.writableLength;
    if (waiting > this.#gateway.heldBytesMax) this.#overflow();
  }

  #overflow(): void {
    this.#gateway.statistics.outputLimitClosed += 1;
    this.destroy();
  }

  /** Reads from the socket only while there is room for what comes. */
  #regulate(): void {
    const wanted = !this.#ending && (this.#hasMore || this.#stalled);
    if (wanted === this.#paused || this.#closed) return;
    this.#paused = wanted;
    if (wanted) this.#socket.pause();
    else this.#socket.resume();
  }

  #compact(): void {
    if (this.#head === this.#slots.length) {
      if (this.#head > 0) this.#slots = [];
      this.#head = 0;
    } else if (this.#head >= compactAt) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#gateway.turn.defer("reply", this);
  }

  #drainedInput(): void {
    this.#hasMore = false;
    if (this.#clientDone) this.end();
  }

  #clientEnded(): void {
    this.#clientDone = true;
    if (!this.#hasMore) this.end();
  }

  #gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelLinger?.();
    this.#slots = [];
    this.#head = 0;
    this.#barrier = undefined;
    this.#hooks.closed();
  }
}

/** About what a reply weighs, without walking into it. */
function replyBytes(reply: Reply | undefined): number {
  if (reply instanceof Uint8Array || typeof reply === "string") return reply.length;
  if (Array.isArray(reply)) {
    let bytes = 0;
    for (const item of reply as readonly Reply[]) {
      bytes += item instanceof Uint8Array ? item.length : 16;
    }
    return bytes;
  }
  return 64;
}

function endpoint(address: string | undefined, port: number | undefined): string {
  const host = (address ?? "?").replace(/^::ffff:/, "");
  return `${host.includes(":") ? `[${host}]` : host}:${port ?? 0}`;
}
