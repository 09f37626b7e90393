// What an endpoint needs of whatever carries its messages: subjects, bytes, and the truth about the
// connection. NATS and the hub in memory stand behind it; it knows nothing of bodies and streams.

/** One connection. It delivers to subscribers of the subject, never back to itself. */
export interface Wire {
  /** False while a message would go nowhere. */
  readonly connected: boolean;
  /** The longest message it takes, bytes. */
  readonly maxFrameBytes: number;
  /** Bytes published that may still be waiting in this process. */
  readonly pendingBytes: number;
  /** Connections made after the first. */
  readonly reconnects: number;
  /** False when the message was dropped: no connection, or too much is waiting. Never throws. */
  publish(subject: string, frame: Buffer): boolean;
  /** `frame` is memory that nobody writes to again. `receive` must not throw. */
  subscribe(subject: string, receive: (frame: Buffer) => void): void;
  /** One listener, which hears every change of `connected`. */
  onConnection(listener: (connected: boolean) => void): void;
  /** Sends what was published, then closes; resolves within about 2 s. */
  close(): Promise<void>;
}
