// What an operator should hear of the wire: one line each, told to whoever logs. It stands between
// the adapters, which meet the trouble, and deploy, which writes it down; nothing here is fatal.

export interface TransportProblem {
  readonly kind: /** No server answers; told once until one does. */
    | "unreachable"
    /** A server does not want us, or we cannot use it: password, certificate, message size. */
    | "refused"
    /** The connection broke. */
    | "lost"
    /** The server complains: permissions, slow consumer. */
    | "server"
    /** Another node speaks another protocol version; told once a node. */
    | "version"
    /** Bytes that are no message; told once a sender. */
    | "damaged"
    /** A body of this node's own is longer than a message may be; told once a subject. */
    | "tooLong"
    /** A node of another cluster of this name; told once a node. */
    | "foreign"
    /** A handler threw. */
    | "handler";
  /** A whole sentence. */
  readonly message: string;
  /** The other node, or the server; as far as known. */
  readonly from?: string;
  readonly error?: unknown;
}

export type OnProblem = (problem: TransportProblem) => void;
