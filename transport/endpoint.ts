// The transport of a node over any wire: gathers the bodies of a turn into messages, takes messages
// apart for their handlers, and runs the streams. It stands between the port and a wire, which knows
// subjects and bytes only; connecting, and who else is there, is the wire's business.

import { BulkStreams, type BulkSettings, type StreamHandler, type Timers } from "./bulk.ts";
import {
  FrameEncoder,
  bodyCostBytes,
  clusterTag,
  decodeFrame,
  frameOverheadBytes,
  noCluster,
  type BulkContent,
  type Origin,
  type Unreadable,
} from "./codec.ts";
import type { OnProblem } from "./problem.ts";
import { Reports } from "./reports.ts";
import { announceSubject, bulkSubject, checkName, mailboxSubject, mailboxes } from "./subjects.ts";
import type { BulkWriter, Mailbox, Transport, TransportStatistics } from "./transport.ts";
import type { Wire } from "./wire.ts";

export interface EndpointOptions {
  readonly cluster: string;
  readonly nodeId: string;
  /** Carries bodies. */
  readonly messages: Wire;
  /** Carries streams, so that they do not delay bodies. */
  readonly bulk: Wire;
  /** Runs its argument at the end of the turn. */
  readonly schedule: (run: () => void) => void;
  readonly timers: Timers;
  readonly random: () => number;
  readonly streams: BulkSettings;
  /** Bodies are dropped while more than this waits to leave. */
  readonly outboundCapBytes: number;
  readonly onProblem: OnProblem;
}

type Handler = (from: string, body: Buffer) => void;

/** What has gathered for one subject since the turn began. */
interface Outbox {
  readonly subject: string;
  bodies: Uint8Array[];
}

/** Formation and the meeting of two clusters are talked over before anybody belongs to one. */
const isOpenToAll = (mailbox: Mailbox | "announce"): boolean =>
  mailbox === "cluster" || mailbox === "announce";

export class Endpoint implements Transport {
  readonly nodeId: string;
  readonly #options: EndpointOptions;
  readonly #encoder: FrameEncoder;
  readonly #streams: BulkStreams;
  readonly #outboxes = new Map<string, Map<Mailbox, Outbox>>();
  readonly #announcements: Outbox;
  /** Outboxes that are not empty. */
  #waiting: Outbox[] = [];
  #waitingBytes = 0;
  readonly #handlers = new Map<Mailbox | "announce", Handler>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #reports: Reports;
  #cluster = noCluster;
  #closed = false;
  #messagesSent = 0;
  #bytesSent = 0;
  #messagesReceived = 0;
  #bytesReceived = 0;
  #dropped = 0;

