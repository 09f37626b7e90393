// What nodes say to each other travels through this port: small messages in batches, announcements
// to everybody, and bulk streams with credits. It stands between the actors, who know what a message
// means, and an adapter (NATS, or memory inside one process); it promises next to nothing.

/** Which room of a node a message is for; one subject each. */
export type Mailbox = "cluster" | "raft" | "store" | "gateway" | "pd";

/**
 * Delivery is at most once in intent and anything in fact: a message may be lost, doubled, late or
 * overtaken, and nobody is told. What is sent while there is no connection is dropped at once.
 */
export interface Transport {
  /** Who this end is: [A-Za-z0-9_-]{1,64}. */
  readonly nodeId: string;
  /**
   * The longest body, chunk and header, bytes; at least 640 KiB. A longer body is a bug of its sender's
   * and dropped like any lost message (counted, and reported); streams answer with a RangeError.
   */
  readonly maxBodyBytes: number;
  /**
   * Queues a body. All bodies of one turn for one node and mailbox leave together at the turn's end,
   * in order, in as few messages as the size limit allows. The body must not be changed afterwards.
   * Over the outbound byte cap it is dropped (and counted).
   */
  send(to: string, mailbox: Mailbox, body: Uint8Array): void;
  /** To every node of the cluster's name, this one excluded. */
  announce(body: Uint8Array): void;
  /**
   * This node belongs to this cluster, for good; throws when it was told of another one before. What is
   * sent in any mailbox but "cluster", and all streams, then reach nodes of this cluster only, and
   * nothing of that kind is heard from nodes of another one or of none, whatever they are called.
   */
  bind(clusterId: string): void;
  /** One handler a mailbox, called per body; `body` is valid for ever (no later reuse of its memory). */
  receive(mailbox: Mailbox, handler: (from: string, body: Buffer) => void): void;
  receiveAnnouncements(handler: (from: string, body: Buffer) => void): void;
  /** Opens a stream of chunks to a node; `header` says to its receiver what it is. */
  openStream(to: string, header: Uint8Array): BulkWriter;
  receiveStreams(handler: (from: string, header: Buffer, reader: BulkReader) => void): void;
  /** False while messages would go nowhere. */
  readonly connected: boolean;
  /** Hears every change of `connected`. Returns how to stop listening. */
  onConnection(listener: (connected: boolean) => void): () => void;
  statistics(): TransportStatistics;
  /** Sends what is queued, then closes; resolves within about 2 s whatever the network does. */
  close(): Promise<void>;
}

/** The sending end of a stream. Chunks arrive in order and whole, or the stream fails at both ends. */
export interface BulkWriter {
  /** At most `maxBodyBytes`. Resolves when there is credit for more; rejects when the stream has failed. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when the receiver has everything and said so by `accept`; rejects with its reason otherwise. */
  end(): Promise<void>;
  abort(reason: string): void;
}

/** The receiving end. */
export interface BulkReader {
  /** The next chunk; undefined at the end. Rejects when the stream broke (lost chunk, silence, abort). */
  read(): Promise<Buffer | undefined>;
  /** After the end: what came is durable here; the writer's `end` resolves. */
  accept(): void;
  /** Ends it: the writer's next call rejects with the reason. */
  abort(reason: string): void;
}

/** Counters since open, for /metrics. */
export interface TransportStatistics {
  readonly messagesSent: number;
  readonly bytesSent: number;
  readonly messagesReceived: number;
  readonly bytesReceived: number;
  /**
   * Bodies dropped: too long, no connection, byte cap, not readable (unknown version, damaged), or of another
   * cluster.
   */
  readonly dropped: number;
  readonly reconnects: number;
}
