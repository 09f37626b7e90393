// The names of the wire: which NATS subject carries what, and which names may be part of one. It
// stands between the adapters, which publish and subscribe, and the server, which only compares
// strings; what travels on a subject is the codec's business.

import type { Mailbox } from "./transport.ts";

export const mailboxes: readonly Mailbox[] = ["cluster", "raft", "store", "gateway", "pd"];

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** A name that may stand in a subject: no dot, no wildcard, no space, at most 64 characters. */
export const isName = (name: string): boolean => namePattern.test(name);

/** Throws TypeError unless `name` is one; `what` says whose, for the message. */
export function checkName(what: string, name: string): void {
  if (isName(name)) return;
  throw new TypeError(
    `${what} ${JSON.stringify(name)} is not a name of 1 to 64 letters, digits, "_" and "-"`,
  );
}

/** The subject of one node's mailbox; both names must be checked ones. */
export const mailboxSubject = (cluster: string, nodeId: string, mailbox: Mailbox): string =>
  `spire.${cluster}.node.${nodeId}.${mailbox}`;

/** The subject of every stream to and from a node. */
export const bulkSubject = (cluster: string, nodeId: string): string =>
  `spire.${cluster}.bulk.${nodeId}`;

/** The subject that all nodes of one cluster name hear. */
export const announceSubject = (cluster: string): string => `spire.${cluster}.announce`;