  constructor(options: EndpointOptions) {
    const { cluster, nodeId, messages, bulk } = options;
    checkName("the cluster", cluster);
    checkName("the node", nodeId);
    this.nodeId = nodeId;
    this.#options = options;
    this.#encoder = new FrameEncoder(nodeId);
    this.#reports = new Reports(options.onProblem);
    this.#announcements = { subject: announceSubject(cluster), bodies: [] };
    this.#streams = new BulkStreams({
      ...options.streams,
      send: (to, content) => this.#sendBulk(to, content),
      maxChunkBytes: () => this.maxBodyBytes,
      timers: options.timers,
      random: options.random,
      onHandlerError: (from, error) => this.#handlerThrew("streams", from, error),
    });
    for (const mailbox of mailboxes) {
      const subject = mailboxSubject(cluster, nodeId, mailbox);
      messages.subscribe(subject, (frame) => this.#receivedBodies(mailbox, frame));
    }
    messages.subscribe(this.#announcements.subject, (frame) =>
      this.#receivedBodies("announce", frame),
    );
    bulk.subscribe(bulkSubject(cluster, nodeId), (frame) => this.#receivedBulk(frame));
    messages.onConnection((connected) => this.#connectionChanged(connected));
    bulk.onConnection((connected) => {
      if (!connected) this.#streams.failAll("the connection was lost");
    });
  }

  get maxBodyBytes(): number {
    const { messages, bulk } = this.#options;
    return Math.min(messages.maxFrameBytes, bulk.maxFrameBytes) - frameOverheadBytes;
  }

  get connected(): boolean {
    return !this.#closed && this.#options.messages.connected;
  }

  send(to: string, mailbox: Mailbox, body: Uint8Array): void {
    let boxes = this.#outboxes.get(to);
    if (boxes === undefined) {
      checkName("the node", to);
      boxes = new Map();
      this.#outboxes.set(to, boxes);
    }
    let box = boxes.get(mailbox);
    if (box === undefined) {
      box = { subject: mailboxSubject(this.#options.cluster, to, mailbox), bodies: [] };
      boxes.set(mailbox, box);
    }
    this.#put(box, body);
  }

  announce(body: Uint8Array): void {
    this.#put(this.#announcements, body);
  }

  bind(clusterId: string): void {
    const tag = clusterTag(clusterId);
    if (this.#cluster !== noCluster && this.#cluster !== tag) {
      throw new Error("the transport was bound to another cluster before");
    }
    this.#cluster = tag;
    this.#encoder.bind(tag);
  }

  receive(mailbox: Mailbox, handler: Handler): void {
    this.#handlers.set(mailbox, handler);
  }

  receiveAnnouncements(handler: Handler): void {
    this.#handlers.set("announce", handler);
  }

  openStream(to: string, header: Uint8Array): BulkWriter {
    checkName("the node", to);
    this.#checkLength(header);
    return this.#streams.open(to, header);
  }

  receiveStreams(handler: StreamHandler): void {
    this.#streams.receive(handler);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  statistics(): TransportStatistics {
    return {
      messagesSent: this.#messagesSent,
      bytesSent: this.#bytesSent,
      messagesReceived: this.#messagesReceived,
      bytesReceived: this.#bytesReceived,
      dropped: this.#dropped,
      reconnects: this.#options.messages.reconnects,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#streams.close();
    this.#closed = true;
    await Promise.all([this.#options.messages.close(), this.#options.bulk.close()]);
  }

  #checkLength(bytes: Uint8Array): void {
    if (bytes.length <= this.maxBodyBytes) return;
    throw new RangeError(`a body of ${bytes.length} bytes; ${this.maxBodyBytes} at most`);
  }

  #put(box: Outbox, body: Uint8Array): void {
    if (body.length > this.maxBodyBytes) {
      // Whoever sends it can do nothing, and its process has work that has nothing to do with it.
      this.#dropped++;
      this.#reports.tooLong(box.subject, body.length, this.maxBodyBytes);
      return;
    }
    const { messages, outboundCapBytes, schedule } = this.#options;
    const waitingBytes = this.#waitingBytes + bodyCostBytes(body);
    if (!this.connected || waitingBytes + messages.pendingBytes > outboundCapBytes) {
      this.#dropped++;
      return;
    }
    this.#waitingBytes = waitingBytes;
    if (box.bodies.length === 0) {
      if (this.#waiting.length === 0) schedule(() => this.#flush());
      this.#waiting.push(box);
    }
    box.bodies.push(body);
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const box of waiting) {
      const { bodies } = box;
      box.bodies = [];
      this.#sendBodies(box.subject, bodies);
    }
  }

  #sendBodies(subject: string, bodies: readonly Uint8Array[]): void {
    const { maxFrameBytes } = this.#options.messages;
    let from = 0;
    let bytes = this.#encoder.emptyBytes;
    for (let at = 0; at < bodies.length; at++) {
      const body = bodies[at];
      if (body === undefined) continue;
      const cost = bodyCostBytes(body);
      if (bytes + cost > maxFrameBytes && at > from) {
        this.#publishBodies(subject, bodies, from, at);
        from = at;
        bytes = this.#encoder.emptyBytes;
      }
      bytes += cost;
    }
    this.#publishBodies(subject, bodies, from, bodies.length);
  }

  #publishBodies(subject: string, bodies: readonly Uint8Array[], from: number, to: number): void {
    const sent =
      this.connected &&
      this.#publish(this.#options.messages, subject, this.#encoder.bodies(bodies, from, to));
    if (!sent) this.#dropped += to - from;
  }

  #sendBulk(to: string, content: BulkContent): boolean {
    const { bulk, cluster } = this.#options;
    if (this.#closed || !bulk.connected) return false;
    return this.#publish(bulk, bulkSubject(cluster, to), this.#encoder.bulk(content));
  }

  #publish(wire: Wire, subject: string, frame: Buffer): boolean {
    if (!wire.publish(subject, frame)) return false;
    this.#messagesSent++;
    this.#bytesSent += frame.length;
    return true;
  }

  #receivedBodies(mailbox: Mailbox | "announce", bytes: Buffer): void {
    if (this.#closed) return;
    this.#count(bytes);
    const frame = decodeFrame(bytes);
    if (frame.kind !== "bodies") {
      this.#refuse(frame);
      return;
    }
    if (!isOpenToAll(mailbox) && !this.#isOurs(frame, frame.bodies.length)) return;
    const { sender } = frame;
    for (const body of frame.bodies) {
      try {
        this.#handlers.get(mailbox)?.(sender, body);
      } catch (error) {
        this.#handlerThrew(mailbox, sender, error);
      }
    }
  }

  #receivedBulk(bytes: Buffer): void {
    if (this.#closed) return;
    this.#count(bytes);
    const frame = decodeFrame(bytes);
    if (frame.kind === "unreadable" || frame.kind === "bodies") this.#refuse(frame);
    else if (this.#isOurs(frame, 1)) this.#streams.received(frame);
  }

  /** Node ids, and with them replica ids, may be the same in two clusters of one name. */
  #isOurs({ sender, cluster }: Origin, bodies: number): boolean {
    if (cluster === this.#cluster) return true;
    this.#dropped += bodies;
    // One that has just been founded may not be known to all of its nodes yet.
    if (cluster !== noCluster && this.#cluster !== noCluster) this.#reports.foreign(sender);
    return false;
  }

  #count(frame: Buffer): void {
    this.#messagesReceived++;
    this.#bytesReceived += frame.length;
  }

  #refuse(frame: Unreadable | Origin): void {
    this.#dropped++;
    this.#reports.unreadable(frame);
  }

  #handlerThrew(what: string, from: string, error: unknown): void {
    const message = `the handler of ${what} failed on what ${from} sent`;
    this.#options.onProblem({ kind: "handler", message, from, error });
  }

  #connectionChanged(connected: boolean): void {
    if (this.#closed) return;
    for (const listener of this.#listeners) {
      try {
        listener(connected);
      } catch (error) {
        const message = "a listener for the connection failed";
        this.#options.onProblem({ kind: "handler", message, error });
      }
    }
  }
}
